//! Latencies in microseconds, with 32 slots per power of two: within 3 % of the truth.

use std::time::Duration;

/// Slots per power of two, as a power of two.
const BITS: u32 = 5;

/// Counts by slot.
#[derive(Default)]
pub(crate) struct Histogram {
    slots: Vec<u64>,
    count: u64,
    longest: Duration,
}

impl Histogram {
    /// Adds one latency.
    pub(crate) fn add(&mut self, latency: Duration) {
        let slot = slot(latency.as_micros() as u64);
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, 0);
        }
        self.slots[slot] += 1;
        self.count += 1;
        self.longest = self.longest.max(latency);
    }

    /// Number of latencies.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The latency that `share` of all do not exceed; zero without any.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        if share >= 1.0 {
            return self.longest;
        }
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (slot, count) in self.slots.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(lowest(slot)).min(self.longest);
            }
        }
        self.longest
    }
}

fn slot(micros: u64) -> usize {
    let octave = (u64::BITS - micros.leading_zeros()).saturating_sub(BITS + 1);
    ((u64::from(octave) << BITS) + (micros >> octave)) as usize
}

fn lowest(slot: usize) -> u64 {
    let octave = (slot >> BITS).saturating_sub(1);
    ((slot - (octave << BITS)) as u64) << octave
}
