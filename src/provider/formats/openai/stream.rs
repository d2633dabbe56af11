//! Reads one event of a stream in OpenAI's form, tolerantly.
//!
//! Imitators differ in where usage stands (a chunk of its own, the last one, `x_groq`), in what
//! they leave out, and in how an error looks. Some put usage into a choice. Chunks without choices are no end: Azure begins with one.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::TOLD_AS;
use super::reply::{TextContent, answer, end, failed};
use crate::provider::errors::falsy;
use crate::provider::formats::ReadEvents;
use crate::provider::framing::RawEvent;
use crate::provider::pieces::{AnswerEnd, Gathered};
use crate::provider::thoughts;
use crate::provider::tool_calls::Fragment;
use crate::provider::usage::read as usage;
use crate::provider::{Failure, finish};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
    /// MiniMax says here whether there was an error.
    #[serde(default, deserialize_with = "falsy::error")]
    base_resp: Option<Value>,
    /// `"error"` in the flat errors of some servers.
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Groq<'a>>,
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    index: Option<u64>,
    delta: Option<Said>,
    /// A whole answer as one event.
    message: Option<Said>,
    #[serde(default, deserialize_with = "finish::word")]
    finish_reason: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
}

/// What is said: a piece of it, or in a whole answer all of it.
#[derive(Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    content: TextContent,
    refusal: Option<String>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    reasoning_text: Option<Value>,
    thinking: Option<Value>,
    reasoning_details: Option<Value>,
    pub(super) tool_calls: Option<Vec<SaidCall>>,
    /// How the only call was told before there were several.
    function_call: Option<SaidFunction>,
}

#[derive(Deserialize)]
pub(super) struct SaidCall {
    pub(super) index: Option<u64>,
    id: Option<String>,
    function: Option<SaidFunction>,
    extra_content: Option<Value>,
}

#[derive(Default, Deserialize)]
struct SaidFunction {
    name: Option<String>,
    /// Text everywhere but with some local servers, which send the object itself.
    arguments: Option<Value>,
}

/// Reads chunks; nothing has to be remembered between two of them.
pub(super) struct Chunks;

impl ReadEvents for Chunks {
    fn take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        match event.bare {
            true => answer(event.data, into),
            false => take_chunk(event, into),
        }
    }
}

fn take_chunk(event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
    let chunk: Chunk<'_> = into.read(event.data)?;
    let groq = chunk.x_groq.unwrap_or(Groq { usage: None, error: None });
    let newest = chunk.usage.or(groq.usage).and_then(usage);
    into.usage = newest.or(into.usage);
    let called_error =
        event.name == b"error" || chunk.object.is_some_and(|kind| kind.get() == "\"error\"");
    let error = match chunk.error.or(groq.error).or(chunk.base_resp) {
        None if called_error => serde_json::from_slice(event.data).ok(),
        error => error,
    };
    if let Some(error) = error {
        return Err(into.failed(&error));
    }
    let choices = chunk.choices.unwrap_or_default().into_iter();
    for choice in choices.filter(|choice| choice.index.unwrap_or(0) == 0) {
        take_choice(choice, into)?;
    }
    Ok(())
}

fn take_choice(choice: ChunkChoice<'_>, into: &mut Gathered) -> Result<(), Failure> {
    let finish = choice.finish_reason.unwrap_or_default();
    if let Some(error) = choice.error.or_else(|| failed(&finish)) {
        return Err(into.failed(&error));
    }
    // What was said piece by piece may be said as a whole once more.
    let whole = choice.message.filter(|_| into.is_empty());
    if let Some(said) = choice.delta {
        take_said(said, Piece::Fragment, into)?;
    } else if let Some(said) = whole {
        take_said(said, Piece::Whole, into)?;
    }
    into.usage = choice.usage.and_then(usage).or(into.usage);
    // The last finish counts, but nothing heals an answer that was broken off.
    if !finish.is_empty() && into.finish != Some(AnswerEnd::Cut) {
        into.finish = Some(end(&finish));
    }
    Ok(())
}

/// How much of an answer is said at a time.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Piece {
    Fragment,
    Whole,
}

pub(super) fn take_said(mut said: Said, piece: Piece, into: &mut Gathered) -> Result<(), Failure> {
    take_thoughts(&mut said, piece, into)?;
    if said.content.has_other {
        into.live();
    }
    into.say(&said.content.text)?;
    if let Some(refusal) = said.refusal.filter(|text| !text.is_empty()) {
        into.refuse();
        into.say(&refusal)?;
    }
    for call in said.tool_calls.unwrap_or_default() {
        take_call(call, into)?;
    }
    if let Some(function) = said.function_call {
        let only =
            SaidCall { index: Some(0), id: None, function: Some(function), extra_content: None };
        take_call(only, into)?;
    }
    Ok(())
}

fn take_call(piece: SaidCall, into: &mut Gathered) -> Result<(), Failure> {
    let id = piece.id.unwrap_or_default();
    let function = piece.function.unwrap_or_default();
    let (arguments, whole) = match function.arguments {
        Some(Value::String(text)) => (text, None),
        None | Some(Value::Null) => (String::new(), None),
        Some(object) => (String::new(), Some(object.to_string())),
    };
    into.call(Fragment {
        key: piece.index,
        id: &id,
        name: &function.name.unwrap_or_default(),
        arguments: &arguments,
        whole,
        extra: piece.extra_content,
    })
}

/// Takes what a model shows of its thoughts. Servers that tell them under two names tell the same.
fn take_thoughts(said: &mut Said, piece: Piece, into: &mut Gathered) -> Result<(), Failure> {
    let named = [
        ("reasoning_content", said.reasoning_content.take()),
        ("reasoning", said.reasoning.take()),
        ("reasoning_text", said.reasoning_text.take()),
        ("thinking", said.thinking.take()),
    ];
    let mut text = None;
    for (name, value) in named {
        match value {
            Some(Value::String(told)) if !told.is_empty() && text.is_none() => {
                into.keep(name.len())?.keep(TOLD_AS, name.into());
                text = Some(told);
            }
            Some(other) if is_something(&other) => into.live(),
            _ => {}
        }
    }
    let Some(Value::Array(details)) = said.reasoning_details.take() else {
        return into.think(text.as_deref().unwrap_or(&said.content.thoughts));
    };
    let texts = details.iter().filter_map(|one| one.get("text").or(one.get("summary"))?.as_str());
    let spelled: String = texts.collect();
    for detail in details {
        let Value::Object(fields) = detail else { continue };
        into.live();
        let key = fields.get("index").and_then(Value::as_u64);
        let thoughts = into.keep(thoughts::size(&fields))?;
        match piece {
            Piece::Fragment => thoughts.grow(key, fields),
            Piece::Whole => thoughts.begin(key, fields),
        }
    }
    into.think(&text.unwrap_or(spelled))
}

/// Neither null nor empty.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
