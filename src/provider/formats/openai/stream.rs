//! Reads one event of a stream in OpenAI's form, tolerantly.
//!
//! Imitators differ in where usage stands (a chunk of its own, the last one, `x_groq`), in what
//! they leave out, and in how an error looks. Some put usage into a choice. Chunks without choices are no end: Azure begins with one.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::TOLD_AS;
use super::calls::{self, SaidCall};
use super::content::Text;
use super::reply::{answer, end, failed};
use crate::provider::errors::falsy;
use crate::provider::formats::ReadEvents;
use crate::provider::framing::RawEvent;
use crate::provider::pieces::{AnswerEnd, Gathered};
use crate::provider::thoughts;
use crate::provider::usage::read as usage;
use crate::provider::{Failure, finish, loose};

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
    #[serde(default, deserialize_with = "loose::index")]
    index: Option<u64>,
    delta: Option<Said>,
    /// All that is said so far, or a whole answer as one event.
    message: Option<Said>,
    /// A piece as the older API for completions has it.
    text: Option<String>,
    #[serde(default, deserialize_with = "finish::word")]
    finish_reason: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
}

/// What is said: a piece of it, or in a whole answer all of it. Some languages write nothing as `[]`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    content: Text,
    refusal: Option<Value>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    reasoning_text: Option<Value>,
    thinking: Option<Value>,
    reasoning_details: Option<Value>,
    #[serde(deserialize_with = "calls::list")]
    tool_calls: Vec<SaidCall>,
    /// How the only call was told before there were several.
    #[serde(deserialize_with = "calls::only")]
    function_call: Option<SaidCall>,
}

impl Said {
    /// A text and nothing else.
    pub(super) fn text(text: String) -> Said {
        Said { content: Text { text, ..Text::default() }, ..Said::default() }
    }
}

/// Reads the chunks of one stream.
#[derive(Default)]
pub(super) struct Chunks {
    /// Pieces came as such, so what comes as a message is whole.
    has_deltas: bool,
}

impl ReadEvents for Chunks {
    fn take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        match event.bare {
            true => answer(event.data, into),
            false => self.take_chunk(event, into),
        }
    }
}

impl Chunks {
    fn take_chunk(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
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
            self.take_choice(choice, into)?;
        }
        Ok(())
    }

    fn take_choice(&mut self, choice: ChunkChoice<'_>, into: &mut Gathered) -> Result<(), Failure> {
        let finish = choice.finish_reason.unwrap_or_default();
        if let Some(error) = choice.error.or_else(|| failed(&finish)) {
            return Err(into.failed(&error));
        }
        self.has_deltas |= choice.delta.is_some();
        let text = choice.text.filter(|_| choice.delta.is_none() && choice.message.is_none());
        for said in choice.delta.into_iter().chain(text.map(Said::text)) {
            take_said(said, Piece::Fragment, into)?;
        }
        if let Some(said) = choice.message {
            // What was said piece by piece may be said as a whole once more; or the pieces are called so.
            let is_piece = !self.has_deltas && into.is_continued_by(&said.content.text);
            take_said(said, if is_piece { Piece::Fragment } else { Piece::Whole }, into)?;
        }
        into.usage = choice.usage.and_then(usage).or(into.usage);
        // The last finish counts, but nothing heals an answer that was broken off.
        if !finish.is_empty() && into.finish != Some(AnswerEnd::Cut) {
            into.finish = Some(end(&finish));
        }
        Ok(())
    }
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
    let refusal = said.refusal.as_ref().and_then(Value::as_str).unwrap_or_default();
    let all = said.tool_calls.iter().chain(&said.function_call);
    match piece {
        Piece::Fragment => {
            into.say(&said.content.text)?;
            into.say(refusal)?;
            let list_began = Some(into.calls() as usize);
            all.map(|call| call.fragment(list_began)).try_for_each(|call| into.call(call))?;
        }
        Piece::Whole => {
            into.say_whole(&(said.content.text + refusal))?;
            into.call_whole(all.map(|call| call.fragment(None)).collect())?;
        }
    }
    if !refusal.is_empty() {
        into.refuse();
    }
    Ok(())
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
        return think(text.as_deref().unwrap_or(&said.content.thoughts), piece, into);
    };
    let texts = details.iter().filter_map(|one| one.get("text").or(one.get("summary"))?.as_str());
    let spelled: String = texts.collect();
    let is_known = piece == Piece::Whole && into.has_thought_blocks();
    for detail in details.into_iter().filter(|_| !is_known) {
        let Value::Object(fields) = detail else { continue };
        into.live();
        let key = fields.get("index").and_then(Value::as_u64);
        let thoughts = into.keep(thoughts::size(&fields))?;
        match piece {
            Piece::Fragment => thoughts.grow(key, fields),
            Piece::Whole => thoughts.begin(key, fields),
        }
    }
    think(&text.unwrap_or(spelled), piece, into)
}

fn think(text: &str, piece: Piece, into: &mut Gathered) -> Result<(), Failure> {
    match piece {
        Piece::Fragment => into.think(text),
        Piece::Whole => into.think_whole(text),
    }
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
