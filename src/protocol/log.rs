//! What the health log tells: one value per line.
//!
//! Names of models and tasks, numbers, kinds and codes. No field holds a key or a message of a
//! conversation; a provider's own words are kept, masked and cut, only of failures that somebody has
//! to see to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::answer::Finish;
use super::calendar::rfc3339_or_null;
use super::reply::ErrorCode;
use super::request::EventType;
use crate::domain::breaker::{OverrideState, State};
use crate::domain::compare::Agreement;
use crate::domain::fault::Fault;
use crate::domain::ledger::{CallKind, LedgerKey, Paid};
use crate::domain::need::{SkipReason, Verdict};
use crate::domain::price::Nano;
use crate::domain::time::Wall;

mod replay;

pub use replay::{BreakerReplay, CallReplay, Identity};

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A call to a model ended.
    Call(CallEvent),
    /// A request was answered, one way or the other.
    Request(RequestEvent),
    /// A circuit changed its state, or an override was set.
    Breaker(BreakerEvent),
    /// A model became degraded, or recovered.
    Degraded(DegradedEvent),
    /// A task's chain takes another order than before.
    Order(OrderEvent),
    /// The report of a finished week was written.
    Report(ReportEvent),
    /// A copy's answer was compared with the caller's.
    Comparison(ComparisonEvent),
    /// The configuration was read again.
    Config(ConfigEvent),
    /// The daemon has begun to serve.
    Start(StartEvent),
    /// The daemon serves no longer.
    Stop(StopEvent),
    /// The head of a file, or what a later version tells.
    #[serde(other)]
    #[schemars(skip)]
    Other,
}

impl Event {
    /// Its kind, for those who want only some; `None` for what is never told to anybody.
    pub fn kind(&self) -> Option<EventType> {
        Some(match self {
            Event::Call(_) => EventType::Call,
            Event::Request(_) => EventType::Request,
            Event::Breaker(_) => EventType::Breaker,
            Event::Degraded(_) => EventType::Degraded,
            Event::Order(_) => EventType::Order,
            Event::Report(_) => EventType::Report,
            Event::Comparison(_) => EventType::Comparison,
            Event::Config(_) => EventType::Config,
            Event::Start(_) => EventType::Start,
            Event::Stop(_) => EventType::Stop,
            Event::Other => return None,
        })
    }

    /// The request that it is about, if it is about one.
    pub fn request_id(&self) -> Option<&Arc<str>> {
        match self {
            Event::Call(call) => Some(&call.request_id),
            Event::Request(request) => Some(&request.request_id),
            Event::Comparison(comparison) => Some(&comparison.request_id),
            _ => None,
        }
    }
}

/// A line of the health log.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "LogEvent")]
pub struct LogLine {
    /// RFC 3339, UTC, milliseconds; never decreases within a log.
    pub timestamp: String,
    /// What happened, with its own fields.
    #[serde(flatten)]
    pub event: Event,
}

/// What a connection hears that asked for `events`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Watched {
    /// An event of the health log.
    Log {
        /// The line as it stands in the log.
        log: Box<LogLine>,
    },
    /// Events were left out, because their reader was too slow.
    Lost {
        /// Number of events that were left out.
        log_lost: u64,
    },
}

/// A call to a model ended.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CallEvent {
    /// Name of the model that was called.
    pub model_name: Arc<str>,
    /// Whether it gave an answer.
    pub success: bool,
    /// How long it took.
    pub latency_ms: u64,
    /// How long the first content of a streamed answer took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// What kind of failure it was.
    pub error_type: Option<Fault>,
    /// HTTP status of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's code of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the provider said, for failures that somebody has to see to: masked, at most 200
    /// characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it means for the model's health.
    pub verdict: Verdict,
    /// Whether the circuit took notice; false for calls admitted before its last change.
    pub counted: bool,
    /// The request it was made for.
    pub request_id: Arc<str>,
    /// The task of that request.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// Why the call was made.
    pub kind: CallKind,
    /// Tokens of the prompt, as the provider counted.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, as the provider counted.
    pub output_tokens: Option<u64>,
    /// Of the prompt, read from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// What the call cost, in US dollars.
    pub cost_usd: Option<Nano>,
    /// What the primary would have cost for the same tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_cost_usd: Option<Nano>,
    /// Whether tokens and cost are an estimate.
    #[serde(default)]
    pub cost_estimated: bool,
    /// What has to be known to count this call again after a restart.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub replay: CallReplay,
}

impl CallEvent {
    /// Where it stands in the ledger.
    pub fn ledger_key(&self) -> LedgerKey {
        LedgerKey::new(self.replay.bucket, &self.task, &self.primary, &self.model_name)
    }

    /// What the ledger makes of it.
    pub fn paid(&self) -> Paid {
        Paid {
            kind: self.kind,
            answered: self.success,
            verdict: self.verdict,
            input_tokens: self.input_tokens.unwrap_or_default(),
            output_tokens: self.output_tokens.unwrap_or_default(),
            cost: self.cost_usd,
            primary_cost: self.primary_cost_usd,
            estimated: self.cost_estimated,
        }
    }
}

