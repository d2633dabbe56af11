//! One call to one model, from its admission to its end: the same for callers, for calls beside
//! theirs, for copies and for probes.
//!
//! It is admitted by the model's owner, made by a provider, heard step by step, judged by the
//! chain's own checks, billed, and settled with the owner exactly once. Dropping it at any moment
//! gives its permit back and closes its connection; what was heard until then is billed.

use std::time::Duration;

use futures_util::StreamExt;

use super::model::Admit;
use super::permit::{CallLabel, Permit};
use super::table::ModelHandle;
use crate::clock::Clock;
use crate::config::Model;
use crate::domain::accept::Accept;
use crate::domain::bill::{Cost, Heard, Tariff};
use crate::domain::fault::Fault;
use crate::domain::ledger::CallKind;
use crate::domain::model::{Ended, Ending};
use crate::domain::need::{Needs, Skip, SkipReason};
use crate::domain::pace::{Limits, attempt_limit};
use crate::domain::price::Price;
use crate::domain::reason;
use crate::domain::time::Mono;
use crate::protocol::chat::ChatRequest;
use crate::provider::{Call, CallResult, Failure, Provider, Step, Steps};

/// Added to what is left of the deadline to give the lease of a probe: time to report its result.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// What is the same for all calls of one request.
pub(super) struct Assignment<'a> {
    pub(super) provider: &'a dyn Provider,
    pub(super) clock: &'a Clock,
    pub(super) request: &'a ChatRequest,
    pub(super) needs: Needs,
    /// Sampling temperature, for models that take one; `None` for the model's own.
    pub(super) temperature: Option<f64>,
    /// Checks that an answer must pass.
    pub(super) accept: Option<&'a Accept>,
    /// Price of the primary, where what it would have cost is of interest.
    pub(super) primary: Option<Price>,
    pub(super) deadline: Mono,
    pub(super) label: CallLabel,
}

/// How one of these calls is made.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) kind: CallKind,
    /// Whether it asks to be the one early probe when every circuit is open.
    pub(super) early: bool,
    /// Whether other models are still to be asked, so that time has to be kept for them.
    pub(super) others_behind: bool,
}

/// A call under way.
pub(super) struct InFlight<'a> {
    pub(super) model: &'a ModelHandle,
    assignment: &'a Assignment<'a>,
    permit: Permit,
    steps: Steps<'a>,
    pub(super) began: Mono,
    /// What came first, while it raced with another.
    first: Option<Step>,
}

/// A call that has ended and is not settled yet.
pub(super) struct Finished {
    /// To be settled with `ended`.
    pub(super) permit: Permit,
    pub(super) ended: Ended,
    /// The answer, if it passed the checks, or what went wrong.
    pub(super) outcome: CallResult,
    pub(super) heard: Heard,
}

impl<'a> Assignment<'a> {
    /// Begins a call, if its model's owner allows it.
    pub(super) async fn start(
        &'a self,
        model: &'a ModelHandle,
        mode: Mode,
    ) -> Result<InFlight<'a>, Skip> {
        let left = self.left();
        if left.is_zero() {
            return Err(Skip::new(SkipReason::NoTime));
        }
        let config = &*model.config;
        let max_tokens = config.max_tokens.into_iter().chain(self.needs.max_tokens).min();
        let admit = Admit {
            needs: self.needs,
            lease: left.saturating_add(LEASE_MARGIN),
            early: mode.early,
            label: CallLabel { kind: mode.kind, ..self.label.clone() },
            tariff: Tariff {
                price: config.price,
                primary: self.primary,
                is_primary: self.label.primary == config.name,
                trusts_cost: config.provider.trusts_cost,
                max_tokens: max_tokens.unwrap_or(u32::MAX),
                request_bytes: self.request.bytes,
            },
        };
        let admitted = model.actor.send(admit).await;
        let permit = admitted.unwrap_or(Err(Skip::new(SkipReason::Busy)))?;
        let steps = self.provider.call(Call {
            model: config,
            request: self.request,
            max_tokens,
            temperature: self.temperature.filter(|_| config.supports.temperature),
            limits: self.limits(model, left, mode.others_behind),
        });
        let began = self.clock.mono();
        Ok(InFlight { model, assignment: self, permit, steps, began, first: None })
    }

    /// What is left of the deadline.
    pub(super) fn left(&self) -> Duration {
        self.deadline.since(self.clock.mono())
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

    /// A failure of a call to this model, as its health sees it.
    fn ending(&self, failure: &Failure, model: &Model) -> Ending {
        let reason = || reason::for_log(&failure.message, self.request.texts());
        Ending {
            status: failure.status,
            code: failure.code.clone(),
            message: failure.fault.needs_a_person().then(reason),
            // What a caller adds to a body may be all that is wrong with it.
            certain: failure.certain
                && !self.request.adds_to(model.provider.kind.name(), &model.name),
            // Cut by the request's own deadline, not by anybody's slowness.
            excused: is_lateness(failure.fault) && self.left().is_zero(),
            ..Ending::new(failure.fault)
        }
    }

    /// An answer that the chain does not accept is a failure, of which everything was heard.
    fn judge(&self, outcome: CallResult, heard: Heard) -> (CallResult, Heard) {
        let (Ok(answer), Some(accept)) = (&outcome, self.accept) else { return (outcome, heard) };
        let Some(why) = answer.objection(accept) else { return (outcome, heard) };
        let heard = Heard { any: true, bytes: answer.bytes() };
        let failure =
            Failure { usage: answer.usage.map(Box::new), ..Failure::new(Fault::Rejected, why) };
        (Err(failure), heard)
    }
}

