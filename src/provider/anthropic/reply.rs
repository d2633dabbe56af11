//! Reads an answer of Anthropic's messages.
//!
//! Text blocks are joined; thinking and blocks of kinds not known yet are passed over. The
//! provider counts cached prompt tokens beside the others, this project counts them among them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::assemble::{self, End, Pieces};
use super::super::redact::Secrets;
use super::super::{Failure, Outcome, classify};
use crate::domain::price::Usage;

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

#[derive(Deserialize)]
struct Spent {
    input_tokens: u64,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

/// The answer in a 2xx body.
pub(in super::super) fn answer(bytes: &[u8], secrets: &Secrets) -> Outcome {
    let reply: Reply<'_> = serde_json::from_slice(bytes)
        .map_err(|error| assemble::bad_body(bytes, &assemble::why(&error)))?;
    let usage = reply.usage.and_then(usage);
    if let Some(error) = reply.error {
        return Err(Failure { usage, ..classify::in_success(&error, secrets) });
    }
    let end = end(reply.stop_reason.as_deref());
    let blocks = match (reply.content, end) {
        (Some(blocks), _) => blocks,
        (None, End::Refused) => Vec::new(),
        (None, _) => return Err(assemble::bad_body(bytes, "`content` is missing")),
    };
    let mut pieces = Pieces { text: String::new(), tool_calls: Vec::new(), end, usage };
    blocks.into_iter().for_each(|block| take(&mut pieces, block));
    if pieces.end == End::Refused && pieces.text.is_empty() {
        let explanation =
            reply.stop_details.as_ref().and_then(|details| details.get("explanation"));
        pieces.text = explanation.and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    pieces.finish()
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
            pieces.tool_calls.push(assemble::tool_call(block.id, name, arguments));
        }
        _ => {}
    }
}

fn end(reason: Option<&str>) -> End {
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
    let spent: Spent = serde_json::from_str(raw.get()).ok()?;
    let read = spent.cache_read_input_tokens.unwrap_or(0);
    let written = spent.cache_creation_input_tokens.unwrap_or(0);
    let thinking = spent.output_tokens_details.and_then(|details| details.thinking_tokens);
    Some(Usage {
        input_tokens: spent.input_tokens.saturating_add(read).saturating_add(written),
        output_tokens: spent.output_tokens.unwrap_or(0),
        cached_tokens: read,
        reasoning_tokens: thinking.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests;
