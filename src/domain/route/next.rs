//! What to do next for a request: the one place that decides it.

use std::time::Duration;

use super::progress::{Candidate, Progress, Turn};
use crate::domain::fault::{AfterFault, Again, Fault};
use crate::domain::need::{Skip, SkipReason};
use crate::domain::time::Mono;

/// What has happened since the last decision.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    /// The order was made.
    Ranked,
    /// The model that was to be passed over is.
    PassedOver,
    /// A wait is over.
    Waited,
    /// The circuit of the model that was waited for has opened.
    Opened,
    /// The model's owner did not admit the call.
    NotAdmitted(Skip),
    /// The call failed, and [`Progress::learn`] knows what there is to learn from it.
    Failed(FailedCall),
}

/// A call that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedCall {
    /// Place of its model in the chain.
    pub at: usize,
    pub fault: Fault,
    /// What the provider said about trying again, over the table's own word.
    pub should_retry: Option<bool>,
    /// The pause that the model's owner ordered because of the provider's hint.
    pub hinted_hold: Option<Duration>,
    /// Whether the caller was left with a part of its answer.
    pub delivered: bool,
}

impl FailedCall {
    /// A failed call of which nothing else was said, and which delivered nothing.
    pub(crate) fn new(at: usize, fault: Fault) -> FailedCall {
        FailedCall { at, fault, should_retry: None, hinted_hold: None, delivered: false }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// Call this model; `early` as the one probe ahead of time when every circuit is open.
    Try {
        /// Its place in the chain.
        at: usize,
        /// Whether it is that probe.
        early: bool,
    },
    /// Wait, unless the circuit of this model opens.
    Wait {
        /// Its place in the chain.
        at: usize,
        wait: Duration,
    },
    /// Leave this model out.
    PassOver {
        /// Its place in the chain.
        at: usize,
        /// Why, and when that may be different.
        skip: Skip,
    },
    Finish(NoAnswer),
}

/// Why a request ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Everybody was asked, or left out.
    Exhausted,
    /// Half an answer was delivered, and no other is wanted.
    Interrupted,
    /// The prompt was refused, and nobody else is to see it.
    Refused,
    /// Nobody waits for an answer any more.
    GivenUp,
}

/// Whom to call beside one that takes long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Spare {
    Try {
        /// Its place in the chain.
        at: usize,
    },
    /// Not this model; another may do.
    PassOver {
        /// Its place in the chain.
        at: usize,
        skip: Skip,
    },
    None,
}

impl Progress {
    /// What to do after what happened. `chance` (0 to 1) shortens a backoff.
    pub(crate) fn next(
        &mut self,
        happened: Happened,
        chain: &[Candidate],
        now: Mono,
        chance: f64,
    ) -> Next {
        if matches!(happened, Happened::Failed(_)) {
            // Somebody could be called.
            self.nearest = None;
        }
        let turn = std::mem::replace(&mut self.turn, Turn::Nobody);
        match (happened, turn) {
            (Happened::Waited, Turn::Pausing { at }) => self.call(at, 0),
            (Happened::Waited, Turn::Repeating { at, repeats, .. }) => self.call(at, repeats),
            (Happened::Opened, Turn::Pausing { at }) => pass_over(at, SkipReason::CircuitOpen),
            (Happened::Opened, Turn::Repeating { failed, .. }) => self.after(&failed, chain, now),
            (Happened::NotAdmitted(skip), Turn::Calling { at, repeats: 0 }) => {
                Next::PassOver { at, skip }
            }
            (Happened::NotAdmitted(_), Turn::Early) => Next::Finish(NoAnswer::Exhausted),
            // Another one's call, which had outrun this model's, is not repeated.
            (Happened::Failed(failed), Turn::Calling { at, repeats }) if failed.at == at => {
                match self.repeat_in(&failed, chain.get(at), repeats, now, chance) {
                    Some(wait) => {
                        self.turn = Turn::Repeating { at, repeats: repeats + 1, failed };
                        Next::Wait { at, wait }
                    }
                    None => self.after(&failed, chain, now),
                }
            }
            (Happened::Failed(failed), _) => self.after(&failed, chain, now),
            _ => self.turn(chain, now),
        }
    }

