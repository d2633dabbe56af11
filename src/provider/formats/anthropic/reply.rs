//! Reads an answer of Anthropic's messages.
//!
//! Text blocks are joined; thinking and blocks of kinds not known yet are passed over. The
//! provider counts cached prompt tokens beside the others, this project counts them among them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::price::Usage;
use crate::provider::errors::classify;
use crate::provider::errors::redact::Secrets;
use crate::provider::pieces::{self, End, Pieces};
use crate::provider::{Failure, Outcome};

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    content: Option<Vec<Block>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_details: Option<Value>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    input: Option<Box<RawValue>>,
}

/// What was spent, as far as it is said.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct Spent {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Details {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

/// The answer in a 2xx body.
pub(super) fn answer(bytes: &[u8], secrets: &Secrets) -> Outcome {
    let reply: Reply<'_> = serde_json::from_slice(bytes)
        .map_err(|error| pieces::bad_body(bytes, &pieces::why(&error)))?;
    let usage = reply.usage.and_then(usage);
    if let Some(error) = reply.error {
        return Err(Failure { usage, ..classify::in_success(&error, secrets) });
    }
    let end = end(reply.stop_reason.as_deref());
    let blocks = match (reply.content, end) {
        (Some(blocks), _) => blocks,
        (None, End::Refused) => Vec::new(),
        (None, _) => return Err(pieces::bad_body(bytes, "`content` is missing")),
    };
    let mut pieces = Pieces { text: String::new(), tool_calls: Vec::new(), end, usage };
    blocks.into_iter().for_each(|block| take(&mut pieces, block));
    if pieces.end == End::Refused && pieces.text.is_empty() {
        pieces.text = explanation(reply.stop_details.as_ref()).to_owned();
    }
    pieces.finish()
}

/// Why it was refused; empty when nothing is said.
pub(super) fn explanation(details: Option<&Value>) -> &str {
    let text = details.and_then(|details| details.get("explanation"));
    text.and_then(Value::as_str).unwrap_or_default()
}

fn take(pieces: &mut Pieces, block: Block) {
    match block.kind.as_str() {
        "text" if pieces.text.is_empty() => pieces.text = block.text.unwrap_or_default(),
        "text" => pieces.text.push_str(block.text.as_deref().unwrap_or_default()),
        "tool_use" => {
            let arguments = match block.input {
                Some(input) if input.get() != "null" => input.get().to_owned(),
                _ => "{}".to_owned(),
            };
            let name = block.name.unwrap_or_default();
            pieces.tool_calls.push(pieces::tool_call(block.id, name, arguments));
        }
        _ => {}
    }
}

pub(super) fn end(reason: Option<&str>) -> End {
    match reason {
        Some("end_turn" | "stop_sequence" | "tool_use") => End::Done,
        Some("max_tokens" | "model_context_window_exceeded" | "pause_turn" | "compaction") => {
            End::Length
        }
        Some("refusal") => End::Refused,
        _ => End::Unknown,
    }
}

/// Numbers that cannot be read are unknown, not zero.
fn usage(raw: &RawValue) -> Option<Usage> {
    Spent::read(raw)?.usage()
}

impl Spent {
    pub(super) fn read(raw: &RawValue) -> Option<Spent> {
        serde_json::from_str(raw.get()).ok()
    }

    /// In a stream, numbers are repeated as they grow, and those that stay may be left out.
    pub(super) fn grow(&mut self, newer: &Spent) {
        let thinking = |spent: &Spent| spent.output_tokens_details?.thinking_tokens;
        *self = Spent {
            input_tokens: self.input_tokens.max(newer.input_tokens),
            output_tokens: self.output_tokens.max(newer.output_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .max(newer.cache_creation_input_tokens),
            cache_read_input_tokens: self
                .cache_read_input_tokens
                .max(newer.cache_read_input_tokens),
            output_tokens_details: Some(Details {
                thinking_tokens: thinking(self).max(thinking(newer)),
            }),
        };
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let read = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        let thinking = self.output_tokens_details.and_then(|details| details.thinking_tokens);
        Usage {
            input_tokens: self.input_tokens?.saturating_add(read).saturating_add(written),
            output_tokens: self.output_tokens.unwrap_or(0),
            cached_tokens: read,
            reasoning_tokens: thinking.unwrap_or(0),
        }
        .believed()
    }
}

#[cfg(test)]
mod tests;
