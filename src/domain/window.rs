//! The rolling window of one model's calls, in time buckets.
//!
//! A decaying average would miss a burst and could not be stored and added up again; buckets can.
//! Recent ones are ten seconds wide; beyond an hour (or the configured window, if longer) they are
//! merged to five minutes, so memory depends on the retention, never on the traffic.
//!
//! Health shows every call. *Judgement* (degraded, failure rate) looks only at calls since the
//! model's circuit last closed, so that old failures do not condemn a model that has recovered.
//!
//! Buckets are found by the wall clock, because they outlive the process. After a step back, calls
//! are counted where the clock says; buckets that now lie in the future wait until it gets there.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::ledger::CallKind;
use super::need::Verdict;
use super::time::Wall;

/// Width of a fine bucket, in milliseconds.
pub(crate) const FINE_MS: u64 = 10_000;
/// Width of a coarse bucket, in milliseconds.
pub(crate) const COARSE_MS: u64 = 300_000;
/// Fine buckets are kept at least this long, in milliseconds.
pub(crate) const FINE_SPAN_MS: u64 = 3_600_000;

/// The calls of one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub(crate) success: u32,
    /// Calls whose failure is held against the model.
    pub(crate) failure: u32,
    /// Calls that say nothing about the model.
    pub(crate) neutral: u32,
    /// Calls that were told to wait.
    pub(crate) held: u32,
    /// Of the successes, those the circuit took notice of.
    pub(crate) judged_success: u32,
    /// Of the failures, those the circuit took notice of.
    pub(crate) judged_failure: u32,
    /// Of all decided calls, copies of requests.
    #[serde(default, skip_serializing_if = "none")]
    pub(crate) shadow: u32,
    /// Of all decided calls, probes in the background.
    #[serde(default, skip_serializing_if = "none")]
    pub(crate) probe: u32,
    /// Sum of the latencies of answered calls, in milliseconds.
    pub(crate) latency_sum_ms: u64,
    /// Latencies of answered calls.
    pub(crate) latency: Histogram,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// What it means for the model's health.
    pub verdict: Verdict,
    /// Whether the circuit took notice of it.
    pub counted: bool,
    /// How long an answered call took; `None` for calls without an answer.
    pub answered_ms: Option<u64>,
    /// Why it was made.
    pub kind: CallKind,
}

/// Decided calls, as far as judgement looks at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub success: u64,
    pub failure: u64,
}

/// Where a judging period began: the bucket, and what it had already counted then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JudgedFrom {
    bucket: Wall,
    before: Judged,
}

/// The calls of one model, by time.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    buckets: VecDeque<(Wall, Bucket)>,
    from: JudgedFrom,
    fine_span: Duration,
    retention: Duration,
    /// The last answer to [`Window::judged`]: asked several times per call, changed by one.
    last_judged: Option<(Reach, Judged)>,
}

/// The first and the last ten seconds that a sum may include. All buckets begin at full ten
/// seconds, so between two changes equal reaches have equal sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    after: u64,
    upto: u64,
}

impl Judged {
    /// Number of decided calls.
    pub(crate) fn calls(&self) -> u64 {
        self.success + self.failure
    }

    /// Share of calls that worked, 0 to 1; 1 without calls.
    pub(crate) fn success_rate(&self) -> f64 {
        match self.calls() {
            0 => 1.0,
            calls => self.success as f64 / calls as f64,
        }
    }

    fn minus(self, other: Judged) -> Judged {
        Judged {
            success: self.success.saturating_sub(other.success),
            failure: self.failure.saturating_sub(other.failure),
        }
    }
}

impl Bucket {
    pub(crate) fn calls(&self) -> u64 {
        [self.success, self.failure, self.neutral, self.held].into_iter().map(u64::from).sum()
    }

