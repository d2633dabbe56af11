//! What the simulated Gemini says: candidates, odd replies, errors.
//!
//! Its habits are kept: a wrong key is a 400, a blocked prompt is a 200 without candidates, the
//! time to wait stands in the body instead of a header, there is no finish reason for tools, and no
//! request id is sent. What is accepted and what is refused is in [`read`].

mod names;
mod read;

use serde_json::{Value, json};

use crate::sim::ask::{FinishReason, IncomingCall, SimulatedReply};
use crate::sim::behaviour::{Meaning, Odd, ProviderError};
use crate::sim::flow::{WireEvent, tokens};
use crate::sim::formats::ServerFormat;
use crate::sim::wire::{AccessRules, HttpReply, Incoming, text};

const HEADERS: &[(&str, &str)] = &[
    ("vary", "Origin, X-Origin, Referer"),
    ("server", "scaffolding on HTTPServer2"),
    ("server-timing", "gfet4t7; dur=7"),
    ("x-xss-protection", "0"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-content-type-options", "nosniff"),
];

pub(super) struct GoogleServer;

impl ServerFormat for GoogleServer {
    fn base_path(&self) -> &'static str {
        "/v1beta"
    }

    fn model<'c>(&self, call: &'c Incoming) -> &'c str {
        let rest = call.path.strip_prefix("/v1beta/models/").or_else(|| vertex(call));
        let rest = rest.unwrap_or_default();
        rest.rsplit_once(':').map_or(rest, |(model, _)| model)
    }

    fn key<'c>(&self, call: &'c Incoming) -> &'c str {
        let key = call.header("x-goog-api-key").or_else(|| call.query_value("key"));
        let token = || call.bearer().filter(|_| vertex(call).is_some());
        key.or_else(token).unwrap_or_default()
    }

    fn asks_to_stream(&self, call: &Incoming) -> bool {
        call.path.ends_with(":streamGenerateContent")
    }

    fn read(&self, call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
        read::read(call, rules)
    }

    fn answer(&self, ask: &IncomingCall, reply: &SimulatedReply, number: u64) -> HttpReply {
        let part = match &reply.tool {
            Some((name, args)) => json!({ "functionCall": { "name": name, "args": args } }),
            None => json!({ "text": reply.text }),
        };
        let finish = if reply.finish == FinishReason::Length { "MAX_TOKENS" } else { "STOP" };
        let candidate = json!({
            "content": { "parts": [part], "role": "model" },
            "finishReason": finish,
            "index": 0,
        });
        let mut body = response(ask, candidate, number);
        body["usageMetadata"]["candidatesTokenCount"] = json!(reply.output);
        body["usageMetadata"]["totalTokenCount"] = json!(reply.input + reply.output);
        sent(200, &body)
    }

    /// Without `alt=sse` a stream is a list in one piece.
    fn events(&self, body: &Value, call: &Incoming) -> Option<Vec<WireEvent>> {
        (call.query_value("alt") == Some("sse")).then(|| events(body))
    }

    fn odd(&self, odd: Odd, ask: &IncomingCall, number: u64) -> HttpReply {
        let finish = match odd {
            Odd::ErrorIn200 => {
                let error = json!({
                    "code": 503,
                    "message": "The model is overloaded. Please try again later.",
                    "status": "UNAVAILABLE",
                });
                return sent(200, &json!([{ "error": error }]));
            }
            Odd::Blocked => {
                let mut body = response(ask, Value::Null, number);
                if let Some(fields) = body.as_object_mut() {
                    fields.shift_remove("candidates");
                }
                body["promptFeedback"] = json!({ "blockReason": "PROHIBITED_CONTENT" });
                return sent(200, &body);
            }
            Odd::Empty => "STOP",
            Odd::Refusal => "SAFETY",
            Odd::Glitch => "MALFORMED_FUNCTION_CALL",
        };
        let candidate =
            json!({ "content": { "role": "model" }, "finishReason": finish, "index": 0 });
        sent(200, &response(ask, candidate, number))
    }

    fn error(&self, error: &ProviderError, _: &str, ask: &IncomingCall, number: u64) -> HttpReply {
        if error.meaning == Meaning::ContentPolicy {
            return self.odd(Odd::Blocked, ask, number);
        }
        let (status, name, message) = usual(error.meaning, &ask.model);
        let status = error.status.unwrap_or(status);
        let mut details = details(error.meaning, &ask.model);
        let mut header = None;
        match error.retry_after.as_deref() {
            Some(wait) if wait.parse::<f64>().is_ok() => details.push(json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{wait}s"),
            })),
            other => header = other,
        }
        let mut inner = json!({
            "code": status,
            "message": error.message.as_deref().unwrap_or(&message),
            "status": error.code.as_deref().unwrap_or(name),
        });
        if !details.is_empty() {
            inner["details"] = Value::Array(details);
        }
        let mut reply = sent(status, &json!({ "error": inner }));
        if let Some(wait) = header {
            reply = reply.with("retry-after", wait);
        }
        reply.scripted(error)
    }
}

