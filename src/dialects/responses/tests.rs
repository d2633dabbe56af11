//! Requests as real programs send them, and what their libraries need of the answers.

mod answers;
mod recorded;
mod requests;
mod streams;

use serde_json::{Value, json};

use crate::dialects::RequestRead;
use crate::protocol::chat::Message;
use crate::protocol::reply::{Answered, ErrorBody};

fn asked(body: &Value) -> Result<RequestRead, ErrorBody> {
    super::read(body.to_string().as_bytes())
}

fn message(body: &Value) -> String {
    asked(body).map(|_| ()).unwrap_err().message
}

/// The messages of a request, in the words of our own.
fn messages(asked: &RequestRead) -> Value {
    asked.request.messages.iter().map(told).collect()
}

fn told(message: &Message) -> Value {
    let mut told = json!({"role": message.role, "content": message.content});
    let fields = told.as_object_mut().unwrap();
    if !message.tool_calls.is_empty() {
        fields.insert("tool_calls".to_owned(), json!(message.tool_calls));
    }
    let texts = [
        ("tool_call_id", &message.tool_call_id),
        ("reasoning_content", &message.reasoning_content),
    ];
    for (name, text) in texts {
        fields.extend(text.iter().map(|text| (name.to_owned(), json!(text))));
    }
    fields.extend(message.provider_data.iter().map(|it| ("provider_data".to_owned(), json!(it))));
    told
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// An answer with these fields beside what every one has.
fn answered(more: &Value) -> Answered {
    let mut answered = json!({
        "content": "Hi there", "tool_calls": null, "finish_reason": "stop", "model_used": "m",
        "provider": "p", "model_id": "gpt-x", "task": "default", "primary": "m",
        "fallback_count": 0, "used_fallback": false, "latency_ms": 5,
        "usage": {"input_tokens": 9, "output_tokens": 4, "cached_tokens": 2, "reasoning_tokens": 1},
        "cost_usd": null, "request_cost_usd": null, "primary_cost_usd": null,
        "cost_estimated": false,
    });
    answered.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(answered).unwrap()
}