    /// Adds another bucket's calls to this one's.
    pub(crate) fn merge(&mut self, other: &Bucket) {
        self.success = self.success.saturating_add(other.success);
        self.failure = self.failure.saturating_add(other.failure);
        self.neutral = self.neutral.saturating_add(other.neutral);
        self.held = self.held.saturating_add(other.held);
        self.judged_success = self.judged_success.saturating_add(other.judged_success);
        self.judged_failure = self.judged_failure.saturating_add(other.judged_failure);
        self.shadow = self.shadow.saturating_add(other.shadow);
        self.probe = self.probe.saturating_add(other.probe);
        self.latency_sum_ms = self.latency_sum_ms.saturating_add(other.latency_sum_ms);
        self.latency.merge(&other.latency);
    }

    /// All decided calls, judged or not.
    pub(crate) fn decided(&self) -> Judged {
        Judged { success: self.success.into(), failure: self.failure.into() }
    }

    /// Whose calls are in it, the callers' before copies.
    pub(crate) fn kind(&self) -> CallKind {
        let copies = u64::from(self.shadow) + u64::from(self.probe);
        match self.decided().calls() > copies {
            true => CallKind::Live,
            false if self.shadow > 0 => CallKind::Shadow,
            false => CallKind::Probe,
        }
    }

    fn judged(&self) -> Judged {
        Judged { success: self.judged_success.into(), failure: self.judged_failure.into() }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        let counter = match sample.verdict {
            Verdict::Success => &mut self.success,
            Verdict::Failure => &mut self.failure,
            Verdict::Neutral => &mut self.neutral,
            Verdict::Held => &mut self.held,
        };
        *counter = counter.saturating_add(1);
        match sample.verdict {
            Verdict::Success if sample.counted => {
                self.judged_success = self.judged_success.saturating_add(1);
            }
            Verdict::Failure if sample.counted => {
                self.judged_failure = self.judged_failure.saturating_add(1);
            }
            _ => {}
        }
        let decided = matches!(sample.verdict, Verdict::Success | Verdict::Failure);
        match sample.kind {
            CallKind::Shadow if decided => self.shadow = self.shadow.saturating_add(1),
            CallKind::Probe if decided => self.probe = self.probe.saturating_add(1),
            _ => {}
        }
        if let Some(ms) = sample.answered_ms {
            self.latency_sum_ms = self.latency_sum_ms.saturating_add(ms);
            self.latency.add(ms);
        }
    }
}

impl Window {
    /// An empty window that judges `window` and keeps `retention`.
    pub(crate) fn new(window: Duration, retention: Duration) -> Window {
        let fine_span = window.max(Duration::from_millis(FINE_SPAN_MS));
        Window {
            buckets: VecDeque::new(),
            from: JudgedFrom::default(),
            fine_span,
            retention,
            last_judged: None,
        }
    }

    /// Takes up what was stored: buckets in any order, and where the judging period began.
    pub(crate) fn restore(&mut self, mut buckets: Vec<(Wall, Bucket)>, from: JudgedFrom) {
        buckets.sort_by_key(|&(start, _)| start);
        self.buckets = buckets.into();
        self.from = from;
        self.last_judged = None;
    }

    /// Changes how long buckets stay fine and how long they are kept.
    pub(crate) fn resize(&mut self, window: Duration, retention: Duration) {
        self.fine_span = window.max(Duration::from_millis(FINE_SPAN_MS));
        self.retention = retention;
    }

    /// Counts a call; gives the bucket it went into, as it is now.
    pub(crate) fn record(&mut self, sample: Sample, now: Wall) -> (Wall, &Bucket) {
        self.last_judged = None;
        let start = Wall(now.0 - now.0 % FINE_MS);
        let at = self.place(start, now);
        if start < self.from.bucket {
            self.from = JudgedFrom { bucket: start, before: self.buckets[at].1.judged() };
        }
        let (start, bucket) = &mut self.buckets[at];
        bucket.add(sample);
        (*start, bucket)
    }

    /// Begins a new judging period.
    pub(crate) fn judge_from(&mut self, now: Wall) -> JudgedFrom {
        let bucket = Wall(now.0 - now.0 % FINE_MS);
        let before = self.buckets.iter().rev().find(|(start, _)| *start == bucket);
        let before = before.map(|(_, found)| found.judged()).unwrap_or_default();
        self.from = JudgedFrom { bucket, before };
        self.last_judged = None;
        self.from
    }

