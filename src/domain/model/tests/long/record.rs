//! What happened to a model, written down the plain way, and what must hold because of it.

use super::super::*;
use super::{OverrideState, State};
use crate::domain::time::Deadline;
use crate::domain::window::{COARSE_MS, FINE_MS, FINE_SPAN_MS};

const MINUTE: Duration = Duration::from_secs(60);
/// The longest opening: the configured half hour and a tenth.
const OPEN_MOST: Duration = Duration::from_secs(33 * 60);

/// A call under way.
pub(super) struct Running {
    pub(super) admission: Admission,
    pub(super) note: Note,
}

/// What was so when a call was admitted. The era is `None` for one that outlived its state.
pub(super) struct Note {
    probe: bool,
    era: Option<u64>,
    lease: Option<Deadline>,
}

/// A finished call, and the start of the stretch of time it is counted in.
struct Finished {
    label: u64,
    verdict: Verdict,
    answered_ms: Option<u64>,
}

/// How often what must not be missing happened.
#[derive(Default)]
struct Seen {
    openings: u64,
    closings: u64,
    early: u64,
    late: u64,
    pauses: u64,
    orders: u64,
    waits: u64,
}

pub(super) struct Record {
    seed: u64,
    pub(super) steps: u64,
    pub(super) running: Vec<Running>,
    pub(super) overridden: Option<Override>,
    finished: Vec<Finished>,
    begun: Vec<Mono>,
    /// Grows with everything that makes earlier results void.
    era: u64,
    /// The state as the last logged change says.
    state: State,
    run: u32,
    hold: Option<Deadline>,
    early_after: Option<Deadline>,
    seen: Seen,
}

impl Running {
    pub(super) fn stale() -> Running {
        let note = Note { probe: false, era: None, lease: None };
        Running { admission: Admission::stale(CallKind::Live), note }
    }
}

impl Record {
    pub(super) fn new(seed: u64) -> Record {
        Record {
            seed,
            steps: 0,
            running: Vec::new(),
            overridden: None,
            finished: Vec::new(),
            begun: Vec::new(),
            era: 0,
            state: State::Closed,
            run: 0,
            hold: None,
            early_after: None,
            seen: Seen::default(),
        }
    }

    #[track_caller]
    pub(super) fn holds(&self, claim: bool, what: &str) {
        assert!(claim, "not so: {what} (seed {}, step {})", self.seed, self.steps);
    }

    /// What is left of an opening, if nobody forces anything.
    pub(super) fn left(&self, model: &ModelState, now: Now) -> Option<Duration> {
        let refusal = model.breaker.refusal(Asker::Caller, now).flatten();
        refusal.filter(|_| self.overridden.is_none())
    }

    /// A call was let through in `state`, with its circuit `blocked` or not.
    pub(super) fn admitted(
        &mut self,
        admission: Admission,
        (state, blocked): (State, bool),
        lease: Duration,
        now: Now,
    ) {
        let set_open =
            self.overridden.is_some_and(|overridden| overridden.set == OverrideState::Open);
        self.holds(!set_open, "forced open admits nobody");
        let waited = |until: Option<Deadline>| until.is_none_or(|until| until.passed(now));
        self.holds(waited(self.hold), "a retry time is honoured");
        self.begun.retain(|begun| now.mono.since(*begun) < 59 * SECOND);
        self.holds(self.begun.len() < 20, "no more calls in a minute than allowed");
        self.begun.push(now.mono);
        let probe = admission.permit.is_probe();
        self.holds(probe == (state != State::Closed), "only a closed circuit admits freely");
        if probe {
            let live = |call: &&Running| {
                call.note.probe && call.note.era == Some(self.era) && !waited(call.note.lease)
            };
            self.holds(self.running.iter().find(live).is_none(), "one live probe at most");
            self.era += 1;
        }
        if state == State::Open {
            self.holds(!blocked, "what needs a person is not probed early");
            self.holds(waited(self.early_after), "early probes keep their distance");
            self.early_after = Some(Deadline::after(now, 15 * SECOND));
            self.seen.early += 1;
        }
        let lease = Some(Deadline::after(now, lease));
        let note = Note { probe, era: Some(self.era), lease };
        self.running.push(Running { admission, note });
    }

    /// A call was turned away; now and then somebody comes back as told.
    pub(super) fn refused(&mut self, skip: Skip, model: &ModelState, now: Now) {
        let known = matches!(skip.reason, SkipReason::CircuitOpen | SkipReason::RateLimited);
        self.holds(known, "there is no other reason");
        let Some(wait) = skip.retry_in else { return };
        self.holds(wait <= 3600 * SECOND, "nobody waits longer than an hour");
        self.seen.waits += 1;
        // Behind an order the circuit may be open for longer.
        if self.overridden.is_none() && self.seen.waits.is_multiple_of(64) {
            let later = model.clone().availability(&Needs::default(), now.plus(wait)).0.skip;
            let other = |later: Skip| later.reason != skip.reason || later.retry_in.is_none();
            self.holds(later.is_none_or(other), "after a wait only a probe is in the way");
        }
    }

