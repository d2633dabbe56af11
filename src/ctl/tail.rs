//! `fallbackctl tail`: events of the health log as they happen, one line each.
//!
//! It listens on the socket and does not read the log file, so it needs no right to that file.
//! A reader too slow to follow loses events, never the daemon's time; what was lost is said.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::connect::{Link, SOON, accept, print_json};
use super::failure::Failure;
use super::screen::{Paper, Screen, Tone};
use super::{Session, attempts, moment, reply, text};
use crate::domain::time::Wall;

const EXAMPLES: &str = "\
Examples:
  fallbackctl tail                      everything, until Ctrl-C
  fallbackctl tail call breaker         only calls and circuit changes
  fallbackctl tail --json | jq .log     for programs";

/// Which events.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Kinds of events to show: call, request, breaker, degraded, order, start, stop [default: all]
    #[arg(value_name = "TYPE")]
    types: Vec<String>,
}

/// Prints events until the daemon closes the connection.
pub(super) fn run(args: &Args, session: &Session, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let mut link = Link::open(&session.socket, SOON)?;
    link.send(&request(args))?;
    let (line, reply) = link.reply()?;
    let refused = !reply::flag(&reply, "ok");
    if session.json && refused {
        print_json(&line, screen)?;
    }
    accept(&reply, session.json, screen)?;
    link.wait_for_ever()?;
    let zone = TimeZone::system();
    while let Some((line, value)) = link.next()? {
        if session.json {
            print_json(&line, screen)?;
        } else if let Some(line) = render(&value, moment::wall(), &zone, screen.paper) {
            writeln!(screen.out, "{line}")?;
        }
        screen.out.flush()?;
    }
    writeln!(screen.notes, "fallbackctl: the daemon closed the connection")?;
    Ok(())
}

fn request(args: &Args) -> Value {
    if args.types.is_empty() {
        return json!({"op": "events"});
    }
    json!({"op": "events", "types": args.types})
}

/// One line for one message; `None` for one that tells no event.
fn render(message: &Value, now: Wall, zone: &TimeZone, paper: Paper) -> Option<String> {
    if let Some(lost) = reply::whole(message, "log_lost") {
        let text = format!("-- {lost} events lost: this reader was too slow --");
        return Some(paper.paint(&text, Tone::Warn));
    }
    let event = reply::present(message, "log")?;
    let kind = reply::word(event, "event").unwrap_or_else(|| "?".to_owned());
    let (text, tone) = describe(&kind, event, now, zone);
    let time = time(event, now, zone, paper);
    Some(format!("{time} {kind:<8} {}", paper.paint(&text, tone)))
}

/// A person wants the time of day here, a file the exact moment as it was logged.
fn time(event: &Value, now: Wall, zone: &TimeZone, paper: Paper) -> String {
    let stamp = reply::word(event, "timestamp").unwrap_or_else(|| "-".to_owned());
    match text::moment(&stamp) {
        Some(at) if paper.terminal => paper.paint(&text::clock_time(at, now, zone), Tone::Dim),
        _ => stamp,
    }
}

fn describe(kind: &str, event: &Value, now: Wall, zone: &TimeZone) -> (String, Tone) {
    let model = reply::word(event, "model_name").unwrap_or_default();
    match kind {
        "call" => call(event, &model),
        "request" => request_line(event),
        "breaker" => breaker(event, &model, now, zone),
        "degraded" => degraded(event, &model),
        "order" => (order(event), Tone::Plain),
        "start" => (start(event), Tone::Plain),
        "stop" => (stop(event), Tone::Warn),
        _ => (unknown(event), Tone::Plain),
    }
}

