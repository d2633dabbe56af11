//! One call: admitted by the model's owner, made by a provider, followed to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::model::Admit;
use super::super::permit::CallLabel;
use super::flight::{Bill, Flight, PIECES};
use super::trail::Trail;
use super::turn::Course;
use super::{LEASE_MARGIN, ModelHandle, Walk};
use crate::domain::fault::Fault;
use crate::domain::need::{Skip, SkipReason};
use crate::domain::pace::{Limits, attempt_limit};
use crate::protocol::log::CallKind;
use crate::protocol::reply::Answered;
use crate::provider::Call;

/// How a call is made.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    /// Whether other models are still to be asked, so that time has to be kept for them.
    pub(super) others_behind: bool,
    /// Whether it asks to be the one early probe when every circuit is open.
    pub(super) early: bool,
    pub(super) kind: CallKind,
}

/// What became of an attempt.
pub(super) enum Attempted {
    Answered(Box<Answered>),
    Failed(Failed),
    NotAdmitted(Skip),
}

/// What the walk needs to know of a failure.
pub(super) struct Failed {
    pub(super) model: Arc<str>,
    pub(super) fault: Fault,
    pub(super) message: String,
    pub(super) should_retry: Option<bool>,
    /// The pause that the model's owner ordered because of the provider's hint.
    pub(super) hinted_hold: Option<Duration>,
    /// Whether the caller was left with a part of its answer.
    pub(super) delivered: bool,
}

impl Walk<'_> {
    /// Makes one call, if its model's owner allows it.
    pub(super) async fn attempt(
        &self,
        model: &ModelHandle,
        early: bool,
        (course, trail): (&mut Course, &mut Trail),
    ) -> Attempted {
        let others_behind = !course.order.is_empty();
        let mode = Mode { others_behind, early, kind: self.label.kind };
        let first = match self.launch(model, mode, trail).await {
            Ok(flight) => flight,
            Err(skip) => return Attempted::NotAdmitted(skip),
        };
        let mut flight = self.hedge(first, (course, trail)).await;
        let outcome = flight.carry(self, &mut course.voice).await;
        self.land(flight, outcome, (course, trail)).await
    }

    /// Begins a call.
    pub(super) async fn launch<'a>(
        &'a self,
        model: &'a ModelHandle,
        mode: Mode,
        trail: &mut Trail,
    ) -> Result<Flight<'a>, Skip> {
        let not_now = |reason| Skip { reason, retry_in: None };
        let left = self.left();
        if left.is_zero() {
            return Err(not_now(SkipReason::NoTime));
        }
        let admit = Admit {
            needs: self.needs,
            lease: left.saturating_add(LEASE_MARGIN),
            early: mode.early,
            label: CallLabel { kind: mode.kind, ..self.label.clone() },
        };
        let admitted = model.actor.send(admit).await;
        let permit = admitted.unwrap_or_else(|_| Err(not_now(SkipReason::Busy)))?;
        let began = self.means.clock.mono();
        let number = trail.begin(model.name(), began);
        let config = &*model.config;
        let (listener, pieces) = mpsc::channel(PIECES);
        let call = self.means.provider.call(Call {
            model: config,
            request: self.request,
            max_tokens: config.max_tokens.unwrap_or(u32::MAX).min(self.max_tokens),
            temperature: config.supports.temperature.then_some(self.temperature),
            limits: self.limits(model, left, mode.others_behind),
            listener: Some(listener),
        });
        let bill = Bill::new(model, permit, began);
        Ok(Flight { number, bill, call, pieces, raced: None })
    }

    /// How long a call to `model` may take, with `left` of the deadline.
    fn limits(&self, model: &ModelHandle, left: Duration, others_behind: bool) -> Limits {
        let timeouts = &model.config.timeouts;
        let thinks = model.config.supports.reasoning || self.request.reasoning_effort.is_some();
        let first =
            if thinks { timeouts.attempt } else { timeouts.first_token.min(timeouts.attempt) };
        Limits {
            first: attempt_limit(first, left, others_behind),
            idle: timeouts.idle,
            complete: attempt_limit(timeouts.attempt, left, others_behind),
            whole: left,
        }
    }
}