    /// Decided calls of the last `window` that belong to the current judging period.
    pub(crate) fn judged(&mut self, window: Duration, now: Wall) -> Judged {
        let reach = Reach { after: oldest(window, now) / FINE_MS, upto: now.0 / FINE_MS };
        if let Some((_, sum)) = self.last_judged.filter(|(last, _)| *last == reach) {
            return sum;
        }
        let sum = self.sum_judged(window, now);
        self.last_judged = Some((reach, sum));
        sum
    }

    fn sum_judged(&self, window: Duration, now: Wall) -> Judged {
        let mut sum = Judged::default();
        for (start, bucket) in self.within(window, now) {
            if *start < self.from.bucket {
                break;
            }
            let before =
                if *start == self.from.bucket { self.from.before } else { Judged::default() };
            let judged = bucket.judged().minus(before);
            sum.success += judged.success;
            sum.failure += judged.failure;
        }
        sum
    }

    /// All calls of the last `window`, merged.
    pub(crate) fn total(&self, window: Duration, now: Wall) -> Bucket {
        let mut total = Bucket::default();
        for (_, bucket) in self.within(window, now) {
            total.merge(bucket);
        }
        total
    }

    /// Whether any call of the last `window` worked.
    pub(crate) fn has_success(&self, window: Duration, now: Wall) -> bool {
        self.within(window, now).any(|(_, bucket)| bucket.success > 0)
    }

    /// Number of buckets held.
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// All that is held, oldest first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = &(Wall, Bucket)> {
        self.buckets.iter()
    }

    /// Buckets that reach into the last `window`, newest first.
    fn within(&self, window: Duration, now: Wall) -> impl Iterator<Item = &(Wall, Bucket)> {
        let oldest = oldest(window, now);
        self.buckets
            .iter()
            .rev()
            .skip_while(move |(start, _)| *start > now)
            .take_while(move |(start, _)| start.0 > oldest)
    }

    /// Where the bucket that starts at `start` is; makes it if needed.
    fn place(&mut self, start: Wall, now: Wall) -> usize {
        let newest = self.buckets.back().map(|&(newest, _)| newest);
        if newest == Some(start) {
            return self.buckets.len() - 1;
        }
        self.tidy(now);
        match self.buckets.binary_search_by_key(&start, |&(start, _)| start) {
            Ok(at) => at,
            Err(at) => {
                self.buckets.insert(at, (start, Bucket::default()));
                at
            }
        }
    }

    /// Forgets what is past retention and merges what has become old. Runs once per new bucket.
    fn tidy(&mut self, now: Wall) {
        let expired = now.minus(self.retention);
        while self.buckets.front().is_some_and(|(start, _)| *start < expired) {
            self.buckets.pop_front();
        }
        let fine_from = now.minus(self.fine_span);
        let old = self.buckets.partition_point(|(start, _)| start.0 + COARSE_MS <= fine_from.0);
        if self.buckets.iter().take(old).all(|(start, _)| start.0 % COARSE_MS == 0) {
            return;
        }
        let mut merged: VecDeque<(Wall, Bucket)> = VecDeque::with_capacity(self.buckets.len());
        for (at, (start, bucket)) in self.buckets.drain(..).enumerate() {
            let start = if at < old { Wall(start.0 - start.0 % COARSE_MS) } else { start };
            match merged.back_mut() {
                Some((last, into)) if *last == start => into.merge(&bucket),
                _ => merged.push_back((start, bucket)),
            }
        }
        self.buckets = merged;
    }
}

fn none(count: &u32) -> bool {
    *count == 0
}

/// Buckets that reach into the last `window` begin later than this.
fn oldest(window: Duration, now: Wall) -> u64 {
    now.minus(window).0.saturating_sub(FINE_MS)
}

#[cfg(test)]
mod tests;
