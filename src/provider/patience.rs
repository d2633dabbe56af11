//! When a call is given up: its limits as moments, and what it means when one passes.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use crate::domain::fault::Fault;
use crate::domain::pace::Limits;

/// How long usage and the end marker are waited for once the answer is finished. They come in the
/// same packet or the next one; a server that then keeps quiet has already given its answer.
pub(super) const TAIL_TIME: Duration = Duration::from_secs(1);

/// Stands for "never" where a limit is too long to be added to a moment.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// When a call is given up, counted from its start.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    started: Instant,
    limits: Limits,
}

/// A moment, and what it means when it passes.
#[derive(Clone, Copy)]
pub(super) struct Until {
    at: Instant,
    fault: Fault,
    limit: Duration,
}

impl Pace {
    pub(super) fn start(limits: Limits) -> Pace {
        Pace { started: Instant::now(), limits }
    }

    /// The first content of a stream.
    pub(super) fn first(&self) -> Until {
        self.at_most(self.started, self.limits.first, Fault::FirstTokenTimeout)
    }

    /// The end of an answer that is not streamed.
    pub(super) fn complete(&self) -> Until {
        self.at_most(self.started, self.limits.complete, Fault::Timeout)
    }

    /// More content, from now.
    pub(super) fn more(&self) -> Until {
        self.at_most(Instant::now(), self.limits.idle, Fault::StreamStalled)
    }

    /// What may follow a finished answer, from now.
    pub(super) fn tail(&self) -> Until {
        self.at_most(Instant::now(), self.limits.idle.min(TAIL_TIME), Fault::StreamStalled)
    }

    pub(super) fn whole(&self) -> Until {
        let limit = self.limits.whole;
        Until { at: after(self.started, limit), fault: Fault::Timeout, limit }
    }

    /// A passed deadline is nobody's slowness, so it wins when both moments are the same.
    fn at_most(&self, from: Instant, limit: Duration, fault: Fault) -> Until {
        let whole = self.whole();
        let own = Until { at: after(from, limit), fault, limit };
        if own.at < whole.at { own } else { whole }
    }
}

impl Until {
    /// Waits for something at `host` until then.
    pub(super) async fn wait<F: Future>(self, host: &str, what: F) -> Result<F::Output, Failure> {
        tokio::time::timeout_at(self.at, what).await.map_err(|_| self.passed(host))
    }

    /// An error if it has passed already.
    pub(super) fn check(self, host: &str) -> Result<(), Failure> {
        if Instant::now() < self.at { Ok(()) } else { Err(self.passed(host)) }
    }

    fn passed(self, host: &str) -> Failure {
        let limit = humantime::format_duration(self.limit);
        let what = match self.fault {
            Fault::FirstTokenTimeout => format!("no content from {host} within {limit}"),
            Fault::StreamStalled => format!("no more content from {host} for {limit}"),
            _ => format!("no complete answer from {host} within {limit}"),
        };
        Failure::new(self.fault, what)
    }
}

fn after(from: Instant, limit: Duration) -> Instant {
    from.checked_add(limit).unwrap_or(from + FAR)
}
