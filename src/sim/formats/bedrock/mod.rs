//! What the simulated Amazon Bedrock says: Converse's answers, odd replies, errors, headers.
//!
//! Streams have Amazon's binary frames, with the padding that real ones have, and errors are named
//! in a header beside the body. What is accepted and what is refused is in [`read`], who may ask in
//! [`signed`].

mod read;
mod signed;

use serde_json::{Value, json};

use crate::provider::framing::eventstream::message;
use crate::sim::ask::{FinishReason, IncomingCall, SimulatedReply};
use crate::sim::behaviour::{Meaning, Odd, ProviderError};
use crate::sim::flow::{WireEvent, tokens};
use crate::sim::formats::ServerFormat;
use crate::sim::wire::{AccessRules, HttpReply, Incoming, items, text};

const ERROR_TYPE: &str = "x-amzn-errortype";

/// What stands behind the name in that header.
const NAMESPACE: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";

pub(super) struct BedrockServer;

impl ServerFormat for BedrockServer {
    fn base_path(&self) -> &'static str {
        ""
    }

    fn model<'c>(&self, call: &'c Incoming) -> &'c str {
        read::path(call).map_or("", |(model, _)| model)
    }

    /// The key itself, or the name of the one that signed.
    fn key<'c>(&self, call: &'c Incoming) -> &'c str {
        call.bearer().or_else(|| signed::key_id(call)).unwrap_or_default()
    }

    fn asks_to_stream(&self, call: &Incoming) -> bool {
        read::path(call).is_some_and(|(_, method)| method == "converse-stream")
    }

    fn read(&self, call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
        read::read(call, rules)
    }

    fn answer(&self, _: &IncomingCall, reply: &SimulatedReply, number: u64) -> HttpReply {
        let content = match &reply.tool {
            Some((name, input)) => {
                let id = format!("tooluse_sim{number:08}");
                json!([{ "toolUse": { "toolUseId": id, "name": name, "input": input } }])
            }
            None if reply.text.is_empty() => json!([]),
            None => json!([{ "text": reply.text }]),
        };
        let stop = match &reply.finish {
            FinishReason::Stop => "end_turn",
            FinishReason::Sequence(_) => "stop_sequence",
            FinishReason::Length => "max_tokens",
            FinishReason::Tool => "tool_use",
        };
        good(&converse(content, stop, reply.input, reply.output), number)
    }

    fn events(&self, body: &Value, _: &Incoming) -> Option<Vec<WireEvent>> {
        Some(events(body))
    }

    fn odd(&self, odd: Odd, ask: &IncomingCall, number: u64) -> HttpReply {
        let (content, stop) = match odd {
            Odd::ErrorIn200 => {
                let name = "com.amazon.bedrock#ServiceUnavailableException";
                let said = "Bedrock is unable to process your request.";
                return good(&json!({ "__type": name, "message": said }), number);
            }
            Odd::Blocked => (json!([{ "text": "Sorry, not here." }]), "guardrail_intervened"),
            Odd::Refusal => (json!([]), "content_filtered"),
            Odd::Empty => (json!([]), "end_turn"),
            Odd::Glitch => (json!([]), "malformed_model_output"),
        };
        good(&converse(content, stop, ask.input_tokens(), 1), number)
    }

    fn error(&self, error: &ProviderError, _: &str, _: &IncomingCall, number: u64) -> HttpReply {
        let (status, name, said) = usual(error.meaning);
        let body = json!({ "message": error.message.as_deref().unwrap_or(said) });
        let name = error.code.as_deref().unwrap_or(name);
        let mut reply = HttpReply::json(error.status.unwrap_or(status), &body)
            .with("x-amzn-requestid", &request_id(number))
            .with(ERROR_TYPE, &format!("{name}:{NAMESPACE}"));
        if let Some(wait) = &error.retry_after {
            reply = reply.with("retry-after", wait);
        }
        reply.scripted(error)
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    fn error_event(&self, error: &HttpReply) -> Vec<u8> {
        let name = error.headers.get(ERROR_TYPE).and_then(|name| name.to_str().ok());
        let name = name.and_then(|name| name.split(':').next()).unwrap_or_default();
        exception(name, &String::from_utf8_lossy(&error.body))
    }

    fn keep_alive(&self) -> Vec<u8> {
        message("event", "initial-response", "{}")
    }

    fn malformed(&self) -> Vec<u8> {
        let mut frame = event("contentBlockDelta", json!({ "delta": { "text": "cont" } }));
        // A bit of the payload is another than its checksum says.
        let at = frame.len() - 8;
        frame[at] ^= 1;
        frame
    }
}

