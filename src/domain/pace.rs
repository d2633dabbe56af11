//! How long an attempt may take, and how long to wait before the next one.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub base: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// The wait before repeat number `nth` (0 is the first): doubling, at most `cap`, less up to a
    /// quarter by `chance` (0 to 1).
    pub(crate) fn wait(&self, nth: u32, chance: f64) -> Duration {
        let full = self.base.saturating_mul(1 << nth.min(20)).min(self.cap);
        full.mul_f64(1.0 - 0.25 * chance.clamp(0.0, 1.0))
    }
}

/// How long an attempt may take to its first content: its own limit, what is left of the deadline,
/// and a share kept for the models behind it. The share is 60 % of what is left, but at least a
/// second, except that it never exceeds half when less than two seconds are left.
pub(crate) fn attempt_limit(own: Duration, left: Duration, others_behind: bool) -> Duration {
    let share = match others_behind {
        false => left,
        true if left < 2 * SECOND => left / 2,
        true => left.mul_f64(0.6).max(SECOND),
    };
    own.min(share)
}

/// Time limits of one call. The smallest that applies ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the first content of a streamed answer.
    pub(crate) first: Duration,
    /// Between two pieces of content of a streamed answer.
    pub(crate) idle: Duration,
    /// Until an answer that is not streamed is complete.
    pub(crate) complete: Duration,
    /// Over everything: what is left of the request's deadline.
    pub(crate) whole: Duration,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_share_keeps_time_for_the_models_behind() {
        let limit =
            |left_ms| attempt_limit(60 * SECOND, Duration::from_millis(left_ms), true).as_millis();
        assert_eq!(limit(10_000), 6_000);
        assert_eq!(limit(2_000), 1_200);
        assert_eq!(limit(1_500), 750);
        assert_eq!(limit(300_000), 60_000);
        assert_eq!(attempt_limit(60 * SECOND, 10 * SECOND, false), 10 * SECOND);
    }

    proptest! {
        #[test]
        fn backoff_stays_within_its_bounds(nth in 0u32..1000, chance in 0.0f64..=1.0) {
            let backoff =
                Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(8) };
            let full = Duration::from_millis(500 << nth.min(4)).min(backoff.cap);
            let wait = backoff.wait(nth, chance);
            prop_assert!(wait <= full && wait >= full.mul_f64(0.749), "{wait:?} of {full:?}");
        }
    }
}
