//! What the simulated Anthropic says: messages, odd replies, errors, headers.
//!
//! Two traps of the real one are kept on purpose: good answers carry a `retry-after` header, and an
//! error because of money has the same type as a rate limit and differs only in its details. What
//! is accepted and what is refused is in [`read`].

mod read;

use serde_json::{Value, json};

use crate::sim::ask::{FinishReason, IncomingCall, SimulatedReply};
use crate::sim::behaviour::{Meaning, Odd, ProviderError};
use crate::sim::flow::{WireEvent, tokens};
use crate::sim::formats::{ServerFormat, UsualError};
use crate::sim::wire::{AccessRules, HttpReply, Incoming, items, text};

const HEADERS: &[(&str, &str)] = &[
    ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2026-11-20T12:00:00Z"),
    ("anthropic-ratelimit-input-tokens-limit", "400000"),
    ("anthropic-ratelimit-input-tokens-remaining", "400000"),
    ("anthropic-ratelimit-input-tokens-reset", "2026-11-20T12:00:00Z"),
    ("anthropic-ratelimit-output-tokens-limit", "80000"),
    ("anthropic-ratelimit-output-tokens-remaining", "80000"),
    ("anthropic-ratelimit-output-tokens-reset", "2026-11-20T12:00:00Z"),
];

const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

pub(super) struct AnthropicServer;

impl ServerFormat for AnthropicServer {
    fn base_path(&self) -> &'static str {
        ""
    }

    fn model<'c>(&self, call: &'c Incoming) -> &'c str {
        vertex(call).map_or_else(|| call.body_model(), |(model, _)| model)
    }

    fn key<'c>(&self, call: &'c Incoming) -> &'c str {
        if vertex(call).is_some() {
            return call.bearer().unwrap_or_default();
        }
        call.header("x-api-key").or_else(|| call.bearer()).unwrap_or_default()
    }

    fn read(&self, call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
        read::read(call, rules)
    }

    fn answer(&self, ask: &IncomingCall, reply: &SimulatedReply, number: u64) -> HttpReply {
        let content = match &reply.tool {
            Some((name, input)) => {
                let id = format!("toolu_sim{number:08}");
                json!([{ "type": "tool_use", "id": id, "name": name, "input": input }])
            }
            None if reply.text.is_empty() => json!([]),
            None => json!([{ "type": "text", "text": reply.text }]),
        };
        let (stop, sequence) = match &reply.finish {
            FinishReason::Stop => ("end_turn", None),
            FinishReason::Sequence(sequence) => ("stop_sequence", Some(sequence.as_str())),
            FinishReason::Length => ("max_tokens", None),
            FinishReason::Tool => ("tool_use", None),
        };
        let mut body = message(ask, content, stop, (reply.input, reply.output), number);
        body["stop_sequence"] = json!(sequence);
        good(&body, number)
    }

    fn events(&self, body: &Value, _: &Incoming) -> Option<Vec<WireEvent>> {
        Some(events(body))
    }

    fn odd(&self, odd: Odd, ask: &IncomingCall, number: u64) -> HttpReply {
        let stop = match odd {
            Odd::ErrorIn200 => {
                let error = json!({ "type": "overloaded_error", "message": "Overloaded" });
                return good(&json!({ "type": "error", "error": error }), number);
            }
            Odd::Blocked | Odd::Refusal => "refusal",
            Odd::Empty | Odd::Glitch => "end_turn",
        };
        let mut body = message(ask, json!([]), stop, (ask.input_tokens(), 1), number);
        if odd == Odd::Refusal {
            body["stop_details"] = json!({
                "type": "refusal",
                "category": "cyber",
                "explanation": "The request asks for something that is not allowed.",
            });
        }
        good(&body, number)
    }

    fn error(&self, error: &ProviderError, _: &str, ask: &IncomingCall, number: u64) -> HttpReply {
        let (status, kind, details, message) = usual(error.meaning, &ask.model);
        let mut inner = json!({
            "type": error.code.as_deref().unwrap_or(kind),
            "message": error.message.as_deref().unwrap_or(&message),
        });
        if let Some(code) = details {
            inner["details"] = json!({ "error_visibility": "user_facing", "error_code": code });
        }
        let id = request_id(number);
        let body = json!({ "type": "error", "error": inner, "request_id": id });
        let status = error.status.unwrap_or(status);
        let mut reply = HttpReply::json(status, &body).with("request-id", &id);
        if matches!(status, 429 | 529) {
            reply = reply.fixed(HEADERS);
        }
        if let Some(wait) = &error.retry_after {
            reply = reply.with("retry-after", wait);
        }
        reply.scripted(error)
    }

    fn error_event(&self, error: &HttpReply) -> Vec<u8> {
        let body = String::from_utf8_lossy(&error.body);
        format!("event: error\ndata: {body}\n\n").into_bytes()
    }

    fn keep_alive(&self) -> Vec<u8> {
        PING.to_vec()
    }
}

