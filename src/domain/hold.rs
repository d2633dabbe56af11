//! Holds after a 429: a model that asked for a pause gets it, from every caller.
//!
//! A hold is not a failure. It never opens the circuit; it only says until when nobody asks.

use std::time::Duration;

use super::time::{Deadline, Now};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
const UNHINTED: Duration = Duration::from_secs(2);
const UNHINTED_LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    until: Option<Deadline>,
    unhinted: u32,
}

impl Hold {
    /// Takes note of a 429. A hint is kept within 1 s and 1 h; without one the pause is 2 s,
    /// doubling to 60 s. A later, shorter pause never shortens a running one. Calls that were
    /// already under way when a pause began are told the same thing, so they do not double it.
    pub(crate) fn begin(&mut self, hint: Option<Duration>, now: Now) {
        let wait = match hint {
            Some(hint) => hint.clamp(SHORTEST, LONGEST),
            None => {
                if self.left(now).is_none() || self.unhinted == 0 {
                    self.unhinted = self.unhinted.saturating_add(1);
                }
                let doubled = UNHINTED.saturating_mul(1 << (self.unhinted - 1).min(5));
                doubled.min(UNHINTED_LONGEST)
            }
        };
        let until = Deadline::after(now, wait);
        self.until = Some(self.until.map_or(until, |running| running.later(until, now)));
    }

    /// Takes note of an answer: the next pause without a hint is short again.
    pub(crate) fn answered(&mut self) {
        self.unhinted = 0;
    }

    /// What is left of the pause, if it still runs.
    pub(crate) fn left(&self, now: Now) -> Option<Duration> {
        self.until.map(|until| until.left(now)).filter(|left| !left.is_zero())
    }

    /// When a running pause ends.
    pub(crate) fn until(&self, now: Now) -> Option<Deadline> {
        self.until.filter(|until| !until.passed(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Now {
        Now::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_hint_is_honoured_to_the_tick_and_kept_within_bounds() {
        let mut hold = Hold::default();
        hold.begin(Some(Duration::from_millis(1500)), after(0));
        assert_eq!(hold.left(after(1)), Some(Duration::from_millis(500)));
        assert_eq!(hold.left(after(2)), None);
        hold.begin(Some(Duration::from_millis(1)), after(10));
        assert_eq!(hold.left(after(10)), Some(SHORTEST));
        hold.begin(Some(Duration::from_secs(90_000)), after(20));
        assert_eq!(hold.left(after(20)), Some(LONGEST));
    }

    #[test]
    fn a_shorter_hint_never_shortens_a_running_hold() {
        let mut hold = Hold::default();
        hold.begin(Some(Duration::from_secs(60)), after(0));
        hold.begin(Some(Duration::from_secs(2)), after(1));
        assert_eq!(hold.left(after(1)), Some(Duration::from_secs(59)));
    }

    #[test]
    fn without_a_hint_the_pause_doubles_to_a_minute_until_an_answer_comes() {
        let mut hold = Hold::default();
        let mut now = after(0);
        for expected in [2, 4, 8, 16, 32, 60, 60] {
            hold.begin(None, now);
            assert_eq!(hold.left(now), Some(Duration::from_secs(expected)));
            now = now.plus(Duration::from_secs(expected));
        }
        hold.answered();
        hold.begin(None, now);
        assert_eq!(hold.left(now), Some(Duration::from_secs(2)));
    }

    #[test]
    fn calls_refused_together_without_a_hint_make_one_pause() {
        let mut hold = Hold::default();
        for _ in 0..40 {
            hold.begin(None, after(0));
        }
        assert_eq!(hold.left(after(0)), Some(Duration::from_secs(2)));
        hold.begin(None, after(2));
        assert_eq!(hold.left(after(2)), Some(Duration::from_secs(4)));
    }
}
