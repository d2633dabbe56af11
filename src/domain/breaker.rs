//! The circuit breaker of one model.
//!
//! Closed, it admits everybody. It opens after a run of failures, on a bad failure rate, or at once
//! for a reason that needs a person. Open, it admits nobody until its deadline; past it the state
//! is half-open and exactly one probe is admitted. There is no timer: half-open is what *open past
//! its deadline* looks like to whoever asks.
//!
//! Every admission hands out a [`CircuitPermit`] with the epoch of that moment. A result whose epoch is
//! over changes nothing, so a burst of slow failures cannot reopen a circuit that has recovered.
//! A probe is a lease: if its result never comes, the slot is free again after a while. Copies of
//! requests in the background may probe before the deadline; they can only close a circuit.
//!
//! Time and chance are arguments. Nothing here knows about windows, holds or callers.

use std::time::Duration;

use super::fault::Fault;
use super::shadow::Schedule;
use super::time::{Deadline, Now};
use super::window::Judged;

mod probes;
mod types;

pub(crate) use types::{
    Ask, Asker, CallFinding, Change, CircuitPermit, Override, OverrideState, Prober, Rules,
    Settled, State, Status, Stored,
};

#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    rules: Rules,
    /// Time closed after which earlier openings are forgotten.
    healthy: Duration,
    phase: CircuitPhase,
    since: Now,
    epoch: u64,
    run: u32,
    openings: u32,
    probe: Option<Lease>,
    wasted: u32,
    early_after: Option<Deadline>,
    background: Schedule,
    overridden: Option<Override>,
}

#[derive(Clone, Debug)]
enum CircuitPhase {
    Closed,
    Open { until: Deadline, reason: String, blocked: bool },
}

#[derive(Clone, Debug)]
struct Lease {
    until: Deadline,
    by: Asker,
}

impl Breaker {
    /// A closed breaker. After being closed for `healthy`, its next opening is a first one again.
    pub(crate) fn new(rules: Rules, healthy: Duration, now: Now) -> Breaker {
        Breaker {
            background: Schedule::begin(rules.probe_every, false, now),
            rules,
            healthy,
            phase: CircuitPhase::Closed,
            since: now,
            epoch: 0,
            run: 0,
            openings: 0,
            probe: None,
            wasted: 0,
            early_after: None,
            overridden: None,
        }
    }

    /// Takes up a stored state. Whatever the wall clock did in between, nothing lasts longer than
    /// the rules allow, and nothing began in the future.
    pub(crate) fn restore(&mut self, stored: &Stored, now: Now) {
        if stored.open {
            let most = self.rules.open_for_max.max(self.rules.open_for);
            let longest = if stored.blocked { self.rules.blocked_for } else { most.mul_f64(1.1) };
            let until = Deadline::restored(stored.until, now, longest);
            let reason = stored.reason.clone();
            self.phase = CircuitPhase::Open { until, reason, blocked: stored.blocked };
            self.background = Schedule::begin(self.rules.probe_every, stored.blocked, now);
        }
        self.since = Now { mono: now.mono, wall: stored.since.min(now.wall) };
        let healthy = !stored.open && now.wall.since(stored.since) >= self.healthy;
        self.openings = if healthy { 0 } else { stored.openings };
        self.run = stored.run;
        self.overridden = stored.overridden.map(|(set, until)| {
            let until = until.map(|until| Deadline::restored(until, now, Duration::MAX));
            Override { set, until }
        });
    }

    /// What must survive a restart, as it is `now`.
    pub(crate) fn stored(&self, now: Now) -> Stored {
        let (open, reason, blocked, until) = match &self.phase {
            CircuitPhase::Closed => (false, String::new(), false, self.since.wall),
            CircuitPhase::Open { until, reason, blocked } => {
                (true, reason.clone(), *blocked, now.wall.plus(until.left(now)))
            }
        };
        // What is left of it, as above: a clock that was put back makes no override longer.
        let overridden = self.overridden.map(|Override { set, until }| {
            (set, until.map(|until| now.wall.plus(until.left(now))))
        });
        let (since, openings, run) = (self.since.wall, self.openings, self.run);
        Stored { open, reason, blocked, since, until, openings, run, overridden }
    }

