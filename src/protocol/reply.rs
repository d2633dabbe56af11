//! What a chat request is answered with: the answer or the error, and everything that was tried.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::SerializeStruct;

use super::answer::Finish;
use super::chat::ToolCall;
use super::id::Id;
use crate::domain::fault::Fault;
use crate::domain::need::SkipReason;
use crate::domain::price::{Nano, Usage};

/// The final line of a chat request.
pub struct Reply {
    /// The client's id.
    pub id: Id,
    /// The daemon's own name for the request, as in the health log.
    pub request_id: Arc<str>,
    /// The answer or the error.
    pub result: Result<Box<Answered>, ErrorBody>,
    /// Whom the ranking left out, in chain order, then every call in time order.
    pub attempts: Vec<Attempt>,
}

/// The successful part of a reply.
#[derive(schemars::JsonSchema)]
pub struct Answered {
    /// The text.
    pub content: Option<String>,
    /// Tools the model asks for.
    pub tool_calls: Option<Vec<ToolCall>>,
    /// Why the answer ended.
    pub finish_reason: Finish,
    /// Who answered.
    pub model_used: Arc<str>,
    /// Who serves that model.
    pub provider: Arc<str>,
    /// Its name there.
    pub model_id: String,
    /// The chain that was used.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// Models tried and failed before.
    pub fallback_count: u32,
    /// Whether somebody else than the primary answered.
    pub used_fallback: bool,
    /// From the request's arrival to its answer.
    pub latency_ms: u64,
    /// What it consumed; estimated when the provider does not say.
    pub usage: Usage,
    /// What the answering call cost.
    pub cost_usd: Option<Nano>,
    /// What all calls of this request cost.
    pub request_cost_usd: Option<Nano>,
    /// What the primary would have cost for the same tokens.
    pub primary_cost_usd: Option<Nano>,
    /// Whether a part of the costs is an estimate, and so the tokens if it is the answer's.
    pub cost_estimated: bool,
}

/// Why a request got no answer.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct ErrorBody {
    /// The kind, for programs.
    pub code: ErrorCode,
    /// What happened, to what, and what to do; for people.
    pub message: String,
    /// When asking again may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub retry_after_ms: Option<Option<u64>>,
    /// What is wrong with the configuration, as `fallbackd --check` says it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The line is not JSON.
    InvalidJson,
    /// The line is longer than allowed.
    LineTooLong,
    /// A field is missing, unknown or wrong.
    BadRequest,
    /// No such operation.
    UnknownOp,
    /// No such task, and `unknown_task = "reject"`.
    UnknownTask,
    /// No such model.
    UnknownModel,
    /// A provider says that the request can never work.
    InvalidRequest,
    /// Content policy, when a provider rejects the prompt with an error.
    Refused,
    /// No model of the chain takes a prompt this long.
    ContextTooLong,
    /// Nothing in the chain may be called now.
    NoModelAvailable,
    /// Every candidate was tried and failed.
    AllModelsFailed,
    /// The stream broke after text was delivered, and was not to be resumed.
    Interrupted,
    /// The request's deadline passed.
    DeadlineExceeded,
    /// The request was cancelled.
    Cancelled,
    /// The daemon's own limits are reached.
    Overloaded,
    /// Not allowed for this user.
    Forbidden,
    /// The daemon is ending.
    ShuttingDown,
    /// A fault of the daemon itself.
    Internal,
}

/// One model that was tried or left out.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Attempt {
    /// The model.
    pub model: Arc<str>,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<SkipReason>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<Fault>,
    /// HTTP status of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the call took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What the provider said, cut and cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When a skipped model may be asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It gave the answer.
    Answered,
    /// It was called and failed.
    Failed,
    /// It was not called.
    Skipped,
    /// Its call was given up.
    Cancelled,
}

impl ErrorBody {
    /// An error without a hint about time.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ErrorBody {
        ErrorBody { code, message: message.into(), retry_after_ms: None, mistakes: Vec::new() }
    }

    /// An error that says when asking again may help; `None` says that time alone will not.
    pub fn again_after(mut self, millis: Option<u64>) -> ErrorBody {
        self.retry_after_ms = Some(millis);
        self
    }
}

impl ErrorCode {
    /// Its name in replies and in the log.
    pub fn name(self) -> &'static str {
        match self {
            ErrorCode::InvalidJson => "invalid_json",
            ErrorCode::LineTooLong => "line_too_long",
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::UnknownOp => "unknown_op",
            ErrorCode::UnknownTask => "unknown_task",
            ErrorCode::UnknownModel => "unknown_model",
            ErrorCode::InvalidRequest => "invalid_request",
            ErrorCode::Refused => "refused",
            ErrorCode::ContextTooLong => "context_too_long",
            ErrorCode::NoModelAvailable => "no_model_available",
            ErrorCode::AllModelsFailed => "all_models_failed",
            ErrorCode::Interrupted => "interrupted",
            ErrorCode::DeadlineExceeded => "deadline_exceeded",
            ErrorCode::Cancelled => "cancelled",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::ShuttingDown => "shutting_down",
            ErrorCode::Internal => "internal",
        }
    }
}

/// Written by hand because the answer's fields stand beside `id` and `ok`, and a flattening derive
/// would go through a map.
impl Serialize for Reply {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut line = out.serialize_struct("Reply", 20)?;
        line.serialize_field("id", &self.id)?;
        line.serialize_field("ok", &self.result.is_ok())?;
        match &self.result {
            Ok(answered) => answered.fields(&mut line)?,
            Err(error) => line.serialize_field("error", error)?,
        }
        line.serialize_field("request_id", &self.request_id)?;
        line.serialize_field("attempts", &self.attempts)?;
        line.end()
    }
}

impl Answered {
    fn fields<L: SerializeStruct>(&self, line: &mut L) -> Result<(), L::Error> {
        line.serialize_field("content", &self.content)?;
        line.serialize_field("tool_calls", &self.tool_calls)?;
        line.serialize_field("finish_reason", &self.finish_reason)?;
        line.serialize_field("model_used", &self.model_used)?;
        line.serialize_field("provider", &self.provider)?;
        line.serialize_field("model_id", &self.model_id)?;
        line.serialize_field("task", &self.task)?;
        line.serialize_field("primary", &self.primary)?;
        line.serialize_field("fallback_count", &self.fallback_count)?;
        line.serialize_field("used_fallback", &self.used_fallback)?;
        line.serialize_field("latency_ms", &self.latency_ms)?;
        line.serialize_field("usage", &self.usage)?;
        line.serialize_field("cost_usd", &self.cost_usd)?;
        line.serialize_field("request_cost_usd", &self.request_cost_usd)?;
        line.serialize_field("primary_cost_usd", &self.primary_cost_usd)?;
        line.serialize_field("cost_estimated", &self.cost_estimated)
    }
}
