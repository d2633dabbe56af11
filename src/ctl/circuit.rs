//! How a model's circuit is shown: one word for the state, one for the wait, one line for why.
//!
//! Several things can keep a model out (an override, a hold after a 429, a missing key, an open
//! circuit); the word shown is the one a person would have to act on first.

use super::grid::Cell;
use super::screen::Tone;
use super::text;
use crate::domain::breaker::{OverrideState, State};
use crate::domain::need::SkipReason;
use crate::domain::time::{Wall, millis};
use crate::protocol::health::{BreakerOrdered, BreakerView, ModelHealth};

/// All that may keep one model out.
#[derive(Clone, Copy)]
pub(super) struct Obstacles<'a> {
    circuit: &'a BreakerView,
    misconfigured: Option<&'a str>,
    /// End of a hold after a 429, RFC 3339.
    hold_until: Option<&'a str>,
}

impl<'a> From<&'a ModelHealth> for Obstacles<'a> {
    fn from(model: &'a ModelHealth) -> Obstacles<'a> {
        Obstacles {
            circuit: &model.breaker,
            misconfigured: model.misconfigured.as_deref(),
            hold_until: model.hold_until.as_deref(),
        }
    }
}

impl<'a> From<&'a BreakerOrdered> for Obstacles<'a> {
    fn from(ordered: &'a BreakerOrdered) -> Obstacles<'a> {
        Obstacles { circuit: &ordered.breaker, misconfigured: None, hold_until: None }
    }
}

impl Obstacles<'_> {
    /// The state of the model in one word.
    pub(super) fn state(self, now: Wall) -> Cell {
        if self.misconfigured.is_some() {
            return Cell::toned("misconfigured", Tone::Bad);
        }
        match (self.overridden(), self.circuit.state) {
            (Some(OverrideState::Open), _) => Cell::toned("forced open", Tone::Bad),
            (Some(OverrideState::Closed), _) => Cell::toned("forced closed", Tone::Warn),
            (None, State::Open) => Cell::toned("open", Tone::Bad),
            (None, State::HalfOpen) => Cell::toned("half-open", Tone::Warn),
            (None, State::Closed) if self.hold_left(now).is_some() => {
                Cell::toned("on hold", Tone::Warn)
            }
            (None, State::Closed) => Cell::toned("closed", Tone::Good),
        }
    }

    /// How long until the model may be called again; empty when it may be called now.
    pub(super) fn retry_in(self, now: Wall) -> String {
        if self.overridden().is_some() {
            return self.override_left(now).map(text::span).unwrap_or_default();
        }
        let open = self.circuit.state == State::Open;
        let retry = left(self.circuit.retry_at.as_deref(), now).filter(|_| open);
        match retry.max(self.hold_left(now)) {
            Some(0) => "now".to_owned(),
            Some(wait) => text::span(wait),
            None => String::new(),
        }
    }

    /// One line on what keeps the model out, for below the table; `None` when nothing does.
    pub(super) fn explain(self, now: Wall) -> Option<String> {
        if let Some(reason) = self.misconfigured {
            return Some(reason.to_owned());
        }
        if let Some(overridden) = self.overridden() {
            let end = self.override_left(now).map_or_else(
                || "until `fallbackctl breaker MODEL auto`".to_owned(),
                |wait| format!("for another {}", text::span(wait)),
            );
            return Some(format!("forced {} by an override, {end}", overridden.name()));
        }
        let state = Some(self.circuit.state).filter(|state| *state != State::Closed)?;
        let reason = self.circuit.reason.as_deref().unwrap_or("no reason given");
        let since = text::moment(&self.circuit.since);
        let since = since.map(|since| format!(" for {}", text::span(millis(now.since(since)))));
        Some(format!("{}{}: {reason}", state.word(), since.unwrap_or_default()))
    }

    /// What an override sets the circuit to.
    fn overridden(self) -> Option<OverrideState> {
        self.circuit.overridden.as_ref().map(|overridden| overridden.set)
    }

    /// How long an override still lasts; `None` when it has no end.
    fn override_left(self, now: Wall) -> Option<u64> {
        left(self.circuit.overridden.as_ref()?.until.as_deref(), now)
    }

    /// How long a hold still lasts; `None` when there is none.
    fn hold_left(self, now: Wall) -> Option<u64> {
        left(self.hold_until, now).filter(|wait| *wait > 0)
    }
}

