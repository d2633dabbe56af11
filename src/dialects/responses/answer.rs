//! A complete answer as an object of items; streams tell the same one piece by piece.

use serde::Serialize;
use serde_json::{Map, Value};

use super::echo::Echo;
use super::sealed;
use crate::dialects::Given;
use crate::domain::price::Usage;
use crate::protocol::answer::Finish;
use crate::protocol::chat::ToolCall;
use crate::protocol::reply::{Answered, ErrorBody, ErrorCode};

/// What stays the same of an object, from its first word on.
pub(super) struct ResponseHead<'a> {
    pub(super) request_id: &'a str,
    pub(super) unix_time: u64,
    pub(super) model: &'a str,
    pub(super) echo: &'a Echo,
}

/// The object that all of an answer is.
#[derive(Serialize)]
pub(super) struct ResponseObject<'a> {
    id: String,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    error: Option<ResponseFault<'a>>,
    incomplete_details: Option<CutShort>,
    model: &'a str,
    output: &'a [OutputItem<'a>],
    usage: Option<TokensSpent>,
    #[serde(flatten)]
    settings: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct ResponseFault<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct CutShort {
    reason: &'static str,
}

/// One item of an answer.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputItem<'a> {
    /// What the model thought, and what its provider wants back.
    Reasoning {
        id: String,
        summary: Vec<OutputPart<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    /// What the model says.
    Message { id: String, status: &'static str, role: &'static str, content: Vec<OutputPart<'a>> },
    /// A call that it asks for.
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        arguments: &'a str,
    },
}

/// A part of an item.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputPart<'a> {
    /// A text, with two lists that are always empty here.
    OutputText { text: &'a str, annotations: [u8; 0], logprobs: [u8; 0] },
    /// What the model says where it refuses.
    Refusal { refusal: &'a str },
    /// What it lets see of its thoughts.
    SummaryText { text: &'a str },
}

/// What an answer consumed, in the dialect's names.
#[derive(Serialize)]
struct TokensSpent {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl TokensSpent {
    fn of(usage: &Usage) -> TokensSpent {
        TokensSpent {
            input_tokens: usage.input_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_tokens,
                cache_write_tokens: usage.cache_write_tokens,
            },
            output_tokens: usage.output_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning_tokens },
            total_tokens: usage.input_tokens + usage.output_tokens,
        }
    }
}

impl<'a> ResponseHead<'a> {
    /// The object while there is nothing of the answer yet.
    pub(super) fn begun(&self) -> ResponseObject<'a> {
        ResponseObject {
            id: format!("resp_{}", self.request_id),
            object: "response",
            created_at: self.unix_time,
            status: "in_progress",
            error: None,
            incomplete_details: None,
            model: self.model,
            output: &[],
            usage: None,
            settings: &self.echo.settings,
        }
    }

    /// The object of an answer that has these items.
    pub(super) fn ended(
        &self,
        answered: &'a Answered,
        output: &'a [OutputItem<'a>],
    ) -> ResponseObject<'a> {
        let cut = match answered.finish_reason {
            Finish::Stop | Finish::ToolCalls => None,
            Finish::Length => Some(CutShort { reason: "max_output_tokens" }),
            Finish::Refused => Some(CutShort { reason: "content_filter" }),
        };
        ResponseObject {
            status: if cut.is_none() { "completed" } else { "incomplete" },
            incomplete_details: cut,
            model: &answered.model_id,
            output,
            usage: Some(TokensSpent::of(&answered.usage)),
            ..self.begun()
        }
    }

    /// The object of an answer that there is no rest of.
    pub(super) fn failed(&self, error: &'a ErrorBody) -> ResponseObject<'a> {
        // The dialect has a closed list of codes; one of these two says whether to ask again.
        let code = match error.code {
            ErrorCode::Refused | ErrorCode::InvalidRequest | ErrorCode::ContextTooLong => {
                "invalid_prompt"
            }
            _ => "server_error",
        };
        let error = Some(ResponseFault { code, message: &error.message });
        ResponseObject { status: "failed", error, ..self.begun() }
    }

    /// The item of what the model thought, if there is anything of it.
    pub(super) fn thoughts(&self, answered: &'a Answered) -> Option<OutputItem<'a>> {
        let told = answered.reasoning_content.as_deref().filter(|text| !text.is_empty());
        let encrypted_content = sealed::seal(answered);
        (told.is_some() || encrypted_content.is_some()).then(|| OutputItem::Reasoning {
            id: format!("rs_{}", self.request_id),
            summary: told.into_iter().map(|text| OutputPart::SummaryText { text }).collect(),
            encrypted_content,
        })
    }

    /// The item of what the model says.
    pub(super) fn said(
        &self,
        part: Option<OutputPart<'a>>,
        status: &'static str,
    ) -> OutputItem<'a> {
        OutputItem::Message {
            id: format!("msg_{}", self.request_id),
            status,
            role: "assistant",
            content: part.into_iter().collect(),
        }
    }

    /// The item of a call, the first one being number 0; at its beginning without arguments.
    pub(super) fn call(&self, number: usize, call: &'a ToolCall, whole: bool) -> OutputItem<'a> {
        let name = call.function.name.as_str();
        let home = self.echo.home(name);
        OutputItem::FunctionCall {
            id: format!("fc_{}_{number}", self.request_id),
            status: if whole { "completed" } else { "in_progress" },
            call_id: &call.id,
            name: home.map_or(name, |home| &home.name),
            namespace: home.map(|home| home.namespace.as_str()),
            arguments: if whole { &call.function.arguments } else { "" },
        }
    }
}

impl ResponseObject<'_> {
    /// The event that it is told with at the end.
    pub(super) fn last_event(&self) -> &'static str {
        match self.incomplete_details {
            None => "response.completed",
            Some(_) => "response.incomplete",
        }
    }
}

impl OutputItem<'_> {
    /// The name that it goes by.
    pub(super) fn id(&self) -> &str {
        match self {
            OutputItem::Reasoning { id, .. }
            | OutputItem::Message { id, .. }
            | OutputItem::FunctionCall { id, .. } => id,
        }
    }
}

impl<'a> OutputPart<'a> {
    /// A part that is a text.
    pub(super) fn text(text: &'a str) -> OutputPart<'a> {
        OutputPart::OutputText { text, annotations: [], logprobs: [] }
    }
}

/// The state of a text whose answer ended like this.
pub(super) fn item_status(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "completed",
        Finish::Length | Finish::Refused => "incomplete",
    }
}

/// The body of an answer.
pub(in crate::dialects) fn whole(given: &Given<'_>) -> String {
    let Given { answered, request_id, unix_time, echo } = *given;
    let head = ResponseHead { request_id, unix_time, model: &answered.model_id, echo };
    let mut output: Vec<OutputItem<'_>> = head.thoughts(answered).into_iter().collect();
    if let Some(text) = answered.content.as_deref().filter(|text| !text.is_empty()) {
        let part = match answered.finish_reason {
            Finish::Refused => OutputPart::Refusal { refusal: text },
            _ => OutputPart::text(text),
        };
        output.push(head.said(Some(part), item_status(answered.finish_reason)));
    }
    let calls = answered.tool_calls.iter().flatten().enumerate();
    output.extend(calls.map(|(at, call)| head.call(at, call, true)));
    // Our own types can always be written.
    serde_json::to_string(&head.ended(answered, &output)).unwrap_or_default()
}
