//! A complete answer as a body of Chat Completions.

use serde::Serialize;

use super::{completion_id, finish_reason};
use crate::dialects::Given;
use crate::domain::price::Usage;
use crate::protocol::answer::Finish;
use crate::protocol::chat::ToolCall;

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [CompletionChoice<'a>; 1],
    usage: TokensUsed,
}

#[derive(Serialize)]
struct CompletionChoice<'a> {
    index: u32,
    message: AssistantMessage<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct AssistantMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<&'a [ToolCall]>,
}

/// What an answer consumed, in the dialect's names.
#[derive(Serialize)]
pub(super) struct TokensUsed {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl TokensUsed {
    /// The same tokens under the dialect's names.
    pub(super) fn of(usage: &Usage) -> TokensUsed {
        TokensUsed {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached_tokens },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning_tokens,
            },
        }
    }
}

/// The body of an answer.
pub(in crate::dialects) fn whole(given: &Given<'_>) -> String {
    let answered = given.answered;
    let content = answered.content.as_deref();
    // What a model says when it refuses is a text like any other in one place and `refusal` here.
    let refuses = answered.finish_reason == Finish::Refused;
    let message = AssistantMessage {
        role: "assistant",
        content,
        refusal: content.filter(|_| refuses),
        reasoning_content: answered.reasoning_content.as_deref(),
        tool_calls: answered.tool_calls.as_deref(),
    };
    let choice = CompletionChoice {
        index: 0,
        message,
        logprobs: None,
        finish_reason: finish_reason(answered.finish_reason),
    };
    let completion = Completion {
        id: completion_id(given.request_id),
        object: "chat.completion",
        created: given.unix_time,
        model: &answered.model_id,
        choices: [choice],
        usage: TokensUsed::of(&answered.usage),
    };
    // Our own types can always be written.
    serde_json::to_string(&completion).unwrap_or_default()
}
