//! Reads an answer in OpenAI's form, tolerantly.
//!
//! Imitators leave fields out, send null for them, or a list where a string belongs; some send an
//! error with status 200, some within a choice. Reasoning text is passed over.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::price::Usage;
use crate::protocol::chat::ToolCall;
use crate::provider::errors::classify;
use crate::provider::errors::redact::Secrets;
use crate::provider::pieces::{self, End, Pieces};
use crate::provider::{Failure, Outcome};

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Option<Said>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    content: Text,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<SaidCall>>,
}

#[derive(Deserialize)]
struct SaidCall {
    #[serde(default)]
    id: Option<String>,
    function: SaidFunction,
    #[serde(default)]
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct SaidFunction {
    name: String,
    /// Text everywhere but with some local servers, which send the object itself.
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Spent {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for the cached part.
    #[serde(default)]
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

/// The answer in a 2xx body.
pub(super) fn answer(bytes: &[u8], secrets: &Secrets) -> Outcome {
    let reply: Reply<'_> = serde_json::from_slice(bytes)
        .map_err(|error| pieces::bad_body(bytes, &pieces::why(&error)))?;
    let usage = reply.usage.and_then(usage);
    let choice = reply.choices.and_then(|choices| choices.into_iter().next());
    let Some(choice) = choice else {
        return Err(match reply.error {
            Some(error) => Failure { usage, ..classify::in_success(&error, secrets) },
            None => pieces::bad_body(bytes, "`choices` is missing or empty"),
        });
    };
    let finish = choice.finish_reason.as_deref();
    if let Some(error) = choice.error.or(reply.error).or_else(|| failed(finish)) {
        return Err(Failure { usage, ..classify::in_success(&error, secrets) });
    }
    let Some(said) = choice.message else {
        return match end(finish) {
            End::Refused => pieces(Said::default(), End::Refused, usage).finish(),
            _ => Err(pieces::bad_body(bytes, "`choices[0].message` is missing")),
        };
    };
    pieces(said, end(finish), usage).finish()
}

/// The error that some finish reasons stand for.
pub(super) fn failed(finish: Option<&str>) -> Option<Value> {
    let kind = match finish? {
        "error" => "server_error",
        "insufficient_system_resource" => "overloaded_error",
        _ => return None,
    };
    let message = "the provider says that it failed during the answer";
    Some(serde_json::json!({ "type": kind, "message": message }))
}

fn pieces(said: Said, end: End, usage: Option<Usage>) -> Pieces {
    let calls = said.tool_calls.unwrap_or_default();
    let refusal = said.refusal.filter(|text| !text.is_empty());
    let end = if refusal.is_some() { End::Refused } else { end };
    Pieces {
        text: refusal.unwrap_or(said.content.text),
        tool_calls: calls.into_iter().map(tool_call).collect(),
        end,
        usage,
    }
}

fn tool_call(said: SaidCall) -> ToolCall {
    let arguments = match said.function.arguments {
        Some(Value::String(text)) if !text.trim().is_empty() => text,
        None | Some(Value::Null | Value::String(_)) => "{}".to_owned(),
        Some(object) => object.to_string(),
    };
    let call = pieces::tool_call(said.id, said.function.name, arguments);
    ToolCall { extra_content: said.extra_content, ..call }
}

pub(super) fn end(finish: Option<&str>) -> End {
    match finish {
        Some("stop" | "tool_calls" | "function_call") => End::Done,
        Some("length" | "model_length") => End::Length,
        Some("content_filter") => End::Refused,
        _ => End::Unknown,
    }
}

/// Numbers that cannot be read, or believed, are unknown, not zero.
pub(super) fn usage(raw: &RawValue) -> Option<Usage> {
    let spent: Spent = serde_json::from_str(raw.get()).ok()?;
    let cached = spent.prompt_tokens_details.and_then(|details| details.cached_tokens);
    let reasoning = spent.completion_tokens_details.and_then(|details| details.reasoning_tokens);
    Usage {
        input_tokens: spent.prompt_tokens,
        output_tokens: spent.completion_tokens.unwrap_or(0),
        cached_tokens: cached.or(spent.prompt_cache_hit_tokens).unwrap_or(0),
        reasoning_tokens: reasoning.unwrap_or(0),
    }
    .believed()
}

/// Content as a string, as null, or as a list of parts of which only text counts.
#[derive(Default)]
pub(super) struct Text {
    pub(super) text: String,
    /// There are parts that are not text.
    pub(super) has_other: bool,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Text, D::Error> {
        input.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string, null or a list of parts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text { text: text.to_owned(), has_other: false })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Text, A::Error> {
        let mut said = Text::default();
        while let Some(part) = parts.next_element::<Value>()? {
            match part.get("text").and_then(Value::as_str).or(part.as_str()) {
                Some(text) => said.text.push_str(text),
                None => said.has_other = true,
            }
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests;