    /// A call came to its end.
    pub(super) fn settled(
        &mut self,
        note: &Note,
        ended: &Ended,
        latency_ms: u64,
        settled: &Settlement,
        now: Now,
    ) {
        let circuit = &settled.changes.circuit;
        self.holds(settled.counted == (note.era == Some(self.era)), "only this era's count");
        self.holds(settled.counted || circuit.is_empty(), "old results change nothing");
        self.seen.late += u64::from(!settled.counted);
        let decides = matches!(settled.verdict, Verdict::Success | Verdict::Failure);
        self.holds(decides || note.probe || circuit.is_empty(), "neutral results decide nothing");
        let answered_ms = ended.fault.is_none().then_some(latency_ms);
        self.count(settled.verdict, answered_ms, now);
        match (settled.verdict, ended.retry_after) {
            (Verdict::Held, Some(hint)) => {
                self.hold = Some(Deadline::after(now, hint.clamp(SECOND, 3600 * SECOND)));
            }
            // A pause of up to a minute may be the longer one as the clocks stand now, and take the
            // other's place, even if one of them is put back afterwards.
            (Verdict::Held, None) => self.hold = self.hold.filter(|hold| hold.left(now) > MINUTE),
            _ => {}
        }
        if note.probe || !settled.counted {
            return;
        }
        let hard = ended.fault.as_ref().is_some_and(|ending| ending.fault != Fault::Auth);
        match settled.verdict {
            Verdict::Success => self.run = 0,
            Verdict::Failure if hard => {
                self.run += 1;
                let opens = circuit.iter().any(|change| change.to == State::Open);
                let must = self.run >= 3 && self.overridden.is_none();
                self.holds(opens || !must, "it opens at the third failure");
                self.holds(!opens || self.overridden.is_none(), "an order is stronger");
            }
            _ => {}
        }
    }

    fn count(&mut self, verdict: Verdict, answered_ms: Option<u64>, now: Now) {
        let label = now.wall.0 - now.wall.0 % FINE_MS;
        if self.finished.iter().map(|call| call.label).max() != Some(label) {
            let (kept, fine) = (now.wall.0 - 7_200_000, now.wall.0 - FINE_SPAN_MS);
            self.finished.retain(|call| call.label >= kept);
            for call in self.finished.iter_mut().filter(|call| call.label + COARSE_MS <= fine) {
                call.label -= call.label % COARSE_MS;
            }
        }
        self.finished.push(Finished { label, verdict, answered_ms });
    }

    /// Openings keep their bounds, grow, and only move later.
    pub(super) fn opened(
        &mut self,
        settled: &Settlement,
        before: Option<Duration>,
        model: &ModelState,
        now: Now,
    ) {
        let left = self.left(model, now);
        if let (Some(before), Some(left)) = (before, left) {
            self.holds(left >= before, "a deadline only moves later");
        }
        let Some(change) = settled.changes.circuit.last() else { return };
        let legal = match change.from {
            State::Closed => change.to == State::Open,
            State::Open | State::HalfOpen => change.to != State::HalfOpen,
        };
        self.holds(legal, "only legal transitions");
        if change.to == State::Closed {
            self.seen.closings += 1;
            return;
        }
        self.seen.openings += 1;
        let left = left.unwrap_or_default();
        let stored = model.stored(now).breaker;
        let least = match settled.verdict {
            Verdict::Failure if stored.blocked => 15 * MINUTE,
            Verdict::Failure if change.from == State::Closed => 5 * MINUTE,
            Verdict::Failure => 10 * MINUTE,
            _ => MINUTE / 2,
        };
        self.holds(left >= least && left <= OPEN_MOST, "an opening keeps its bounds");
        let first = change.from == State::Closed && (stored.blocked || stored.openings == 1);
        let paused = change.from == State::HalfOpen && settled.verdict == Verdict::Neutral;
        self.holds(!(first || paused) || left == least, "first openings and pauses are exact");
        self.seen.pauses += u64::from(paused);
        if let Some((_, rest)) = change.reason.split_once(" of ").filter(|_| !paused) {
            let calls: u32 = rest.split_once(' ').unwrap().0.parse().unwrap();
            self.holds(calls >= 10, "the rate is silent below its minimum");
        }
    }