    /// Takes a call's result. `judged` are the decided calls before this one that count for the
    /// failure rate; `chance` is a random number from 0 to 1 for the length of a re-opening.
    pub(crate) fn settle(
        &mut self,
        permit: CircuitPermit,
        finding: CallFinding,
        judged: Judged,
        chance: f64,
        now: Now,
    ) -> Settled {
        if permit.epoch != self.epoch {
            return Settled { counted: false, change: None };
        }
        let change = match permit.is_probe() {
            true => self.settle_probe(finding, chance, now),
            false => self.settle_closed(finding, judged, chance, now),
        };
        Settled { counted: true, change }
    }

    /// The state as it is now.
    pub(crate) fn state(&self, now: Now) -> State {
        match (self.overridden(now).map(|overridden| overridden.set), &self.phase) {
            (Some(OverrideState::Open), _) => State::Open,
            (Some(OverrideState::Closed), _) | (None, CircuitPhase::Closed) => State::Closed,
            (None, CircuitPhase::Open { until, .. }) if until.passed(now) => State::HalfOpen,
            (None, CircuitPhase::Open { .. }) => State::Open,
        }
    }

    /// The running count of consecutive failures.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// Everything people want to know.
    pub(crate) fn status(&self, now: Now) -> Status {
        let overridden = self.overridden(now);
        let (reason, retry_at) = match (&self.phase, overridden) {
            (_, Some(overridden)) => {
                let reason = match overridden.set {
                    OverrideState::Open => "forced open",
                    OverrideState::Closed => "forced closed",
                };
                (Some(reason.to_owned()), overridden.until.map(|until| until.wall()))
            }
            (CircuitPhase::Open { until, reason, .. }, None) => {
                (Some(reason.clone()), Some(until.wall()))
            }
            (CircuitPhase::Closed, None) => (None, None),
        };
        let state = self.state(now);
        Status {
            state,
            reason,
            since: self.since.wall,
            retry_at: retry_at.filter(|_| state == State::Open),
            consecutive_failures: self.run,
            overridden,
        }
    }

    /// New rules, from a changed configuration. A running opening keeps its deadline.
    pub(crate) fn set_rules(&mut self, rules: Rules, healthy: Duration) {
        self.rules = rules;
        self.healthy = healthy;
    }

    /// Obeys a person: a state for a while, for ever, or (`None`) the breaker's own again.
    pub(crate) fn set_override(&mut self, wanted: Option<Override>, now: Now) -> Change {
        let from = self.state(now);
        self.overridden = wanted;
        self.epoch += 1;
        self.probe = None;
        if wanted.is_some_and(|wanted| wanted.set == OverrideState::Closed) {
            self.phase = CircuitPhase::Closed;
            self.run = 0;
        }
        self.since = now;
        let reason = match wanted.map(|wanted| wanted.set) {
            Some(OverrideState::Open) => "override: forced open",
            Some(OverrideState::Closed) => "override: forced closed",
            None => "override removed",
        };
        self.changed(from, reason.to_owned(), now)
    }

    /// Ends an override whose time is over.
    pub(crate) fn expire(&mut self, now: Now) -> Option<Change> {
        let over = self.overridden?.until?.passed(now);
        over.then(|| {
            let from = match self.overridden.take() {
                Some(Override { set: OverrideState::Open, .. }) => State::Open,
                _ => State::Closed,
            };
            self.epoch += 1;
            self.since = now;
            self.changed(from, "override ended".to_owned(), now)
        })
    }

    /// Closes a circuit that was open for a reason that needs a person.
    pub(crate) fn cure(&mut self, now: Now) -> Option<Change> {
        let blocked = matches!(self.phase, CircuitPhase::Open { blocked: true, .. });
        (blocked && self.overridden(now).is_none()).then(|| {
            let change = self.close(now);
            Change { reason: "its provider was reconfigured".to_owned(), ..change }
        })
    }

