//! `fallbackctl health`: how every model is doing, one line each.
//!
//! With `--watch` it stays and asks again. Below the table stands, for each model that is kept out, the reason in words; the table
//! itself holds only what can be compared between models.

use std::time::Duration;

use serde_json::{Value, json};

use super::attempts;
use super::connect::{SOON, exchange};
use super::failure::Failure;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, circuit, moment, reply, text, watch};
use crate::domain::time::{Wall, millis};

const EXAMPLES: &str = "\
Examples:
  fallbackctl health                 over the configured window
  fallbackctl health --window 1h     over the last hour
  fallbackctl health --watch         look again every two seconds, until Ctrl-C
  fallbackctl health --watch 10s --window 1h
  fallbackctl health --json          for programs; with --watch one object per line";

/// Over which time.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How far back to look [default: the configured window]
    #[arg(long, value_name = "DURATION", value_parser = text::duration)]
    window: Option<Duration>,
    /// Stay, and look again in this interval
    #[arg(long, short, value_name = "DURATION", num_args = 0..=1, default_missing_value = "2s",
          value_parser = text::duration)]
    watch: Option<Duration>,
}

/// Asks for the health of all models and shows it.
pub(super) fn run(args: &Args, session: &Session, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let mut request = json!({"op": "health"});
    if let Some(window) = args.window {
        request["window"] = humantime::format_duration(window).to_string().into();
    }
    let ask = |screen: &mut Screen<'_>| {
        if let Some(reply) = exchange(session, &request, SOON, screen)? {
            write!(screen.out, "{}", render(&reply, moment::wall(), screen.paper))?;
        }
        Ok(())
    };
    match args.watch {
        Some(interval) => watch::again_and_again(interval, session.json, screen, ask),
        None => ask(screen),
    }
}

fn render(reply: &Value, now: Wall, paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("MODEL"),
        Column::Left("STATE"),
        Column::Right("SUCCESS"),
        Column::Right("CALLS"),
        Column::Right("P50"),
        Column::Right("P95"),
        Column::Right("IN FLIGHT"),
        Column::Left("DEGRADED"),
        Column::Left("EVIDENCE"),
        Column::Wide("LAST ERROR"),
        Column::Left("RETRY IN"),
    ]);
    let mut below = String::new();
    for (name, model) in reply::members(reply, "models") {
        let name = text::one_line(name);
        if let Some(why) = circuit::explain(model, now) {
            below.push_str(&format!("{name}: {why}\n"));
        }
        grid.row(row(name, model, now));
    }
    if let Some(window) = reply::whole(reply, "window_ms") {
        let note = format!("over the last {}", text::span(window));
        below.push_str(&format!("{}\n", paper.paint(&note, Tone::Dim)));
    }
    below.push_str(&trouble(reply, paper));
    format!("{}{below}", grid.render(paper))
}

fn row(name: String, model: &Value, now: Wall) -> Vec<Cell> {
    let calls = reply::whole(model, "total_calls");
    let share = reply::number(model, "success_rate").filter(|_| calls != Some(0));
    let latency = |key| Cell::or_dash(reply::whole(model, key).map(text::span));
    let degraded = if reply::flag(model, "degraded") {
        Cell::toned("yes", Tone::Warn)
    } else {
        Cell::toned("no", Tone::Dim)
    };
    vec![
        name.into(),
        circuit::state(model, now),
        Cell::or_dash(share.map(text::percent)),
        Cell::or_dash(calls.map(|calls| calls.to_string())),
        latency("p50_ms"),
        latency("p95_ms"),
        Cell::or_dash(reply::whole(model, "in_flight").map(|calls| calls.to_string())),
        degraded,
        evidence(model),
        Cell::or_dash(last_error(model, now)),
        circuit::retry_in(model, now).into(),
    ]
}

/// Whether the model may be called, and how fresh what is known of it is.
fn evidence(model: &Value) -> Cell {
    let known = reply::present(model, "evidence");
    let ago = known.and_then(|known| reply::whole(known, "proven_ago_ms"));
    let by = known.and_then(|known| reply::word(known, "proven_by"));
    let proven = ago.map(|ago| format!("proven {} ago", text::span(ago)));
    let by = by.filter(|by| proven.is_some() && by != "live").map(|by| format!("by a {by}"));
    let words: Vec<_> = proven.into_iter().chain(by).collect();
    let words = if words.is_empty() { "not proven".to_owned() } else { words.join(" ") };
    match reply::flag(model, "ready") {
        true => format!("ready, {words}").into(),
        false => Cell::toned(words, Tone::Dim),
    }
}

