//! Events of the health log as lines for people.
//!
//! Pure: an event, the moment, the zone and the paper in, a line out. Which events are shown is
//! decided elsewhere.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::screen::{Paper, Tone};
use super::super::{attempts, reply, text};
use crate::domain::time::Wall;

/// One line for one message of the daemon; `None` for one that tells no event.
pub(super) fn render(message: &Value, now: Wall, zone: &TimeZone, paper: Paper) -> Option<String> {
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
        "comparison" => (comparison(event), Tone::Plain),
        "report" => (report(event), Tone::Plain),
        "config" => config(event),
        "start" => (start(event), Tone::Plain),
        "stop" => (stop(event), Tone::Warn),
        _ => (unknown(event), Tone::Plain),
    }
}

fn call(event: &Value, model: &str) -> (String, Tone) {
    let took = reply::whole(event, "latency_ms").map(text::span).unwrap_or_default();
    let task = reply::word(event, "task").map(|task| format!(" for {task}")).unwrap_or_default();
    let kind = reply::word(event, "kind").filter(|kind| kind != "live");
    let task = task + &kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    let late = event.get("counted").and_then(Value::as_bool) == Some(false);
    let late = if late { ", not counted" } else { "" };
    if reply::flag(event, "success") {
        let tokens =
            match (reply::whole(event, "input_tokens"), reply::whole(event, "output_tokens")) {
                (Some(input), Some(output)) => format!(", {input}+{output} tokens"),
                _ => String::new(),
            };
        let cost = text::cost(event, "cost_usd");
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

fn comparison(event: &Value) -> String {
    let word = |key| reply::word(event, key).unwrap_or_default();
    let pair = format!("{} and its backup {}", word("model_used"), word("backup"));
    let similarity = reply::present(event, "agreement")
        .and_then(|agreement| reply::number(agreement, "similarity"));
    match similarity {
        Some(share) => format!("{pair}: {} of the words in common", text::percent(share)),
        None => format!("{pair}: the copy failed, {}", word("error_type")),
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

fn report(event: &Value) -> String {
    let week = reply::word(event, "week").unwrap_or_default();
    let count = |key| reply::whole(event, key).unwrap_or_default();
    let (calls, fallback) = (count("calls"), count("fallback_calls"));
    let paid = reply::number(event, "paid_usd").map(text::dollars).unwrap_or_default();
    let would = reply::number(event, "primary_would_usd").map(text::dollars).unwrap_or_default();
    format!("{week}: {fallback} of {calls} answers by fallbacks, paid {paid} instead of {would}")
}

fn config(event: &Value) -> (String, Tone) {
    if !reply::flag(event, "success") {
        let mistakes = reply::whole(event, "mistakes").unwrap_or_default();
        return (format!("not taken: {mistakes} mistakes, nothing changed"), Tone::Bad);
    }
    let kept = reply::whole(event, "kept").unwrap_or_default();
    let changed = [("added", "added"), ("removed", "removed")].map(|(key, word)| {
        let models = reply::joined(event, key, ", ");
        if models.is_empty() { String::new() } else { format!("; {word} {models}") }
    });
    (format!("taken: {kept} models kept{}", changed.concat()), Tone::Good)
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
