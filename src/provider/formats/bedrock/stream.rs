//! Reads one event of a stream of Bedrock's Converse.
//!
//! The frame names the event, so that the data have no type. The finish comes with `messageStop`,
//! and what was spent behind it, in the last event. Exceptions have frames of their own kind.
//! Events and deltas that are not known yet are passed over.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::reply::{self, HeardCall};
use crate::provider::formats::ReadEvents;
use crate::provider::framing::RawEvent;
use crate::provider::pieces::Gathered;
use crate::provider::tool_calls::Fragment;
use crate::provider::{Failure, finish, usage};

/// Nothing must be remembered between two events.
pub(super) struct ConverseEvents;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventData<'a> {
    #[serde(default)]
    content_block_index: u64,
    start: Option<BlockStart>,
    delta: Option<BlockDelta>,
    #[serde(default, deserialize_with = "finish::word")]
    stop_reason: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStart {
    tool_use: Option<HeardCall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta {
    text: Option<String>,
    tool_use: Option<MoreInput>,
    reasoning_content: Option<MoreThought>,
}

#[derive(Deserialize)]
struct MoreInput {
    #[serde(default)]
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MoreThought {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

impl ReadEvents for ConverseEvents {
    fn take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        if event.bare {
            return reply::answer(event.data, into);
        }
        if event.failed {
            return Err(into.failed(&exception(event)));
        }
        match event.name {
            b"contentBlockStart" | b"contentBlockDelta" | b"messageStop" | b"metadata" => {}
            _ => return Ok(()),
        }
        let data: EventData<'_> = into.read(event.data)?;
        if let Some(usage) = data.usage.and_then(usage::read) {
            into.usage = Some(usage);
        }
        match event.name {
            b"messageStop" => {
                into.finish = Some(reply::end(data.stop_reason.as_deref().unwrap_or_default()));
            }
            // Nothing follows it, where it came in its place.
            b"metadata" => into.over = into.finish.is_some(),
            _ => {
                let index = data.content_block_index;
                data.start.map_or(Ok(()), |start| begins(index, start, into))?;
                data.delta.map_or(Ok(()), |delta| grows(index, &delta, into))?;
            }
        }
        Ok(())
    }
}

/// An exception as an error body that names its type.
fn exception(event: RawEvent<'_>) -> Value {
    let mut error = match serde_json::from_slice(event.data) {
        Ok(Value::Object(error)) => error,
        _ => serde_json::Map::new(),
    };
    let name = String::from_utf8_lossy(event.name).into_owned();
    error.insert("__type".to_owned(), name.into());
    Value::Object(error)
}

fn begins(index: u64, start: BlockStart, into: &mut Gathered) -> Result<(), Failure> {
    match start.tool_use {
        Some(tool) if tool.kind.is_none() => into.call(Fragment {
            key: Some(index),
            id: &tool.tool_use_id.unwrap_or_default(),
            name: &tool.name.unwrap_or_default(),
            ..Fragment::default()
        }),
        // A tool that runs at the provider's.
        Some(_) => {
            into.live();
            Ok(())
        }
        None => Ok(()),
    }
}

fn grows(index: u64, delta: &BlockDelta, into: &mut Gathered) -> Result<(), Failure> {
    if let Some(text) = &delta.text {
        into.say(text)?;
    }
    if let Some(thought) = &delta.reasoning_content {
        thinks(index, thought, into)?;
    }
    match &delta.tool_use {
        Some(MoreInput { input }) if into.has_call(index) => {
            into.call(Fragment { key: Some(index), arguments: input, ..Fragment::default() })
        }
        Some(MoreInput { input }) if !input.is_empty() => {
            into.live();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Keeps a piece of a thought, which must come back as it is.
fn thinks(index: u64, thought: &MoreThought, into: &mut Gathered) -> Result<(), Failure> {
    let forms = [
        ("text", &thought.text),
        ("signature", &thought.signature),
        ("data", &thought.redacted_content),
    ];
    for (name, form) in forms {
        let Some(form) = form.as_deref().filter(|form| !form.is_empty()) else { continue };
        into.live();
        if name == "text" {
            into.think(form)?;
        }
        let piece = Map::from_iter([(name.to_owned(), Value::from(form))]);
        into.keep(name.len() + form.len())?.grow(Some(index), piece);
    }
    Ok(())
}
