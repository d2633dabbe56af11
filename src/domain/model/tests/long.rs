//! A hundred thousand hours of one model, in a few seconds: callers, outages, rate limits, orders,
//! reloads, restarts, lost states, clocks that are stepped both ways, and years of silence.
//!
//! After every step the model is compared with a naive record of the same events. The seeds are
//! fixed, so that a failure names the seed and the step and comes again. A seed that has ever
//! failed is added to `SEEDS` and stays there.

mod record;

use record::{Record, Running};

use super::*;
use crate::domain::breaker::{OverrideState, State};
use crate::domain::time::Deadline;

const SEEDS: [u64; 8] = [1, 2, 3, 4, 5, 6, 102, 112];
/// What all seeds together must live through. Silences of weeks are not part of it.
const HOURS: u64 = 100_000;
/// The longest lease, and the longest that a model may be open, on hold, or forced for a while.
const LONGEST: Duration = Duration::from_secs(60 + 3600);
const HOUR_MS: u64 = 3_600_000;

/// SplitMix64: the same numbers for a seed, whatever becomes of any library.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn millis(&mut self, longest: u64) -> Duration {
        Duration::from_millis(self.below(longest + 1))
    }
}

fn limited() -> Settings {
    let per_minute = PerMinute { requests: Some(20), tokens: None };
    Settings { per_minute, retention: 7200 * SECOND, ..settings() }
}

