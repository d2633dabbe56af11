//! One copy of a request: admitted by the model's owner like any other call, made by a provider,
//! settled exactly once. What it answers is told to nobody; it may be compared with what the caller
//! was told.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;

use super::{Landed, Offer, Reference, ShadowActor};
use crate::actors::model::Admit;
use crate::actors::permit::{CallLabel, Cost, Permit};
use crate::actors::table::ModelHandle;
use crate::clock::Clock;
use crate::domain::compare::Text;
use crate::domain::fault::Fault;
use crate::domain::ledger::CallKind;
use crate::domain::model::{Ended, Ending};
use crate::domain::pace::Limits;
use crate::domain::price::{Nano, Usage};
use crate::domain::time::millis;
use crate::protocol::answer::Answer;
use crate::protocol::log::{AnswerFacts, ComparisonEvent, Event};
use crate::provider::{Call, Outcome, Provider};
use crate::recorder::Recorder;

/// Longest time that a copy may take; its caller's deadline is no concern of it.
const LONGEST: Duration = Duration::from_secs(300);
/// Added to that for the lease of a probe: time to report its result.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// What copies are made with.
pub(super) struct Means {
    pub(super) provider: Rc<dyn Provider>,
    pub(super) recorder: Recorder,
    pub(super) clock: Clock,
}

/// Tells the owner that a copy is over when it is dropped, whichever way it ends.
pub(super) struct Landing {
    number: u64,
    cost: Nano,
    owner: Addr<ShadowActor>,
}

impl Landing {
    pub(super) fn new(number: u64, owner: Addr<ShadowActor>) -> Landing {
        Landing { number, cost: Nano(0), owner }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.owner.do_send(Landed { number: self.number, cost: self.cost });
    }
}

/// Makes one call, if its model's owner allows it and until a caller needs its place.
pub(super) async fn send(
    means: Rc<Means>,
    offer: Arc<Offer>,
    (model, kind): (ModelHandle, CallKind),
    mut landing: Landing,
) {
    let label = CallLabel {
        request_id: offer.facts.request_id.clone(),
        task: offer.facts.task.clone(),
        primary: offer.facts.primary.clone(),
        kind,
        began: means.clock.mono(),
    };
    let lease = LONGEST.saturating_add(LEASE_MARGIN);
    let admit = Admit { needs: offer.facts.needs, lease, early: false, label };
    let Ok(Ok(mut permit)) = model.actor.send(admit).await else { return };
    let began = means.clock.mono();
    let call = means.provider.call(call(&offer, &model));
    let outcome = tokio::select! {
        biased;
        () = permit.displaced() => return,
        outcome = call => outcome,
    };
    let latency_ms = millis(means.clock.mono().since(began));
    let compared = offer.facts.answer.as_ref().filter(|_| kind == CallKind::Shadow);
    let event = compared.map(|live| comparison(&offer, live, (&model, &outcome), latency_ms));
    landing.cost = settle(&offer, &model, permit, outcome).await;
    if let Some(event) = event {
        means.recorder.record(means.clock.now().wall, Event::Comparison(event), None);
    }
}

/// What the answers to a caller and to its copy have in common.
fn comparison(
    offer: &Offer,
    live: &Reference,
    (model, outcome): (&ModelHandle, &Outcome),
    latency_ms: u64,
) -> ComparisonEvent {
    let facts = |answer: &Answer| {
        let bytes = offer.request.bytes;
        let usage = answer.usage.unwrap_or_else(|| answer.estimate(bytes));
        AnswerFacts {
            latency_ms,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_usd: model.config.price.map(|price| price.of(&usage)),
            finish_reason: answer.finish,
        }
    };
    let text = |answer: &Answer| Text::of(answer.content.as_deref().unwrap_or_default());
    let answer = outcome.as_ref().ok();
    let rejected = answer.and_then(|answer| rejection(offer, answer));
    ComparisonEvent {
        request_id: offer.facts.request_id.clone(),
        task: offer.facts.task.clone(),
        model_used: live.model.clone(),
        backup: model.name().clone(),
        live: live.facts.clone(),
        shadow: answer.map(facts),
        error_type: match outcome {
            Ok(_) => rejected.map(|ending| ending.fault),
            Err(failure) => Some(failure.fault),
        },
        agreement: answer.map(|answer| live.text.compare(&text(answer))),
    }
}

fn call<'a>(offer: &'a Offer, model: &'a ModelHandle) -> Call<'a> {
    let config = &*model.config;
    let timeouts = &config.timeouts;
    let thinks = config.supports.reasoning || offer.request.reasoning_effort.is_some();
    Call {
        model: config,
        request: &offer.request,
        max_tokens: config.max_tokens.unwrap_or(u32::MAX).min(offer.facts.needs.max_tokens),
        temperature: config.supports.temperature.then_some(offer.facts.temperature),
        limits: Limits {
            first: if thinks { timeouts.attempt } else { timeouts.first_token },
            idle: timeouts.idle,
            complete: timeouts.attempt,
            whole: LONGEST.max(timeouts.attempt),
        },
        listener: None,
    }
}

/// The end of a copy whose answer does not pass the checks of the chain.
fn rejection(offer: &Offer, answer: &Answer) -> Option<Ending> {
    let accept = offer.facts.accept.as_ref()?;
    answer.objection(accept)?;
    Some(Ending { fault: Fault::Rejected, status: None, code: None, excused: false })
}

/// Reports the end of a copy; gives what it cost.
async fn settle(offer: &Offer, model: &ModelHandle, permit: Permit, outcome: Outcome) -> Nano {
    let (fault, usage, estimated, retry_after) = match outcome {
        Ok(answer) => {
            let estimated = answer.usage.is_none();
            let usage = answer.usage.unwrap_or_else(|| answer.estimate(offer.request.bytes));
            (rejection(offer, &answer), Some(usage), estimated, None)
        }
        Err(failure) => {
            let ending = Ending {
                fault: failure.fault,
                status: failure.status,
                code: failure.code,
                excused: false,
            };
            (Some(ending), failure.usage, false, failure.retry_after)
        }
    };
    let price = |usage: Usage| model.config.price.map(|price| price.of(&usage));
    let cost = Cost { amount: usage.and_then(price), primary: None, estimated };
    let ended = Ended { fault, latency_ms: 0, usage, retry_after, chance: fastrand::f64() };
    permit.settle(ended, cost).await;
    cost.amount.unwrap_or_default()
}
