//! Moments and deadlines, as plain numbers.
//!
//! Linux stops the monotonic clock while a machine sleeps, and the wall clock can be stepped in
//! either direction. So a moment carries both, and a deadline counts as passed when *either*
//! clock has passed it: a sleeping laptop wakes up to circuits that may be tried again, and a
//! step backwards keeps nobody waiting longer than the monotonic clock allows.
//!
//! Nothing here reads a clock; callers pass [`Now`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time on the monotonic clock since an arbitrary start of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub Duration);

/// Milliseconds of wall-clock time since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Wall(pub u64);

/// One moment, seen on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub(crate) mono: Mono,
    pub(crate) wall: Wall,
}

/// A point in the future after which something is allowed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    mono: Mono,
    wall: Wall,
}

impl Mono {
    /// The moment `wait` later.
    pub(crate) fn plus(self, wait: Duration) -> Mono {
        Mono(self.0.saturating_add(wait))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub(crate) fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Wall {
    /// The moment `wait` later.
    pub(crate) fn plus(self, wait: Duration) -> Wall {
        Wall(self.0.saturating_add(millis(wait)))
    }

    /// The moment `wait` earlier, not before 1970.
    pub(crate) fn minus(self, wait: Duration) -> Wall {
        Wall(self.0.saturating_sub(millis(wait)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub(crate) fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Now {
    /// The moment `wait` later on both clocks.
    pub fn plus(self, wait: Duration) -> Now {
        Now { mono: self.mono.plus(wait), wall: self.wall.plus(wait) }
    }
}

impl Deadline {
    /// The point `wait` after `now`.
    pub(crate) fn after(now: Now, wait: Duration) -> Deadline {
        Deadline { mono: now.mono.plus(wait), wall: now.wall.plus(wait) }
    }

    /// A stored deadline, taken up again after a restart: never later than `longest` from now,
    /// whatever the wall clock did in between.
    pub(crate) fn restored(until: Wall, now: Now, longest: Duration) -> Deadline {
        Deadline::after(now, until.since(now.wall).min(longest))
    }

    /// Whether either clock has reached it.
    pub(crate) fn passed(&self, now: Now) -> bool {
        now.mono >= self.mono || now.wall >= self.wall
    }

    /// What is left of it; zero once passed.
    pub(crate) fn left(&self, now: Now) -> Duration {
        self.mono.since(now.mono).min(self.wall.since(now.wall))
    }

    /// The later of two deadlines, as seen from `now`.
    pub(crate) fn later(self, other: Deadline, now: Now) -> Deadline {
        if other.left(now) > self.left(now) { other } else { self }
    }

    /// Its place on the wall clock, for people and for storage.
    pub(crate) fn wall(&self) -> Wall {
        self.wall
    }
}

/// Whole milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_s: u64, wall_s: u64) -> Now {
        Now { mono: Mono(Duration::from_secs(mono_s)), wall: Wall(wall_s * 1000) }
    }

    #[test]
    fn a_deadline_has_passed_when_either_clock_says_so() {
        let deadline = Deadline::after(at(10, 1000), Duration::from_secs(60));
        assert!(!deadline.passed(at(69, 1059)));
        assert!(deadline.passed(at(70, 900)), "the wall clock stepped back");
        assert!(deadline.passed(at(11, 1060)), "the machine slept");
    }

    #[test]
    fn a_restored_deadline_is_never_longer_than_the_legal_time() {
        let now = at(0, 1000);
        let far = Deadline::restored(Wall(9_000_000), now, Duration::from_secs(300));
        assert_eq!(far.left(now), Duration::from_secs(300));
        let near = Deadline::restored(Wall(1_010_000), now, Duration::from_secs(300));
        assert_eq!(near.left(now), Duration::from_secs(10));
        assert!(Deadline::restored(Wall(5), now, Duration::from_secs(300)).passed(now));
    }
}