fn converse(content: Value, stop: &str, input: u64, output: u64) -> Value {
    json!({
        "metrics": { "latencyMs": 412 },
        "output": { "message": { "content": content, "role": "assistant" } },
        "stopReason": stop,
        "usage": { "inputTokens": input, "outputTokens": output, "totalTokens": input + output,
            "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0 },
    })
}

fn usual(meaning: Meaning) -> (u16, &'static str, &'static str) {
    const INVALID: &str = "ValidationException";
    match meaning {
        Meaning::Overloaded => {
            let said = "Bedrock is unable to process your request.";
            (503, "ServiceUnavailableException", said)
        }
        Meaning::ServerError => {
            let said = "The system encountered an unexpected error during processing. Try your \
                        request again.";
            (500, "InternalServerException", said)
        }
        Meaning::RateLimited => {
            let said = "Too many requests, please wait before trying again.";
            (429, "ThrottlingException", said)
        }
        Meaning::Quota => {
            let said = "Your request exceeds the service quota for your account.";
            (400, "ServiceQuotaExceededException", said)
        }
        Meaning::Auth => {
            let said = "The security token included in the request is invalid.";
            (403, "UnrecognizedClientException", said)
        }
        Meaning::ModelNotFound => {
            let said = "Could not resolve the foundation model from the provided model identifier.";
            (404, "ResourceNotFoundException", said)
        }
        Meaning::ContextTooLong => (400, INVALID, "Input is too long for requested model."),
        Meaning::ContentPolicy => {
            let said = "The model returned the following errors: Output blocked by content \
                        filtering policy";
            (400, INVALID, said)
        }
        Meaning::UnsupportedParam => {
            let said = "This model doesn't support the temperature field. Remove temperature and \
                        try again.";
            (400, INVALID, said)
        }
        Meaning::InvalidRequest => (400, INVALID, "The request is invalid."),
    }
}

fn good(body: &Value, number: u64) -> HttpReply {
    HttpReply::json(200, body).with("x-amzn-requestid", &request_id(number))
}

fn request_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A whole answer taken apart into the events of a stream: text has no start, a tool has; usage
/// comes behind the finish.
fn events(body: &Value) -> Vec<WireEvent> {
    if body.get("output").is_none() {
        let name = text(body, "__type").rsplit('#').next().unwrap_or_default();
        return vec![WireEvent::Other(exception(name, &body.to_string()))];
    }
    let mut all = vec![WireEvent::Other(event("messageStart", json!({ "role": "assistant" })))];
    for (index, block) in items(&body["output"]["message"], "content").iter().enumerate() {
        block_events(index, block, &mut all);
    }
    all.push(WireEvent::Other(event("messageStop", json!({ "stopReason": body["stopReason"] }))));
    let last = json!({ "usage": body["usage"], "metrics": body["metrics"] });
    all.push(WireEvent::End(event("metadata", last)));
    all
}

fn block_events(index: usize, block: &Value, all: &mut Vec<WireEvent>) {
    let tool = block.get("toolUse");
    let pieces = match tool {
        Some(tool) => tokens(&tool["input"].to_string()),
        None => tokens(text(block, "text")),
    };
    if let Some(tool) = tool {
        let start = json!({ "toolUse": { "toolUseId": tool["toolUseId"], "name": tool["name"] } });
        let begin = json!({ "contentBlockIndex": index, "start": start });
        all.push(WireEvent::Other(event("contentBlockStart", begin)));
    }
    for piece in pieces {
        let delta = match tool {
            Some(_) => json!({ "toolUse": { "input": piece } }),
            None => json!({ "text": piece }),
        };
        let more = json!({ "contentBlockIndex": index, "delta": delta });
        all.push(WireEvent::Token(event("contentBlockDelta", more)));
    }
    all.push(WireEvent::Other(event("contentBlockStop", json!({ "contentBlockIndex": index }))));
}

/// An event, with the padding that hides how long texts are.
fn event(name: &str, mut data: Value) -> Vec<u8> {
    data["p"] = json!("abcdefghijklmnopqrstuvwxyz");
    message("event", name, &data.to_string())
}

/// An exception; within streams their names begin with a small letter.
fn exception(name: &str, body: &str) -> Vec<u8> {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let name: String = first.into_iter().chain(letters).collect();
    message("exception", &name, body)
}
