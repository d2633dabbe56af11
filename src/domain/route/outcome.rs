//! Which error a request gets that nobody answered.

use crate::domain::fault::{AfterFault, Fault};
use crate::domain::need::SkipReason;

/// What became of one model, as far as the error depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tried {
    Failed(Fault),
    /// It was left out.
    Skipped {
        reason: SkipReason,
        /// Whether the prompt is known to be longer than it takes.
        too_small: bool,
    },
    /// Its call was given up.
    Cancelled,
}

/// The kind of that error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// A model refused the prompt.
    Refused,
    /// The deadline has passed.
    TooLate,
    /// The prompt's length is all that is wrong.
    TooLong,
    /// Everybody who was called refused the request itself.
    Invalid,
    /// Nobody could be called.
    NobodyCalled,
    /// Everybody who was called failed.
    AllFailed,
}

/// The error for a request that is at the end of its chain.
pub(crate) fn unanswered(tried: &[Tried], is_late: bool) -> Unanswered {
    let called = tried.iter().any(|one| !matches!(one, Tried::Skipped { .. }));
    let proven = tried.iter().any(|one| match one {
        Tried::Failed(fault) => fault.meaning().next == AfterFault::NotAsSmall,
        Tried::Skipped { .. } | Tried::Cancelled => false,
    });
    if tried.contains(&Tried::Failed(Fault::Refused)) {
        Unanswered::Refused
    } else if is_late {
        Unanswered::TooLate
    } else if !tried.is_empty() && tried.iter().all(|one| is_about_length(one, proven)) {
        Unanswered::TooLong
    } else if called && tried.iter().all(is_about_the_request) {
        Unanswered::Invalid
    } else if called {
        Unanswered::AllFailed
    } else {
        Unanswered::NobodyCalled
    }
}

/// Whether the prompt's length is what is wrong; `proven` if a model has said that it is too long.
fn is_about_length(one: &Tried, proven: bool) -> bool {
    match one {
        Tried::Failed(fault) => matches!(fault, Fault::ContextTooLong | Fault::TooLarge),
        Tried::Skipped { reason: SkipReason::Incapable, too_small } => *too_small || proven,
        Tried::Skipped { .. } | Tried::Cancelled => false,
    }
}

/// Whether the request itself is what is wrong, or nothing is known because nobody was called.
fn is_about_the_request(one: &Tried) -> bool {
    match one {
        Tried::Failed(fault) => matches!(
            fault,
            Fault::InvalidRequest
                | Fault::UnsupportedParam
                | Fault::ContextTooLong
                | Fault::TooLarge
        ),
        Tried::Skipped { .. } => true,
        Tried::Cancelled => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(reason: SkipReason, too_small: bool) -> Tried {
        Tried::Skipped { reason, too_small }
    }

    #[test]
    fn the_error_says_what_is_wrong_with_all_of_them_together() {
        let open = skipped(SkipReason::CircuitOpen, false);
        let small = skipped(SkipReason::Incapable, true);
        let incapable = skipped(SkipReason::Incapable, false);
        let long = Tried::Failed(Fault::ContextTooLong);
        let down = Tried::Failed(Fault::Overloaded);
        let invalid = Tried::Failed(Fault::InvalidRequest);
        let lacking = Tried::Failed(Fault::UnsupportedParam);
        let rows: [(&[Tried], Unanswered); 13] = [
            (&[invalid, lacking], Unanswered::Invalid),
            (&[invalid, open, long], Unanswered::Invalid),
            (&[invalid, down], Unanswered::AllFailed),
            (&[invalid, Tried::Cancelled], Unanswered::AllFailed),
            (&[], Unanswered::NobodyCalled),
            (&[open, open], Unanswered::NobodyCalled),
            (&[small, small], Unanswered::TooLong),
            (&[incapable], Unanswered::NobodyCalled),
            (&[long, incapable], Unanswered::TooLong),
            (&[long, down], Unanswered::AllFailed),
            (&[open, down], Unanswered::AllFailed),
            (&[down, Tried::Failed(Fault::Refused)], Unanswered::Refused),
            (&[Tried::Cancelled], Unanswered::AllFailed),
        ];
        for (tried, wanted) in rows {
            assert_eq!(unanswered(tried, false), wanted, "{tried:?}");
        }
        assert_eq!(unanswered(&[down], true), Unanswered::TooLate);
    }
}
