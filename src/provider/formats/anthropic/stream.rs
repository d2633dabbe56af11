//! Reads one event of a stream of Anthropic's messages.
//!
//! Kinds of events, blocks and deltas that are not known yet are passed over: the provider
//! reserves the right to add some. An answer is finished with its `stop_reason`, and nothing of it follows
//! `message_stop`, which some gateways leave away. What was spent is said at the start and again,
//! grown, at the end.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::reply::{answer, end, explain};
use crate::provider::errors::falsy;
use crate::provider::formats::ReadEvents;
use crate::provider::framing::RawEvent;
use crate::provider::pieces::{AnswerEnd, Gathered};
use crate::provider::thoughts;
use crate::provider::tool_calls::Fragment;
use crate::provider::usage::Spent;
use crate::provider::{Failure, finish, loose};

/// What must be remembered between two events.
#[derive(Default)]
pub(super) struct MessageProgress {
    spent: Spent,
    end: Option<AnswerEnd>,
}

#[derive(Deserialize)]
struct MessageEvent<'a> {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default, deserialize_with = "loose::index")]
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<Start<'a>>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Start<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A block of content: its beginning, or in a whole answer all of it.
#[derive(Default, Deserialize)]
pub(super) struct Block {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    name: Option<String>,
    input: Option<Box<RawValue>>,
}

impl Block {
    /// A block of text.
    pub(super) fn text(text: String) -> Block {
        Block { kind: "text".to_owned(), text: Some(text), ..Block::default() }
    }
}

#[derive(Deserialize)]
struct Delta {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    #[serde(default, deserialize_with = "loose::json")]
    partial_json: Option<String>,
    #[serde(default, deserialize_with = "finish::word")]
    stop_reason: Option<String>,
    stop_details: Option<Value>,
}

impl ReadEvents for MessageProgress {
    fn take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        if event.bare {
            return answer(event.data, into);
        }
        let item: MessageEvent<'_> = into.read(event.data)?;
        let begun = item.message.and_then(|start| start.usage);
        for raw in begun.into_iter().chain(item.usage) {
            self.spent.grow(&Spent::read(raw).unwrap_or_default());
            into.usage = self.spent.usage();
        }
        let called_error = item.kind == "error" || event.name == b"error";
        let error = match item.error {
            None if called_error => serde_json::from_slice(event.data).ok(),
            error => error,
        };
        if let Some(error) = error {
            return Err(into.failed(&error));
        }
        let index = item.index.unwrap_or_default();
        match (item.kind.as_str(), item.content_block, item.delta) {
            ("content_block_start", Some(block), _) => block_begins(index, block, into),
            ("content_block_delta", _, Some(delta)) => block_grows(index, &delta, into),
            ("message_delta", _, Some(delta)) => self.message_ends(&delta, into),
            ("message_stop", ..) => {
                into.finish = Some(self.end.unwrap_or(AnswerEnd::Unknown));
                into.over = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl MessageProgress {
    fn message_ends(&mut self, delta: &Delta, into: &mut Gathered) -> Result<(), Failure> {
        if let Some(reason) = &delta.stop_reason {
            self.end = Some(end(reason));
            into.finish = self.end;
        }
        explain(self.end.unwrap_or(AnswerEnd::Unknown), delta.stop_details.as_ref(), into)
    }
}

pub(super) fn block_begins(index: u64, block: Block, into: &mut Gathered) -> Result<(), Failure> {
    match block.kind.as_str() {
        "text" => into.say(&block.text.unwrap_or_default()),
        "thinking" => {
            let text = block.thinking.unwrap_or_default();
            into.think(&text)?;
            let signature = block.signature.unwrap_or_default();
            let fields = [("type", block.kind), ("thinking", text), ("signature", signature)];
            begin(index, fields.into_iter(), into)
        }
        "redacted_thinking" => {
            into.live();
            let fields = [("type", block.kind), ("data", block.data.unwrap_or_default())];
            begin(index, fields.into_iter(), into)
        }
        "tool_use" => {
            let input = block.input.as_deref().map(RawValue::get);
            into.call(Fragment {
                key: Some(index),
                id: &block.id.unwrap_or_default(),
                name: &block.name.unwrap_or_default(),
                whole: input.filter(|input| *input != "null").map(str::to_owned),
                ..Fragment::default()
            })
        }
        _ => Ok(()),
    }
}

/// Keeps a block that must come back as it is.
fn begin(
    index: u64,
    fields: impl Iterator<Item = (&'static str, String)>,
    into: &mut Gathered,
) -> Result<(), Failure> {
    let fields = fields.map(|(name, text)| (name.to_owned(), Value::from(text))).collect();
    into.keep(thoughts::size(&fields))?.begin(Some(index), fields);
    Ok(())
}

fn grow(index: u64, name: &str, text: &str, into: &mut Gathered) -> Result<(), Failure> {
    let piece = Map::from_iter([(name.to_owned(), Value::from(text))]);
    into.keep(text.len())?.grow(Some(index), piece);
    Ok(())
}

fn block_grows(index: u64, delta: &Delta, into: &mut Gathered) -> Result<(), Failure> {
    match (delta.kind.as_str(), &delta.text, &delta.thinking, &delta.partial_json) {
        ("text_delta", Some(text), ..) => into.say(text)?,
        ("thinking_delta", _, Some(text), _) => {
            into.think(text)?;
            grow(index, "thinking", text, into)?;
        }
        ("signature_delta", ..) => {
            into.live();
            grow(index, "signature", delta.signature.as_deref().unwrap_or_default(), into)?;
        }
        ("input_json_delta", .., Some(json)) if into.has_call(index) => {
            into.call(Fragment { key: Some(index), arguments: json, ..Fragment::default() })?;
        }
        // The input of a tool that runs at the provider's.
        ("input_json_delta", .., Some(json)) if !json.is_empty() => into.live(),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
