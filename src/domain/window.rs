//! The rolling window of one model's calls, in time buckets.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// Width of a fine bucket, in milliseconds.
pub const FINE_MS: u64 = 10_000;
/// Width of a coarse bucket, in milliseconds.
pub const COARSE_MS: u64 = 300_000;

/// The calls of one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Calls that worked.
    pub success: u32,
    /// Calls whose failure is held against the model.
    pub failure: u32,
    /// Calls that say nothing about the model.
    pub neutral: u32,
    /// Calls that were told to wait.
    pub held: u32,
    /// Of the successes, those the circuit took notice of.
    pub judged_success: u32,
    /// Of the failures, those the circuit took notice of.
    pub judged_failure: u32,
    /// Sum of the latencies of answered calls, in milliseconds.
    pub latency_sum_ms: u64,
    /// Latencies of answered calls.
    pub latency: Histogram,
}
