//! What a request needs of a model, and why a model may be left out of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::price::Nano;

/// What one request asks of whichever model serves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// It offers tools, or its messages carry tool calls.
    pub(crate) tools: bool,
    pub(crate) images: bool,
    /// It asks for an answer that follows a JSON schema.
    pub(crate) json_schema: bool,
    /// Its last message is the assistant's, to be continued.
    pub(crate) prefill: bool,
    /// Length of the request line in bytes.
    pub(crate) bytes: usize,
    /// Largest number of tokens the answer may have; `None` for as many as its model gives.
    pub(crate) max_tokens: Option<u32>,
    /// Most that one call may be estimated to cost.
    pub(crate) max_cost: Option<Nano>,
    /// Most that one call may be estimated to cost if its model gave the longest answer, whatever
    /// the model's own limit.
    pub(crate) dearest: Option<Nano>,
}

impl Needs {
    /// Whether the prompt is certainly longer than a context window of so many tokens: a token has
    /// no more than six bytes on average. Nothing exceeds a window that is not known.
    pub(crate) fn exceeds(&self, window: Option<u64>) -> bool {
        window.is_some_and(|window| (self.bytes / 6) as u64 > window)
    }
}

/// What a model is known to be able to do; unknown counts as able.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    pub(crate) tools: bool,
    pub(crate) images: bool,
    /// Takes a JSON schema for its answer.
    pub(crate) json_schema: bool,
    /// Takes sampling parameters such as the temperature.
    pub(crate) temperature: bool,
    /// Continues a last message by the assistant.
    pub(crate) prefill: bool,
    /// Thinks before it answers, so that the first content may take long.
    pub(crate) reasoning: bool,
}

impl Default for Abilities {
    fn default() -> Abilities {
        Abilities {
            tools: true,
            images: true,
            json_schema: true,
            temperature: true,
            prefill: false,
            reasoning: false,
        }
    }
}

/// Why a model was not called.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SkipReason {
    /// Its circuit is open, forced open, or its one probe is under way.
    CircuitOpen,
    /// It is on hold after a 429, or at its per-minute limits.
    RateLimited,
    /// It cannot serve this request.
    Incapable,
    /// It is at its `max_in_flight`.
    Busy,
    /// Its key or address is missing.
    Misconfigured,
    /// Its estimated cost is above a ceiling.
    TooDear,
    /// The deadline leaves no time for it.
    NoTime,
}

impl SkipReason {
    /// Its name in replies and in the log.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// A refusal to call a model, with the time after which asking again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub reason: SkipReason,
    /// How long until it may be different; `None` when time alone changes nothing.
    pub retry_in: Option<Duration>,
}

impl Skip {
    /// A refusal that time alone does not lift.
    pub(crate) fn new(reason: SkipReason) -> Skip {
        Skip { reason, retry_in: None }
    }
}

/// What a finished call means for its model's health.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// It worked: an answer came, or what proves the model alive.
    Success,
    /// It failed, and that is held against the model.
    Failure,
    /// It says nothing about the model.
    #[default]
    Neutral,
    /// It was told to wait.
    Held,
}

impl Verdict {
    /// Its name in the log.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}
