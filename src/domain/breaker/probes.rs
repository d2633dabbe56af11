//! Who is admitted, and what the test call of an open circuit says.
//!
//! There are three kinds of test call. After the opening's time the next caller is one; its failure
//! opens the circuit anew. With every circuit of a chain open, one caller may be one ahead of time.
//! And a copy of a request in the background is one at any time: its success closes the circuit,
//! its failure changes nothing, so that no opening grows by tests that nobody waited for. One at a
//! time, whatever its kind.

use std::time::Duration;

use super::{
    Ask, Asker, Breaker, CallFinding, Change, CircuitPermit, CircuitPhase, Lease, Prober, State,
};
use crate::domain::time::{Deadline, Now};

/// Probes in a row that prove nothing before the circuit pauses again.
const WASTED_PROBES: u32 = 3;

impl Breaker {
    /// Whether a call may be made. A refusal says how long to wait, where that is known.
    pub(crate) fn admit(
        &mut self,
        ask: Ask,
        now: Now,
    ) -> Result<(CircuitPermit, Option<Change>), Option<Duration>> {
        if let Some(wait) = self.refusal(ask.by, now) {
            return Err(wait);
        }
        if self.is_closed(now) {
            return Ok((CircuitPermit { epoch: self.epoch, probe: false }, None));
        }
        let early = self.state(now) == State::Open;
        self.epoch += 1;
        self.probe = Some(Lease { until: Deadline::after(now, ask.lease), by: ask.by });
        let permit = CircuitPermit { epoch: self.epoch, probe: true };
        if ask.by == Asker::Probe {
            let open = now.mono.since(self.since.mono).max(now.wall.since(self.since.wall));
            self.background.probed(open, self.is_blocked(), now);
            return Ok((permit, None));
        }
        if early {
            self.early_after = Some(Deadline::after(now, self.rules.probe_every));
            return Ok((permit, None));
        }
        if let Some(lease) = &mut self.probe {
            lease.by = Asker::Caller;
        }
        let reason = "its time is over: one probe is let through".to_owned();
        let change = Change { from: State::Open, to: State::HalfOpen, reason, retry_at: None };
        Ok((permit, Some(change)))
    }

    /// Why a call would not be admitted now, without changing anything: `None` if it would be,
    /// else how long to wait, where that is known.
    pub(crate) fn refusal(&self, by: Asker, now: Now) -> Option<Option<Duration>> {
        if self.is_closed(now) {
            // A closed circuit needs no probe.
            return (by == Asker::Probe).then_some(None);
        }
        if let Some(overridden) = self.overridden(now) {
            return Some(overridden.until.map(|until| until.left(now)));
        }
        let CircuitPhase::Open { until, .. } = &self.phase else { return None };
        let may_begin = match by {
            Asker::Caller => until.passed(now),
            Asker::Nearest => until.passed(now) || self.early_in(now) == Some(Duration::ZERO),
            Asker::Shadow => false,
            Asker::Probe => self.probe_in(now) == Some(Duration::ZERO),
        };
        if !may_begin && by == Asker::Probe {
            return Some(self.probe_in(now));
        }
        if !may_begin {
            return Some(Some(until.left(now)));
        }
        self.probe.as_ref().filter(|lease| !lease.until.passed(now)).map(|_| None)
    }

    /// When an early probe may be made: `None` if never for this opening.
    pub(crate) fn early_in(&self, now: Now) -> Option<Duration> {
        match &self.phase {
            CircuitPhase::Open { blocked: false, .. } if self.overridden(now).is_none() => {
                let spaced = self.early_after.map_or(Duration::ZERO, |after| after.left(now));
                Some(spaced.max(self.probe_left(now)))
            }
            _ => None,
        }
    }

    /// When a probe in the background may be made: `None` if never.
    pub(crate) fn probe_in(&self, now: Now) -> Option<Duration> {
        let open =
            matches!(self.phase, CircuitPhase::Open { .. }) && self.overridden(now).is_none();
        let in_background = self.rules.probe == Prober::Background;
        (open && in_background).then(|| self.background.left(now).max(self.probe_left(now)))
    }

    /// Whether the next caller would be its probe, although copies of requests can be.
    pub(crate) fn awaits_copy(&self, now: Now) -> bool {
        self.rules.probe == Prober::Background && self.state(now) == State::HalfOpen
    }

    pub(super) fn settle_probe(
        &mut self,
        finding: CallFinding,
        chance: f64,
        now: Now,
    ) -> Option<Change> {
        let by = self.probe.take().map_or(Asker::Caller, |lease| lease.by);
        let CircuitPhase::Open { until, reason, blocked } = &self.phase else { return None };
        let still_early = by == Asker::Nearest && !until.passed(now);
        match finding {
            CallFinding::Success => Some(self.close(now)),
            CallFinding::Alive if !blocked => Some(self.close(now)),
            _ if by == Asker::Probe => None,
            CallFinding::Hold => None,
            CallFinding::Failure(_) if still_early => None,
            // It says nothing about what needs a person.
            CallFinding::Failure(_) if *blocked => {
                Some(self.open(reason.clone(), true, self.rules.blocked_for, now))
            }
            CallFinding::Failure(fault) => {
                Some(self.open_for_failures(format!("probe failed: {fault}"), chance, now))
            }
            CallFinding::Block(fault) => Some(self.block(fault, now)),
            CallFinding::Alive | CallFinding::Nothing => {
                self.wasted += 1;
                (self.wasted >= WASTED_PROBES && !still_early).then(|| self.pause(now))
            }
        }
    }

    /// After probes that proved nothing: a short pause for the same reason as before.
    fn pause(&mut self, now: Now) -> Change {
        let (reason, blocked) = match &self.phase {
            CircuitPhase::Open { reason, blocked, .. } => (reason.clone(), *blocked),
            CircuitPhase::Closed => (String::new(), false),
        };
        self.open(reason, blocked, self.rules.open_for / 10, now)
    }

    fn probe_left(&self, now: Now) -> Duration {
        self.probe.as_ref().map_or(Duration::ZERO, |lease| lease.until.left(now))
    }

    fn is_blocked(&self) -> bool {
        matches!(self.phase, CircuitPhase::Open { blocked: true, .. })
    }
}
