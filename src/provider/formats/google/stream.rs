//! Reads one event of a stream of Gemini's `streamGenerateContent`.
//!
//! Every event is a whole response whose parts are only what is new. The stream has no end marker:
//! an answer is finished with a finish reason or with a blocked prompt. Errors may stand there as
//! bare JSON or within a list, and a proxy that drops `alt=sse` gives a list of all responses.

use serde_json::value::RawValue;

use super::reply::{Reply, SaidPart, carried, end, usage};
use crate::provider::Failure;
use crate::provider::errors::classify;
use crate::provider::errors::redact::Secrets;
use crate::provider::format::ReadEvents;
use crate::provider::framing::sse::Event;
use crate::provider::gather::{Fragment, Gathered};
use crate::provider::pieces::End;

/// Reads responses; nothing has to be remembered between two of them.
pub(super) struct Responses;

impl ReadEvents for Responses {
    fn take(
        &mut self,
        event: Event<'_>,
        into: &mut Gathered,
        secrets: &Secrets,
    ) -> Result<(), Failure> {
        if !event.data.trim_ascii_start().starts_with(b"[") {
            return take_response(event.data, into, secrets);
        }
        let list: Vec<&RawValue> = serde_json::from_slice(event.data)
            .map_err(|error| into.unreadable(event.data, &error))?;
        list.into_iter().try_for_each(|one| take_response(one.get().as_bytes(), into, secrets))
    }
}

fn take_response(data: &[u8], into: &mut Gathered, secrets: &Secrets) -> Result<(), Failure> {
    let reply: Reply<'_> =
        serde_json::from_slice(data).map_err(|error| into.unreadable(data, &error))?;
    into.usage = reply.usage_metadata.and_then(usage).or(into.usage);
    if let Some(error) = reply.error {
        return Err(into.fail(classify::in_success(&error, secrets)));
    }
    let Some(candidate) = reply.candidates.and_then(|all| all.into_iter().next()) else {
        if reply.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            into.finish = Some(End::Refused);
        }
        return Ok(());
    };
    let parts = candidate.content.and_then(|said| said.parts).unwrap_or_default();
    parts.into_iter().try_for_each(|part| take_part(part, into))?;
    let finish = candidate.finish_reason.as_deref();
    if let Some(reason) = finish.filter(|word| !matches!(*word, "" | "FINISH_REASON_UNSPECIFIED")) {
        into.finish = Some(end(Some(reason)));
    }
    Ok(())
}

fn take_part(part: SaidPart, into: &mut Gathered) -> Result<(), Failure> {
    if let Some(call) = part.function_call {
        return into.call(Fragment {
            key: into.calls(),
            id: call.id.as_deref().unwrap_or_default(),
            name: &call.name,
            arguments: call.arguments().unwrap_or("{}"),
            extra: part.thought_signature.map(carried),
            ..Fragment::default()
        });
    }
    let text = part.text.unwrap_or_default();
    if part.thought != Some(true) {
        return into.say(&text);
    }
    if !text.is_empty() {
        into.live();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