/// When a model that a chain leaves out may be called again. No wait at all is told of one whose
/// test is left to copies of requests: nobody is called until a request comes to be copied.
pub(super) fn again(reason: SkipReason, wait: Option<u64>) -> String {
    let why = reason.name().replace('_', " ");
    match (reason, wait) {
        (_, None) => why,
        (SkipReason::CircuitOpen, Some(0)) => {
            "half-open: the next request sends a copy to test it".to_owned()
        }
        (_, Some(wait)) => format!("{why}, again in {}", text::span(wait)),
    }
}

/// Milliseconds from now to a moment in the reply; 0 once it has passed.
fn left(at: Option<&str>, now: Wall) -> Option<u64> {
    Some(millis(text::moment(at?)?.since(now)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Wall {
        text::moment("2026-11-20T10:00:00.000Z").unwrap()
    }

    fn circuit(fields: Value) -> BreakerView {
        let mut circuit = json!({"state": "closed", "since": "", "consecutive_failures": 0});
        circuit.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
        serde_json::from_value(circuit).unwrap()
    }

    fn shown(model: Obstacles<'_>) -> (String, String, Option<String>) {
        (model.state(now()).text, model.retry_in(now()), model.explain(now()))
    }

    fn of(circuit: &BreakerView) -> Obstacles<'_> {
        Obstacles { circuit, misconfigured: None, hold_until: None }
    }

    #[test]
    fn an_open_circuit_says_why_since_when_and_until_when() {
        let open = circuit(json!({"state": "open", "reason": "3 consecutive failures",
            "since": "2026-11-20T09:58:00.000Z", "retry_at": "2026-11-20T10:03:00.000Z"}));
        let why = Some("open for 2m: 3 consecutive failures".to_owned());
        assert_eq!(shown(of(&open)), ("open".to_owned(), "3m".to_owned(), why));
    }

    #[test]
    fn an_override_is_shown_before_the_state_it_hides() {
        let out = circuit(json!({"override":
            {"set": "open", "until": "2026-11-20T10:10:00.000Z"}}));
        let why = Some("forced open by an override, for another 10m".to_owned());
        assert_eq!(shown(of(&out)), ("forced open".to_owned(), "10m".to_owned(), why));
        let kept_in = circuit(json!({"state": "open", "override": {"set": "closed"}}));
        let (state, wait, why) = shown(of(&kept_in));
        assert_eq!((state.as_str(), wait.as_str()), ("forced closed", ""));
        assert!(why.unwrap().ends_with("until `fallbackctl breaker MODEL auto`"));
    }

    #[test]
    fn a_hold_and_a_missing_key_are_states_of_their_own() {
        let closed = circuit(json!({}));
        let held = Obstacles { hold_until: Some("2026-11-20T10:00:30Z"), ..of(&closed) };
        assert_eq!(shown(held), ("on hold".to_owned(), "30 s".to_owned(), None));
        let over = Obstacles { hold_until: Some("2026-11-20T09:00:30Z"), ..of(&closed) };
        assert_eq!(shown(over), ("closed".to_owned(), String::new(), None));
        let why = "OPENAI_API_KEY is not set";
        let keyless = Obstacles { misconfigured: Some(why), ..of(&closed) };
        assert_eq!(shown(keyless), ("misconfigured".to_owned(), String::new(), Some(why.into())));
    }

    #[test]
    fn an_opening_whose_time_is_over_may_be_tried_now() {
        let due = circuit(json!({"state": "open", "retry_at": "2026-11-20T09:00:00Z"}));
        assert_eq!(of(&due).retry_in(now()), "now");
    }
}