/// A model and all that surrounds it.
struct World {
    dice: Dice,
    now: Now,
    model: ModelState,
    record: Record,
    /// How likely a call fails at present: outages last.
    mood: f64,
    lived_ms: u64,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            dice: Dice(seed),
            now: start(),
            model: ModelState::new(limited(), start()),
            record: Record::new(seed),
            mood: 0.1,
            lived_ms: 0,
        }
    }

    fn step(&mut self) {
        match self.dice.below(1000) {
            0..330 => self.wait(),
            330..610 => self.admit(),
            610..960 => self.settle(),
            960..975 => self.mood = [0.0, 0.1, 0.5, 1.0][self.dice.below(4) as usize],
            975..983 => self.set_override(),
            983..988 => self.reload(),
            988..991 => self.restart(),
            991..993 => self.lose_the_state(),
            _ => self.live_on(),
        }
        self.record.steps += 1;
        let (_, changes) = self.model.availability(&Needs::default(), self.now);
        self.record.changed(&changes, self.now);
        self.record.compare(&mut self.model, self.now);
    }

    /// Both clocks go on; now and then one is stepped, stands still, or nobody calls for weeks.
    fn wait(&mut self) {
        let waited = match self.dice.below(500) {
            0 => Duration::from_millis((1 << 32) + self.dice.below(1 << 32)),
            1..30 => self.dice.millis(12 * HOUR_MS),
            30..100 => self.dice.millis(HOUR_MS / 2),
            _ => self.dice.millis(20_000),
        };
        if waited < Duration::from_millis(1 << 32) {
            self.lived_ms += waited.as_millis() as u64;
        }
        let before = self.now;
        self.now = self.now.plus(waited);
        match self.dice.below(200) {
            // The machine slept: Linux stops one of the clocks.
            0 => self.now.mono = before.mono,
            1 => self.now.wall = self.now.wall.plus(self.dice.millis(2 * HOUR_MS)),
            2 => self.now.wall = self.now.wall.minus(self.dice.millis(2 * HOUR_MS)),
            3 if self.dice.one_in(10) => {
                self.now.wall = self.now.wall.minus(self.dice.millis(1 << 33));
            }
            _ => {}
        }
    }

    fn admit(&mut self) {
        let early = self.dice.one_in(4);
        let lease = self.dice.millis(60_000);
        let state = self.model.circuit(self.now).state;
        let blocked = self.model.stored(self.now).breaker.blocked;
        let by = if early { Asker::Nearest } else { Asker::Caller };
        let ask = Ask { lease, by };
        let (admitted, changes) = self.model.admit(&Needs::default(), ask, self.now);
        match admitted {
            Ok(admission) => {
                self.record.admitted(admission, (state, blocked), lease, self.now);
                let legal =
                    |change: &Change| (change.from, change.to) == (State::Open, State::HalfOpen);
                self.record.holds(changes.circuit.iter().all(legal), "admission only half-opens");
            }
            Err(skip) => {
                self.record.holds(changes.circuit.is_empty(), "a refusal changes nothing");
                self.record.refused(skip, &self.model, self.now);
            }
        }
        self.record.changed(&changes, self.now);
    }

    fn settle(&mut self) {
        if self.record.running.is_empty() {
            return;
        }
        let which = self.dice.below(self.record.running.len() as u64) as usize;
        let running = self.record.running.swap_remove(which);
        let ended = self.ended();
        let latency_ms = self.dice.below(60_000);
        let left = self.record.left(&self.model, self.now);
        let Running { admission, note } = running;
        let settled = self.model.settle(admission, &ended, latency_ms, self.now);
        self.record.settled(&note, &ended, latency_ms, &settled, self.now);
        self.record.opened(&settled, left, &self.model, self.now);
        self.record.changed(&settled.changes, self.now);
    }

    fn ended(&mut self) -> Ended {
        let faults = [
            Fault::Overloaded,
            Fault::ServerError,
            Fault::Timeout,
            Fault::Connect,
            Fault::RateLimited,
            Fault::RateLimited,
            Fault::InvalidRequest,
            Fault::Cancelled,
            Fault::NoNetwork,
            Fault::Auth,
        ];
        // The last one seldom: it needs a person.
        let kinds = faults.len() as u64 - u64::from(!self.dice.one_in(8));
        let fails = self.dice.share() < self.mood;
        let fault = fails.then(|| faults[self.dice.below(kinds) as usize]);
        let hint = self.dice.one_in(2).then(|| self.dice.millis(2 * HOUR_MS));
        let mut ended = ended(fault);
        if let Some(ending) = &mut ended.fault {
            ending.excused = self.dice.one_in(20);
        }
        Ended { retry_after: hint, chance: self.dice.share(), ..ended }
    }

    fn set_override(&mut self) {
        let until =
            self.dice.one_in(2).then(|| Deadline::after(self.now, self.dice.millis(HOUR_MS)));
        let set = [None, None, Some(OverrideState::Open), Some(OverrideState::Closed)]
            [self.dice.below(4) as usize];
        let order = set.map(|set| Override { set, until });
        let change = self.model.set_override(order, self.now);
        self.record.ordered(order);
        let circuit = vec![change];
        self.record.changed(&Changes { circuit, degraded: None }, self.now);
    }

    fn reload(&mut self) {
        let cured = self.dice.one_in(2);
        let changes = self.model.reconfigure(limited(), cured, self.now);
        self.record.changed(&changes, self.now);
    }

    /// The process ends and another one starts: another monotonic clock, and a wall clock that may
    /// have been put right meanwhile.
    fn restart(&mut self) {
        let stored = self.model.stored(self.now);
        let text = serde_json::to_string(&stored).unwrap();
        let stored: StoredModel = serde_json::from_str(&text).unwrap();
        let buckets = self.model.window.buckets().cloned().collect();
        let before = self.model.breaker.refusal(Asker::Caller, self.now);
        self.record.stored(self.now);
        self.now.mono = Mono(self.dice.millis(1000));
        let mut model = ModelState::new(limited(), self.now);
        model.restore(Some(&stored), buckets, self.now);
        self.record.restored(before, &model, self.now);
        self.record.running.clear();
        self.model = model;
        if self.dice.one_in(2) {
            self.wait();
        }
    }

    /// A panic half-way: the state is made anew, and the calls under way outlive it.
    fn lose_the_state(&mut self) {
        let before = self.model.breaker.refusal(Asker::Caller, self.now);
        let running = self.record.running.len() as u32;
        self.record.stored(self.now);
        self.model = Kept::of(&self.model, self.now).rebuilt(running, self.now);
        self.record.restored(before, &self.model, self.now);
        for call in &mut self.record.running {
            *call = Running::stale();
        }
    }

    /// From here somebody is admitted again, once time has gone on and no order without end stands.
    fn live_on(&mut self) {
        let mut later = self.model.clone();
        if self.record.overridden.is_some_and(|overridden| overridden.until.is_none()) {
            later.set_override(None, self.now);
        }
        let (admitted, _) = later.admit(&Needs::default(), ASK, self.now.plus(LONGEST));
        self.record.holds(admitted.is_ok(), "somebody is admitted again");
    }

    fn end(mut self) -> u64 {
        while !self.record.running.is_empty() {
            self.settle();
        }
        self.record.holds(self.model.in_flight() == 0, "all places are given back");
        self.record.happened();
        self.lived_ms / HOUR_MS
    }
}

#[test]
fn a_hundred_thousand_hours_agree_with_a_naive_record() {
    let mut hours = 0;
    for seed in SEEDS {
        let mut world = World::new(seed);
        while world.lived_ms < HOURS / SEEDS.len() as u64 * HOUR_MS {
            world.step();
        }
        hours += world.end();
    }
    assert!(hours >= HOURS, "{hours} hours");
}
