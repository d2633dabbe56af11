//! Reads an answer in OpenAI's form, tolerantly.
//!
//! Imitators leave fields out, send null for them, or a list where a string belongs; some send an
//! error with status 200, some within a choice. Thoughts stand under more than one name.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::stream::{Piece, Said, take_said};
use crate::provider::errors::falsy;
use crate::provider::pieces::{self, AnswerEnd, Gathered};
use crate::provider::{Failure, finish, usage};

#[derive(Deserialize)]
struct CompletionReply<'a> {
    choices: Option<Vec<WholeChoice>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
    /// MiniMax says here whether there was an error.
    #[serde(default, deserialize_with = "falsy::error")]
    base_resp: Option<Value>,
}

#[derive(Deserialize)]
struct WholeChoice {
    message: Option<Said>,
    #[serde(default, deserialize_with = "finish::word")]
    finish_reason: Option<String>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
}

/// Takes a whole answer.
pub(super) fn answer(bytes: &[u8], into: &mut Gathered) -> Result<(), Failure> {
    let reply: CompletionReply<'_> = into.read(bytes)?;
    into.usage = reply.usage.and_then(usage::read).or(into.usage);
    let error = reply.error.or(reply.base_resp);
    let Some(choice) = reply.choices.and_then(|choices| choices.into_iter().next()) else {
        return Err(match error {
            Some(error) => into.failed(&error),
            None => pieces::bad_body(bytes, "`choices` is missing or empty"),
        });
    };
    let finish = choice.finish_reason.unwrap_or_default();
    if let Some(error) = choice.error.or(error).or_else(|| failed(&finish)) {
        return Err(into.failed(&error));
    }
    match choice.message {
        Some(mut said) => {
            // Each is a call of its own, though it may have neither index nor id.
            for (call, index) in said.tool_calls.iter_mut().flatten().zip(into.calls()..) {
                call.index = Some(index);
            }
            take_said(said, Piece::Whole, into)?;
        }
        None if end(&finish) == AnswerEnd::Refused => {}
        None => return Err(pieces::bad_body(bytes, "`choices[0].message` is missing")),
    }
    into.finish = Some(end(&finish));
    Ok(())
}

/// The error that a finish reason of DeepSeek stands for.
pub(super) fn failed(finish: &str) -> Option<Value> {
    let message = "the provider says that it failed during the answer";
    (finish == "insufficient_system_resource")
        .then(|| serde_json::json!({ "type": "overloaded_error", "message": message }))
}

pub(super) fn end(finish: &str) -> AnswerEnd {
    AnswerEnd::of(finish)
}

/// Content as a string, as null, or as a list of parts of which text counts, and thoughts apart.
#[derive(Default)]
pub(super) struct TextContent {
    pub(super) text: String,
    pub(super) thoughts: String,
    /// There are parts that are not text.
    pub(super) has_other: bool,
}

impl<'de> Deserialize<'de> for TextContent {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<TextContent, D::Error> {
        input.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = TextContent;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string, null or a list of parts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TextContent, E> {
        Ok(TextContent { text: text.to_owned(), ..TextContent::default() })
    }

    fn visit_unit<E: de::Error>(self) -> Result<TextContent, E> {
        Ok(TextContent::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<TextContent, A::Error> {
        let mut said = TextContent::default();
        while let Some(part) = parts.next_element::<Value>()? {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
            match part.get("text").and_then(Value::as_str).or(part.as_str()) {
                Some(text) if kind.ends_with("text") => said.text.push_str(text),
                Some(text) if is_thought(kind) => said.thoughts.push_str(text),
                _ => {
                    said.has_other = true;
                    let within = part.get("thinking").filter(|_| is_thought(kind));
                    within.iter().for_each(|inner| add_texts(inner, &mut said.thoughts));
                }
            }
        }
        Ok(said)
    }
}

fn is_thought(kind: &str) -> bool {
    kind.starts_with("reasoning") || kind.starts_with("thinking")
}

/// The texts of a string or of a list of parts.
fn add_texts(value: &Value, into: &mut String) {
    let parts = value.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part.get("text")).chain(Some(value));
    texts.filter_map(Value::as_str).for_each(|text| into.push_str(text));
}

#[cfg(test)]
mod tests;
