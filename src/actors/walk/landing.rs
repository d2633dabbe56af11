//! The end of a call: settled with its model's owner exactly once, paid, and told to the trail.

use std::time::Duration;

use super::super::permit::{Cost, Permit};
use super::attempt::{Attempted, Failed};
use super::flight::{Bill, First, Flight, Heard};
use super::trail::Trail;
use super::turn::Course;
use super::{ModelHandle, Walk};
use crate::domain::fault::Fault;
use crate::domain::model::{Ended, Ending};
use crate::domain::price::{Price, Usage, estimated_tokens};
use crate::domain::time::millis;
use crate::protocol::answer::{Answer, Finish};
use crate::protocol::chat::OnRefusal;
use crate::protocol::reply::Answered;
use crate::provider::{Failure, Outcome};

impl Walk<'_> {
    /// Settles a call that has ended.
    pub(super) async fn land(
        &self,
        flight: Flight<'_>,
        outcome: Outcome,
        (course, trail): (&mut Course, &mut Trail),
    ) -> Attempted {
        let Flight { number, bill: Bill { model, permit, heard, .. }, .. } = flight;
        let (outcome, heard) = self.judged(outcome, heard);
        match outcome {
            Ok(answer) => self.answered((model, number), answer, permit, trail).await,
            Err(failure) => {
                course.pauses.note(model, failure.fault, self.means.clock.mono());
                let delivered = course.voice.broke(failure.fault, heard.bytes > 0);
                let failed = self.failed((model, number), (failure, heard), permit, trail).await;
                Attempted::Failed(Failed { delivered, ..failed })
            }
        }
    }

    /// An answer that the chain does not accept is a failure, of which everything was heard.
    fn judged(&self, outcome: Outcome, heard: Heard) -> (Outcome, Heard) {
        let (Ok(answer), Some(accept)) = (&outcome, &self.chain.config.accept) else {
            return (outcome, heard);
        };
        let Some(why) = answer.objection(accept) else { return (outcome, heard) };
        let heard = Heard { any: true, bytes: answer.bytes() };
        let failure = Failure { usage: answer.usage, ..Failure::new(Fault::Rejected, why) };
        (Err(failure), heard)
    }

    /// Settles a call that has failed while another goes on for its request.
    pub(super) async fn crash(
        &self,
        mut flight: Flight<'_>,
        (course, trail): (&mut Course, &mut Trail),
    ) {
        if let Some(First::End(outcome)) = flight.raced.take() {
            self.land(flight, outcome, (course, trail)).await;
        }
    }

    /// Gives up a call that another one outran. What it is billed is a cost of hedging, whichever
    /// of the two it is: the prompt, and what was heard.
    pub(super) async fn cancel(&self, flight: Flight<'_>, trail: &mut Trail) {
        let Flight { number, bill, call, .. } = flight;
        let Bill { model, mut permit, heard, .. } = bill;
        // First of all: this closes its connection.
        drop(call);
        permit.in_vain();
        let usage = self.consumed(heard.bytes);
        let cost = self.cost(model, &usage, true);
        let ending = Ending { fault: Fault::Cancelled, status: None, code: None, excused: true };
        trail.paid(cost);
        trail.cancelled(number, self.means.clock.mono());
        self.settle(permit, Some((ending, None)), (Some(usage), cost)).await;
    }

    async fn answered(
        &self,
        (model, number): (&ModelHandle, usize),
        answer: Answer,
        permit: Permit,
        trail: &mut Trail,
    ) -> Attempted {
        let estimated = answer.usage.is_none();
        let usage = answer.usage.unwrap_or_else(|| answer.estimate(self.request.bytes));
        let cost = self.cost(model, &usage, estimated);
        let refused = answer.finish == Finish::Refused;
        let fall_back = refused && self.request.on_refusal == OnRefusal::Fallback;
        let now = self.means.clock.mono();
        self.settle(permit, None, (Some(usage), cost)).await;
        trail.paid(cost);
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
            cost_estimated: trail.estimated(),
        });
        if fall_back {
            let message = "refused by content policy".to_owned();
            trail.failed((number, now), Fault::Refused, (None, &message));
            trail.keep_refusal(answered);
            return Attempted::Failed(Failed {
                model: model.name().clone(),
                fault: Fault::Refused,
                message,
                should_retry: None,
                hinted_hold: None,
                delivered: false,
            });
        }
        trail.answered(number, now);
        Attempted::Answered(answered)
    }

    async fn failed(
        &self,
        (model, number): (&ModelHandle, usize),
        (failure, heard): (Failure, Heard),
        permit: Permit,
        trail: &mut Trail,
    ) -> Failed {
        // Cut by the caller's own deadline, not by anybody's slowness.
        let excused = is_lateness(failure.fault) && self.left().is_zero();
        let Failure { fault, status, code, message, retry_after, should_retry, usage } = failure;
        let (usage, estimated) = self.billed(fault, usage, heard);
        let cost = usage.map(|usage| self.cost(model, &usage, estimated)).unwrap_or_default();
        let ending = Ending { fault, status, code, excused };
        trail.paid(cost);
        trail.too_long(model, fault);
        let now = self.means.clock.mono();
        let hold = self.settle(permit, Some((ending, retry_after)), (usage, cost)).await;
        trail.failed((number, now), fault, (status, &message));
        let hinted_hold = retry_after.and(hold);
        let model = model.name().clone();
        Failed { model, fault, message, should_retry, hinted_hold, delivered: false }
    }

    /// Reports the end of a call; gives any pause it caused.
    async fn settle(
        &self,
        permit: Permit,
        failure: Option<(Ending, Option<Duration>)>,
        (usage, cost): (Option<Usage>, Cost),
    ) -> Option<Duration> {
        if let Some(amount) = cost.amount {
            self.chain.purse.pay(amount, self.means.clock.now().wall);
        }
        let (fault, retry_after) = failure.unzip();
        let ended = Ended {
            fault,
            // Measured by the model's owner.
            latency_ms: 0,
            usage,
            retry_after: retry_after.flatten(),
            chance: fastrand::f64(),
        };
        permit.settle(ended, cost).await?.hold_left
    }

    pub(super) fn cost(&self, model: &ModelHandle, usage: &Usage, estimated: bool) -> Cost {
        let primary = self.chain.models.first().and_then(|primary| primary.config.price);
        let of = |price: Price| price.of(usage);
        Cost { amount: model.config.price.map(of), primary: primary.map(of), estimated }
    }

    /// What a call that failed is probably billed, and whether that is an estimate. Usage comes with
    /// a stream's end, so one that broke has told at most a part; one of which nothing was heard is
    /// taken at its word.
    fn billed(&self, fault: Fault, told: Option<Usage>, heard: Heard) -> (Option<Usage>, bool) {
        let estimate = self.consumed(heard.bytes);
        // One that was not accepted came to its end.
        let broke = fault != Fault::Rejected;
        match told {
            Some(told) if broke && told.output_tokens < estimate.output_tokens => {
                (Some(Usage { output_tokens: estimate.output_tokens, ..told }), true)
            }
            Some(told) => (Some(told), false),
            None => (heard.any.then_some(estimate), heard.any),
        }
    }

    /// An estimate for a call that has answered so many bytes.
    pub(super) fn consumed(&self, answered_bytes: usize) -> Usage {
        Usage {
            input_tokens: estimated_tokens(self.request.bytes),
            output_tokens: estimated_tokens(answered_bytes),
            ..Usage::default()
        }
    }
}

fn is_lateness(fault: Fault) -> bool {
    matches!(fault, Fault::Timeout | Fault::FirstTokenTimeout | Fault::StreamStalled)
}
