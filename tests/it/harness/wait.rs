//! Waiting for conditions, and saying that a test could not be run.
//!
//! The one limit is far above what a slow and busy machine needs, so reaching it means that the
//! condition will never hold. Nothing here waits for a fixed time.

use std::io::Write;
use std::time::Duration;

use fallbackd::clock::Clock;
use fallbackd::sim::Background;

/// Time after which a condition counts as never coming true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(10);

/// Looks again and again until there is something to see.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(LOOK);
    }
}

/// How long something takes.
pub(crate) struct Stopwatch(Clock);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Clock::system())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.mono().0
    }
}

/// Waits until so many calls have arrived at a provider since its start.
pub(crate) fn wait_calls(sim: &Background, calls: u64) {
    let wait = sim.block_on(async { tokio::time::timeout(PATIENCE, sim.wait_calls(calls)).await });
    assert!(wait.is_ok(), "{calls} calls did not arrive, only {:?}", sim.counts());
}

/// Waits until a provider has seen so many callers hang up before their answer.
pub(crate) fn wait_cancelled(sim: &Background, calls: u64) {
    let wait = async { tokio::time::timeout(PATIENCE, sim.wait_cancelled(calls)).await };
    assert!(sim.block_on(wait).is_ok(), "{calls} calls not cancelled, only {:?}", sim.counts());
}

/// Says past the test runner's capture that a test was not run, and why.
pub(crate) fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
