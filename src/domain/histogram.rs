//! A small mergeable histogram of latencies.
//!
//! Each power of two of milliseconds is divided into eight slots, so a percentile read from it is
//! at most one sixteenth (6.25 %) away from a true sample. Only slots in use are held: the calls
//! of ten seconds fall into a handful of them. It forgets the order of samples and their exact
//! values; sums are kept elsewhere.

use serde::{Deserialize, Serialize};

/// Slots per power of two.
const PER_OCTAVE: u64 = 8;

/// Counts of latencies by slot, in ascending order of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Histogram(Vec<(u16, u32)>);

impl Histogram {
    /// Adds one latency in milliseconds.
    pub(crate) fn add(&mut self, millis: u64) {
        self.add_many(slot(millis), 1);
    }

    /// Adds all samples of another histogram.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        for &(slot, count) in &other.0 {
            self.add_many(slot, count);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|&(_, count)| u64::from(count)).sum()
    }

    /// The latency in milliseconds that `share` of the samples (0 to 1) do not exceed; `None`
    /// without samples.
    pub(crate) fn percentile(&self, share: f64) -> Option<u64> {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for &(slot, count) in &self.0 {
            seen += u64::from(count);
            if seen >= wanted {
                return Some(middle(slot));
            }
        }
        None
    }

    fn add_many(&mut self, slot: u16, count: u32) {
        match self.0.binary_search_by_key(&slot, |&(slot, _)| slot) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (slot, count)),
        }
    }
}

/// Values below eight have a slot each; from there on, eight slots per power of two.
fn slot(millis: u64) -> u16 {
    if millis < PER_OCTAVE {
        return millis as u16;
    }
    let octave = u64::from(millis.ilog2()) - 3;
    let within = (millis >> octave) - PER_OCTAVE;
    (PER_OCTAVE + octave * PER_OCTAVE + within) as u16
}

/// The value in the middle of a slot.
fn middle(slot: u16) -> u64 {
    let slot = u64::from(slot);
    if slot < PER_OCTAVE {
        return slot;
    }
    // A slot read from a damaged database may be absurd; 60 octaves is the end of a u64.
    let octave = ((slot - PER_OCTAVE) / PER_OCTAVE).min(60);
    let low = (PER_OCTAVE + (slot - PER_OCTAVE) % PER_OCTAVE) << octave;
    low + (1 << octave) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_percentile_is_within_a_sixteenth_of_a_true_sample(
            mut samples in prop::collection::vec(0u64..4_000_000, 1..200),
            share in 0.0f64..=1.0,
        ) {
            let mut histogram = Histogram::default();
            samples.iter().for_each(|&sample| histogram.add(sample));
            samples.sort_unstable();
            let rank = ((samples.len() as f64 * share).ceil() as usize).max(1);
            let exact = samples[rank - 1] as f64;
            let read = histogram.percentile(share).unwrap() as f64;
            prop_assert!((read - exact).abs() <= exact / 16.0 + 0.5, "{read} for {exact}");
        }

        #[test]
        fn merging_counts_every_sample_once(
            left in prop::collection::vec(any::<u64>(), 0..50),
            right in prop::collection::vec(any::<u64>(), 0..50),
        ) {
            let (mut one, mut two, mut both) = <(Histogram, Histogram, Histogram)>::default();
            left.iter().for_each(|&sample| { one.add(sample); both.add(sample); });
            right.iter().for_each(|&sample| { two.add(sample); both.add(sample); });
            one.merge(&two);
            prop_assert_eq!(one, both);
        }
    }

    #[test]
    fn without_samples_there_is_no_percentile() {
        assert_eq!(Histogram::default().percentile(0.5), None);
    }
}
