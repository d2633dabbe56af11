//! How often may a model's state be lost to a fault of our own before the daemon gives up?
//!
//! One panic costs what it held, and the state is rebuilt from what was stored. A process in which
//! this happens again and again is broken in a way that rebuilding does not mend, so it ends and
//! lets its service manager start it afresh. All models count together: they share their faults.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::Mono;

/// RecentRebuilds within [`WITHIN`] that are put up with; one more is too many.
pub const MOST: usize = 10;
/// The time in which they are counted.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// The rebuilds of the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentRebuilds(VecDeque<Mono>);

impl RecentRebuilds {
    /// Takes note of one more; true when they have become too many.
    pub(crate) fn note(&mut self, now: Mono) -> bool {
        self.0.retain(|&at| now.since(at) < WITHIN);
        self.0.push_back(now);
        self.0.len() > MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn the_eleventh_rebuild_within_a_minute_is_too_many() {
        let mut rebuilds = RecentRebuilds::default();
        for second in 0..MOST as u64 {
            assert!(!rebuilds.note(at(second)));
        }
        assert!(rebuilds.note(at(59)));
    }

    #[test]
    fn ten_rebuilds_a_minute_go_on_for_ever() {
        let mut rebuilds = RecentRebuilds::default();
        for count in 0..10_000 {
            assert!(!rebuilds.note(at(count * 6)), "rebuild {count}");
        }
        assert_eq!(rebuilds.0.len(), MOST, "and only a minute is remembered");
    }
}
