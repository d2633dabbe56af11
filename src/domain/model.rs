//! Everything that decides whether and how one model is called: its circuit, window, hold, limits
//! and calls in flight. The model's actor owns one of these and does what it says. Clock and dice
//! come as arguments. It knows nothing of other models: order is [`super::rank`]'s.

use std::sync::Arc;
use std::time::Duration;

use super::breaker::{
    Ask, Asker, Breaker, CallFinding, Change, CircuitPermit, Override, Rules, State, Stored,
};
use super::ceiling;
use super::hold::Hold;
use super::ledger::CallKind;
use super::minute::{Minute, PerMinute};
use super::need::{Abilities, Needs, Skip, SkipReason, Verdict};
use super::price::{Price, Usage};
use super::time::{Now, Wall};
use super::window::{Bucket, Judged, JudgedFrom, Sample, Window};
use copies::is_copy;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub name: Arc<str>,
    /// Why it cannot be called at all, if so.
    pub misconfigured: Option<String>,
    pub abilities: Abilities,
    /// Longest prompt and answer together, in tokens.
    pub context_window: Option<u64>,
    pub max_tokens: Option<u32>,
    pub price: Option<Price>,
    pub max_in_flight: Option<u32>,
    pub per_minute: PerMinute,
    pub breaker: Rules,
    /// Whether it may be probed early when every circuit is open.
    pub probe_nearest: bool,
    /// How far back calls are judged.
    pub window: Duration,
    /// Success rate below which it is degraded, 0 to 1.
    pub degraded_below: f64,
    /// Decided calls below which it is not judged.
    pub min_calls: u32,
    pub retention: Duration,
}

/// How a model stands towards one request. Advice: admission is decided when the call begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Availability {
    /// Why it is left out, if so.
    pub skip: Option<Skip>,
    pub degraded: bool,
    /// Decided calls since its circuit last closed.
    pub judged: Judged,
    /// Whether its circuit is half-open, so that the request would be its probe. What was judged
    /// before the opening says nothing then.
    pub probed: bool,
    /// How long until it may be probed early, if ever: only for a circuit that is open.
    pub early_in: Option<Duration>,
    /// What is to be known to send it a copy of the request.
    pub copy: CopyAvailability,
}

/// The right to make one call, with what was reserved for it.
#[derive(Debug)]
#[must_use = "an admission must be settled, or its place is never given back"]
pub(crate) struct Admission {
    permit: CircuitPermit,
    reserved_tokens: u64,
    /// Whether a copy of a request has to give way to it.
    pub displaces: bool,
    kind: CallKind,
}

/// What became of a finished call.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub verdict: Verdict,
    pub counted: bool,
    /// Whether it changed the running count of consecutive failures.
    pub run_changed: bool,
    /// The bucket it was counted in, as it is now.
    pub bucket: (Wall, Bucket),
    pub changes: Changes,
}

/// What changed by the way, to be logged and stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub circuit: Vec<Change>,
    /// Whether the model is degraded now, and the calls that say so.
    pub degraded: Option<(bool, Judged)>,
}

#[derive(Clone, Debug)]
pub(crate) struct LastError {
    pub ending: Ending,
    pub at: Wall,
}

/// Where the judging period began, stored beside the breaker.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoredModel {
    pub(crate) breaker: Stored,
    pub(crate) judged_from: JudgedFrom,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelState {
    settings: Settings,
    breaker: Breaker,
    window: Window,
    hold: Hold,
    minute: Minute,
    in_flight: u32,
    /// Of these, copies of requests, which give way to callers.
    copies: u32,
    degraded: bool,
    last_error: Option<LastError>,
    judged_from: JudgedFrom,
    evidence: Evidence,
    doubt: Doubt,
}

impl ModelState {
    pub(crate) fn new(settings: Settings, now: Now) -> ModelState {
        ModelState {
            breaker: Breaker::new(settings.breaker.clone(), settings.window, now),
            window: Window::new(settings.window, settings.retention),
            settings,
            hold: Hold::default(),
            minute: Minute::default(),
            in_flight: 0,
            copies: 0,
            degraded: false,
            last_error: None,
            judged_from: JudgedFrom::default(),
            evidence: Evidence::default(),
            doubt: Doubt::default(),
        }
    }

    /// Takes up what was stored before a restart.
    pub(crate) fn restore(
        &mut self,
        model: Option<&StoredModel>,
        buckets: Vec<(Wall, Bucket)>,
        now: Now,
    ) {
        if let Some(model) = model {
            self.breaker.restore(&model.breaker, now);
            self.judged_from = model.judged_from;
        }
        self.window.restore(buckets, self.judged_from);
        self.evidence = Evidence::restored(&self.window);
        let judged = self.judged(now);
        self.degraded = self.is_degraded(judged);
    }