fn call(event: &Value, model: &str) -> (String, Tone) {
    let took = reply::whole(event, "latency_ms").map(text::span).unwrap_or_default();
    let task = reply::word(event, "task").map(|task| format!(" for {task}")).unwrap_or_default();
    let late = event.get("counted").and_then(Value::as_bool) == Some(false);
    let late = if late { ", not counted" } else { "" };
    if reply::flag(event, "success") {
        let tokens =
            match (reply::whole(event, "input_tokens"), reply::whole(event, "output_tokens")) {
                (Some(input), Some(output)) => format!(", {input}+{output} tokens"),
                _ => String::new(),
            };
        let cost = reply::number(event, "cost_usd").map(text::dollars);
        let cost = cost.map(|cost| format!(", {cost}")).unwrap_or_default();
        return (format!("{model} answered in {took}{task}{tokens}{cost}{late}"), Tone::Plain);
    }
    let held = reply::word(event, "verdict").filter(|verdict| verdict != "failure");
    let held = held.map(|verdict| format!(", {verdict}")).unwrap_or_default();
    let why = attempts::why(event);
    (format!("{model} failed in {took}{task}: {why}{held}{late}"), Tone::Bad)
}

fn request_line(event: &Value) -> (String, Tone) {
    let task = reply::word(event, "task").unwrap_or_default();
    let took = reply::whole(event, "latency_ms").map(text::span).unwrap_or_default();
    if !reply::flag(event, "success") {
        let error = reply::word(event, "error").unwrap_or_else(|| "failed".to_owned());
        return (format!("{task}: {error} after {took}"), Tone::Bad);
    }
    let model = reply::word(event, "model_used").unwrap_or_default();
    let primary = reply::word(event, "primary").filter(|primary| *primary != model);
    match primary {
        Some(primary) => (format!("{task}: {model} instead of {primary} in {took}"), Tone::Warn),
        None => (format!("{task}: {model} in {took}"), Tone::Good),
    }
}

fn breaker(event: &Value, model: &str, now: Wall, zone: &TimeZone) -> (String, Tone) {
    let state = |key| reply::word(event, key).unwrap_or_default().replace('_', "-");
    let (from, to) = (state("from"), state("to"));
    let reason = reply::word(event, "reason").unwrap_or_default();
    let retry = reply::word(event, "retry_at").and_then(|at| text::moment(&at));
    let retry = retry.map(|at| format!(", next try at {}", text::clock_time(at, now, zone)));
    let forced = reply::word(event, "override").map(|set| format!(", override {set}"));
    let by = reply::whole(event, "peer_uid").map(|uid| format!(" by uid {uid}"));
    let tone = match to.as_str() {
        "open" => Tone::Bad,
        "closed" => Tone::Good,
        _ => Tone::Warn,
    };
    let tail: String = [retry, forced, by].into_iter().flatten().collect();
    (format!("{model} {from} -> {to}: {reason}{tail}"), tone)
}

fn degraded(event: &Value, model: &str) -> (String, Tone) {
    let share = reply::number(event, "success_rate").map(text::percent).unwrap_or_default();
    let calls = reply::whole(event, "calls").unwrap_or_default();
    if reply::flag(event, "degraded") {
        (format!("{model} is degraded: {share} of {calls} calls worked"), Tone::Warn)
    } else {
        (format!("{model} is healthy again: {share} of {calls} calls worked"), Tone::Good)
    }
}

fn order(event: &Value) -> String {
    let task = reply::word(event, "task").unwrap_or_default();
    let order = reply::joined(event, "order", " > ");
    let left_out: Vec<_> = reply::list(event, "left_out")
        .iter()
        .filter_map(|out| Some((reply::word(out, "model")?, attempts::why(out))))
        .map(|(model, why)| format!("{model} ({why})"))
        .collect();
    if left_out.is_empty() {
        return format!("{task}: {order}");
    }
    format!("{task}: {order}; left out: {}", left_out.join(", "))
}

fn start(event: &Value) -> String {
    let version = reply::word(event, "version").unwrap_or_default();
    let models = reply::whole(event, "models").unwrap_or_default();
    let restored = reply::whole(event, "restored").unwrap_or_default();
    format!("fallbackd {version} serves {models} models, {restored} with their history")
}

fn stop(event: &Value) -> String {
    let reason = reply::word(event, "reason").unwrap_or_default();
    let unanswered = reply::whole(event, "unanswered").unwrap_or_default();
    format!("{reason}, {unanswered} requests unanswered")
}

/// An event of a newer daemon: its fields as they are.
fn unknown(event: &Value) -> String {
    let mut rest = event.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove("event");
        fields.remove("timestamp");
    }
    text::one_line(&rest.to_string())
}

#[cfg(test)]
mod tests;