    /// A person gave an order.
    pub(super) fn ordered(&mut self, order: Option<Override>) {
        self.seen.orders += 1;
        self.overridden = order;
        if order.is_some_and(|order| order.set == OverrideState::Closed) {
            self.run = 0;
        }
    }

    /// Changes were logged: each begins where the last one ended, but for what time alone does.
    pub(super) fn changed(&mut self, changes: &Changes, now: Now) {
        if self
            .overridden
            .and_then(|overridden| overridden.until)
            .is_some_and(|until| until.passed(now))
        {
            self.overridden = None;
        }
        for change in &changes.circuit {
            let told = (change.from == State::Closed) == (self.state == State::Closed);
            self.holds(told, "changes follow from each other");
            let by_order = change.reason.starts_with("override");
            if change.to == State::Closed && !by_order {
                self.run = 0;
            }
            if change.reason != "its time is over: one probe is let through" {
                self.era += 1;
            }
            self.state = change.to;
        }
    }

    /// The state is stored: of an order, what is left of it, in whole milliseconds.
    pub(super) fn stored(&mut self, now: Now) {
        if let Some(Override { until: Some(until), .. }) = &mut self.overridden {
            *until = Deadline::after(now, now.wall.plus(until.left(now)).since(now.wall));
        }
    }

    /// A new state was made of what was stored of the old one, at the same wall time.
    pub(super) fn restored(
        &mut self,
        before: Option<Option<Duration>>,
        model: &ModelState,
        now: Now,
    ) {
        self.era += 1;
        (self.hold, self.early_after) = (None, None);
        self.begun.clear();
        if let Some(Override { until: Some(until), .. }) = &mut self.overridden {
            *until = Deadline::after(now, until.wall().since(now.wall));
        }
        let fine = match (before, model.breaker.refusal(Asker::Caller, now)) {
            (_, None) => true,
            (Some(Some(before)), Some(Some(after))) => after <= before,
            (Some(None), Some(None)) => true,
            _ => false,
        };
        let what = format!("nobody waits longer because of a restart: {before:?}");
        self.holds(fine, &what);
    }

    /// The model says of itself what the record says.
    pub(super) fn compare(&self, model: &mut ModelState, now: Now) {
        let circuit = model.circuit(now);
        let closed = circuit.state == State::Closed;
        self.holds(closed == (self.state == State::Closed), "every change is logged");
        self.holds(circuit.overridden == self.overridden, "orders last as long as they say");
        self.holds(circuit.consecutive_failures == self.run, "the run is counted");
        self.holds(model.in_flight() as usize == self.running.len(), "calls in flight");
        let left = self.left(model, now).unwrap_or_default();
        self.holds(left <= OPEN_MOST, "no opening is longer than it may be");
        let (availability, changes) = model.availability(&Needs::default(), now);
        self.holds(changes == Changes::default(), "asking twice changes nothing");
        let judged = availability.judged;
        let degraded = judged.calls() >= 5 && judged.success_rate() < 0.8;
        self.holds(availability.degraded == degraded, "degraded is what the calls say");
        if self.steps.is_multiple_of(16) {
            for window in [600, 3600, 7200] {
                self.recount(model, window * SECOND, judged, now);
            }
        }
    }

    fn recount(&self, model: &ModelState, window: Duration, judged: Judged, now: Now) {
        let total = model.total(window, now);
        let oldest = now.wall.minus(window).0 - FINE_MS;
        let within = |call: &&Finished| call.label > oldest && call.label <= now.wall.0;
        let count = |verdict: Verdict| {
            self.finished.iter().filter(within).filter(|call| call.verdict == verdict).count()
                as u32
        };
        let same = total.success == count(Verdict::Success)
            && total.failure == count(Verdict::Failure)
            && total.neutral == count(Verdict::Neutral)
            && total.held == count(Verdict::Held);
        self.holds(same, "the window equals a naive recount");
        let answered = self.finished.iter().filter(within).filter_map(|call| call.answered_ms);
        let (calls, sum) = answered.fold((0, 0), |(calls, sum), ms| (calls + 1, sum + ms));
        let same = (total.latency.count(), total.latency_sum_ms) == (calls, sum);
        self.holds(same && calls == u64::from(total.success), "latencies are those of answers");
        let whole = total.decided();
        let part = judged.success <= whole.success && judged.failure <= whole.failure;
        self.holds(part, "what is judged is part of what was counted");
    }

    /// The seed met everything that these claims are about.
    pub(super) fn happened(&self) {
        let Seen { openings, closings, early, late, pauses, orders, waits } = self.seen;
        let all = [openings, closings, early, late, pauses, orders, waits];
        self.holds(all.iter().all(|&count| count > 0), &format!("enough happened: {all:?}"));
    }
}