    fn settle_closed(
        &mut self,
        finding: CallFinding,
        judged: Judged,
        chance: f64,
        now: Now,
    ) -> Option<Change> {
        match finding {
            CallFinding::Success => {
                self.run = 0;
                None
            }
            CallFinding::Alive | CallFinding::Nothing | CallFinding::Hold => None,
            CallFinding::Failure(fault) => {
                self.run = self.run.saturating_add(1);
                let reason = self.trip(fault, judged, now)?;
                Some(self.open_for_failures(reason, chance, now))
            }
            CallFinding::Block(_) if self.overridden(now).is_some() => None,
            CallFinding::Block(fault) => Some(self.block(fault, now)),
        }
    }

    /// Why the circuit should open now, this failure included.
    fn trip(&self, fault: Fault, judged: Judged, now: Now) -> Option<String> {
        if self.overridden(now).is_some() {
            return None;
        }
        if self.rules.failures > 0 && self.run >= self.rules.failures {
            return Some(format!("{} consecutive failures, the last one {fault}", self.run));
        }
        let judged = Judged { failure: judged.failure + 1, ..judged };
        let bad = judged.failure as f64 >= judged.calls() as f64 * self.rules.failure_rate;
        let enough = judged.calls() >= u64::from(self.rules.rate_min_calls);
        (self.rules.failure_rate > 0.0 && enough && bad)
            .then(|| format!("{} of {} calls failed", judged.failure, judged.calls()))
    }

    fn open_for_failures(&mut self, reason: String, chance: f64, now: Now) -> Change {
        let healthy = matches!(self.phase, CircuitPhase::Closed)
            && now.mono.since(self.since.mono) >= self.healthy;
        if healthy {
            self.openings = 0;
        }
        let doubled = self.rules.open_for.saturating_mul(1 << self.openings.min(16));
        let mut length = doubled.min(self.rules.open_for_max.max(self.rules.open_for));
        if self.openings > 0 {
            length += length.mul_f64(0.1 * chance.clamp(0.0, 1.0));
        }
        self.openings = self.openings.saturating_add(1);
        self.open(reason, false, length, now)
    }

    fn block(&mut self, fault: Fault, now: Now) -> Change {
        self.open(fault.name().to_owned(), true, self.rules.blocked_for, now)
    }

    fn open(&mut self, reason: String, blocked: bool, length: Duration, now: Now) -> Change {
        let from = self.state(now);
        let until = Deadline::after(now, length);
        // A deadline only moves later, except by a person's override.
        let until = match &self.phase {
            CircuitPhase::Open { until: running, .. } => running.later(until, now),
            CircuitPhase::Closed => until,
        };
        self.phase = CircuitPhase::Open { until, reason: reason.clone(), blocked };
        self.background = Schedule::begin(self.rules.probe_every, blocked, now);
        self.enter(now);
        self.changed(from, reason, now)
    }

    fn close(&mut self, now: Now) -> Change {
        let from = self.state(now);
        self.phase = CircuitPhase::Closed;
        self.run = 0;
        self.enter(now);
        self.changed(from, "probe succeeded".to_owned(), now)
    }

    fn enter(&mut self, now: Now) {
        self.since = now;
        self.epoch += 1;
        self.probe = None;
        self.wasted = 0;
    }

    fn changed(&self, from: State, reason: String, now: Now) -> Change {
        let status = self.status(now);
        Change { from, to: status.state, reason, retry_at: status.retry_at }
    }

    fn overridden(&self, now: Now) -> Option<Override> {
        self.overridden.filter(|overridden| overridden.until.is_none_or(|until| !until.passed(now)))
    }

    fn is_closed(&self, now: Now) -> bool {
        self.state(now) == State::Closed
    }
}

#[cfg(test)]
mod tests;