/// A request was answered, one way or the other.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestEvent {
    /// The daemon's own name for the request.
    pub request_id: Arc<str>,
    /// The task that the request named.
    pub task: Arc<str>,
    /// Whether it got an answer.
    pub success: bool,
    /// The error code it got instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorCode>,
    /// First model of the configured chain.
    pub primary: Option<Arc<str>>,
    /// The model whose answer was delivered.
    pub model_used: Option<Arc<str>>,
    /// Whom it was to try, in this order.
    #[serde(default)]
    pub order: Vec<Ranked>,
    /// Whom it did not try, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Models tried and failed before.
    pub fallback_count: u32,
    /// From the request's arrival to its answer.
    pub latency_ms: u64,
    /// How many calls were made for it.
    pub calls: u32,
    /// What all its calls cost.
    pub request_cost_usd: Option<Nano>,
    /// Whether a part of it is an estimate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cost_estimated: bool,
    /// What the primary would have cost for the same tokens.
    pub primary_cost_usd: Option<Nano>,
    /// User id of the client, where known.
    pub peer_uid: Option<u32>,
}

/// A circuit changed its state, or an override was set.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BreakerEvent {
    /// Name of the model whose circuit it is.
    pub model_name: Arc<str>,
    /// State of the circuit before the change.
    #[serde(default)]
    pub from: State,
    /// State of the circuit after the change.
    #[serde(default)]
    pub to: State,
    /// Why it changed, in words.
    #[serde(default)]
    pub reason: String,
    /// When it may be called again.
    #[serde(default, with = "rfc3339_or_null")]
    #[schemars(with = "Option<String>")]
    pub retry_at: Option<Wall>,
    /// Override in force after the change.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<OverrideState>,
    /// Who set the override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_uid: Option<u32>,
    /// What has to be known to bring the circuit back after a restart.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub replay: BreakerReplay,
}

/// A model became degraded, or recovered.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DegradedEvent {
    /// Name of the model it is about.
    pub model_name: Arc<str>,
    /// Whether it is degraded now.
    pub degraded: bool,
    /// Success rate that decided it, 0 to 1.
    pub success_rate: f64,
    /// Decided calls that decided it.
    pub calls: u64,
}

/// A task's chain takes another order than before.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OrderEvent {
    /// The task whose chain it is.
    pub task: Arc<str>,
    /// Models that would be tried, in this order.
    pub order: Vec<Arc<str>>,
    /// Models left out, and why.
    pub left_out: Vec<LeftOut>,
}

/// A model's place in the order of one request.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ranked {
    /// Name of the model in this place.
    pub model: Arc<str>,
    /// Why it stands behind others, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A model left out of an order.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LeftOut {
    /// Name of the model that is left out.
    pub model: Arc<str>,
    /// Why it cannot be called now.
    pub reason: SkipReason,
}

/// The report of a finished week was written.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReportEvent {
    /// The week, such as `2026-W47`.
    pub week: String,
    /// Calls that gave an answer.
    pub calls: u64,
    /// Of these, calls of another model than the primary.
    pub fallback_calls: u64,
    /// Calls that gave none.
    pub failed_calls: u64,
    /// Of these, calls that do not count against a model.
    pub excused_calls: u64,
    /// US dollars paid for calls that answered.
    pub paid_usd: Nano,
    /// What the primaries would have cost.
    pub primary_would_usd: Nano,
    /// Paid minus would-have-paid, in dollars.
    pub difference_usd: f64,
    /// Of all that was paid, how much is an estimate.
    pub estimated_usd: Nano,
    /// How often a circuit was open.
    pub outages: usize,
}

/// A copy's answer was compared with the caller's.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ComparisonEvent {
    /// The daemon's own name for the request.
    pub request_id: Arc<str>,
    /// The task that the request named.
    pub task: Arc<str>,
    /// The model that answered the caller.
    pub model_used: Arc<str>,
    /// The model that got the copy.
    pub backup: Arc<str>,
    /// What the caller's answer took.
    pub live: AnswerFacts,
    /// What the copy's answer took; `None` if there was none.
    pub shadow: Option<AnswerFacts>,
    /// What went wrong with the copy.
    pub error_type: Option<Fault>,
    /// How far the two agree.
    pub agreement: Option<Agreement>,
}

/// An answer without its words.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AnswerFacts {
    /// How long its call took.
    pub latency_ms: u64,
    /// Tokens of the prompt, as the provider counted.
    pub input_tokens: u64,
    /// Tokens of the answer, as the provider counted.
    pub output_tokens: u64,
    /// What the answer cost, in US dollars.
    pub cost_usd: Option<Nano>,
    /// Why the answer ended where it did.
    pub finish_reason: Finish,
}

/// The configuration was read again.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConfigEvent {
    /// Whether it was taken; if not, nothing changed.
    pub success: bool,
    /// Number of mistakes found.
    pub mistakes: usize,
    /// Models that kept their state.
    pub kept: usize,
    /// Models that are new.
    pub added: Vec<Arc<str>>,
    /// Models that are gone.
    pub removed: Vec<Arc<str>>,
}

/// The daemon has begun to serve.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StartEvent {
    /// Version of the program.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Number of models in the configuration.
    pub models: usize,
    /// Models whose state was restored.
    pub restored: usize,
}

/// The daemon serves no longer.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StopEvent {
    /// Why the daemon ended, in words.
    pub reason: String,
    /// Requests that could not be answered in time.
    pub unanswered: usize,
}
