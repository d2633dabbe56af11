//! What time is it? The one place of the program that may ask.
//!
//! A moment is read on two clocks at once (see [`crate::domain::time`]). The monotonic half comes
//! from tokio, so that paused time in tests holds for everything that was given a moment; the wall
//! half comes from the system, or from a source that a test passes in to step it about.
//!
//! Everybody else takes the time as an argument, or a [`Clock`] where moments are needed again and
//! again. It must stay cheap: it is read several times per request.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::domain::time::{Mono, Now, Wall, millis};

/// Reads both clocks; clones agree with each other.
#[derive(Clone)]
pub struct Clock {
    started: Instant,
    wall: Arc<dyn Fn() -> Wall + Send + Sync>,
}

impl Clock {
    /// The clocks of this machine; the monotonic one starts at zero now.
    pub fn system() -> Clock {
        Clock::with_wall(wall)
    }

    /// The machine's monotonic clock beside another source of wall-clock time.
    pub fn with_wall(wall: impl Fn() -> Wall + Send + Sync + 'static) -> Clock {
        Clock { started: Instant::now(), wall: Arc::new(wall) }
    }

    /// This moment on both clocks.
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: (self.wall)() }
    }

    /// This moment on the monotonic clock alone.
    pub fn mono(&self) -> Mono {
        Mono(self.started.elapsed())
    }
}

/// The machine's own monotonic clock, by which other processes can tell this moment too.
pub fn since_boot() -> Duration {
    // Every Linux has this clock; without it nothing would be later than anything.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Clock")
    }
}

/// The time zone of this name; the machine's own without one, or when it does not know it.
pub fn zone(name: Option<&str>) -> TimeZone {
    let Some(name) = name else { return TimeZone::system() };
    TimeZone::get(name).unwrap_or_else(|_| {
        tracing::warn!(
            "costs.timezone: this machine knows no time zone {name:?}; its own is used instead"
        );
        TimeZone::system()
    })
}

/// This moment on the machine's wall clock, for programs too short-lived to hold a [`Clock`].
#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
pub fn wall() -> Wall {
    // A machine whose clock stands before 1970 is taken to be at its start.
    Wall(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_time_moves_the_monotonic_half_alone() {
        let clock = Clock::with_wall(|| Wall(7));
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(300)).await;
        assert_eq!(clock.now().mono.since(before.mono), Duration::from_secs(300));
        assert_eq!(clock.now().wall, Wall(7));
    }

    #[test]
    fn clones_see_the_same_wall_clock() {
        let wall = Arc::new(AtomicU64::new(1));
        let source = Arc::clone(&wall);
        let clock = Clock::with_wall(move || Wall(source.load(Ordering::Relaxed)));
        let clone = clock.clone();
        wall.store(9, Ordering::Relaxed);
        assert_eq!((clock.now().wall, clone.now().wall), (Wall(9), Wall(9)));
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(Clock::system().now().wall > Wall(1_577_836_800_000));
    }
}
