//! Reads an answer in OpenAI's form, tolerantly.
//!
//! Imitators leave fields out, send null for them, or a list where a string belongs; some send an
//! error with status 200, some within a choice. Thoughts stand under more than one name.

use serde::Deserialize;
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
    /// The answer as the older API for completions has it.
    text: Option<String>,
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
    match choice.message.or(choice.text.map(Said::text)) {
        Some(said) => take_said(said, Piece::Whole, into)?,
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

#[cfg(test)]
mod tests;
