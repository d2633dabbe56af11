//! What was tried for one request: its attempts, their costs, and what they say together.

use std::sync::Arc;

use super::super::permit::Cost;
use super::super::table::{Chain, ModelHandle};
use super::super::telling;
use crate::domain::fault::{Fault, Next};
use crate::domain::need::{Skip, SkipReason};
use crate::domain::price::Nano;
use crate::domain::time::{Mono, Now, millis};
use crate::protocol::log::{Event, LeftOut, Ranked, RequestEvent};
use crate::protocol::reply::{Answered, Attempt, AttemptOutcome, ErrorBody};

/// The record of one request while it is under way.
pub(super) struct Trail {
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
    faults: Vec<Fault>,
    /// Largest context window that is known to have been too small.
    too_small: Option<u64>,
    refusal: Option<Box<Answered>>,
}

impl Trail {
    pub(super) fn new(request_id: Arc<str>, peer_uid: Option<u32>) -> Trail {
        Trail {
            request_id,
            peer_uid,
            chain: None,
            order: Vec::new(),
            attempts: Vec::new(),
            running: Vec::new(),
            calls: 0,
            cost: None,
            estimated: false,
            faults: Vec::new(),
            too_small: None,
            refusal: None,
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

    /// A model that was not even asked when its turn came.
    pub(super) fn passed_over(&mut self, model: &Arc<str>, reason: SkipReason) {
        self.skipped(model, Skip { reason, retry_in: None });
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

    pub(super) fn failed(
        &mut self,
        (number, now): (usize, Mono),
        fault: Fault,
        (status, message): (Option<u16>, &str),
    ) {
        self.faults.push(fault);
        if let Some(attempt) = self.end(number, now) {
            attempt.outcome = AttemptOutcome::Failed;
            attempt.error_type = Some(fault);
            attempt.status = status;
            attempt.message = Some(message.to_owned()).filter(|message| !message.is_empty());
        }
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

    /// Number of calls made so far.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// How many models other than `answering` were called and failed.
    pub(super) fn failed_models(&self, answering: &str) -> u32 {
        let failed = |attempt: &&Attempt| attempt.outcome == AttemptOutcome::Failed;
        let mut models: Vec<&str> = self
            .attempts
            .iter()
            .filter(failed)
            .map(|attempt| &*attempt.model)
            .filter(|model| *model != answering)
            .collect();
        models.sort_unstable();
        models.dedup();
        u32::try_from(models.len()).unwrap_or(u32::MAX)
    }

    /// Learns from a prompt that was too long for a model.
    pub(super) fn too_long(&mut self, model: &ModelHandle, fault: Fault) {
        if fault.meaning().next == Next::NotAsSmall {
            self.too_small = self.too_small.max(model.config.context_window);
        }
    }

    /// Whether a model is known to be no larger than one that was too small.
    pub(super) fn known_too_small(&self, model: &ModelHandle) -> bool {
        let (Some(small), Some(window)) = (self.too_small, model.config.context_window) else {
            return false;
        };
        window <= small
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
        let its_call = |attempt: &&mut Attempt| {
            attempt.model == refusal.model_used && attempt.error_type == Some(Fault::Refused)
        };
        if let Some(call) = self.attempts.iter_mut().rev().find(its_call) {
            let latency_ms = call.latency_ms;
            *call =
                Attempt { latency_ms, ..attempt(&refusal.model_used, AttemptOutcome::Answered) };
        }
        Some(refusal)
    }

    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
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
        telling::request(&event);
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
