//! What `chains` and a chat with `plan` answer: who would be asked, in which order, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::need::SkipReason;
use crate::domain::price::Nano;

/// The answer to `chains`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Chains {
    /// All tasks by name.
    pub chains: BTreeMap<Arc<str>, ChainView>,
}

/// A task's chain, as configured and as it would be tried now.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChainView {
    /// Its models by name, as configured.
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
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlaceView {
    /// The model's name in the configuration.
    pub model: Arc<str>,
    /// Why it stands there.
    pub reason: String,
}

/// A model left out of an order.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LeftOutView {
    /// The model's name in the configuration.
    pub model: Arc<str>,
    /// Why nobody would ask it now.
    pub reason: SkipReason,
    /// When that may be different.
    pub retry_in_ms: Option<u64>,
}

/// What a request with `plan` is answered with.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Plan")]
pub struct PlanView {
    /// The daemon's own name for the request.
    pub request_id: Arc<str>,
    /// The chain that would be used.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// Whom would be tried, in this order.
    pub order: Vec<PlaceView>,
    /// Whom would be left out.
    pub left_out: Vec<LeftOutView>,
}
