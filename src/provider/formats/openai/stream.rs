//! Reads one event of a stream in OpenAI's form, tolerantly.
//!
//! Imitators differ in where usage stands (a chunk of its own, the last one, `x_groq`), in what
//! they leave out, and in how an error looks. Chunks without choices are no end: Azure begins with one.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::reply::{Text, answer, end, failed, usage};
use crate::provider::Failure;
use crate::provider::errors::classify;
use crate::provider::errors::redact::Secrets;
use crate::provider::format::ReadEvents;
use crate::provider::framing::sse::Event;
use crate::provider::gather::{Fragment, Gathered};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
    /// `"error"` in the flat errors of some servers.
    #[serde(default, borrow)]
    object: Option<&'a RawValue>,
    #[serde(default, borrow)]
    x_groq: Option<Groq<'a>>,
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default)]
    content: Text,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default, borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(default, borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(default)]
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionDelta>,
    #[serde(default)]
    extra_content: Option<Value>,
}

#[derive(Default, Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    /// Text everywhere but with some local servers, which send the object itself.
    #[serde(default)]
    arguments: Option<Value>,
}

/// Reads chunks; nothing has to be remembered between two of them.
pub(super) struct Chunks;

impl ReadEvents for Chunks {
    fn take(
        &mut self,
        event: Event<'_>,
        into: &mut Gathered,
        secrets: &Secrets,
    ) -> Result<(), Failure> {
        match event.bare {
            true => into.adopt(answer(event.data, secrets)?),
            false => take(event, into, secrets),
        }
    }
}

fn take(event: Event<'_>, into: &mut Gathered, secrets: &Secrets) -> Result<(), Failure> {
    let chunk: Chunk<'_> =
        serde_json::from_slice(event.data).map_err(|error| into.unreadable(event.data, &error))?;
    let groq = chunk.x_groq.unwrap_or(Groq { usage: None, error: None });
    let newest = chunk.usage.or(groq.usage).and_then(usage);
    into.usage = newest.or(into.usage);
    let called_error =
        event.name == b"error" || chunk.object.is_some_and(|kind| kind.get() == "\"error\"");
    let error = match chunk.error.or(groq.error) {
        None if called_error => serde_json::from_slice(event.data).ok(),
        error => error,
    };
    if let Some(error) = error {
        return Err(into.fail(classify::in_success(&error, secrets)));
    }
    let choices = chunk.choices.unwrap_or_default().into_iter();
    for choice in choices.filter(|choice| choice.index.unwrap_or(0) == 0) {
        take_choice(choice, into, secrets)?;
    }
    Ok(())
}

fn take_choice(choice: Choice<'_>, into: &mut Gathered, secrets: &Secrets) -> Result<(), Failure> {
    let finish = choice.finish_reason.as_deref().filter(|word| !word.is_empty());
    if let Some(error) = choice.error.or_else(|| failed(finish)) {
        return Err(into.fail(classify::in_success(&error, secrets)));
    }
    if let Some(delta) = choice.delta {
        take_delta(delta, into)?;
    }
    if finish.is_some() {
        into.finish = Some(end(finish));
    }
    Ok(())
}

fn take_delta(delta: Delta<'_>, into: &mut Gathered) -> Result<(), Failure> {
    let thinks = [delta.reasoning, delta.reasoning_content].into_iter().flatten();
    if delta.content.has_other || thinks.into_iter().any(is_something) {
        into.live();
    }
    into.say(&delta.content.text)?;
    if let Some(refusal) = delta.refusal.filter(|text| !text.is_empty()) {
        into.refuse();
        into.say(&refusal)?;
    }
    for call in delta.tool_calls.unwrap_or_default() {
        take_call(call, into)?;
    }
    Ok(())
}

/// Without an index, a piece belongs to the last call unless it brings an id of its own.
fn take_call(piece: CallDelta, into: &mut Gathered) -> Result<(), Failure> {
    let id = piece.id.unwrap_or_default();
    let function = piece.function.unwrap_or_default();
    let (arguments, whole) = match function.arguments {
        Some(Value::String(text)) => (text, None),
        None | Some(Value::Null) => (String::new(), None),
        Some(object) => (String::new(), Some(object.to_string())),
    };
    into.call(Fragment {
        key: piece.index.unwrap_or_else(|| into.calls().saturating_sub(1)),
        id: &id,
        name: &function.name.unwrap_or_default(),
        arguments: &arguments,
        whole,
        extra: piece.extra_content,
    })
}

/// Neither null nor empty.
fn is_something(raw: &RawValue) -> bool {
    !matches!(raw.get(), "null" | "\"\"" | "[]" | "{}")
}

#[cfg(test)]
mod tests;