    /// The next model's turn.
    fn turn(&mut self, chain: &[Candidate], now: Mono) -> Next {
        let Some(at) = self.order.pop_front() else {
            return match self.nearest.take() {
                Some(at) => {
                    self.turn = Turn::Early;
                    Next::Try { at, early: true }
                }
                None => Next::Finish(NoAnswer::Exhausted),
            };
        };
        let Some(candidate) = chain.get(at) else { return self.turn(chain, now) };
        if self.knows_too_small(candidate) {
            return pass_over(at, SkipReason::Incapable);
        }
        let pause = self.pause_left(candidate, now);
        if self.left(now) <= pause {
            return pass_over(at, SkipReason::NoTime);
        }
        if pause.is_zero() {
            return self.call(at, 0);
        }
        self.turn = Turn::Pausing { at };
        Next::Wait { at, wait: pause }
    }

    fn call(&mut self, at: usize, repeats: u32) -> Next {
        self.turn = Turn::Calling { at, repeats };
        Next::Try { at, early: false }
    }

    /// How long to wait before the same model is called again; `None` if it is not.
    fn repeat_in(
        &self,
        failed: &FailedCall,
        candidate: Option<&Candidate>,
        repeats: u32,
        now: Mono,
        chance: f64,
    ) -> Option<Duration> {
        let candidate = candidate?;
        // It would begin anew with another text; another model can do that at once.
        let is_spoken = failed.delivered && (self.has_others() || self.interrupts(failed, now));
        let exhausted = repeats >= candidate.max_repeats;
        if is_spoken || exhausted || failed.should_retry == Some(false) {
            return None;
        }
        let wait = match failed.fault.meaning().again {
            Again::Never => None,
            Again::Repeat => {
                let hinted = failed.hinted_hold.unwrap_or_default();
                let wait = candidate.backoff.wait(repeats, chance).max(hinted);
                (hinted <= candidate.longest_hint).then_some(wait)
            }
            Again::AfterHint => failed.hinted_hold.filter(|wait| *wait <= candidate.longest_hint),
        };
        wait.filter(|wait| *wait < self.left(now))
    }

    /// What follows a failure that is not repeated.
    fn after(&mut self, failed: &FailedCall, chain: &[Candidate], now: Mono) -> Next {
        if self.interrupts(failed, now) {
            return Next::Finish(NoAnswer::Interrupted);
        }
        match failed.fault.meaning().next {
            AfterFault::Yes | AfterFault::NotAsSmall => self.turn(chain, now),
            AfterFault::ByRefusalRule if self.rules.refusal_falls_back => self.turn(chain, now),
            AfterFault::ByRefusalRule => Next::Finish(NoAnswer::Refused),
            AfterFault::No => Next::Finish(NoAnswer::GivenUp),
        }
    }

    /// Whether a failure leaves a caller with half an answer who wants no other. One who is out of
    /// time is told that instead.
    fn interrupts(&self, failed: &FailedCall, now: Mono) -> bool {
        failed.delivered && self.rules.break_interrupts && !self.left(now).is_zero()
    }

    /// Whether a call that takes long may get another one beside it.
    pub(crate) fn may_hedge(&self) -> bool {
        !self.hedged && self.has_others()
    }

    /// Whom to call beside the one that takes long. A provider that is being left in peace gets no
    /// call that nobody may need.
    pub(crate) fn spare(&mut self, chain: &[Candidate], now: Mono) -> Spare {
        let Some(&at) = self.order.front() else { return Spare::None };
        let Some(candidate) = chain.get(at) else { return Spare::None };
        if !self.pause_left(candidate, now).is_zero() {
            return Spare::None;
        }
        self.order.pop_front();
        match self.knows_too_small(candidate) {
            true => Spare::PassOver { at, skip: Skip::new(SkipReason::Incapable) },
            false => Spare::Try { at },
        }
    }

    /// A call was made beside another.
    pub(crate) fn hedged(&mut self) {
        self.hedged = true;
    }

    /// A model whose call was outrun has done nothing wrong, and may yet be needed.
    pub(crate) fn give_back(&mut self, at: usize) {
        self.order.push_back(at);
    }
}

fn pass_over(at: usize, reason: SkipReason) -> Next {
    Next::PassOver { at, skip: Skip::new(reason) }
}

#[cfg(test)]
mod tests;