    /// What must survive a restart, beside the buckets.
    pub(crate) fn stored(&self, now: Now) -> StoredModel {
        StoredModel { breaker: self.breaker.stored(now), judged_from: self.judged_from }
    }

    /// How it stands towards a request, and what changed merely because time went by.
    pub(crate) fn availability(&mut self, needs: &Needs, now: Now) -> (Availability, Changes) {
        let changes = self.touch(now);
        let skip = self.skip(needs, Asker::Caller, now);
        let judged = self.judged(now);
        let open = skip.is_some_and(|skip| skip.reason == SkipReason::CircuitOpen);
        let may_be_early = open && self.settings.probe_nearest && self.hold.left(now).is_none();
        let early_in = if may_be_early { self.breaker.early_in(now) } else { None };
        let copy = self.copy_availability(needs, now);
        let probed = skip.is_none() && self.breaker.state(now) == State::HalfOpen;
        let degraded = self.degraded;
        (Availability { skip, degraded, judged, probed, early_in, copy }, changes)
    }

    /// Admits one call, or says why not.
    pub(crate) fn admit(
        &mut self,
        needs: &Needs,
        ask: Ask,
        now: Now,
    ) -> (Result<Admission, Skip>, Changes) {
        let mut changes = self.touch(now);
        if let Some(skip) = self.skip(needs, ask.by, now) {
            return (Err(skip), changes);
        }
        let displaces = self.is_full();
        let (permit, change) = match self.breaker.admit(ask, now) {
            Ok(admitted) => admitted,
            Err(retry_in) => {
                return (Err(Skip { reason: SkipReason::CircuitOpen, retry_in }), changes);
            }
        };
        changes.circuit.extend(change);
        let reserved_tokens = self.reservation(needs);
        self.minute.begin(reserved_tokens, now.mono);
        self.in_flight += 1;
        let kind = ask.by.kind();
        self.copies += u32::from(is_copy(kind));
        (Ok(Admission { permit, reserved_tokens, displaces, kind }), changes)
    }

