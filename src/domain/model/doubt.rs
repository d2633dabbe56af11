//! Whether a failure says something about a model, or only about the request that met it.
//!
//! A refused prompt, a firewall's page or a caller's own parameters can look like a wrong key or a
//! missing model, and a prompt that breaks one provider breaks the next. One such request must not
//! take a model from everybody: a model that works is believed until another request says the same.

use std::sync::Arc;
use std::time::Duration;

use super::Ending;
use crate::domain::fault::{Circuit, Fault};
use crate::domain::time::Mono;

/// How long an answer speaks for a model when a request breaks it that broke another provider.
const FRESH: Duration = Duration::from_secs(30);

/// What speaks for a model, and who spoke against it.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    /// The request after which it seemed blocked, with no answer to anybody since.
    suspect: Option<Arc<str>>,
    /// When it last answered somebody.
    answered: Option<Mono>,
}

impl Doubt {
    /// Takes note of an answer to anybody.
    pub(super) fn answered(&mut self, now: Mono) {
        self.suspect = None;
        self.answered = Some(now);
    }

    /// Whether a failure over this request is held against nobody. `has_answered` says whether the
    /// model answered anybody within its window; it is asked only where that matters, since it
    /// looks through the whole of it.
    pub(super) fn spares(
        &mut self,
        ending: &Ending,
        request: &Arc<str>,
        now: Mono,
        has_answered: impl FnOnce() -> bool,
    ) -> bool {
        if ending.fault == Fault::ServerError {
            let fresh = self.answered.is_some_and(|at| now.since(at) <= FRESH);
            return ending.shared && fresh;
        }
        if ending.fault.meaning().circuit != Circuit::Block || ending.certain || !has_answered() {
            return false;
        }
        let suspect = self.suspect.get_or_insert_with(|| Arc::clone(request));
        suspect == request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uncertain(fault: Fault) -> Ending {
        Ending { certain: false, ..Ending::new(fault) }
    }

    fn id(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn a_model_that_works_is_blocked_by_the_second_request_that_says_so() {
        for fault in [Fault::Auth, Fault::ModelNotFound, Fault::BadEndpoint] {
            let mut doubt = Doubt::default();
            let page = uncertain(fault);
            assert!(doubt.spares(&page, &id("a"), Mono::default(), || true), "{fault}");
            assert!(doubt.spares(&page, &id("a"), Mono::default(), || true), "{fault}");
            assert!(!doubt.spares(&page, &id("b"), Mono::default(), || true), "{fault}");
        }
    }

    #[test]
    fn an_answer_in_between_makes_the_second_one_the_first() {
        let mut doubt = Doubt::default();
        let page = uncertain(Fault::Auth);
        assert!(doubt.spares(&page, &id("a"), Mono::default(), || true));
        doubt.answered(Mono::default());
        assert!(doubt.spares(&page, &id("b"), Mono::default(), || true));
    }

    #[test]
    fn a_certain_reason_and_a_model_that_never_answered_are_not_spared() {
        let mut doubt = Doubt::default();
        assert!(!doubt.spares(&Ending::new(Fault::Auth), &id("a"), Mono::default(), || true));
        assert!(!doubt.spares(&uncertain(Fault::Auth), &id("a"), Mono::default(), || false));
    }

    #[test]
    fn nobody_looks_through_the_window_for_a_failure_that_it_does_not_decide() {
        let certain = Ending::new(Fault::Auth);
        let usual = uncertain(Fault::Timeout);
        for ending in [&certain, &usual, &Ending::new(Fault::ServerError)] {
            let mut doubt = Doubt::default();
            let asked = std::cell::Cell::new(false);
            doubt.spares(ending, &id("a"), Mono::default(), || asked.replace(true));
            assert!(!asked.get(), "{}", ending.fault);
        }
    }

    #[test]
    fn a_prompt_that_broke_another_provider_breaks_no_model_that_has_just_answered() {
        let at = |seconds| Mono::default().plus(Duration::from_secs(seconds));
        let shared = Ending { shared: true, ..Ending::new(Fault::ServerError) };
        let mut doubt = Doubt::default();
        assert!(!doubt.spares(&shared, &id("a"), at(0), || true));
        doubt.answered(at(0));
        assert!(doubt.spares(&shared, &id("a"), at(30), || true));
        assert!(!doubt.spares(&shared, &id("a"), at(31), || true));
        let alone = Ending::new(Fault::ServerError);
        assert!(!doubt.spares(&alone, &id("a"), at(1), || true));
    }
}
