//! The clocks of a short-lived command: now on the wall, and a stopwatch.
//!
//! Only `run` functions of verbs call these; everything that renders takes the moment as an
//! argument, so that tests need no clock.

use std::time::{Duration, SystemTime};

use crate::domain::time::{Wall, millis};

/// Now, for "again in 4 s" and for timing a round trip.
#[expect(clippy::disallowed_methods, reason = "the one place of this command that reads a clock")]
pub(super) fn wall() -> Wall {
    Wall(millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()))
}

/// How long `work` took.
#[expect(clippy::disallowed_methods, reason = "the one place of this command that reads a clock")]
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}
