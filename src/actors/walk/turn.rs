//! One model's turn in a walk: its call, the repeats of that, and what a failure means for the rest.

use std::collections::VecDeque;

use super::attempt::{Attempted, Failed};
use super::pauses::Pauses;
use super::trail::Trail;
use super::voice::Voice;
use super::{ModelHandle, Walk};
use crate::domain::fault::Next;
use crate::domain::need::SkipReason;
use crate::protocol::chat::{OnInterrupt, OnRefusal};
use crate::protocol::reply::{Answered, ErrorBody, ErrorCode};

/// How far a walk has come, beside its trail.
pub(super) struct Course {
    /// Places in the chain of the models that are still to be asked.
    pub(super) order: VecDeque<usize>,
    pub(super) voice: Voice,
    pub(super) pauses: Pauses,
    /// Whether a call was made beside another; a request gets one of these at most.
    pub(super) hedged: bool,
}

/// What became of a model's turn.
pub(super) enum Turn {
    Answered(Box<Answered>),
    Next,
    Stop(ErrorBody),
}

impl Course {
    /// A walk that begins.
    pub(super) fn new(voice: Voice) -> Course {
        Course { order: VecDeque::new(), voice, pauses: Pauses::default(), hedged: false }
    }
}

impl Walk<'_> {
    /// One model's turn: a call, and its repeats.
    pub(super) async fn turn(
        &self,
        model: &ModelHandle,
        course: &mut Course,
        trail: &mut Trail,
    ) -> Turn {
        if let Err(reason) = self.ready(model, course, trail).await {
            trail.passed_over(model.name(), reason);
            return Turn::Next;
        }
        let mut repeats = 0;
        loop {
            let failed = match self.attempt(model, false, (course, trail)).await {
                Attempted::Answered(answered) => return Turn::Answered(answered),
                Attempted::NotAdmitted(skip) => {
                    if repeats == 0 {
                        trail.skipped(model.name(), skip);
                    }
                    return Turn::Next;
                }
                Attempted::Failed(failed) => failed,
            };
            if failed.model != *model.name() {
                return self.after(failed);
            }
            if failed.delivered && (!course.order.is_empty() || self.interrupted(&failed)) {
                // It would begin anew with another text; another model can do that at once.
                return self.after(failed);
            }
            match self.repeat_in(model, &failed, repeats) {
                Some(wait) if self.wait(model, wait).await => repeats += 1,
                _ => return self.after(failed),
            }
        }
    }

    /// With every circuit open: one call to the model nearest to recovery.
    pub(super) async fn early(
        &self,
        model: &ModelHandle,
        course: &mut Course,
        trail: &mut Trail,
    ) -> Turn {
        match self.attempt(model, true, (course, trail)).await {
            Attempted::Answered(answered) => Turn::Answered(answered),
            Attempted::NotAdmitted(_) => Turn::Next,
            Attempted::Failed(failed) => self.after(failed),
        }
    }

    /// Waits until the model's turn may begin, or says why it does not.
    async fn ready(
        &self,
        model: &ModelHandle,
        course: &Course,
        trail: &Trail,
    ) -> Result<(), SkipReason> {
        if trail.known_too_small(model) {
            return Err(SkipReason::Incapable);
        }
        let pause = course.pauses.left(&model.config.provider.name, self.means.clock.mono());
        if self.left() <= pause {
            return Err(SkipReason::NoTime);
        }
        if !pause.is_zero() && !self.wait(model, pause).await {
            return Err(SkipReason::CircuitOpen);
        }
        Ok(())
    }

    /// Whether the next model is asked after a failure that is not repeated.
    fn after(&self, failed: Failed) -> Turn {
        if self.interrupted(&failed) {
            let message = format!(
                "the stream of {} broke after a part of the answer was delivered ({}: {}); ask \
                 again, or leave out `on_interrupt` to go on with another model",
                failed.model, failed.fault, failed.message
            );
            return Turn::Stop(ErrorBody::new(ErrorCode::Interrupted, message));
        }
        match failed.fault.meaning().next {
            Next::Yes | Next::NotAsSmall => Turn::Next,
            Next::ByRefusalRule if self.request.on_refusal == OnRefusal::Fallback => Turn::Next,
            Next::ByRefusalRule => Turn::Stop(ErrorBody::new(ErrorCode::Refused, failed.message)),
            Next::No => Turn::Stop(ErrorBody::new(ErrorCode::InvalidRequest, failed.message)),
        }
    }

    /// Whether a failure leaves a caller with half an answer who wants no other. One who is out of
    /// time is told that instead.
    fn interrupted(&self, failed: &Failed) -> bool {
        failed.delivered && self.request.on_interrupt == OnInterrupt::Fail && !self.left().is_zero()
    }
}
