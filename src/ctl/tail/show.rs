//! Events of the health log as lines for people.
//!
//! Pure: an event, the moment, the zone and the paper in, a line out. Which events are shown is
//! decided elsewhere.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::screen::{Paper, Tone};
use super::super::{attempts, text};
use super::TailedEvent;
use crate::domain::breaker::State;
use crate::domain::ledger::CallKind;
use crate::domain::need::Verdict;
use crate::domain::time::Wall;
use crate::protocol::log::{
    BreakerEvent, CallEvent, ComparisonEvent, ConfigEvent, DegradedEvent, Event, LeftOut,
    OrderEvent, ReportEvent, RequestEvent,
};
use crate::protocol::reply::ErrorCode;

/// One line for one message of the daemon; `None` for one that tells no event.
pub(super) fn render(
    told: &TailedEvent,
    now: Wall,
    zone: &TimeZone,
    paper: Paper,
) -> Option<String> {
    match told {
        TailedEvent::Nothing => None,
        TailedEvent::Lost(lost) => {
            let text = format!("-- {lost} events lost: this reader was too slow --");
            Some(paper.paint(&text, Tone::Warn))
        }
        TailedEvent::Event(line) => {
            let (text, tone) = describe(&line.event, now, zone);
            let kind = line.event.kind()?.name();
            let time = time(&line.timestamp, now, zone, paper);
            Some(format!("{time} {kind:<8} {}", paper.paint(&text, tone)))
        }
        TailedEvent::Foreign(event) => {
            let [stamp, kind] = ["timestamp", "event"].map(|key| event.get(key)?.as_str());
            let time = time(stamp.unwrap_or("-"), now, zone, paper);
            Some(format!("{time} {:<8} {}", kind.unwrap_or("?"), fields(event)))
        }
    }
}

/// A person wants the time of day here, a file the exact moment as it was logged.
fn time(stamp: &str, now: Wall, zone: &TimeZone, paper: Paper) -> String {
    match text::moment(stamp) {
        Some(at) if paper.terminal => paper.paint(&text::clock_time(at, now, zone), Tone::Dim),
        _ => stamp.to_owned(),
    }
}

fn describe(event: &Event, now: Wall, zone: &TimeZone) -> (String, Tone) {
    match event {
        Event::Call(event) => call(event),
        Event::Request(event) => request(event),
        Event::Breaker(event) => breaker(event, now, zone),
        Event::Degraded(event) => degraded(event),
        Event::Order(event) => (order(event), Tone::Plain),
        Event::Comparison(event) => (comparison(event), Tone::Plain),
        Event::Report(event) => (report(event), Tone::Plain),
        Event::Config(event) => config(event),
        Event::Start(start) => {
            let (version, models, restored) = (&start.version, start.models, start.restored);
            let text = format!(
                "fallbackd {version} serves {models} models, {restored} with their history"
            );
            (text, Tone::Plain)
        }
        Event::Stop(stop) => {
            (format!("{}, {} requests unanswered", stop.reason, stop.unanswered), Tone::Warn)
        }
        Event::Other => (String::new(), Tone::Plain),
    }
}

fn call(event: &CallEvent) -> (String, Tone) {
    let (model, took) = (&event.model_name, text::span(event.latency_ms));
    let kind = Some(event.kind).filter(|kind| *kind != CallKind::Live);
    let kind = kind.map(|kind| format!(" ({})", kind.name())).unwrap_or_default();
    let task = format!(" for {}{kind}", event.task);
    let late = if event.counted { "" } else { ", not counted" };
    if event.success {
        let tokens = event.input_tokens.zip(event.output_tokens);
        let tokens = tokens.map(|(input, output)| format!(", {input}+{output} tokens"));
        let cost = event.cost_usd.map(|cost| text::cost(cost, event.cost_estimated));
        let cost = cost.map(|cost| format!(", {cost}")).unwrap_or_default();
        let tokens = tokens.unwrap_or_default();
        return (format!("{model} answered in {took}{task}{tokens}{cost}{late}"), Tone::Plain);
    }
    let held = Some(event.verdict).filter(|verdict| *verdict != Verdict::Failure);
    let held = held.map(|verdict| format!(", {}", verdict.name())).unwrap_or_default();
    let why = attempts::failure(event.error_type, event.status, event.code.as_deref());
    (format!("{model} failed in {took}{task}: {why}{held}{late}"), Tone::Bad)
}

