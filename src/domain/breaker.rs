//! The circuit breaker of one model.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Wall;

/// When a circuit opens and how it closes again.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Consecutive failures that open it; 0 switches this rule off.
    pub failures: u32,
    /// Length of the first opening.
    pub open_for: Duration,
    /// Longest opening; re-openings double up to it.
    pub open_for_max: Duration,
    /// Length of an opening for a reason that needs a person.
    pub blocked_for: Duration,
    /// Share of failures that opens it, 0 to 1; 0 switches this rule off.
    pub failure_rate: f64,
    /// Decided calls below which the share says nothing.
    pub rate_min_calls: u32,
    /// Least time between early probes when every circuit is open.
    pub probe_every: Duration,
}

/// What of a breaker survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Whether it was open (half-open counts as open).
    pub open: bool,
    /// Why it was open.
    pub reason: String,
    /// Whether that reason needs a person.
    pub blocked: bool,
    /// When its state began.
    pub since: Wall,
    /// When it may be probed.
    pub until: Wall,
    /// How many openings in a row had no healthy window between them.
    pub openings: u32,
}
