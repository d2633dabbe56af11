//! What `health`, `chains`, `breaker` and `plan` show.
//!
//! Times are RFC 3339 in UTC, durations whole milliseconds, rates 0 to 1.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::fault::Fault;
use crate::domain::ledger::CallKind;
use crate::domain::need::SkipReason;
use crate::domain::price::Nano;

/// One model's health.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct ModelHealth {
    /// Successes among decided calls; 1 when there were none.
    pub success_rate: f64,
    /// Mean latency of answered calls.
    pub avg_latency_ms: Option<f64>,
    /// Median latency of answered calls.
    pub p50_ms: Option<u64>,
    /// 95th percentile of the latency of answered calls.
    pub p95_ms: Option<u64>,
    /// Every call.
    pub total_calls: u64,
    /// Whether it is tried after the healthy ones.
    pub degraded: bool,
    /// Calls under way.
    pub in_flight: u32,
    /// Why it cannot be called at all, if so.
    pub misconfigured: Option<String>,
    /// The last failure.
    pub last_error: Option<LastErrorView>,
    /// Its circuit.
    pub breaker: BreakerView,
    /// End of a pause after a 429.
    pub hold_until: Option<String>,
    /// Whether it may be called: it is configured, not on hold, and its circuit is closed.
    pub ready: bool,
    /// How fresh what is known of it is.
    pub evidence: EvidenceView,
}

/// How fresh what is known of a model is, and through whose calls it is known.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
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
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct LastErrorView {
    /// Its kind.
    pub error_type: Fault,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's code.
    pub code: Option<String>,
    /// When it was.
    pub at: String,
}

/// A circuit.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct BreakerView {
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// Why it is not simply closed.
    pub reason: Option<String>,
    /// Since when.
    pub since: String,
    /// When it may be called again.
    pub retry_at: Option<String>,
    /// The running count of consecutive failures.
    pub consecutive_failures: u32,
    /// An order in force.
    #[serde(rename = "override")]
    pub forced: Option<OverrideView>,
}

/// An order in force.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct OverrideView {
    /// `open` or `closed`.
    pub set: &'static str,
    /// When it ends by itself.
    pub until: Option<String>,
}

/// A task's chain, as configured and as it would be tried now.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct ChainView {
    /// As configured.
    pub configured: Vec<Arc<str>>,
    /// Whom to try, in this order.
    pub order: Vec<PlaceView>,
    /// Whom to leave out.
    pub left_out: Vec<LeftOutView>,
    /// What may be spent on a day before nothing dearer than the primary is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_budget_usd: Option<Nano>,
    /// What was spent today, where there is a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent_today_usd: Option<Nano>,
}

/// A model's place in an order.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct PlaceView {
    /// The model.
    pub model: Arc<str>,
    /// Why it stands there.
    pub reason: String,
}

/// A model left out of an order.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct LeftOutView {
    /// The model.
    pub model: Arc<str>,
    /// Why.
    pub reason: SkipReason,
    /// When that may be different.
    pub retry_in_ms: Option<u64>,
}

/// What a request with `plan` is answered with.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct PlanView {
    /// The chain that would be used.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// Whom would be tried, in this order.
    pub order: Vec<PlaceView>,
    /// Whom would be left out.
    pub left_out: Vec<LeftOutView>,
}

/// What comparisons say about one model's fitness to stand in for another.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct PairView {
    /// The model that answered callers.
    pub model_used: Arc<str>,
    /// The model that got copies of their requests.
    pub backup: Arc<str>,
    /// How many copies.
    pub copies: u64,
    /// Of these, how many gave no answer; they are in none of the numbers below.
    pub failed: u64,
    /// The answers of the callers.
    pub live: SideView,
    /// The answers of the copies.
    pub shadow: SideView,
    /// Share of pairs that ended for the same reason.
    pub same_finish: Option<f64>,
    /// Share of pairs of which both answers were JSON, or neither.
    pub same_json: Option<f64>,
    /// Mean length of the copy's answer by that of the caller's.
    pub length_ratio: Option<f64>,
    /// Mean share of words in common.
    pub similarity: Option<f64>,
}

/// Means over the answers of one side.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct SideView {
    /// Of the latency.
    pub avg_latency_ms: Option<f64>,
    /// Of the tokens of an answer.
    pub avg_output_tokens: Option<f64>,
    /// Of the cost of a call.
    pub avg_cost_usd: Option<f64>,
}

/// All models' health.
pub type HealthView = BTreeMap<Arc<str>, ModelHealth>;

/// All tasks' chains.
pub type ChainsView = BTreeMap<Arc<str>, ChainView>;