    /// Takes the end of a call that took `latency_ms`.
    pub(crate) fn settle(
        &mut self,
        admission: Admission,
        ended: &Ended,
        latency_ms: u64,
        now: Now,
    ) -> Settlement {
        let mut changes = self.touch(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.copies = self.copies.saturating_sub(u32::from(is_copy(admission.kind)));
        if let Some(usage) = ended.usage {
            let used = usage.input_tokens.saturating_add(usage.output_tokens);
            self.minute.correct(admission.reserved_tokens, used, now.mono);
        }
        let (finding, verdict) = self.judge(ended, now);
        match verdict {
            Verdict::Held => self.hold.begin(ended.retry_after, now),
            Verdict::Success => self.hold.answered(),
            Verdict::Failure | Verdict::Neutral if ended.retry_after.is_some() => {
                self.hold.begin(ended.retry_after, now);
            }
            Verdict::Failure | Verdict::Neutral => {}
        }
        if let Some(ending) = &ended.fault
            && verdict != Verdict::Success
            && !ending.excused
        {
            self.last_error = Some(LastError { ending: ending.clone(), at: now.wall });
        }
        let (judged, run) = (self.judged(now), self.breaker.run());
        let settled = self.breaker.settle(admission.permit, finding, judged, ended.chance, now);
        let kind = admission.kind;
        // A probe is left at its first content, so it has no latency of an answer.
        let answered = ended.fault.is_none() && kind != CallKind::Probe;
        let answered_ms = answered.then_some(latency_ms);
        self.evidence.note(verdict, kind, now.wall);
        let sample = Sample { verdict, counted: settled.counted, answered_ms, kind };
        let (start, bucket) = self.window.record(sample, now.wall);
        let bucket = (start, bucket.clone());
        if let Some(change) = settled.change {
            if change.to == super::breaker::State::Closed {
                self.judged_from = self.window.judge_from(now.wall);
            }
            changes.circuit.push(change);
        }
        changes.degraded = self.compare(now).or(changes.degraded);
        let run_changed = self.breaker.run() != run;
        Settlement { verdict, counted: settled.counted, run_changed, bucket, changes }
    }

    pub(crate) fn set_override(&mut self, wanted: Option<Override>, now: Now) -> Change {
        let change = self.breaker.set_override(wanted, now);
        if wanted.is_some_and(|wanted| wanted.set == super::breaker::OverrideState::Closed) {
            self.judged_from = self.window.judge_from(now.wall);
        }
        change
    }

    /// Takes new settings; window, circuit, hold and calls under way stay. With `cured`, a circuit that was open for a reason that needs a person
    /// closes: the person has just done something about it.
    pub(crate) fn reconfigure(&mut self, settings: Settings, cured: bool, now: Now) -> Changes {
        self.breaker.set_rules(settings.breaker.clone(), settings.window);
        self.window.resize(settings.window, settings.retention);
        self.settings = settings;
        let mut changes = Changes::default();
        if let Some(change) = cured.then(|| self.breaker.cure(now)).flatten() {
            self.judged_from = self.window.judge_from(now.wall);
            changes.circuit.push(change);
        }
        changes.degraded = self.compare(now);
        changes
    }

    /// What a call's end says about the provider, and how health counts it.
    fn judge(&mut self, ended: &Ended, now: Now) -> (CallFinding, Verdict) {
        let Some(ending) = &ended.fault else {
            self.doubt.answered(now.mono);
            return (CallFinding::Success, Verdict::Success);
        };
        let spared = ending.excused
            || self.doubt.spares(ending, &ended.request, now.mono, || {
                self.window.has_success(self.settings.window, now.wall)
            });
        if spared {
            return (CallFinding::Nothing, Verdict::Neutral);
        }
        let finding = CallFinding::of(ending.fault);
        (finding, finding.verdict())
    }

    fn skip(&mut self, needs: &Needs, by: Asker, now: Now) -> Option<Skip> {
        if self.settings.misconfigured.is_some() {
            return Some(Skip::new(SkipReason::Misconfigured));
        }
        if !self.able(needs) {
            return Some(Skip::new(SkipReason::Incapable));
        }
        if ceiling::too_dear(needs, self.settings.price, self.settings.max_tokens) {
            return Some(Skip::new(SkipReason::TooDear));
        }
        if let Some(retry_in) = self.breaker.refusal(by, now) {
            return Some(Skip { reason: SkipReason::CircuitOpen, retry_in });
        }
        let reservation = self.reservation(needs);
        let all = self.settings.per_minute;
        let limits = if is_copy(by.kind()) { all.for_copies() } else { all };
        let limited = self.minute.check(&limits, reservation, now.mono).err();
        if let Some(wait) = self.hold.left(now).max(limited) {
            return Some(Skip { reason: SkipReason::RateLimited, retry_in: Some(wait) });
        }
        let full = self.is_full() && (self.copies == 0 || is_copy(by.kind()));
        full.then_some(Skip::new(SkipReason::Busy))
    }

    /// How it stands towards a copy of a request.
    fn copy_availability(&self, needs: &Needs, now: Now) -> CopyAvailability {
        let price = self.settings.price;
        CopyAvailability {
            awaited: self.breaker.awaits_copy(now),
            probe_in: self.breaker.probe_in(now),
            cost: price.map(|price| price.of(&self.estimate(needs))).unwrap_or_default(),
            data: self.evidence.decided,
        }
    }

    /// Whether as many calls are under way as may be.
    fn is_full(&self) -> bool {
        self.settings.max_in_flight.is_some_and(|most| self.in_flight >= most)
    }

    fn able(&self, needs: &Needs) -> bool {
        let can = &self.settings.abilities;
        !needs.exceeds(self.settings.context_window)
            && (can.tools || !needs.tools)
            && (can.images || !needs.images)
            && (can.json_schema || !needs.json_schema)
            && (can.prefill || !needs.prefill)
    }

    fn estimate(&self, needs: &Needs) -> Usage {
        ceiling::usage(needs, self.settings.max_tokens)
    }

    fn reservation(&self, needs: &Needs) -> u64 {
        let estimate = self.estimate(needs);
        estimate.input_tokens.saturating_add(estimate.output_tokens)
    }

    fn judged(&mut self, now: Now) -> Judged {
        self.window.judged(self.settings.window, now.wall)
    }

    fn is_degraded(&self, judged: Judged) -> bool {
        judged.calls() >= u64::from(self.settings.min_calls)
            && judged.success_rate() < self.settings.degraded_below
    }

    /// Lets time take effect: overrides end, old failures leave the window.
    fn touch(&mut self, now: Now) -> Changes {
        let circuit = self.breaker.expire(now).into_iter().collect();
        Changes { circuit, degraded: self.compare(now) }
    }

    fn compare(&mut self, now: Now) -> Option<(bool, Judged)> {
        let judged = self.judged(now);
        let degraded = self.is_degraded(judged);
        (std::mem::replace(&mut self.degraded, degraded) != degraded).then_some((degraded, judged))
    }
}

mod copies;
mod doubt;
mod ended;
mod kept;
mod shown;
pub(crate) use copies::{CopyAvailability, Evidence};
use doubt::Doubt;
pub(crate) use ended::{Ended, Ending};
pub(crate) use kept::Kept;
#[cfg(test)]
mod tests;
