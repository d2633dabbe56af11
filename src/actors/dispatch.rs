//! One request's way along its chain, carried out.
//!
//! The order comes from the domain, and so does every decision on the way
//! ([`Progress::next`]); the permission for every single call comes from the model's own actor, the
//! answer from a provider. What is done here is done under one deadline and stops at once when the
//! request's sink does: dropping the work in progress closes the upstream connection and gives its
//! permit back.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::call::{Assignment, Finished, InFlight, Mode};
use super::guard::Rebuilds;
use super::model::OpenUntil;
use super::permit::CallLabel;
use super::shadow::Shadows;
use super::table::{Chain, ModelHandle, Table};
use crate::clock::Clock;
use crate::config::RequestDefaults;
use crate::domain::bill::Cost;
use crate::domain::fault::Fault;
use crate::domain::ledger::CallKind;
use crate::domain::model::Availability;
use crate::domain::need::Skip;
use crate::domain::price::Usage;
use crate::domain::rank;
use crate::domain::route::{FailedCall, Happened, Next, Progress, RouteRules};
use crate::domain::time::{Now, millis};
use crate::protocol::answer::{self, Finish};
use crate::protocol::chains::PlanView;
use crate::protocol::chat::{ChatRequest, OnInterrupt, OnRefusal};
use crate::protocol::event::Speaker;
use crate::protocol::log::{Event, Ranked};
use crate::protocol::provider_data::ProviderData;
use crate::protocol::reply::{Answered, ErrorBody};
use crate::provider::{self, Failure, Provider, Step};
use crate::recorder::Recorder;

mod attempt_log;
mod client_stream;
mod hedge;
mod offer;
mod request;
#[cfg(test)]
mod tests;
mod wording;

use attempt_log::AttemptLog;
use client_stream::ClientStream;
pub(super) use request::run;

/// What every request is dispatched with.
pub(crate) struct Services {
    pub provider: Rc<dyn Provider>,
    pub recorder: Recorder,
    pub clock: Clock,
    pub rebuilds: Rebuilds,
    pub shadows: Shadows,
}

/// What one request is dispatched with; nothing in it changes on the way.
struct Dispatch<'a> {
    services: &'a Services,
    chain: &'a Chain,
    assignment: Assignment<'a>,
    arrived: Now,
}

/// What changes on the way of one request.
struct DispatchState<'l> {
    progress: Progress,
    client: ClientStream,
    log: &'l mut AttemptLog,
}

/// A call of this request.
struct Running<'a> {
    /// Place of its model in the chain.
    at: usize,
    /// Its number among the attempts.
    number: usize,
    call: InFlight<'a>,
}

/// What became of a try.
enum Attempted {
    Answered(Box<Answered>),
    Failed(FailedCall),
    NotAdmitted(Skip),
}