fn request(event: &RequestEvent) -> (String, Tone) {
    let (task, took) = (&event.task, text::span(event.latency_ms));
    let Some(model) = event.model_used.as_ref().filter(|_| event.success) else {
        let error = event.error.map_or("failed", ErrorCode::name);
        return (format!("{task}: {error} after {took}"), Tone::Bad);
    };
    match event.primary.as_ref().filter(|primary| *primary != model) {
        Some(primary) => (format!("{task}: {model} instead of {primary} in {took}"), Tone::Warn),
        None => (format!("{task}: {model} in {took}"), Tone::Good),
    }
}

fn breaker(event: &BreakerEvent, now: Wall, zone: &TimeZone) -> (String, Tone) {
    let (from, to) = (event.from.word(), event.to.word());
    let retry = event.retry_at.map(|at| text::clock_time(at, now, zone));
    let retry = retry.map(|at| format!(", next try at {at}"));
    let overridden = event.overridden.map(|set| format!(", override {}", set.name()));
    let by = event.peer_uid.map(|uid| format!(" by uid {uid}"));
    let tone = match event.to {
        State::Open => Tone::Bad,
        State::Closed => Tone::Good,
        State::HalfOpen => Tone::Warn,
    };
    let tail: String = [retry, overridden, by].into_iter().flatten().collect();
    (format!("{} {from} -> {to}: {}{tail}", event.model_name, event.reason), tone)
}

fn degraded(event: &DegradedEvent) -> (String, Tone) {
    let (model, share) = (&event.model_name, text::percent(event.success_rate));
    let (word, tone) = match event.degraded {
        true => ("degraded", Tone::Warn),
        false => ("healthy again", Tone::Good),
    };
    (format!("{model} is {word}: {share} of {} calls worked", event.calls), tone)
}

fn comparison(event: &ComparisonEvent) -> String {
    let pair = format!("{} and its backup {}", event.model_used, event.backup);
    match &event.agreement {
        Some(agreement) => {
            format!("{pair}: {} of the words in common", text::percent(agreement.similarity))
        }
        None => {
            let why = attempts::failure(event.error_type, None, None);
            format!("{pair}: the copy failed, {why}")
        }
    }
}

fn order(event: &OrderEvent) -> String {
    let OrderEvent { task, order, left_out } = event;
    let order = order.join(" > ");
    if left_out.is_empty() {
        return format!("{task}: {order}");
    }
    let out =
        left_out.iter().map(|LeftOut { model, reason }| format!("{model} ({})", reason.name()));
    format!("{task}: {order}; left out: {}", out.collect::<Vec<_>>().join(", "))
}

fn report(event: &ReportEvent) -> String {
    let ReportEvent { week, calls, fallback_calls, .. } = event;
    let paid = text::dollars(event.paid_usd.dollars());
    let would = text::dollars(event.primary_would_usd.dollars());
    format!(
        "{week}: {fallback_calls} of {calls} answers by fallbacks, paid {paid} instead of {would}"
    )
}

fn config(event: &ConfigEvent) -> (String, Tone) {
    if !event.success {
        let mistakes = event.mistakes;
        return (format!("not taken: {mistakes} mistakes, nothing changed"), Tone::Bad);
    }
    let mut text = format!("taken: {} models kept", event.kept);
    for (models, word) in [(&event.added, "added"), (&event.removed, "removed")] {
        if !models.is_empty() {
            text += &format!("; {word} {}", models.join(", "));
        }
    }
    (text, Tone::Good)
}

/// The fields of an event of a later version as they are.
fn fields(event: &Value) -> String {
    let mut rest = event.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove("event");
        fields.remove("timestamp");
    }
    text::one_line(&rest.to_string())
}

#[cfg(test)]
mod tests;
