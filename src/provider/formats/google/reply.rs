//! Reads answers of Gemini's `generateContent`, and the events of `streamGenerateContent`.
//!
//! A blocked prompt gives no candidate at all, a blocked answer a candidate without parts. There
//! is no finish reason for tool calls, and often no id on them. The signatures that thoughts leave on
//! texts and calls are kept for the next turn.
//!
//! Every event is a whole response whose parts are only what is new. The stream has no end marker:
//! an answer is finished with a finish reason or with a blocked prompt. Errors may stand there as
//! bare JSON or within a list, and a proxy that drops `alt=sse` gives a list of all responses.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::provider::errors::falsy;
use crate::provider::formats::ReadEvents;
use crate::provider::framing::RawEvent;
use crate::provider::pieces::{self, AnswerEnd, Gathered};
use crate::provider::tool_calls::{self, Fragment};
use crate::provider::{Failure, finish, loose, usage};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenerateReply<'a> {
    candidates: Option<Vec<ReplyCandidate>>,
    prompt_feedback: Option<Feedback>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "falsy::error")]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default, deserialize_with = "finish::word")]
    block_reason: Option<String>,
}

impl Feedback {
    fn has_blocked(&self) -> bool {
        let reason = self.block_reason.as_deref().unwrap_or_default();
        !matches!(reason, "" | "0" | "BLOCK_REASON_UNSPECIFIED" | "BLOCKED_REASON_UNSPECIFIED")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReplyCandidate {
    content: Option<CandidateContent>,
    #[serde(default, deserialize_with = "finish::word")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct CandidateContent {
    parts: Option<Vec<SaidPart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SaidPart {
    text: Option<String>,
    thought: Option<bool>,
    thought_signature: Option<String>,
    function_call: Option<FoundFunctionCall>,
}

#[derive(Deserialize)]
struct FoundFunctionCall {
    #[serde(default, deserialize_with = "loose::text")]
    id: Option<String>,
    name: String,
    args: Option<Box<RawValue>>,
}

/// Reads responses; nothing has to be remembered between two of them.
pub(super) struct Responses;

impl ReadEvents for Responses {
    fn take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        if !is_list(event.data) {
            return take_reply(into.read(event.data)?, into);
        }
        let list: Vec<&RawValue> = into.read(event.data)?;
        list.into_iter().try_for_each(|one| take_reply(into.read(one.get().as_bytes())?, into))
    }
}

/// Takes a whole answer, which may be alone in a list: errors are often sent so.
pub(super) fn answer(bytes: &[u8], into: &mut Gathered) -> Result<(), Failure> {
    let reply: GenerateReply<'_> = match is_list(bytes) {
        true => into.read(bytes).map(|[reply]: [GenerateReply<'_>; 1]| reply)?,
        false => into.read(bytes)?,
    };
    let has_candidate = reply.candidates.as_ref().is_some_and(|all| !all.is_empty());
    take_reply(reply, into)?;
    if into.finish.is_none() && !has_candidate {
        return Err(pieces::bad_body(bytes, "`candidates` is missing or empty"));
    }
    into.finish.get_or_insert(AnswerEnd::Unknown);
    Ok(())
}

fn is_list(data: &[u8]) -> bool {
    data.trim_ascii_start().starts_with(b"[")
}

fn take_reply(reply: GenerateReply<'_>, into: &mut Gathered) -> Result<(), Failure> {
    into.usage = reply.usage_metadata.and_then(usage::read).or(into.usage);
    if let Some(error) = reply.error {
        return Err(into.failed(&error));
    }
    let Some(candidate) = reply.candidates.and_then(|all| all.into_iter().next()) else {
        if reply.prompt_feedback.is_some_and(|feedback| feedback.has_blocked()) {
            into.finish = Some(AnswerEnd::Refused);
        }
        return Ok(());
    };
    let parts = candidate.content.and_then(|said| said.parts).unwrap_or_default();
    parts.into_iter().try_for_each(|part| take_part(part, into))?;
    let reason = candidate.finish_reason.unwrap_or_default();
    if !matches!(reason.as_str(), "" | "0" | "FINISH_REASON_UNSPECIFIED") {
        into.finish = Some(end(&reason));
    }
    Ok(())
}

/// Under which names signatures go back: the one of a text, and those of calls by their ids.
pub(super) const SIGNATURE: &str = "signature";
pub(super) const CALL_SIGNATURES: &str = "calls";

fn take_part(part: SaidPart, into: &mut Gathered) -> Result<(), Failure> {
    if let Some(call) = part.function_call {
        let arguments = call.args.as_deref().map(RawValue::get).filter(|args| *args != "null");
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(tool_calls::made_up_id);
        if let Some(signature) = &part.thought_signature {
            let kept = into.keep(id.len() + signature.len())?;
            kept.keep_of_call(CALL_SIGNATURES, &id, signature.as_str().into());
        }
        return into.call(Fragment {
            key: Some(into.calls()),
            id: &id,
            name: &call.name,
            arguments: arguments.unwrap_or("{}"),
            extra: part.thought_signature.map(carried),
            ..Fragment::default()
        });
    }
    let text = part.text.unwrap_or_default();
    if let Some(signature) = part.thought_signature.filter(|signature| !signature.is_empty()) {
        into.live();
        into.keep(signature.len())?.keep(SIGNATURE, signature.into());
    }
    match part.thought {
        Some(true) => into.think(&text),
        _ => into.say(&text),
    }
}

/// A call's signature as it travels through this project.
fn carried(signature: String) -> Value {
    serde_json::json!({"google": {"thought_signature": signature}})
}

/// Some gateways send the numbers that stand for the words.
fn end(reason: &str) -> AnswerEnd {
    match reason {
        "1" => AnswerEnd::Done,
        "2" => AnswerEnd::Length,
        "3" | "4" | "6" | "7" | "8" | "9" | "11" => AnswerEnd::Refused,
        "5" | "10" | "12" | "OTHER" => AnswerEnd::Glitch,
        other => AnswerEnd::of(other),
    }
}

#[cfg(test)]
mod tests;
