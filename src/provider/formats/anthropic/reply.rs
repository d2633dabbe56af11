//! Reads an answer of Anthropic's messages.
//!
//! Text blocks are joined, thinking is kept as it is for the next turn, and blocks of kinds not known
//! yet are passed over. The
//! provider counts cached prompt tokens beside the others, this project counts them among them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::stream::{Block, block_begins};
use crate::domain::price::Usage;
use crate::provider::Failure;
use crate::provider::pieces::{self, End, Gathered};

#[derive(Deserialize)]
struct Reply<'a> {
    content: Option<Vec<Block>>,
    stop_reason: Option<String>,
    stop_details: Option<Value>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<Value>,
}

/// What was spent, as far as it is said.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct Spent {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Details {
    thinking_tokens: Option<u64>,
}

/// Takes a whole answer.
pub(super) fn answer(bytes: &[u8], into: &mut Gathered) -> Result<(), Failure> {
    let reply: Reply<'_> = into.read(bytes)?;
    let spent = reply.usage.and_then(Spent::read);
    into.usage = spent.and_then(|spent| spent.usage()).or(into.usage);
    if let Some(error) = reply.error {
        return Err(into.failed(&error));
    }
    let end = end(reply.stop_reason.as_deref().unwrap_or_default());
    if reply.content.is_none() && end != End::Refused {
        return Err(pieces::bad_body(bytes, "`content` is missing"));
    }
    let mut blocks = reply.content.unwrap_or_default().into_iter();
    blocks.try_for_each(|block| block_begins(into.calls(), block, into))?;
    into.finish = Some(end);
    explain(end, reply.stop_details.as_ref(), into)
}

/// Says why an answer without text was refused, as far as that is told.
pub(super) fn explain(
    end: End,
    details: Option<&Value>,
    into: &mut Gathered,
) -> Result<(), Failure> {
    let text = details.and_then(|details| details.get("explanation")).and_then(Value::as_str);
    match text.filter(|_| end == End::Refused && into.is_silent()) {
        Some(text) => into.say(text),
        None => Ok(()),
    }
}

pub(super) fn end(reason: &str) -> End {
    match reason {
        "pause_turn" | "compaction" => End::Length,
        other => End::of(other),
    }
}

impl Spent {
    /// Numbers that cannot be read are unknown, not zero.
    pub(super) fn read(raw: &RawValue) -> Option<Spent> {
        serde_json::from_str(raw.get()).ok()
    }

    /// In a stream, numbers are repeated as they grow, and those that stay may be left out.
    pub(super) fn grow(&mut self, newer: &Spent) {
        *self = Spent {
            input_tokens: self.input_tokens.max(newer.input_tokens),
            output_tokens: self.output_tokens.max(newer.output_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .max(newer.cache_creation_input_tokens),
            cache_read_input_tokens: self
                .cache_read_input_tokens
                .max(newer.cache_read_input_tokens),
            output_tokens_details: self.output_tokens_details.max(newer.output_tokens_details),
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
