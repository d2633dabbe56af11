//! What the simulated OpenAI says: answers, odd replies, errors, headers.
//!
//! Shapes follow the public API description of chat completions; texts are close to the real ones,
//! since clients match on some of them. Compatible servers and Azure are served too: a deployment
//! in the path wins over `model`, and `api-key` is taken as a key. What is accepted and what is
//! refused is in [`read`].

mod read;

use serde_json::{Value, json};

use crate::sim::ask::{FinishReason, IncomingCall, SimulatedReply};
use crate::sim::behaviour::{Meaning, Odd, ProviderError};
use crate::sim::flow::{WireEvent, tokens};
use crate::sim::formats::{ServerFormat, UsualError};
use crate::sim::wire::{AccessRules, HttpReply, Incoming, text};

/// Seconds since 1970 that answers give as their time; fixed, so that answers are repeatable.
const CREATED: u64 = 1_795_000_000;

const HEADERS: &[(&str, &str)] = &[
    ("openai-version", "2020-10-01"),
    ("openai-organization", "org-simulated"),
    ("openai-processing-ms", "7"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999976"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "0s"),
];

pub(super) struct OpenAiServer;

impl ServerFormat for OpenAiServer {
    fn base_path(&self) -> &'static str {
        "/v1"
    }

    fn model<'c>(&self, call: &'c Incoming) -> &'c str {
        let deployment = call.path.strip_prefix("/openai/deployments/");
        deployment.and_then(|rest| rest.split('/').next()).unwrap_or_else(|| call.body_model())
    }

    fn key<'c>(&self, call: &'c Incoming) -> &'c str {
        call.bearer().or_else(|| call.header("api-key")).unwrap_or_default()
    }

    fn other(&self, call: &Incoming, rules: &AccessRules, number: u64) -> Option<HttpReply> {
        if !call.get || call.path != "/v1/models" {
            return None;
        }
        if !rules.accepts(self.key(call)) {
            return Some(self.error(
                &ProviderError::new(Meaning::Auth),
                self.key(call),
                &IncomingCall::default(),
                number,
            ));
        }
        let names = rules.models.as_deref().unwrap_or_default().iter();
        let data: Vec<Value> = names
            .map(|name| json!({ "id": name, "object": "model", "created": CREATED, "owned_by": "system" }))
            .collect();
        Some(sent(200, &json!({ "object": "list", "data": data }), number))
    }

    fn read(&self, call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
        read::read(call, rules)
    }

    fn answer(&self, ask: &IncomingCall, reply: &SimulatedReply, number: u64) -> HttpReply {
        let mut message = json!({
            "role": "assistant",
            "content": reply.text,
            "refusal": null,
            "annotations": [],
        });
        if let Some((name, arguments)) = &reply.tool {
            message["content"] = Value::Null;
            message["tool_calls"] = json!([{
                "id": format!("call_sim{number:08}"),
                "type": "function",
                "function": { "name": name, "arguments": arguments.to_string() },
            }]);
        }
        let finish = match reply.finish {
            FinishReason::Stop | FinishReason::Sequence(_) => "stop",
            FinishReason::Length => "length",
            FinishReason::Tool => "tool_calls",
        };
        let body = completion(ask, &message, finish, (reply.input, reply.output), number);
        sent(200, &body, number)
    }

    fn events(&self, body: &Value, call: &Incoming) -> Option<Vec<WireEvent>> {
        Some(events(body, call))
    }

    fn odd(&self, odd: Odd, ask: &IncomingCall, number: u64) -> HttpReply {
        let (content, refusal, finish) = match odd {
            Odd::ErrorIn200 => {
                let error = json!({ "message": "Provider returned error", "code": 502 });
                return sent(200, &json!({ "error": error }), number);
            }
            Odd::Glitch => {
                let error = ProviderError {
                    code: Some("tool_use_failed".to_owned()),
                    ..ProviderError::invalid(
                        "Failed to call a function. Please adjust your prompt.",
                    )
                };
                return self.error(&error, "", ask, number);
            }
            Odd::Blocked => (Value::Null, Value::Null, "content_filter"),
            Odd::Empty => (json!(""), Value::Null, "stop"),
            Odd::Refusal => (Value::Null, json!("I'm sorry, I can't help with that."), "stop"),
        };
        let message = json!({ "role": "assistant", "content": content, "refusal": refusal });
        sent(200, &completion(ask, &message, finish, (ask.input_tokens(), 0), number), number)
    }

    fn error(
        &self,
        error: &ProviderError,
        key: &str,
        ask: &IncomingCall,
        number: u64,
    ) -> HttpReply {
        let (status, kind, code, message) = usual(error.meaning, key, &ask.model);
        let body = json!({ "error": {
            "message": error.message.clone().unwrap_or(message),
            "type": kind,
            "param": error.param,
            "code": error.code.as_deref().or(code),
        } });
        let mut reply = sent(error.status.unwrap_or(status), &body, number);
        if let Some(wait) = &error.retry_after {
            reply = reply.with("retry-after", wait);
        }
        reply.scripted(error)
    }
}

