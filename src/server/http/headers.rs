//! What an answer says beside its body: who gave it, after whom, and what it cost.

use std::fmt::Write;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::event::Speaker;
use crate::protocol::reply::{Answered, Attempt, AttemptOutcome, ErrorCode, RetryAfter};

/// Longest list of attempts.
const ATTEMPTS: usize = 1024;

/// Longest and shortest wait that programs are told, in seconds.
const WAIT: std::ops::RangeInclusive<u64> = 1..=3600;

/// Adds one; what cannot stand in a header is left out.
fn add(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The daemon's own name for the request, where either kind of program looks for it.
pub(super) fn request_id(headers: &mut HeaderMap, request_id: &str) {
    if !request_id.is_empty() {
        add(headers, "x-request-id", request_id);
        add(headers, "request-id", request_id);
    }
}

/// Who answers in a stream.
pub(super) fn speaker(headers: &mut HeaderMap, model: &str, speaker: &Speaker) {
    request_id(headers, &speaker.request_id);
    add(headers, "x-fallbackd-task", &speaker.task);
    add(headers, "x-fallbackd-model", model);
    add(headers, "x-fallbackd-provider", &speaker.provider);
    add(headers, "x-fallbackd-primary", &speaker.primary);
    add(headers, "x-fallbackd-fallback-count", &speaker.fallback_count.to_string());
    attempts(headers, &speaker.attempts, Some("answering"));
}

/// Who gave a whole answer.
pub(super) fn answered(headers: &mut HeaderMap, answered: &Answered) {
    add(headers, "x-fallbackd-task", &answered.task);
    add(headers, "x-fallbackd-model", &answered.model_used);
    add(headers, "x-fallbackd-provider", &answered.provider);
    add(headers, "x-fallbackd-primary", &answered.primary);
    add(headers, "x-fallbackd-fallback-count", &answered.fallback_count.to_string());
    add(headers, "x-fallbackd-latency-ms", &answered.latency_ms.to_string());
    if let Some(cost) = answered.request_cost_usd {
        add(headers, "x-fallbackd-cost-usd", &cost.dollars().to_string());
    }
}

/// Whom was left out and what was tried, as `model=outcome` in time order. The one under way has
/// no outcome yet and is told with `running`.
pub(super) fn attempts(headers: &mut HeaderMap, attempts: &[Attempt], running: Option<&str>) {
    let mut list = String::new();
    for (at, attempt) in attempts.iter().enumerate() {
        let fault: Option<&'static str> = attempt.error_type.map(Into::into);
        let skipped: Option<&'static str> = attempt.reason.map(Into::into);
        let last = at + 1 == attempts.len();
        let running = running.filter(|_| last && attempt.outcome == AttemptOutcome::Cancelled);
        let outcome = fault.or(skipped).or(running).unwrap_or(attempt.outcome.name());
        let before = list.len();
        let separator = if list.is_empty() { "" } else { ";" };
        // Writing into a string cannot fail.
        let _ = write!(list, "{separator}{}={outcome}", attempt.model);
        if list.len() > ATTEMPTS {
            list.truncate(before);
            break;
        }
    }
    if !list.is_empty() {
        add(headers, "x-fallbackd-attempts", &list);
    }
}

/// What of the request the model was not given.
pub(super) fn dropped<'a>(headers: &mut HeaderMap, names: impl Iterator<Item = &'a String>) {
    let mut list = String::new();
    for name in names {
        let separator = if list.is_empty() { "" } else { "," };
        if list.len() + name.len() >= ATTEMPTS {
            break;
        }
        list.extend([separator, name]);
    }
    if !list.is_empty() {
        add(headers, "x-fallbackd-dropped", &list);
    }
}

/// When a program may ask again, and whether it should do so by itself.
pub(super) fn again(
    headers: &mut HeaderMap,
    status: u16,
    code: ErrorCode,
    wait: RetryAfter,
    longest: std::time::Duration,
) {
    let own = matches!(code, ErrorCode::Overloaded | ErrorCode::ShuttingDown);
    let usual = if code == ErrorCode::Overloaded { 1 } else { 5 };
    let seconds = wait.millis().map_or(usual, |millis| millis.div_ceil(1000));
    let seconds = seconds.clamp(*WAIT.start(), *WAIT.end());
    if status == 503 {
        add(headers, "retry-after", &seconds.to_string());
    }
    // Programs sit out any wait without a word; one that nobody knows may never end.
    let is_unknown = wait.millis().is_none() && !own;
    let is_long = wait.millis().is_some_and(|millis| u128::from(millis) > longest.as_millis());
    if crate::dialects::is_hopeless(status) || (status == 503 && (is_unknown || is_long)) {
        add(headers, "x-should-retry", "false");
    }
}
