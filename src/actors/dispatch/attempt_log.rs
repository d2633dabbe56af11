//! What was tried for one request: its attempts, their costs, and what they say together.

use std::sync::Arc;

use super::super::table::Chain;
use super::super::tracing_events;
use crate::domain::bill::Cost;
use crate::domain::fault::Fault;
use crate::domain::need::Skip;
use crate::domain::price::Nano;
use crate::domain::time::{Mono, Now, millis};
use crate::protocol::log::{Event, LeftOut, Ranked, RequestEvent};
use crate::protocol::reply::{Answered, Attempt, AttemptOutcome, ErrorBody};
use crate::provider::Failure;

/// The record of one request while it is under way.
pub(super) struct AttemptLog {
    request_id: Arc<str>,
    peer_uid: Option<u32>,
    chain: Option<(Arc<str>, Arc<str>)>,
    order: Vec<Ranked>,
    attempts: Vec<Attempt>,
    /// Calls under way: their places among the attempts, and when they began.
    running: Vec<(usize, Mono)>,
    calls: u32,
    cost: Option<Nano>,
    /// Whether a part of it is an estimate.
    estimated: bool,
    refusal: Option<Box<Answered>>,
    /// Number of the call that failed last.
    last_failed: Option<usize>,
}

impl AttemptLog {
    pub(super) fn new(request_id: Arc<str>, peer_uid: Option<u32>) -> AttemptLog {
        AttemptLog {
            request_id,
            peer_uid,
            chain: None,
            order: Vec::new(),
            attempts: Vec::new(),
            running: Vec::new(),
            calls: 0,
            cost: None,
            estimated: false,
            refusal: None,
            last_failed: None,
        }
    }

    /// Says which chain the request uses.
    pub(super) fn of(&mut self, chain: &Chain) {
        self.chain = Some((chain.task.clone(), chain.primary()));
    }

    /// The order in which models are to be tried.
    pub(super) fn ranked(&mut self, order: impl Iterator<Item = Ranked>) {
        self.order = order.collect();
    }

    /// A model that the ranking left out, or that was not admitted when its turn came.
    pub(super) fn skipped(&mut self, model: &Arc<str>, skip: Skip) {
        let retry_in_ms = skip.retry_in.map(millis);
        let reason = Some(skip.reason);
        let skipped = attempt(model, AttemptOutcome::Skipped);
        self.attempts.push(Attempt { reason, retry_in_ms, ..skipped });
    }

    /// A call begins; gives its number.
    pub(super) fn begin(&mut self, model: &Arc<str>, now: Mono) -> usize {
        self.calls += 1;
        self.running.push((self.attempts.len(), now));
        self.attempts.push(attempt(model, AttemptOutcome::Cancelled));
        self.attempts.len() - 1
    }

    /// A call ended, as cancelled unless its attempt is told otherwise.
    fn end(&mut self, number: usize, now: Mono) -> Option<&mut Attempt> {
        let at = self.running.iter().position(|(running, _)| *running == number)?;
        let (_, began) = self.running.remove(at);
        let attempt = self.attempts.get_mut(number)?;
        attempt.latency_ms = Some(millis(now.since(began)));
        Some(attempt)
    }

    pub(super) fn answered(&mut self, number: usize, now: Mono) {
        if let Some(attempt) = self.end(number, now) {
            attempt.outcome = AttemptOutcome::Answered;
        }
    }

    pub(super) fn failed(&mut self, number: usize, now: Mono, failure: &Failure) {
        self.last_failed = Some(number);
        if let Some(attempt) = self.end(number, now) {
            attempt.outcome = AttemptOutcome::Failed;
            attempt.error_type = Some(failure.fault);
            attempt.status = failure.status;
            attempt.message = Some(&failure.message).filter(|message| !message.is_empty()).cloned();
        }
    }

    /// The attempt that failed last.
    pub(super) fn last_failure(&self) -> Option<&Attempt> {
        self.attempts.get(self.last_failed?)
    }

