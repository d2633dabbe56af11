//! One copy of a request: admitted by the model's owner like any other call, made by a provider,
//! settled exactly once. What it answers is told to nobody; it may be compared with what the caller
//! was told.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;

use super::{CopySettled, Offer, Reference, ShadowActor};
use crate::actors::call::{Assignment, Finished, Mode};
use crate::actors::table::ModelHandle;
use crate::clock::Clock;
use crate::domain::compare::{Agreement, Text};
use crate::domain::ledger::CallKind;
use crate::domain::model::Ended;
use crate::domain::price::Nano;
use crate::domain::time::millis;
use crate::protocol::answer::{Answer, Finish};
use crate::protocol::log::{AnswerFacts, ComparisonEvent, Event};
use crate::provider::{Provider, Step};
use crate::recorder::Recorder;

/// Longest time that a copy may take; its caller's deadline is no concern of it.
const LONGEST: Duration = Duration::from_secs(300);

/// What copies are made with.
pub(super) struct CopyServices {
    pub(super) provider: Rc<dyn Provider>,
    pub(super) recorder: Recorder,
    pub(super) clock: Clock,
}

/// Tells the owner that a copy is over when it is dropped, whichever way it ends.
pub(super) struct SettlesCopy {
    number: u64,
    cost: Nano,
    owner: Addr<ShadowActor>,
}

impl SettlesCopy {
    pub(super) fn new(number: u64, owner: Addr<ShadowActor>) -> SettlesCopy {
        SettlesCopy { number, cost: Nano(0), owner }
    }
}

impl Drop for SettlesCopy {
    fn drop(&mut self) {
        self.owner.do_send(CopySettled { number: self.number, cost: self.cost });
    }
}

/// Makes one call, if its model's owner allows it and until a caller needs its place.
pub(super) async fn send(
    services: Rc<CopyServices>,
    offer: Arc<Offer>,
    model: ModelHandle,
    kind: CallKind,
    mut settles: SettlesCopy,
) {
    let facts = &offer.facts;
    let longest = LONGEST.max(model.config.timeouts.attempt);
    let assignment = Assignment {
        provider: &*services.provider,
        clock: &services.clock,
        request: &offer.request,
        needs: facts.needs,
        temperature: facts.temperature,
        accept: facts.accept.as_deref(),
        // Nobody would have called the primary for it.
        primary: None,
        deadline: services.clock.mono().plus(longest),
        label: facts.label.clone(),
    };
    let mode = Mode { kind, early: false, others_behind: false };
    let Ok(mut call) = assignment.start(&model, mode).await else { return };
    let began = call.began;
    let displaced = call.displaced();
    tokio::pin!(displaced);
    let outcome = loop {
        let step = tokio::select! {
            biased;
            () = &mut displaced => {
                settles.cost = call.owed().cost.amount.unwrap_or_default();
                return;
            }
            step = call.step() => step,
        };
        match step {
            Step::End(outcome) => break outcome,
            // That it answers is all that was of interest.
            Step::Life | Step::Text(_) if kind == CallKind::Probe => {
                settles.cost = call.proven().await.amount.unwrap_or_default();
                return;
            }
            Step::Life | Step::Text(_) => {}
        }
    };
    let latency_ms = millis(services.clock.mono().since(began));
    let live = facts.answer.as_ref().filter(|_| kind == CallKind::Shadow);
    // Before it is judged: an answer that is not accepted can be compared all the same.
    let likeness = live.zip(outcome.as_ref().ok()).map(|(live, answer)| Likeness::of(live, answer));
    let Finished { permit, ended, .. } = call.finish(outcome);
    settles.cost = ended.cost.amount.unwrap_or_default();
    let event = live.map(|live| comparison(&offer, live, &model, likeness, &ended, latency_ms));
    permit.settle(ended).await;
    if let Some(event) = event {
        services.recorder.record(services.clock.now().wall, Event::Comparison(event), None);
    }
}

/// How an answer stands beside the one that the caller got.
struct Likeness {
    finish: Finish,
    agreement: Agreement,
}

impl Likeness {
    fn of(live: &Reference, answer: &Answer) -> Likeness {
        let text = Text::of(answer.content.as_deref().unwrap_or_default());
        Likeness { finish: answer.finish, agreement: live.text.compare(&text) }
    }
}

/// What the answers to a caller and to its copy have in common.
fn comparison(
    offer: &Offer,
    live: &Reference,
    model: &ModelHandle,
    likeness: Option<Likeness>,
    ended: &Ended,
    latency_ms: u64,
) -> ComparisonEvent {
    let usage = ended.usage.unwrap_or_default();
    let facts = likeness.as_ref().map(|likeness| AnswerFacts {
        latency_ms,
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cost_usd: ended.cost.amount,
        finish_reason: likeness.finish,
    });
    ComparisonEvent {
        request_id: offer.facts.label.request_id.clone(),
        task: offer.facts.label.task.clone(),
        model_used: live.model.clone(),
        backup: model.name().clone(),
        live: live.facts.clone(),
        shadow: facts,
        error_type: ended.fault.as_ref().map(|ending| ending.fault),
        agreement: likeness.map(|likeness| likeness.agreement),
    }
}