fn last_error(model: &Value, now: Wall) -> Option<String> {
    let error = reply::present(model, "last_error")?;
    let ago = reply::word(error, "at").and_then(|at| text::moment(&at));
    let ago = ago.map(|at| format!("{} ago", text::span(millis(now.since(at)))));
    let parts = [Some(attempts::why(error)), ago];
    let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    Some(parts.join(", "))
}

/// What the recorder could not do.
pub(super) fn worries(reply: &Value) -> Vec<String> {
    reply::members(reply, "recorder")
        .filter_map(|(name, value)| Some((name, worry(name, value)?)))
        .map(|(name, what)| format!("{} {what}", text::one_line(name).replace('_', " ")))
        .collect()
}

/// The same in one line; silence is good news.
fn trouble(reply: &Value, paper: Paper) -> String {
    let found = worries(reply);
    if found.is_empty() {
        return String::new();
    }
    format!("{}\n", paper.paint(&format!("recorder: {}", found.join(", ")), Tone::Warn))
}

/// The value of a member that tells of trouble, if it does.
fn worry(name: &str, value: &Value) -> Option<String> {
    const COUNTS: [&str; 4] = ["late", "dropped", "lost", "errors"];
    const WORDS: [&str; 4] = ["error", "damage", "put_aside", "size"];
    match value {
        Value::Number(count) if count.as_f64() != Some(0.0) => {
            COUNTS.iter().any(|word| name.ends_with(word)).then(|| count.to_string())
        }
        Value::String(state) if name == "store" => (state != "ok").then(|| text::one_line(state)),
        Value::String(what) if WORDS.iter().any(|word| name.ends_with(word)) => {
            Some(text::one_line(what)).filter(|what| !what.is_empty())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Wall {
        text::moment("2026-11-20T10:02:00.000Z").unwrap()
    }

    #[test]
    fn every_model_has_a_line_and_open_circuits_are_explained_below() {
        let reply = json!({"ok":true,"window_ms":600000,"models":{
            "gpt-4o":{"success_rate":0.97,"avg_latency_ms":812.5,"p50_ms":700,"p95_ms":2000,
                "total_calls":33,"degraded":true,"in_flight":1,"misconfigured":null,
                "last_error":{"error_type":"overloaded","status":503,"code":null,
                    "at":"2026-11-20T10:00:00.000Z"},
                "breaker":{"state":"open","reason":"3 consecutive failures",
                    "since":"2026-11-20T10:00:00.000Z","retry_at":"2026-11-20T10:05:00.000Z",
                    "consecutive_failures":3,"override":null},"hold_until":null,"ready":false,
                "evidence":{"proven_ago_ms":130_000,"proven_by":"live"}},
            "spare":{"total_calls":1,"success_rate":1.0,"ready":true,"breaker":{"state":"closed"},
                "evidence":{"proven_ago_ms":40_000,"proven_by":"shadow"}},
            "quiet":{"success_rate":1.0,"avg_latency_ms":null,"p50_ms":null,"p95_ms":null,
                "total_calls":0,"degraded":false,"in_flight":0,"last_error":null,
                "breaker":{"state":"closed"}}},
            "recorder":{"late":0,"lines":12}});
        let wanted = "\
MODEL   STATE   SUCCESS  CALLS     P50    P95  IN FLIGHT  DEGRADED  EVIDENCE                            LAST ERROR              RETRY IN
gpt-4o  open       97 %     33  700 ms  2.0 s          1  yes       proven 2m 10s ago                   overloaded 503, 2m ago  3m
spare   closed    100 %      1       -      -          -  no        ready, proven 40 s ago by a shadow  -
quiet   closed        -      0       -      -          0  no        not proven                          -
gpt-4o: open for 2m: 3 consecutive failures
over the last 10m
";
        assert_eq!(render(&reply, now(), Paper::default()), wanted);
    }

    #[test]
    fn a_reply_without_anything_in_it_is_an_empty_table() {
        let text = render(&json!({"ok":true}), now(), Paper::default());
        assert_eq!(text.lines().count(), 1);
        let odd = json!({"models":{"x":null,"y":{"breaker":7,"last_error":{}}}});
        assert_eq!(render(&odd, now(), Paper::default()).lines().count(), 3);
    }

    #[test]
    fn what_the_recorder_could_not_do_is_said() {
        let quiet = json!({"recorder":{"lines":9,"dropped":0,"log_error":null,"store":"ok",
            "store_error":null,"store_put_aside":null,"store_size":null,"rows_lost":0,
            "errors":0}});
        assert_eq!(trouble(&quiet, Paper::default()), "");
        let loud = json!({"recorder":{"lines":9,"late":3,"log_error":"disk full",
            "store":"degraded","rows_lost":2}});
        assert_eq!(
            trouble(&loud, Paper::default()),
            "recorder: late 3, log error disk full, store degraded, rows lost 2\n"
        );
    }
}