impl<'a> Dispatch<'a> {
    fn new(
        services: &'a Services,
        chain: &'a Chain,
        request: &'a ChatRequest,
        table: &Table,
        request_id: Arc<str>,
        arrived: Now,
    ) -> Dispatch<'a> {
        let defaults = table.request();
        // Programs of other protocols say what they want, and mean what they leave out.
        let usual = request.front.is_none().then_some(defaults);
        let max_tokens = request.max_tokens.or(usual.and_then(|usual| usual.max_tokens));
        let assignment = Assignment {
            provider: &*services.provider,
            clock: &services.clock,
            request,
            needs: chain.limited(request.needs(max_tokens), arrived.wall),
            temperature: request.temperature.or(usual.and_then(|usual| usual.temperature)),
            accept: chain.config.accept.as_deref(),
            primary: chain.primary_price(),
            deadline: arrived.mono.plus(timeout(request, chain, defaults)),
            label: CallLabel {
                request_id,
                task: chain.task.clone(),
                primary: chain.primary(),
                kind: CallKind::Live,
            },
        };
        Dispatch { services, chain, assignment, arrived }
    }

    async fn plan(&self) -> PlanView {
        let availabilities = self.availabilities().await;
        let (order, left_out) = self.chain.view(&availabilities);
        PlanView {
            request_id: self.assignment.label.request_id.clone(),
            task: self.chain.task.clone(),
            primary: self.assignment.label.primary.clone(),
            order,
            left_out,
        }
    }

    /// How the chain's models stand, copies of this request included.
    async fn availabilities(&self) -> Vec<Availability> {
        let left = self.services.shadows.left(&self.assignment.needs, self.arrived.wall);
        self.chain.availabilities(&self.assignment.needs, left).await
    }

    fn request(&self) -> &'a ChatRequest {
        self.assignment.request
    }

    /// Whether no text is told before the whole answer is known to be the one.
    fn holds_back(&self) -> bool {
        self.request().on_refusal == OnRefusal::Fallback || self.assignment.accept.is_some()
    }

    /// Finds an answer, and tells it to the end.
    async fn answer(
        &self,
        log: &mut AttemptLog,
        client: ClientStream,
    ) -> Result<Box<Answered>, ErrorBody> {
        let availabilities = self.availabilities().await;
        if let Some(event) = self.chain.reordered(&availabilities) {
            self.record(event);
        }
        let ranking = rank::rank(&availabilities);
        for &(at, skip) in &ranking.left_out {
            log.skipped(self.chain.models[at].name(), skip);
        }
        log.ranked(ranking.order.iter().map(|&at| {
            Ranked {
                model: self.chain.models[at].name().clone(),
                reason: (availabilities[at].degraded || availabilities[at].probed)
                    .then(|| availabilities[at].reason()),
            }
        }));
        let rules = RouteRules {
            deadline: self.assignment.deadline,
            refusal_falls_back: self.request().on_refusal == OnRefusal::Fallback,
            break_interrupts: self.request().on_interrupt == OnInterrupt::Fail,
        };
        let progress = Progress::new(ranking.order.into(), rank::nearest(&availabilities), rules);
        let mut state = DispatchState { progress, client, log };
        let answered = self.find(&mut state).await?;
        // From here on its caller's own pace counts, as it does for the reply.
        state.client.end(&answered).await;
        Ok(answered)
    }

    /// Carries out what the domain says until it is over.
    async fn find(&self, state: &mut DispatchState<'_>) -> Result<Box<Answered>, ErrorBody> {
        let mut happened = Happened::Ranked;
        loop {
            let now = self.services.clock.mono();
            let candidates = &self.chain.candidates;
            happened = match state.progress.next(happened, candidates, now, fastrand::f64()) {
                Next::Try { at, early } => match self.attempt(at, early, state).await {
                    Attempted::Answered(answered) => return Ok(answered),
                    Attempted::Failed(failed) => Happened::Failed(failed),
                    Attempted::NotAdmitted(skip) => Happened::NotAdmitted(skip),
                },
                Next::Wait { at, wait } => self.wait(&self.chain.models[at], wait).await,
                Next::PassOver { at, skip } => {
                    state.log.skipped(self.chain.models[at].name(), skip);
                    Happened::PassedOver
                }
                Next::Finish(why) => return self.unanswered(why, state.log).await,
            };
        }
    }

    /// Waits, unless the model's circuit is open or opens meanwhile. One that is half-open is waited
    /// for: it may be this call that closes it.
    async fn wait(&self, model: &ModelHandle, wait: Duration) -> Happened {
        let mut open_until = model.open_until.clone();
        tokio::select! {
            biased;
            opened = open_until.wait_for(|until| self.is_ahead(until)) => match opened {
                Ok(_) => Happened::Opened,
                Err(_) => Happened::Waited,
            },
            () = tokio::time::sleep(wait) => Happened::Waited,
        }
    }

    fn is_ahead(&self, until: &OpenUntil) -> bool {
        until.is_some_and(|until| !until.passed(self.services.clock.now()))
    }

    /// Calls a model, in chains that want it so with another one beside it, and follows the answer.
    async fn attempt(&self, at: usize, early: bool, state: &mut DispatchState<'_>) -> Attempted {
        let kind = CallKind::Live;
        let mode = Mode { kind, early, others_behind: state.progress.has_others() };
        let first = match self.start(at, mode, state).await {
            Ok(running) => running,
            Err(skip) => return Attempted::NotAdmitted(skip),
        };
        let mut running = hedge::race(self, first, state).await;
        let model = running.call.model;
        state.client.begin_model(model.name(), self.speaker(model, state.log));
        let outcome = self.follow(&mut running.call, &mut state.client).await;
        self.settle(running, outcome, state).await
    }

    /// Who speaks from now on, for callers whose front tells it.
    fn speaker(&self, model: &ModelHandle, log: &AttemptLog) -> Option<Box<Speaker>> {
        let request = self.request();
        (request.stream && request.front.is_some()).then(|| {
            let label = &self.assignment.label;
            Box::new(Speaker {
                request_id: label.request_id.clone(),
                task: label.task.clone(),
                primary: label.primary.clone(),
                provider: model.config.provider.name.clone(),
                model_id: model.config.model_id.clone(),
                fallback_count: log.failed_models(model.name()),
                attempts: log.attempts().to_vec(),
            })
        })
    }

    async fn start<'c>(
        &'c self,
        at: usize,
        mode: Mode,
        state: &mut DispatchState<'_>,
    ) -> Result<Running<'c>, Skip> {
        let call = self.assignment.start(&self.chain.models[at], mode).await?;
        let number = state.log.begin(call.model.name(), call.began);
        Ok(Running { at, number, call })
    }

    /// Follows a call to its end, and tells the caller what comes of its answer. A caller who takes
    /// its time keeps no call from ending, unless too much waits for it.
    async fn follow(
        &self,
        call: &mut InFlight<'_>,
        client: &mut ClientStream,
    ) -> provider::CallResult {
        loop {
            let step = if client.has_room() {
                tokio::select! {
                    biased;
                    step = call.step() => step,
                    () = client.flush(), if client.is_behind() => continue,
                }
            } else {
                tokio::select! {
                    biased;
                    () = client.flush() => continue,
                    // The call itself says that its deadline has passed.
                    () = tokio::time::sleep(self.assignment.left()) => call.step().await,
                }
            };
            match step {
                Step::Life => {}
                Step::Text(text) => client.push(&text),
                Step::End(outcome) => return outcome,
            }
        }
    }

    /// Settles a call that has ended.
    async fn settle(
        &self,
        running: Running<'_>,
        outcome: provider::CallResult,
        state: &mut DispatchState<'_>,
    ) -> Attempted {
        let Running { at, number, call } = running;
        let model = call.model;
        let Finished { permit, mut ended, outcome, heard } = call.finish(outcome);
        if let Some(ending) = &mut ended.fault {
            ending.shared = state.progress.broke_elsewhere(&self.chain.candidates[at]);
        }
        let (usage, cost) = (ended.usage.unwrap_or_default(), ended.cost);
        self.pay(cost, state.log);
        let now = self.services.clock.mono();
        let failure = match outcome {
            Ok(answer) => {
                permit.settle(ended).await;
                let refused = answer.finish == Finish::Refused;
                let answered = self.answered(model, answer, usage, cost, state.log);
                if !(refused && self.request().on_refusal == OnRefusal::Fallback) {
                    state.log.answered(number, now);
                    return Attempted::Answered(answered);
                }
                let refusal = Failure::new(Fault::Refused, "refused by content policy");
                state.log.failed(number, now, &refusal);
                state.log.keep_refusal(answered);
                return Attempted::Failed(FailedCall::new(at, Fault::Refused));
            }
            Err(failure) => failure,
        };
        let fault = failure.fault;
        state.progress.learn(&self.chain.candidates[at], fault, now, fastrand::f64());
        let delivered = state.client.broke(fault, heard.bytes > 0);
        let hold = permit.settle(ended).await;
        state.log.failed(number, now, &failure);
        let (should_retry, hinted_hold) = (failure.should_retry, failure.retry_after.and(hold));
        Attempted::Failed(FailedCall {
            should_retry,
            hinted_hold,
            delivered,
            ..FailedCall::new(at, fault)
        })
    }

    fn answered(
        &self,
        model: &ModelHandle,
        answer: answer::Answer,
        usage: Usage,
        cost: Cost,
        log: &AttemptLog,
    ) -> Box<Answered> {
        let label = &self.assignment.label;
        Box::new(Answered {
            content: answer.content,
            tool_calls: (!answer.tool_calls.is_empty()).then_some(answer.tool_calls),
            reasoning_content: answer.reasoning_content,
            provider_data: answer.provider_data.map(|kept| {
                let maker = &model.config;
                ProviderData::new(maker.provider.kind.name(), &maker.model_id, kept)
            }),
            finish_reason: answer.finish,
            model_used: model.name().clone(),
            provider: model.config.provider.name.clone(),
            model_id: model.config.model_id.clone(),
            task: label.task.clone(),
            primary: label.primary.clone(),
            fallback_count: log.failed_models(model.name()),
            used_fallback: *model.name() != label.primary,
            latency_ms: millis(self.services.clock.mono().since(self.arrived.mono)),
            usage,
            cost_usd: cost.amount,
            request_cost_usd: cost.amount.map(|_| log.cost()),
            primary_cost_usd: cost.primary,
            cost_estimated: log.estimated(),
        })
    }

    fn pay(&self, cost: Cost, log: &mut AttemptLog) {
        log.paid(cost);
        if let Some(amount) = cost.amount {
            self.chain.daily_spend.pay(amount, self.services.clock.now().wall);
        }
    }

    fn record(&self, event: Event) {
        self.services.recorder.record(self.services.clock.now().wall, event, None);
    }
}

/// How long a request may take in all: as it says, else its chain, its program, everybody.
fn timeout(request: &ChatRequest, chain: &Chain, defaults: &RequestDefaults) -> Duration {
    let patience = request.front.as_deref().and_then(|front| front.patience);
    let asked = request.timeout.map(|asked| asked.min(defaults.timeout_max));
    let patience = patience.map(|asked| asked.min(defaults.timeout_max));
    asked.or(chain.timeout).or(patience).unwrap_or(defaults.timeout)
}
