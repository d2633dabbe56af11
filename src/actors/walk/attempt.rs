//! One call: admitted by the model's owner, made by a provider, settled exactly once.

use std::time::Duration;

use super::super::model::Admit;
use super::super::permit::{Cost, Permit};
use super::trail::Trail;
use super::{LEASE_MARGIN, ModelHandle, Walk};
use crate::domain::fault::Fault;
use crate::domain::model::{Ended, Ending};
use crate::domain::need::{Skip, SkipReason};
use crate::domain::pace::{Limits, attempt_limit};
use crate::domain::price::{Price, Usage};
use crate::domain::time::millis;
use crate::protocol::answer::{Answer, Finish};
use crate::protocol::chat::OnRefusal;
use crate::protocol::reply::Answered;
use crate::provider::{Call, Failure};

/// What became of an attempt.
pub(super) enum Attempted {
    Answered(Box<Answered>),
    Failed(Failed),
    NotAdmitted(Skip),
}

/// What the walk needs to know of a failure.
pub(super) struct Failed {
    pub(super) fault: Fault,
    pub(super) message: String,
    pub(super) should_retry: Option<bool>,
    /// The pause that the model's owner ordered because of the provider's hint.
    pub(super) hinted_hold: Option<Duration>,
}

impl Walk<'_> {
    /// Makes one call, if its model's owner allows it.
    pub(super) async fn attempt(
        &self,
        model: &ModelHandle,
        (others_behind, early): (bool, bool),
        trail: &mut Trail,
    ) -> Attempted {
        let left = self.left();
        if left.is_zero() {
            let skip = Skip { reason: SkipReason::NoTime, retry_in: None };
            return Attempted::NotAdmitted(skip);
        }
        let admit = Admit {
            needs: self.needs,
            lease: left.saturating_add(LEASE_MARGIN),
            early,
            label: self.label.clone(),
        };
        let permit = match model.actor.send(admit).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(skip)) => return Attempted::NotAdmitted(skip),
            Err(_) => {
                let skip = Skip { reason: SkipReason::Busy, retry_in: None };
                return Attempted::NotAdmitted(skip);
            }
        };
        let config = &*model.config;
        let limit = |own| attempt_limit(own, left, others_behind);
        let limits = Limits {
            first: limit(config.timeouts.first_token),
            idle: config.timeouts.idle,
            complete: limit(config.timeouts.attempt),
            whole: left,
        };
        trail.begin(model.name(), self.means.clock.mono());
        let call = Call {
            model: config,
            request: self.request,
            max_tokens: config.max_tokens.unwrap_or(u32::MAX).min(self.max_tokens),
            temperature: config.supports.temperature.then_some(self.temperature),
            limits,
            listener: None,
        };
        match self.means.provider.call(call).await {
            Ok(answer) => self.answered(model, answer, permit, trail).await,
            Err(failure) => {
                // Cut by the caller's own deadline, not by anybody's slowness.
                let excused = failure.fault == Fault::Timeout && limits.complete >= left;
                self.failed(model, (failure, excused), permit, trail).await
            }
        }
    }

    async fn answered(
        &self,
        model: &ModelHandle,
        answer: Answer,
        permit: Permit,
        trail: &mut Trail,
    ) -> Attempted {
        let estimated = answer.usage.is_none();
        let usage = answer.usage.unwrap_or_else(|| answer.estimate(self.request.bytes));
        let cost = self.cost(model, &usage, estimated);
        let refused = answer.finish == Finish::Refused;
        let fall_back = refused && self.request.on_refusal == OnRefusal::Fallback;
        let latency = self.settle(permit, None, (Some(usage), cost), trail).await.0;
        trail.paid(cost.amount);
        let answered = Box::new(Answered {
            content: answer.content,
            tool_calls: (!answer.tool_calls.is_empty()).then_some(answer.tool_calls),
            finish_reason: answer.finish,
            model_used: model.name().clone(),
            provider: model.config.provider.name.clone(),
            model_id: model.config.model_id.clone(),
            task: self.chain.task.clone(),
            primary: self.label.primary.clone(),
            fallback_count: trail.failed_models(model.name()),
            used_fallback: *model.name() != self.label.primary,
            latency_ms: millis(self.means.clock.mono().since(self.arrived.mono)),
            usage,
            cost_usd: cost.amount,
            request_cost_usd: cost.amount.map(|_| trail.cost()),
            primary_cost_usd: cost.primary,
            cost_estimated: estimated,
        });
        if fall_back {
            let message = "refused by content policy".to_owned();
            trail.failed(latency, Fault::Refused, (None, &message));
            trail.keep_refusal(answered);
            return Attempted::Failed(Failed {
                fault: Fault::Refused,
                message,
                should_retry: None,
                hinted_hold: None,
            });
        }
        trail.answered(latency);
        Attempted::Answered(answered)
    }

    async fn failed(
        &self,
        model: &ModelHandle,
        (failure, excused): (Failure, bool),
        permit: Permit,
        trail: &mut Trail,
    ) -> Attempted {
        let Failure { fault, status, code, message, retry_after, should_retry, usage } = failure;
        let cost = usage.map(|usage| self.cost(model, &usage, false)).unwrap_or_default();
        let ending = Ending { fault, status, code, excused };
        trail.paid(cost.amount);
        trail.too_long(model, fault);
        let (latency, hold) =
            self.settle(permit, Some((ending, retry_after)), (usage, cost), trail).await;
        trail.failed(latency, fault, (status, &message));
        let hinted_hold = retry_after.and(hold);
        Attempted::Failed(Failed { fault, message, should_retry, hinted_hold })
    }

    /// Reports the end of a call; gives its latency and any pause it caused.
    async fn settle(
        &self,
        permit: Permit,
        failure: Option<(Ending, Option<Duration>)>,
        (usage, cost): (Option<Usage>, Cost),
        trail: &mut Trail,
    ) -> (u64, Option<Duration>) {
        let latency_ms = trail.end(self.means.clock.mono());
        let (fault, retry_after) = failure.unzip();
        let chance = fastrand::f64();
        let retry_after = retry_after.flatten();
        let ended = Ended { fault, latency_ms, usage, retry_after, chance };
        let settled = permit.settle(ended, cost).await;
        (latency_ms, settled.and_then(|settled| settled.hold_left))
    }

    fn cost(&self, model: &ModelHandle, usage: &Usage, estimated: bool) -> Cost {
        let primary = self.chain.models.first().and_then(|primary| primary.config.price);
        let of = |price: Price| price.of(usage);
        Cost { amount: model.config.price.map(of), primary: primary.map(of), estimated }
    }
}
