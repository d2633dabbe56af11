//! What of a model's state is shown to people. Looking changes nothing.

use std::time::Duration;

use super::{Evidence, LastError, ModelState, Settings};
use crate::domain::breaker::Status;
use crate::domain::time::{Deadline, Now};
use crate::domain::window::Bucket;

impl ModelState {
    /// The circuit, for people.
    pub(crate) fn circuit(&self, now: Now) -> Status {
        self.breaker.status(now)
    }

    pub(crate) fn total(&self, window: Duration, now: Now) -> Bucket {
        self.window.total(window, now.wall)
    }

    pub(crate) fn degraded(&self) -> bool {
        self.degraded
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn last_error(&self) -> Option<&LastError> {
        self.last_error.as_ref()
    }

    pub(crate) fn hold_until(&self, now: Now) -> Option<Deadline> {
        self.hold.until(now)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When it was last found working, and by whose call.
    pub(crate) fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}
