//! The lines that end a request: [`Success`] or [`ErrorReply`].
//!
//! Whoever reads one looks at `ok` first, then takes it for what was asked:
//! `Success<Health>` for `health`, `Success<Chat>` for a chat that was answered, `ErrorReply` for
//! everything that was not. The daemon writes the very same types, field by field as they stand here.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::answer::Finish;
use super::chat::ToolCall;
use super::id::Id;
use super::provider_data::ProviderData;
use crate::domain::fault::Fault;
use crate::domain::need::SkipReason;
use crate::domain::price::{Nano, Usage};

/// A line that says yes: `id` and `ok` first, and beside them what was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Reply")]
pub struct Success<T> {
    /// The id that the client gave its request.
    #[serde(default)]
    pub id: Id,
    /// Always true: the operation was carried out.
    #[schemars(extend("const" = true))]
    pub ok: bool,
    /// What the operation found or did.
    #[serde(flatten)]
    pub found: T,
}

/// A line that says no.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReply {
    /// The client's id; `null` for a line in which none was found.
    #[serde(default)]
    pub id: Id,
    /// Always false: the operation was not carried out.
    #[schemars(extend("const" = false))]
    pub ok: bool,
    /// What went wrong, and what may help.
    pub error: ErrorBody,
    /// Names a chat in the health log; absent for a line that was never taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// What was tried for a chat, as in [`Chat::attempts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Vec<Attempt>>,
}

/// The final line of a chat that was answered, but for its `id` and `ok`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    /// The answer, and who gave it.
    #[serde(flatten)]
    pub answered: Answered,
    /// The daemon's own name for the request, as in the health log.
    pub request_id: Arc<str>,
    /// Whom the ranking left out, in chain order, then every call in time order.
    pub attempts: Vec<Attempt>,
}

/// The final line of a chat.
#[derive(Serialize)]
#[serde(untagged)]
pub enum ChatLine {
    /// A chat that got an answer.
    Answered(Box<Success<Chat>>),
    /// A chat that got none.
    Failed(ErrorReply),
}

/// What became of a chat, before its connection puts the client's id to it.
pub struct Outcome {
    /// The daemon's own name for the request, as in the health log.
    pub request_id: Arc<str>,
    /// The answer or the error.
    pub result: Result<Box<Answered>, ErrorBody>,
    /// Whom was left out and what was tried, as in [`Chat::attempts`].
    pub attempts: Vec<Attempt>,
}

/// The successful part of a reply.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// The text; null when there is none.
    pub content: Option<String>,
    /// Tools the model asks for.
    pub tool_calls: Option<Vec<ToolCall>>,
    /// What the model showed of its thoughts.
    #[serde(default)]
    pub reasoning_content: Option<String>,
    /// What its provider wants back with the answer; opaque.
    #[serde(default)]
    pub provider_data: Option<ProviderData>,
    /// Why the answer ended.
    pub finish_reason: Finish,
    /// Name of the model that answered.
    pub model_used: Arc<str>,
    /// Who serves that model.
    pub provider: Arc<str>,
    /// What its provider calls the model.
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The kind, for programs.
    pub code: ErrorCode,
    /// What happened, to what, and what to do; for people.
    pub message: String,
    /// When asking again may help.
    #[serde(default, skip_serializing_if = "RetryAfter::is_unsaid")]
    #[schemars(with = "Option<u64>")]
    pub retry_after_ms: RetryAfter,
    /// What is wrong with the configuration, as `fallbackd --check` says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ErrorCode {
    /// The line is not JSON.
    InvalidJson,
    /// The line is longer than allowed.
    LineTooLong,
    /// A field is missing, unknown or wrong.
    BadRequest,
    /// There is no operation of this name.
    UnknownOp,
    /// No such task, and `unknown_task = "reject"`.
    UnknownTask,
    /// There is no model of this name.
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
    /// One that a later version knows.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unknown,
}

/// When asking again may help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<u64>", into = "Option<u64>")]
pub enum RetryAfter {
    /// The error says nothing about time; the field is absent.
    #[default]
    Unsaid,
    /// Time alone will not help; `null`.
    Never,
    /// After so many milliseconds.
    Millis(u64),
}

/// One model that was tried or left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Name of the model that was tried or skipped.
    pub model: Arc<str>,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SkipReason>,
    /// What kind of failure it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<Fault>,
    /// HTTP status of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the call took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// What the provider said, cut and cleaned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When a skipped model may be asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
        ErrorBody {
            code,
            message: message.into(),
            retry_after_ms: RetryAfter::Unsaid,
            mistakes: Vec::new(),
        }
    }

    /// A fault of the daemon itself.
    pub fn internal(what: &str) -> ErrorBody {
        let message = format!("{what}; try again, and report it if it happens again");
        ErrorBody::new(ErrorCode::Internal, message)
    }

    /// An error that says when asking again may help; `None` says that time alone will not.
    pub fn again_after(mut self, millis: Option<u64>) -> ErrorBody {
        self.retry_after_ms = millis.into();
        self
    }
}

impl ErrorCode {
    /// Its name in replies and in the log.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl AttemptOutcome {
    /// Its name in replies.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl RetryAfter {
    fn is_unsaid(&self) -> bool {
        *self == RetryAfter::Unsaid
    }

    /// The wait, where time helps.
    pub fn millis(self) -> Option<u64> {
        match self {
            RetryAfter::Millis(millis) => Some(millis),
            RetryAfter::Unsaid | RetryAfter::Never => None,
        }
    }
}

impl From<Option<u64>> for RetryAfter {
    fn from(millis: Option<u64>) -> RetryAfter {
        millis.map_or(RetryAfter::Never, RetryAfter::Millis)
    }
}

impl From<RetryAfter> for Option<u64> {
    fn from(again: RetryAfter) -> Option<u64> {
        again.millis()
    }
}

impl Outcome {
    /// Reads the final line of a chat.
    ///
    /// # Errors
    /// When it is no such line.
    pub fn read(line: serde_json::Value) -> serde_json::Result<Outcome> {
        if line.get("ok") == Some(&serde_json::Value::Bool(true)) {
            let Chat { answered, request_id, attempts } = Success::<Chat>::deserialize(line)?.found;
            return Ok(Outcome { request_id, result: Ok(Box::new(answered)), attempts });
        }
        let ErrorReply { error, request_id, attempts, .. } = ErrorReply::deserialize(line)?;
        let (request_id, attempts) = (request_id.unwrap_or_default(), attempts.unwrap_or_default());
        Ok(Outcome { request_id, result: Err(error), attempts })
    }

    /// The line that says so to the request of this id.
    pub fn line(self, id: Id) -> ChatLine {
        let Outcome { request_id, result, attempts } = self;
        match result {
            Ok(answered) => {
                let chat = Chat { answered: *answered, request_id, attempts };
                ChatLine::Answered(Box::new(Success::new(id, chat)))
            }
            Err(error) => ChatLine::Failed(ErrorReply {
                request_id: Some(request_id),
                attempts: Some(attempts),
                ..ErrorReply::new(id, error)
            }),
        }
    }
}

impl<T> Success<T> {
    /// The reply to the request of this id.
    pub fn new(id: Id, found: T) -> Success<T> {
        Success { id, ok: true, found }
    }
}

impl ErrorReply {
    /// The refusal of a request that was never taken up.
    pub fn new(id: Id, error: ErrorBody) -> ErrorReply {
        ErrorReply { id, ok: false, error, request_id: None, attempts: None }
    }
}
