//! What `health` and `breaker` answer: how models and the recorder are doing.
//!
//! Times are RFC 3339 in UTC, durations whole milliseconds, rates 0 to 1.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::status::RecorderStatus;
use crate::domain::breaker::{OverrideState, State};
use crate::domain::fault::Fault;
use crate::domain::ledger::CallKind;

/// The answer to `health`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// How far back it looks; `null` where every model's own window was used.
    pub window_ms: Option<u64>,
    /// All models by name.
    pub models: BTreeMap<Arc<str>, ModelHealth>,
    /// The health log and the database.
    pub recorder: RecorderStatus,
}

/// The answer to `breaker`: the circuit under the new order.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Breaker")]
pub struct BreakerOrdered {
    /// The model whose circuit it is.
    pub model: String,
    /// How it stands now.
    pub breaker: BreakerView,
}

/// How one model has done in the window.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelHealth {
    /// Successes among decided calls; 1 when there were none.
    pub success_rate: f64,
    /// Mean latency of answered calls.
    pub avg_latency_ms: Option<f64>,
    /// Median latency of answered calls.
    pub p50_ms: Option<u64>,
    /// 95th percentile of the latency of answered calls.
    pub p95_ms: Option<u64>,
    /// Every call in the window, decided or not.
    pub total_calls: u64,
    /// Whether it is tried after the healthy ones.
    pub degraded: bool,
    /// Calls that have not ended yet.
    pub in_flight: u32,
    /// Why it cannot be called at all, if so.
    pub misconfigured: Option<String>,
    /// The last failure, however long ago.
    pub last_error: Option<LastErrorView>,
    /// Its circuit, as it stands now.
    pub breaker: BreakerView,
    /// End of a pause after a 429.
    pub hold_until: Option<String>,
    /// Whether it may be called: it is configured, not on hold, and its circuit is closed.
    pub ready: bool,
    /// How fresh what is known of it is.
    pub evidence: EvidenceView,
    /// What it was seen to refuse of the daemon's own additions, which are left out since.
    #[serde(default)]
    pub learned: Vec<String>,
}

/// How fresh what is known of a model is, and through whose calls it is known.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EvidenceView {
    /// When it last worked; to within ten seconds after a restart.
    pub proven_at: Option<String>,
    /// How long ago that was.
    pub proven_ago_ms: Option<u64>,
    /// For whom it did: `live`, `hedge`, `shadow` or `probe`.
    pub proven_by: Option<CallKind>,
    /// Calls for callers that were decided either way.
    pub live: u64,
    /// Copies of requests that were decided either way.
    pub shadow: u64,
    /// Probes in the background that were decided either way.
    pub probe: u64,
}

/// The last failure of a model.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastErrorView {
    /// What kind of failure it was.
    pub error_type: Fault,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's own code for it.
    pub code: Option<String>,
    /// When it happened, RFC 3339.
    pub at: String,
}

/// A model's circuit as it stands now.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BreakerView {
    /// Whether calls pass through the circuit.
    pub state: State,
    /// Why it is not simply closed.
    pub reason: Option<String>,
    /// Since when it has this state, RFC 3339.
    pub since: String,
    /// When it may be called again.
    pub retry_at: Option<String>,
    /// The running count of consecutive failures.
    pub consecutive_failures: u32,
    /// The override in force, if there is one.
    #[serde(rename = "override")]
    pub overridden: Option<OverrideView>,
}

/// A circuit's state as a person set it.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OverrideView {
    /// The state that was ordered.
    pub set: OverrideState,
    /// When it ends by itself.
    pub until: Option<String>,
}