/// The model and the method of a call as Vertex AI has it.
fn vertex(call: &Incoming) -> Option<&str> {
    call.path.split_once("/publishers/google/models/").map(|(_, behind)| behind)
}

fn response(ask: &IncomingCall, candidate: Value, number: u64) -> Value {
    let input = ask.input_tokens();
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": input,
            "totalTokenCount": input,
            "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": input }],
        },
        "modelVersion": ask.model,
        "responseId": format!("sim{number:08}"),
    })
}

fn usual(meaning: Meaning, model: &str) -> (u16, &'static str, String) {
    const INVALID: &str = "INVALID_ARGUMENT";
    let (status, name, message) = match meaning {
        Meaning::Overloaded => {
            (503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
        }
        Meaning::ServerError => (500, "INTERNAL", "An internal error has occurred. Please retry."),
        Meaning::RateLimited | Meaning::Quota => {
            let text =
                "You exceeded your current quota, please check your plan and billing details.";
            (429, "RESOURCE_EXHAUSTED", text)
        }
        Meaning::Auth => (400, INVALID, "API key not valid. Please pass a valid API key."),
        Meaning::ModelNotFound => {
            let text = format!(
                "models/{model} is not found for API version v1beta, or is not supported for \
                 generateContent."
            );
            return (404, "NOT_FOUND", text);
        }
        Meaning::ContextTooLong => {
            let text = "The input token count (1200000) exceeds the maximum number of tokens \
                        allowed (1048576).";
            (400, INVALID, text)
        }
        Meaning::UnsupportedParam => {
            (400, INVALID, "Thinking level is not supported for this model.")
        }
        Meaning::ContentPolicy | Meaning::InvalidRequest => {
            (400, INVALID, "Request contains an invalid argument.")
        }
    };
    (status, name, message.to_owned())
}

fn details(meaning: Meaning, model: &str) -> Vec<Value> {
    let span = match meaning {
        Meaning::Auth => {
            return vec![json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": { "service": "generativelanguage.googleapis.com" },
            })];
        }
        Meaning::RateLimited => "PerMinute",
        Meaning::Quota => "PerDay",
        _ => return Vec::new(),
    };
    vec![json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": format!("GenerateRequests{span}PerProjectPerModel"),
            "quotaDimensions": { "model": model, "location": "global" },
            "quotaValue": "10",
        }],
    })]
}

fn sent(status: u16, body: &Value) -> HttpReply {
    HttpReply::json(status, body).fixed(HEADERS)
}

/// A whole response taken apart into the responses of a stream.
///
/// Every event is a response of which only the parts are new; the last one has the finish reason
/// and the final numbers. There is no end marker, and an error may stand there without `data:`.
fn events(body: &Value) -> Vec<WireEvent> {
    if body.is_array() {
        return vec![WireEvent::Other(format!("{body:#}\n").into_bytes())];
    }
    let part = &body["candidates"][0]["content"]["parts"][0];
    let mut pieces = tokens(text(part, "text"));
    let Some(last) = pieces.pop() else {
        return vec![WireEvent::Token(event(body))];
    };
    let mut items: Vec<WireEvent> =
        pieces.iter().map(|piece| WireEvent::Token(part_of(body, piece))).collect();
    let mut end = body.clone();
    end["candidates"][0]["content"]["parts"][0]["text"] = json!(last);
    items.push(WireEvent::Token(event(&end)));
    items
}

fn part_of(body: &Value, piece: &str) -> Vec<u8> {
    let mut one = body.clone();
    one["candidates"][0]["content"]["parts"][0]["text"] = json!(piece);
    if let Some(candidate) = one["candidates"][0].as_object_mut() {
        candidate.shift_remove("finishReason");
    }
    let used = &mut one["usageMetadata"];
    if let Some(used) = used.as_object_mut() {
        used.shift_remove("candidatesTokenCount");
        used.insert(
            "totalTokenCount".to_owned(),
            body["usageMetadata"]["promptTokenCount"].clone(),
        );
    }
    event(&one)
}

fn event(data: &Value) -> Vec<u8> {
    format!("data: {data}\r\n\r\n").into_bytes()
}