/// The model and the method of a call as Vertex AI has it.
fn vertex(call: &Incoming) -> Option<(&str, &str)> {
    let (_, behind) = call.path.split_once("/publishers/anthropic/models/")?;
    behind.rsplit_once(':')
}

fn message(ask: &IncomingCall, content: Value, stop: &str, used: (u64, u64), number: u64) -> Value {
    json!({
        "id": format!("msg_sim{number:08}"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": {
            "input_tokens": used.0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
            "output_tokens": used.1,
            "service_tier": "standard",
        },
    })
}

fn usual(meaning: Meaning, model: &str) -> UsualError {
    const INVALID: &str = "invalid_request_error";
    let (status, kind, message) = match meaning {
        Meaning::Overloaded => (529, "overloaded_error", "Overloaded"),
        Meaning::ServerError => (500, "api_error", "Internal server error"),
        Meaning::RateLimited => {
            let text = "This request would exceed your organization's rate limit of 4,000 \
                        requests per minute. Please try again later.";
            (429, "rate_limit_error", text)
        }
        Meaning::Quota => {
            let text = "You have reached your specified spend limit.";
            let code = Some("enforced_spend_limit_reached");
            return (429, "rate_limit_error", code, text.to_owned());
        }
        Meaning::Auth => (401, "authentication_error", "invalid x-api-key"),
        Meaning::ModelNotFound => {
            return (404, "not_found_error", None, format!("model: {model}"));
        }
        Meaning::ContextTooLong => {
            (400, INVALID, "prompt is too long: 250000 tokens > 200000 maximum")
        }
        Meaning::ContentPolicy => (400, INVALID, "Output blocked by content filtering policy"),
        Meaning::UnsupportedParam => (400, INVALID, "`temperature` is deprecated for this model."),
        Meaning::InvalidRequest => (400, INVALID, "The request is invalid."),
    };
    (status, kind, None, message.to_owned())
}

fn good(body: &Value, number: u64) -> HttpReply {
    HttpReply::json(200, body)
        .fixed(HEADERS)
        .fixed(&[("retry-after", "49")])
        .with("request-id", &request_id(number))
}

fn request_id(number: u64) -> String {
    format!("req_sim{number:08}")
}

/// A whole message taken apart into the events of a stream.
///
/// Every event has its name and says it again in its data. The start counts the input, the end the
/// output; a ping follows the start of the first block, as it nearly always does.
fn events(body: &Value) -> Vec<WireEvent> {
    if body["type"] == "error" {
        return vec![WireEvent::Other(event(body))];
    }
    let mut start = body.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["stop_sequence"] = Value::Null;
    start["usage"]["output_tokens"] = json!(1);
    if let Some(start) = start.as_object_mut() {
        start.shift_remove("stop_details");
    }
    let mut all =
        vec![WireEvent::Other(event(&json!({ "type": "message_start", "message": start })))];
    for (index, block) in items(body, "content").iter().enumerate() {
        block_events(index, block, &mut all);
    }
    let mut delta = json!({
        "stop_reason": body["stop_reason"],
        "stop_sequence": body["stop_sequence"],
    });
    if let Some(details) = body.get("stop_details") {
        delta["stop_details"] = details.clone();
    }
    let usage = json!({ "output_tokens": body["usage"]["output_tokens"] });
    let last = json!({ "type": "message_delta", "delta": delta, "usage": usage });
    all.push(WireEvent::Other(event(&last)));
    all.push(WireEvent::End(event(&json!({ "type": "message_stop" }))));
    all
}

fn block_events(index: usize, block: &Value, all: &mut Vec<WireEvent>) {
    let is_tool = block["type"] == "tool_use";
    let (mut begin, pieces) = match is_tool {
        true => (block.clone(), tokens(&block["input"].to_string())),
        false => (block.clone(), tokens(text(block, "text"))),
    };
    begin[if is_tool { "input" } else { "text" }] = if is_tool { json!({}) } else { json!("") };
    all.push(WireEvent::Other(event(
        &json!({ "type": "content_block_start", "index": index, "content_block": begin }),
    )));
    if index == 0 {
        all.push(WireEvent::Other(PING.to_vec()));
    }
    for piece in pieces {
        let delta = match is_tool {
            true => json!({ "type": "input_json_delta", "partial_json": piece }),
            false => json!({ "type": "text_delta", "text": piece }),
        };
        all.push(WireEvent::Token(event(
            &json!({ "type": "content_block_delta", "index": index, "delta": delta }),
        )));
    }
    all.push(WireEvent::Other(event(&json!({ "type": "content_block_stop", "index": index }))));
}

fn event(data: &Value) -> Vec<u8> {
    format!("event: {}\ndata: {data}\n\n", text(data, "type")).into_bytes()
}