    /// A call was given up while its request goes on.
    pub(super) fn cancelled(&mut self, number: usize, now: Mono) {
        self.end(number, now);
    }

    /// The request was given up; so were the calls under way.
    pub(super) fn stopped(&mut self, now: Mono) {
        while let Some(&(number, _)) = self.running.first() {
            self.cancelled(number, now);
        }
    }

    /// Adds a call's cost.
    pub(super) fn paid(&mut self, cost: Cost) {
        self.estimated |= cost.estimated;
        if let Some(amount) = cost.amount {
            self.cost = Some(self.cost.unwrap_or_default() + amount);
        }
    }

    /// Whether a part of what calls cost so far is an estimate.
    pub(super) fn estimated(&self) -> bool {
        self.estimated
    }

    /// What all calls cost so far.
    pub(super) fn cost(&self) -> Nano {
        self.cost.unwrap_or_default()
    }

    /// How many models other than `answering` were called and failed.
    pub(super) fn failed_models(&self, answering: &str) -> u32 {
        let mut models: Vec<&str> = self
            .attempts
            .iter()
            .filter(|attempt| attempt.outcome == AttemptOutcome::Failed)
            .map(|attempt| &*attempt.model)
            .filter(|model| *model != answering)
            .collect();
        models.sort_unstable();
        models.dedup();
        u32::try_from(models.len()).unwrap_or(u32::MAX)
    }

    /// Keeps a refusal that counts only if nobody else answers.
    pub(super) fn keep_refusal(&mut self, refusal: Box<Answered>) {
        self.refusal = Some(refusal);
    }

    /// The refusal that is the answer after all, with everything that was paid until now.
    pub(super) fn take_refusal(&mut self) -> Option<Box<Answered>> {
        let mut refusal = self.refusal.take()?;
        refusal.request_cost_usd = refusal.request_cost_usd.and(self.cost);
        refusal.cost_estimated = self.estimated;
        let call = self.attempts.iter_mut().rev().find(|attempt| {
            attempt.model == refusal.model_used && attempt.error_type == Some(Fault::Refused)
        });
        if let Some(call) = call {
            let latency_ms = call.latency_ms;
            *call =
                Attempt { latency_ms, ..attempt(&refusal.model_used, AttemptOutcome::Answered) };
        }
        Some(refusal)
    }

    pub(super) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    pub(super) fn into_attempts(self) -> Vec<Attempt> {
        self.attempts
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let skipped = self.attempts.iter().filter_map(|attempt| {
            let reason = attempt.reason?;
            Some(LeftOut { model: attempt.model.clone(), reason })
        });
        skipped.collect()
    }

    /// The line about this request.
    pub(super) fn event(
        &self,
        result: Result<&Answered, &ErrorBody>,
        arrived: Now,
        now: Now,
    ) -> Event {
        let (task, primary) = self.chain.clone().unzip();
        let answered = result.ok();
        let event = RequestEvent {
            request_id: self.request_id.clone(),
            task: task.unwrap_or_else(|| "".into()),
            success: result.is_ok(),
            error: result.err().map(|error| error.code),
            primary,
            order: self.order.clone(),
            left_out: self.left_out(),
            model_used: answered.map(|answered| answered.model_used.clone()),
            fallback_count: answered.map_or(0, |answered| answered.fallback_count),
            latency_ms: millis(now.mono.since(arrived.mono)),
            calls: self.calls,
            request_cost_usd: self.cost,
            cost_estimated: self.estimated && self.cost.is_some(),
            primary_cost_usd: answered.and_then(|answered| answered.primary_cost_usd),
            peer_uid: self.peer_uid,
        };
        tracing_events::request(&event);
        Event::Request(event)
    }
}

fn attempt(model: &Arc<str>, outcome: AttemptOutcome) -> Attempt {
    Attempt {
        model: model.clone(),
        outcome,
        reason: None,
        error_type: None,
        status: None,
        latency_ms: None,
        message: None,
        retry_in_ms: None,
    }
}
