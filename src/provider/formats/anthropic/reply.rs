//! Reads an answer of Anthropic's messages.
//!
//! Text blocks are joined, thinking is kept as it is for the next turn, and blocks of kinds not known
//! yet are passed over. The
//! provider counts cached prompt tokens beside the others, this project counts them among them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::stream::{Block, block_begins};
use crate::provider::errors::falsy;
use crate::provider::pieces::{self, AnswerEnd, Gathered};
use crate::provider::{Failure, finish, usage};

#[derive(Deserialize)]
struct MessageReply<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "finish::word")]
    stop_reason: Option<String>,
    stop_details: Option<Value>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
}

/// Takes a whole answer.
pub(super) fn answer(bytes: &[u8], into: &mut Gathered) -> Result<(), Failure> {
    let reply: MessageReply<'_> = into.read(bytes)?;
    into.usage = reply.usage.and_then(usage::read).or(into.usage);
    if let Some(error) = reply.error {
        return Err(into.failed(&error));
    }
    let end = end(reply.stop_reason.as_deref().unwrap_or_default());
    if reply.content.is_none() && end != AnswerEnd::Refused {
        return Err(pieces::bad_body(bytes, "`content` is missing"));
    }
    let blocks = reply.content.map_or(Ok(Vec::new()), |content| blocks(content, into))?;
    blocks.into_iter().try_for_each(|block| block_begins(into.calls(), block, into))?;
    into.finish = Some(end);
    explain(end, reply.stop_details.as_ref(), into)
}

/// The blocks of the content, which a few gateways give as a text or as one block.
fn blocks(content: &RawValue, into: &Gathered) -> Result<Vec<Block>, Failure> {
    let json = content.get().as_bytes();
    match json.first() {
        Some(b'"') => Ok(vec![Block::text(into.read(json)?)]),
        Some(b'{') => Ok(vec![into.read(json)?]),
        _ => into.read(json),
    }
}

/// Says why an answer without text was refused, as far as that is told.
pub(super) fn explain(
    end: AnswerEnd,
    details: Option<&Value>,
    into: &mut Gathered,
) -> Result<(), Failure> {
    let text = details.and_then(|details| details.get("explanation")).and_then(Value::as_str);
    match text.filter(|_| end == AnswerEnd::Refused && into.is_silent()) {
        Some(text) => into.say(text),
        None => Ok(()),
    }
}

pub(super) fn end(reason: &str) -> AnswerEnd {
    AnswerEnd::of(reason)
}

#[cfg(test)]
mod tests;
