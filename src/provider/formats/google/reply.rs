//! Reads an answer of Gemini's `generateContent`.
//!
//! A blocked prompt gives no candidate at all, a blocked answer a candidate without parts. There
//! is no finish reason for tool calls, and often no id on them. Thoughts are passed over, but
//! the signature they leave on a call is kept.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::price::Usage;
use crate::protocol::chat::ToolCall;
use crate::provider::errors::classify;
use crate::provider::errors::redact::Secrets;
use crate::provider::pieces::{self, End, Pieces};
use crate::provider::{Failure, Outcome};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply<'a> {
    #[serde(default)]
    pub(super) candidates: Option<Vec<Candidate>>,
    #[serde(default)]
    pub(super) prompt_feedback: Option<Feedback>,
    #[serde(default, borrow)]
    pub(super) usage_metadata: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback {
    #[serde(default)]
    pub(super) block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    #[serde(default)]
    pub(super) content: Option<Said>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    pub(super) parts: Option<Vec<SaidPart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaidPart {
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) thought: Option<bool>,
    #[serde(default)]
    pub(super) thought_signature: Option<String>,
    #[serde(default)]
    pub(super) function_call: Option<SaidCall>,
}

#[derive(Deserialize)]
pub(super) struct SaidCall {
    #[serde(default)]
    pub(super) id: Option<String>,
    pub(super) name: String,
    #[serde(default)]
    pub(super) args: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spent {
    prompt_token_count: u64,
    #[serde(default)]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(default)]
    cached_content_token_count: Option<u64>,
    #[serde(default)]
    candidates_token_count: Option<u64>,
    #[serde(default)]
    thoughts_token_count: Option<u64>,
}

/// The answer in a 2xx body.
pub(super) fn answer(bytes: &[u8], secrets: &Secrets) -> Outcome {
    let reply = read(bytes).map_err(|e| pieces::bad_body(bytes, &pieces::why(&e)))?;
    let usage = reply.usage_metadata.and_then(usage);
    if let Some(error) = reply.error {
        return Err(Failure { usage, ..classify::in_success(&error, secrets) });
    }
    let mut pieces =
        Pieces { text: String::new(), tool_calls: Vec::new(), end: End::Refused, usage };
    let Some(candidate) = reply.candidates.and_then(|all| all.into_iter().next()) else {
        return match reply.prompt_feedback.and_then(|feedback| feedback.block_reason) {
            Some(_) => pieces.finish(),
            None => Err(pieces::bad_body(bytes, "`candidates` is missing or empty")),
        };
    };
    pieces.end = end(candidate.finish_reason.as_deref());
    let parts = candidate.content.and_then(|said| said.parts).unwrap_or_default();
    parts.into_iter().for_each(|part| take(&mut pieces, part));
    pieces.finish()
}

/// The reply, which may be alone in a list: errors are often sent so.
fn read(bytes: &[u8]) -> Result<Reply<'_>, serde_json::Error> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return serde_json::from_slice(bytes).map(|[reply]: [Reply<'_>; 1]| reply);
    }
    serde_json::from_slice(bytes)
}

fn take(pieces: &mut Pieces, part: SaidPart) {
    if let Some(call) = part.function_call {
        pieces.tool_calls.push(tool_call(call, part.thought_signature));
    } else if part.thought != Some(true)
        && let Some(text) = part.text
    {
        match pieces.text.is_empty() {
            true => pieces.text = text,
            false => pieces.text.push_str(&text),
        }
    }
}

fn tool_call(said: SaidCall, signature: Option<String>) -> ToolCall {
    let arguments = said.arguments().unwrap_or("{}").to_owned();
    let call = pieces::tool_call(said.id, said.name, arguments);
    ToolCall { extra_content: signature.map(carried), ..call }
}

impl SaidCall {
    pub(super) fn arguments(&self) -> Option<&str> {
        self.args.as_deref().map(RawValue::get).filter(|args| *args != "null")
    }
}

/// A call's signature as it travels through this project.
pub(super) fn carried(signature: String) -> Value {
    serde_json::json!({"google": {"thought_signature": signature}})
}

pub(super) fn end(reason: Option<&str>) -> End {
    match reason {
        Some("STOP") => End::Done,
        Some("MAX_TOKENS" | "CONTINUATION") => End::Length,
        Some(
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "ESCALATION"
            | "MODEL_ARMOR"
            | "PUP_LIMITED_DISABLED",
        ) => End::Refused,
        Some(
            "MALFORMED_FUNCTION_CALL"
            | "MALFORMED_RESPONSE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "NO_IMAGE"
            | "IMAGE_OTHER"
            | "OTHER",
        ) => End::Glitch,
        _ => End::Unknown,
    }
}

/// Numbers that cannot be read, or believed, are unknown, not zero.
pub(super) fn usage(raw: &RawValue) -> Option<Usage> {
    let spent: Spent = serde_json::from_str(raw.get()).ok()?;
    let thoughts = spent.thoughts_token_count.unwrap_or(0);
    let tools = spent.tool_use_prompt_token_count.unwrap_or(0);
    Usage {
        input_tokens: spent.prompt_token_count.saturating_add(tools),
        output_tokens: spent.candidates_token_count.unwrap_or(0).saturating_add(thoughts),
        cached_tokens: spent.cached_content_token_count.unwrap_or(0),
        reasoning_tokens: thoughts,
    }
    .believed()
}

#[cfg(test)]
mod tests;