fn completion(
    ask: &IncomingCall,
    message: &Value,
    finish: &str,
    used: (u64, u64),
    number: u64,
) -> Value {
    let (input, output) = used;
    json!({
        "id": format!("chatcmpl-sim{number:08}"),
        "object": "chat.completion",
        "created": CREATED + number,
        "model": ask.model,
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish }],
        "usage": {
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input + output,
            "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    })
}

const TOO_LONG: &str = "This model's maximum context length is 128000 tokens. However, your \
     messages resulted in 250000 tokens. Please reduce the length of the messages.";

fn usual(meaning: Meaning, key: &str, model: &str) -> UsualError {
    const INVALID: &str = "invalid_request_error";
    let (status, kind, code, message) = match meaning {
        Meaning::Overloaded => (
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "Our servers are currently overloaded. Please try again later.".to_owned(),
        ),
        Meaning::ServerError => (
            500,
            "server_error",
            None,
            "The server had an error while processing your request. Sorry about that!".to_owned(),
        ),
        Meaning::RateLimited => (
            429,
            "requests",
            Some("rate_limit_exceeded"),
            format!(
                "Rate limit reached for {model} on requests per min (RPM): Limit 500, Used 500."
            ),
        ),
        Meaning::Quota => (
            429,
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details."
                .to_owned(),
        ),
        Meaning::Auth => {
            (401, INVALID, (!key.is_empty()).then_some("invalid_api_key"), wrong_key(key))
        }
        Meaning::ModelNotFound => (
            404,
            INVALID,
            Some("model_not_found"),
            format!("The model `{model}` does not exist or you do not have access to it."),
        ),
        Meaning::ContextTooLong => {
            (400, INVALID, Some("context_length_exceeded"), TOO_LONG.to_owned())
        }
        Meaning::ContentPolicy => (
            400,
            INVALID,
            Some("content_policy_violation"),
            "Your request was rejected as a result of our safety system.".to_owned(),
        ),
        Meaning::UnsupportedParam => (
            400,
            INVALID,
            Some("unsupported_parameter"),
            "Unsupported parameter: 'temperature' is not supported with this model.".to_owned(),
        ),
        Meaning::InvalidRequest => (400, INVALID, None, "The request is invalid.".to_owned()),
    };
    (status, kind, code, message)
}

fn wrong_key(key: &str) -> String {
    if key.is_empty() {
        return "You didn't provide an API key. You need to provide your API key in an \
                Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            .to_owned();
    }
    let start: String = key.chars().take(3).collect();
    format!("Incorrect API key provided: {start}***. You can find your API key in your account.")
}

fn sent(status: u16, body: &Value, number: u64) -> HttpReply {
    HttpReply::json(status, body)
        .fixed(HEADERS)
        .with("x-request-id", &format!("req_sim{number:08}"))
}

/// A whole chat completion taken apart into the chunks of a stream.
///
/// The first chunk has only the role; a tool call comes in fragments; usage is a chunk of its own
/// without choices, and only when it was asked for; `[DONE]` is last.
fn events(body: &Value, call: &Incoming) -> Vec<WireEvent> {
    let end = WireEvent::End(b"data: [DONE]\n\n".to_vec());
    if body.get("choices").is_none() {
        return vec![WireEvent::Other(format!("data: {body}\n\n").into_bytes()), end];
    }
    let with_usage = call.body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let message = &body["choices"][0]["message"];
    let mut items = vec![WireEvent::Other(chunk(
        body,
        &json!({ "role": "assistant", "content": "", "refusal": null }),
        &Value::Null,
        with_usage,
    ))];
    let mut token = |delta: Value| {
        items.push(WireEvent::Token(chunk(body, &delta, &Value::Null, with_usage)));
    };
    for piece in tokens(text(message, "content")) {
        token(json!({ "content": piece }));
    }
    for piece in tokens(text(message, "refusal")) {
        token(json!({ "refusal": piece }));
    }
    if let Some(called) = message.pointer("/tool_calls/0") {
        let mut first = called.clone();
        first["index"] = json!(0);
        first["function"]["arguments"] = json!("");
        token(json!({ "tool_calls": [first] }));
        for piece in tokens(text(&called["function"], "arguments")) {
            let fragment = json!({ "index": 0, "function": { "arguments": piece } });
            token(json!({ "tool_calls": [fragment] }));
        }
    }
    let finish = &body["choices"][0]["finish_reason"];
    items.push(WireEvent::Other(chunk(body, &json!({}), finish, with_usage)));
    if with_usage {
        let mut last = head(body);
        last["choices"] = json!([]);
        last["usage"] = body["usage"].clone();
        items.push(WireEvent::Other(format!("data: {last}\n\n").into_bytes()));
    }
    items.push(end);
    items
}

fn head(body: &Value) -> Value {
    json!({
        "id": body["id"],
        "object": "chat.completion.chunk",
        "created": body["created"],
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    })
}

fn chunk(body: &Value, delta: &Value, finish: &Value, with_usage: bool) -> Vec<u8> {
    let mut chunk = head(body);
    chunk["choices"] =
        json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
    if with_usage {
        chunk["usage"] = Value::Null;
    }
    chunk["obfuscation"] = json!("x7Jq2");
    format!("data: {chunk}\n\n").into_bytes()
}
