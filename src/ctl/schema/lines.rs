//! The lines that the daemon sends, by shape.
//!
//! Most of them are put together where they are sent, from values that have their own types; these
//! structures say what stands beside what. They describe and are never made. That they tell the
//! truth is checked on everything that the tests receive.
#![expect(dead_code, reason = "they are read by nobody but the derive that makes schemas of them")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::domain::fault::Fault;
use crate::protocol::chat::ToolCall;
use crate::protocol::costs::CostsView;
use crate::protocol::id::Id;
use crate::protocol::log::Event;
use crate::protocol::reload::Renewal;
use crate::protocol::reply::{Answered, Attempt, ErrorBody};
use crate::protocol::status::RecorderStatus;
use crate::protocol::view::{BreakerView, ChainView, ModelHealth, PairView, PlanView};

/// What the daemon sends: replies, events of streams, and what watchers are told.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Line {
    Chat(ChatReply),
    Plan(PlanReply),
    Failed(ErrorReply),
    Ping(PingReply),
    Health(HealthReply),
    Chains(ChainsReply),
    Why(WhyReply),
    Costs(CostsReply),
    Breaker(BreakerReply),
    Reload(ReloadReply),
    Cancel(CancelReply),
    Events(EventsReply),
    Start(StreamStart),
    Delta(StreamDelta),
    ToolCall(StreamToolCall),
    Restart(StreamRestart),
    Log(LogLine),
    Lost(LogLost),
}

/// The answer to a chat.
#[derive(JsonSchema)]
pub(super) struct ChatReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    #[schemars(flatten)]
    answered: Answered,
    /// Names this request in the health log.
    request_id: String,
    /// First the models that were left out, then every call in order of time.
    attempts: Vec<Attempt>,
}

/// The answer to a chat with `plan`.
#[derive(JsonSchema)]
pub(super) struct PlanReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    request_id: String,
    #[schemars(flatten)]
    plan: PlanView,
}

/// An error; a line that was never taken up has no trail.
#[derive(JsonSchema)]
pub(super) struct ErrorReply {
    id: Id,
    #[schemars(extend("const" = false))]
    ok: bool,
    error: ErrorBody,
    #[schemars(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<Attempt>>,
}

/// The answer to `ping`.
#[derive(JsonSchema)]
pub(super) struct PingReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    version: String,
    protocol: u32,
    uptime_ms: u64,
    pid: u32,
}

/// The answer to `health`.
#[derive(JsonSchema)]
pub(super) struct HealthReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    window_ms: Option<u64>,
    models: BTreeMap<String, ModelHealth>,
    recorder: RecorderStatus,
}

/// The answer to `chains`.
#[derive(JsonSchema)]
pub(super) struct ChainsReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    chains: BTreeMap<String, ChainView>,
}

/// The answer to `why`: lines of the health log.
#[derive(JsonSchema)]
pub(super) struct WhyReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    request: LogEvent,
    calls: Vec<LogEvent>,
}

/// The answer to `costs`.
#[derive(JsonSchema)]
pub(super) struct CostsReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    #[schemars(flatten)]
    costs: CostsView,
    /// With `shadow` in the request: one per model and backup that was compared with it.
    comparisons: Option<Vec<PairView>>,
}

/// The answer to `breaker`.
#[derive(JsonSchema)]
pub(super) struct BreakerReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    model: String,
    breaker: BreakerView,
}

/// The answer to `reload`.
#[derive(JsonSchema)]
pub(super) struct ReloadReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    models: Renewal,
    needs_restart: Vec<String>,
    warnings: Vec<String>,
}

/// The answer to `cancel`.
#[derive(JsonSchema)]
pub(super) struct CancelReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
    cancelled: bool,
}

/// The answer to `events`.
#[derive(JsonSchema)]
pub(super) struct EventsReply {
    id: Id,
    #[schemars(extend("const" = true))]
    ok: bool,
}

/// A stream begins.
#[derive(JsonSchema)]
pub(super) struct StreamStart {
    id: Id,
    #[schemars(extend("const" = "start"))]
    event: String,
    model_used: String,
}

/// More text of a stream.
#[derive(JsonSchema)]
pub(super) struct StreamDelta {
    id: Id,
    #[schemars(extend("const" = "delta"))]
    event: String,
    content: String,
}

/// A complete tool call.
#[derive(JsonSchema)]
pub(super) struct StreamToolCall {
    id: Id,
    #[schemars(extend("const" = "tool_call"))]
    event: String,
    tool_call: ToolCall,
}

/// Forget the text so far.
#[derive(JsonSchema)]
pub(super) struct StreamRestart {
    id: Id,
    #[schemars(extend("const" = "restart"))]
    event: String,
    model_used: String,
    reason: Fault,
}

/// An event of the health log, for those who watch it.
#[derive(JsonSchema)]
pub(super) struct LogLine {
    log: LogEvent,
}

/// So many events were lost, because their reader was too slow.
#[derive(JsonSchema)]
pub(super) struct LogLost {
    log_lost: u64,
}

/// A line of the health log.
#[derive(JsonSchema)]
pub(super) struct LogEvent {
    /// RFC 3339, UTC, milliseconds.
    timestamp: String,
    #[schemars(flatten)]
    event: Event,
}
