//! How a model's circuit is shown: one word for the state, one for the wait, one line for why.
//!
//! Several things can keep a model out (an override, a hold after a 429, a missing key, an open
//! circuit); the word shown is the one a person would have to act on first.

use serde_json::Value;

use super::grid::Cell;
use super::reply;
use super::screen::Tone;
use super::text;
use crate::domain::time::{Wall, millis};

/// The state of one model, as in the `models` of a `health` reply.
pub(super) fn state(model: &Value, now: Wall) -> Cell {
    let circuit = model.get("breaker").unwrap_or(&Value::Null);
    if reply::present(model, "misconfigured").is_some() {
        return Cell::toned("misconfigured", Tone::Bad);
    }
    if let Some(forced) = forced(circuit) {
        let tone = if forced == "open" { Tone::Bad } else { Tone::Warn };
        return Cell::toned(format!("forced {forced}"), tone);
    }
    match reply::word(circuit, "state").as_deref() {
        Some("open") => Cell::toned("open", Tone::Bad),
        Some("half_open") => Cell::toned("half-open", Tone::Warn),
        Some("closed") if left(model, "hold_until", now).is_some_and(|wait| wait > 0) => {
            Cell::toned("on hold", Tone::Warn)
        }
        Some("closed") => Cell::toned("closed", Tone::Good),
        other => Cell::or_dash(other),
    }
}

/// How long until the model may be called again; empty when it may be called now.
pub(super) fn retry_in(model: &Value, now: Wall) -> String {
    let circuit = model.get("breaker").unwrap_or(&Value::Null);
    if forced(circuit).is_some() {
        return until(circuit, now).map(text::span).unwrap_or_default();
    }
    let open = reply::word(circuit, "state").as_deref() == Some("open");
    let retry = left(circuit, "retry_at", now).filter(|_| open);
    let hold = left(model, "hold_until", now).filter(|wait| *wait > 0);
    match retry.max(hold) {
        Some(0) => "now".to_owned(),
        Some(wait) => text::span(wait),
        None => String::new(),
    }
}

/// One line on what keeps the model out, for below the table; `None` when nothing does.
pub(super) fn explain(model: &Value, now: Wall) -> Option<String> {
    if let Some(reason) = reply::word(model, "misconfigured") {
        return Some(reason);
    }
    let circuit = model.get("breaker")?;
    if let Some(forced) = forced(circuit) {
        let end = until(circuit, now).map_or_else(
            || "until `fallbackctl breaker MODEL auto`".to_owned(),
            |wait| format!("for another {}", text::span(wait)),
        );
        return Some(format!("forced {forced} by an override, {end}"));
    }
    let state = reply::word(circuit, "state").filter(|state| state != "closed")?;
    let reason = reply::word(circuit, "reason").unwrap_or_else(|| "no reason given".to_owned());
    let since = reply::word(circuit, "since").and_then(|at| text::moment(&at));
    let since = since
        .map_or_else(String::new, |since| format!(" for {}", text::span(millis(now.since(since)))));
    Some(format!("{}{since}: {reason}", state.replace('_', "-")))
}

/// When a model that a chain leaves out may be called again. No wait at all is told of one whose
/// test is left to copies of requests: nobody is called until a request comes to be copied.
pub(super) fn again(reason: &str, wait: u64) -> String {
    match (reason, wait) {
        ("circuit_open", 0) => "half-open: the next request sends a copy to test it".to_owned(),
        _ => format!("{}, again in {}", reason.replace('_', " "), text::span(wait)),
    }
}

/// What an override sets the circuit to.
fn forced(circuit: &Value) -> Option<String> {
    reply::present(circuit, "override").and_then(|set| reply::word(set, "set"))
}

/// How long an override still lasts; `None` when it has no end.
fn until(circuit: &Value, now: Wall) -> Option<u64> {
    left(circuit.get("override")?, "until", now)
}

/// Milliseconds from now to a moment in the reply; 0 once it has passed.
fn left(value: &Value, key: &str, now: Wall) -> Option<u64> {
    let at = text::moment(&reply::word(value, key)?)?;
    Some(millis(at.since(now)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Wall {
        text::moment("2026-11-20T10:00:00.000Z").unwrap()
    }

    fn shown(model: &Value) -> (String, String, Option<String>) {
        (state(model, now()).text, retry_in(model, now()), explain(model, now()))
    }

    #[test]
    fn an_open_circuit_says_why_since_when_and_until_when() {
        let model = json!({"breaker": {"state": "open", "reason": "3 consecutive failures",
            "since": "2026-11-20T09:58:00.000Z", "retry_at": "2026-11-20T10:03:00.000Z"}});
        let why = Some("open for 2m: 3 consecutive failures".to_owned());
        assert_eq!(shown(&model), ("open".to_owned(), "3m".to_owned(), why));
    }

    #[test]
    fn an_override_is_shown_before_the_state_it_hides() {
        let model = json!({"breaker": {"state": "closed", "override":
            {"set": "open", "until": "2026-11-20T10:10:00.000Z"}}});
        let why = Some("forced open by an override, for another 10m".to_owned());
        assert_eq!(shown(&model), ("forced open".to_owned(), "10m".to_owned(), why));
        let model = json!({"breaker": {"state": "open", "override": {"set": "closed"}}});
        let (state, wait, why) = shown(&model);
        assert_eq!((state.as_str(), wait.as_str()), ("forced closed", ""));
        assert!(why.unwrap().ends_with("until `fallbackctl breaker MODEL auto`"));
    }

    #[test]
    fn a_hold_and_a_missing_key_are_states_of_their_own() {
        let held = json!({"hold_until": "2026-11-20T10:00:30Z", "breaker": {"state": "closed"}});
        assert_eq!(shown(&held), ("on hold".to_owned(), "30 s".to_owned(), None));
        let over = json!({"hold_until": "2026-11-20T09:00:30Z", "breaker": {"state": "closed"}});
        assert_eq!(shown(&over), ("closed".to_owned(), String::new(), None));
        let keyless = json!({"misconfigured": "OPENAI_API_KEY is not set", "breaker": null});
        let why = Some("OPENAI_API_KEY is not set".to_owned());
        assert_eq!(shown(&keyless), ("misconfigured".to_owned(), String::new(), why));
    }

    #[test]
    fn a_model_that_says_nothing_shows_a_dash() {
        assert_eq!(shown(&json!({})), ("-".to_owned(), String::new(), None));
        let due = json!({"breaker": {"state": "open", "retry_at": "2026-11-20T09:00:00Z"}});
        assert_eq!(retry_in(&due, now()), "now");
    }
}
