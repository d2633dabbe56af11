//! `fallbackctl why`: the story of one request, from the log.

use jiff::tz::TimeZone;
use serde_json::json;

use super::connect::{SOON, exchange};
use super::failure::CommandError;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, attempts, circuit, text};
use crate::clock::wall;
use crate::domain::time::Wall;
use crate::protocol::log::{CallEvent, Event, LogLine, RequestEvent};
use crate::protocol::reply::ErrorCode;
use crate::protocol::why::Why;

const EXAMPLES: &str = "\
Examples:
  fallbackctl why 01M7W9TJWBQC5AZC8MQKY1RQDG
  fallbackctl why $(fallbackctl ask --json Hello | jq -r .request_id)

Every reply has its request_id; so has every line of the health log.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WhyArgs {
    /// The request_id of a reply
    request_id: String,
}

/// Asks for the trail and tells it.
pub(super) fn run(
    args: &WhyArgs,
    session: &Session,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    let request = json!({"op": "why", "request_id": args.request_id});
    if let Some(why) = exchange(session, &request, SOON, screen)? {
        let story = render(&why, wall(), &TimeZone::system(), screen.paper);
        write!(screen.out, "{story}")?;
    }
    Ok(())
}

fn render(why: &Why, now: Wall, zone: &TimeZone, paper: Paper) -> String {
    let Event::Request(request) = &why.request.event else { return String::new() };
    let arrived = began(&why.request, request.latency_ms);
    let mut story = head(request, arrived, now, zone);
    let mut grid = Grid::new(&[
        Column::Right("AFTER"),
        Column::Left("MODEL"),
        Column::Left("OUTCOME"),
        Column::Left("WHY"),
        Column::Right("TOOK"),
        Column::Right("TOKENS"),
        Column::Right("COST"),
    ]);
    for line in &why.calls {
        if let Event::Call(call) = &line.event {
            grid.row(row(call, arrived.zip(began(line, call.latency_ms))));
        }
    }
    if !why.calls.is_empty() {
        story.push_str(&grid.render(paper));
    }
    story + &ending(request)
}

fn head(request: &RequestEvent, arrived: Option<Wall>, now: Wall, zone: &TimeZone) -> String {
    let at = arrived.map_or_else(|| "?".to_owned(), |at| text::clock_time(at, now, zone));
    let from = request.peer_uid.map(|uid| format!(", from user {uid}"));
    let order = request.order.iter().map(|place| match &place.reason {
        Some(reason) => format!("{} ({reason})", place.model),
        None => place.model.to_string(),
    });
    let order: Vec<String> = order.collect();
    let mut lines = vec![format!("task {} at {at}{}", request.task, from.unwrap_or_default())];
    if !order.is_empty() {
        lines.push(format!("to be tried: {}", order.join(", then ")));
    }
    for out in &request.left_out {
        let why = circuit::again(out.reason, None);
        lines.push(format!("left out: {} ({why})", out.model));
    }
    lines.join("\n") + "\n"
}

/// The line of one call; `span` is when its request arrived, and when it began.
fn row(call: &CallEvent, span: Option<(Wall, Wall)>) -> Vec<Cell> {
    let after = span.map(|(arrived, began)| began.0.saturating_sub(arrived.0));
    let (outcome, tone) = match call.success {
        true => ("answered", Tone::Good),
        false => ("failed", Tone::Bad),
    };
    let tokens = call.input_tokens.zip(call.output_tokens);
    let cost = call.cost_usd.map(|cost| text::cost(cost, call.cost_estimated));
    vec![
        after.map(text::span).unwrap_or_default().into(),
        (&*call.model_name).into(),
        Cell::toned(outcome, tone),
        attempts::failure(call.error_type, call.status, call.code.as_deref()).into(),
        text::span(call.latency_ms).into(),
        tokens.map(|(input, output)| format!("{input}+{output}")).unwrap_or_default().into(),
        cost.unwrap_or_default().into(),
    ]
}

fn ending(request: &RequestEvent) -> String {
    let took = text::span(request.latency_ms);
    let told = match &request.model_used {
        Some(model) => format!("answered by {model} after {took}"),
        None => format!("ended with {} after {took}", request.error.map_or("?", ErrorCode::name)),
    };
    let cost = request.request_cost_usd;
    let cost = cost.map(|cost| format!(", for {}", text::cost(cost, request.cost_estimated)));
    let would = request.primary_cost_usd;
    let would = would.map(|would| format!(" (the primary: {})", text::dollars(would.dollars())));
    format!("{told}{}{}\n", cost.unwrap_or_default(), would.unwrap_or_default())
}

/// Lines are written when something has ended; this is when it began.
fn began(line: &LogLine, took: u64) -> Option<Wall> {
    Some(Wall(text::moment(&line.timestamp)?.0.saturating_sub(took)))
}

#[cfg(test)]
mod tests {
    use super::super::samples::event;
    use super::*;

    #[test]
    fn the_story_tells_order_attempts_times_and_costs() {
        let request = event(json!({"event":"request","timestamp":"2026-11-20T10:00:00.900Z",
            "task":"code","primary":"a",
            "order":[{"model":"b"},{"model":"c","reason":"degraded: 3 of 10 calls worked"}],
            "left_out":[{"model":"a","reason":"circuit_open"}],"model_used":"c",
            "latency_ms":900,"request_cost_usd":0.000963,"primary_cost_usd":0.001005,
            "peer_uid":1000}));
        let failed = event(json!({"event":"call","timestamp":"2026-11-20T10:00:00.204Z",
            "model_name":"b","success":false,"latency_ms":200,"error_type":"overloaded",
            "status":503}));
        let answered = event(json!({"event":"call","timestamp":"2026-11-20T10:00:00.900Z",
            "model_name":"c","success":true,"latency_ms":606,"input_tokens":21,
            "output_tokens":60,"cost_usd":0.000963}));
        let why = Why { request, calls: vec![failed, answered] };
        let now = text::moment("2026-11-20T10:05:00Z").unwrap();
        assert_eq!(
            render(&why, now, &TimeZone::UTC, Paper::default()),
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
        let request = event(json!({"event":"request","task":"t","error":"no_model_available",
            "latency_ms":1}));
        let why = Why { request, calls: Vec::new() };
        let told = render(&why, Wall(0), &TimeZone::UTC, Paper::default());
        assert!(told.ends_with("ended with no_model_available after 1 ms\n"), "{told}");
    }
}
