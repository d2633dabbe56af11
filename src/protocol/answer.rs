//! A model's complete answer, the same whichever provider gave it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::ToolCall;
use crate::domain::accept::Accept;
use crate::domain::price::Usage;

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model was done.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model asks for tools to be called.
    ToolCalls,
    /// The content was refused or blocked.
    Refused,
}

/// A complete answer. It has no `Debug`: its text must not reach a log.
pub struct Answer {
    /// The text; `None` when there is none beside tool calls or a refusal.
    pub content: Option<String>,
    /// Tools the model asks for.
    pub tool_calls: Vec<ToolCall>,
    /// What the model showed of its thoughts.
    pub(crate) reasoning_content: Option<String>,
    /// What its provider wants back with the answer.
    pub(crate) provider_data: Option<Map<String, Value>>,
    pub(crate) finish: Finish,
    /// What it consumed, where the provider says so.
    pub usage: Option<Usage>,
}

impl Answer {
    /// Why it is not accepted, if so. A refusal is an answer of another kind and is not judged.
    pub fn objection(&self, accept: &Accept) -> Option<String> {
        let text = self.content.as_deref().unwrap_or_default();
        let judged = self.finish != Finish::Refused;
        judged.then(|| accept.objection(text, !self.tool_calls.is_empty())).flatten()
    }

    /// How long its text and the arguments of its tool calls are together.
    pub fn bytes(&self) -> usize {
        let text = self.content.as_ref().map_or(0, String::len);
        let calls = self.tool_calls.iter();
        text + calls.map(|call| call.function.arguments.len()).sum::<usize>()
    }
}
