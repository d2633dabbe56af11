//! `fallbackctl why`: the story of one request, from the log.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::connect::{SOON, exchange};
use super::failure::Failure;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, attempts, moment, reply, text};
use crate::domain::time::Wall;

const EXAMPLES: &str = "\
Examples:
  fallbackctl why 01M7W9TJWBQC5AZC8MQKY1RQDG
  fallbackctl why $(fallbackctl ask --json Hello | jq -r .request_id)

Every reply has its request_id; so has every line of the health log.";

/// Which request.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The request_id of a reply
    request_id: String,
}

/// Asks for the trail and tells it.
pub(super) fn run(args: &Args, session: &Session, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let request = json!({"op": "why", "request_id": args.request_id});
    if let Some(reply) = exchange(session, &request, SOON, screen)? {
        let story = render(&reply, moment::wall(), &TimeZone::system(), screen.paper);
        write!(screen.out, "{story}")?;
    }
    Ok(())
}

fn render(reply: &Value, now: Wall, zone: &TimeZone, paper: Paper) -> String {
    let none = Value::Null;
    let request = reply.get("request").unwrap_or(&none);
    let took = reply::whole(request, "latency_ms").unwrap_or_default();
    let arrived = began(request, took);
    let mut story = head(request, arrived, now, zone);
    let calls = reply::list(reply, "calls");
    if !calls.is_empty() {
        let mut grid = Grid::new(&[
            Column::Right("AFTER"),
            Column::Left("MODEL"),
            Column::Left("OUTCOME"),
            Column::Left("WHY"),
            Column::Right("TOOK"),
            Column::Right("TOKENS"),
            Column::Right("COST"),
        ]);
        calls.iter().for_each(|call| grid.row(row(call, arrived)));
        story.push_str(&grid.render(paper));
    }
    story + &ending(request, took)
}

fn head(request: &Value, arrived: Option<Wall>, now: Wall, zone: &TimeZone) -> String {
    let at = arrived.map_or_else(|| "?".to_owned(), |at| text::clock_time(at, now, zone));
    let task = reply::word(request, "task").unwrap_or_default();
    let from = reply::whole(request, "peer_uid").map(|uid| format!(", from user {uid}"));
    let order = reply::list(request, "order").iter().map(|place| {
        let model = reply::word(place, "model").unwrap_or_default();
        match reply::word(place, "reason") {
            Some(reason) => format!("{model} ({reason})"),
            None => model,
        }
    });
    let order: Vec<String> = order.collect();
    let mut lines = vec![format!("task {task} at {at}{}", from.unwrap_or_default())];
    if !order.is_empty() {
        lines.push(format!("to be tried: {}", order.join(", then ")));
    }
    for out in reply::list(request, "left_out") {
        let why = reply::word(out, "reason").unwrap_or_default().replace('_', " ");
        lines.push(format!("left out: {} ({why})", reply::word(out, "model").unwrap_or_default()));
    }
    lines.join("\n") + "\n"
}

fn row(call: &Value, arrived: Option<Wall>) -> Vec<Cell> {
    let took = reply::whole(call, "latency_ms").unwrap_or_default();
    let after = arrived.zip(began(call, took)).map(|(from, at)| at.0.saturating_sub(from.0));
    let (outcome, tone) = match reply::flag(call, "success") {
        true => ("answered", Tone::Good),
        false => ("failed", Tone::Bad),
    };
    let tokens = reply::whole(call, "input_tokens").zip(reply::whole(call, "output_tokens"));
    vec![
        after.map(text::span).unwrap_or_default().into(),
        Cell::or_dash(reply::word(call, "model_name")),
        Cell::toned(outcome, tone),
        attempts::why(call).into(),
        text::span(took).into(),
        tokens.map(|(input, output)| format!("{input}+{output}")).unwrap_or_default().into(),
        text::cost(call, "cost_usd").unwrap_or_default().into(),
    ]
}

fn ending(request: &Value, took: u64) -> String {
    let took = text::span(took);
    let told = match reply::word(request, "model_used") {
        Some(model) => format!("answered by {model} after {took}"),
        None => {
            let error = reply::word(request, "error").unwrap_or_else(|| "?".to_owned());
            format!("ended with {error} after {took}")
        }
    };
    let cost = text::cost(request, "request_cost_usd");
    let cost = cost.map(|cost| format!(", for {cost}")).unwrap_or_default();
    let would = reply::number(request, "primary_cost_usd");
    let would = would.map(|would| format!(" (the primary: {})", text::dollars(would)));
    format!("{told}{cost}{}\n", would.unwrap_or_default())
}

/// Lines are written when something has ended; this is when it began.
fn began(line: &Value, took: u64) -> Option<Wall> {
    let ended = line.get("timestamp").and_then(Value::as_str).and_then(text::moment)?;
    Some(Wall(ended.0.saturating_sub(took)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_tells_order_attempts_times_and_costs() {
        let reply = json!({
            "request": {"timestamp":"2026-11-20T10:00:00.900Z","task":"code","primary":"a",
                "order":[{"model":"b"},{"model":"c","reason":"degraded: 3 of 10 calls worked"}],
                "left_out":[{"model":"a","reason":"circuit_open"}],"model_used":"c",
                "latency_ms":900,"request_cost_usd":0.000963,"primary_cost_usd":0.001005,
                "peer_uid":1000},
            "calls": [
                {"timestamp":"2026-11-20T10:00:00.204Z","model_name":"b","success":false,
                 "latency_ms":200,"error_type":"overloaded","status":503},
                {"timestamp":"2026-11-20T10:00:00.900Z","model_name":"c","success":true,
                 "latency_ms":606,"input_tokens":21,"output_tokens":60,"cost_usd":0.000963}]
        });
        let now = text::moment("2026-11-20T10:05:00Z").unwrap();
        assert_eq!(
            render(&reply, now, &TimeZone::UTC, Paper::default()),
            "task code at 10:00:00, from user 1000\n\
             to be tried: b, then c (degraded: 3 of 10 calls worked)\n\
             left out: a (circuit open)\n\
             \x20AFTER  MODEL  OUTCOME   WHY               TOOK  TOKENS       COST\n\
             \x20 4 ms  b      failed    overloaded 503  200 ms\n\
             294 ms  c      answered                  606 ms   21+60  $0.000963\n\
             answered by c after 900 ms, for $0.000963 (the primary: $0.001005)\n"
        );
    }

    #[test]
    fn a_request_without_an_answer_ends_with_its_error() {
        let reply = json!({"request":{"task":"t","error":"no_model_available","latency_ms":1}});
        let told = render(&reply, Wall(0), &TimeZone::UTC, Paper::default());
        assert!(told.ends_with("ended with no_model_available after 1 ms\n"), "{told}");
    }
}