impl InFlight<'_> {
    /// Waits for the first content, or for an end without any. It is kept for [`InFlight::step`];
    /// nothing is lost if this is dropped while it waits.
    pub(super) async fn first(&mut self) {
        if self.first.is_none() {
            self.first = Some(self.next().await);
        }
    }

    /// Whether it has ended without an answer while it raced.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.first, Some(Step::End(Err(_))))
    }

    pub(super) async fn step(&mut self) -> Step {
        match self.first.take() {
            Some(first) => first,
            None => self.next().await,
        }
    }

    async fn next(&mut self) -> Step {
        let Some(step) = self.steps.next().await else {
            return Step::End(Err(Failure::new(Fault::StreamCut, "the answer has no end")));
        };
        let bytes = match &step {
            Step::Life => 0,
            Step::Text(text) => text.len(),
            Step::End(_) => return step,
        };
        self.permit.hear(bytes, || self.assignment.clock.mono().since(self.began));
        step
    }

    /// Resolves when a caller needs the place of this call; never for a caller's own.
    pub(super) fn displaced(&mut self) -> impl Future<Output = ()> + use<> {
        self.permit.displaced()
    }

    /// What it would be billed if it were dropped now.
    pub(super) fn owed(&self) -> Ended {
        self.permit.owed()
    }

    /// Judges and bills a call that has ended with `outcome`.
    pub(super) fn finish(self, outcome: CallResult) -> Finished {
        let InFlight { assignment, permit, model, .. } = self;
        let (outcome, heard) = assignment.judge(outcome, permit.heard());
        let (tariff, first_token_ms) = (permit.tariff(), permit.first_token_ms());
        let (chance, request) = (fastrand::f64(), assignment.label.request_id.clone());
        let ended = match &outcome {
            Ok(answer) => {
                let (usage, cost) = tariff.answered(answer.usage, answer.bytes());
                let usage = Some(usage);
                Ended { usage, cost, first_token_ms, chance, request, ..Ended::default() }
            }
            Err(failure) => {
                let told = failure.usage.as_deref().copied();
                let (usage, cost) = tariff.failed(failure.fault, told, heard);
                let fault = Some(assignment.ending(failure, &model.config));
                let retry_after = failure.retry_after;
                Ended { fault, usage, cost, first_token_ms, retry_after, chance, request }
            }
        };
        Finished { permit, ended, outcome, heard }
    }

    /// Ends a probe at its first content: its model works. What that cost is an estimate.
    pub(super) async fn proven(self) -> Cost {
        let InFlight { assignment, permit, steps, .. } = self;
        // First of all: this closes its connection.
        drop(steps);
        let request = assignment.label.request_id.clone();
        let ended = Ended { fault: None, request, ..given_up(&permit) };
        let cost = ended.cost;
        permit.settle(ended).await;
        cost
    }

    /// Gives up a call that another one outran. What it is billed is a cost of hedging, whichever
    /// of the two it is: the prompt, and what was heard.
    pub(super) fn outrun(self) -> Finished {
        let InFlight { mut permit, steps, .. } = self;
        // First of all: this closes its connection.
        drop(steps);
        permit.in_vain();
        let (ended, heard) = (given_up(&permit), permit.heard());
        let outcome = Err(Failure::new(Fault::Cancelled, "another model was faster"));
        Finished { permit, ended, outcome, heard }
    }
}

/// The end of a call that is left on purpose: it is billed its prompt and what was heard.
fn given_up(permit: &Permit) -> Ended {
    let tariff = permit.tariff();
    let usage = tariff.estimate(permit.heard().bytes);
    let (usage, cost) = (Some(usage), tariff.cost(&usage, true));
    Ended { usage, cost, chance: fastrand::f64(), ..permit.owed() }
}

fn is_lateness(fault: Fault) -> bool {
    matches!(fault, Fault::Timeout | Fault::FirstTokenTimeout | Fault::StreamStalled)
}
