//! A whole chat completion taken apart into the chunks of a stream.
//!
//! The first chunk has only the role; a tool call comes in fragments; usage is a chunk of its own
//! without choices, and only when it was asked for; `[DONE]` is last.

use serde_json::{Value, json};

use crate::sim::flow::{Item, tokens};
use crate::sim::wire::{Incoming, text};

/// The chunks of this body.
pub(super) fn events(body: &Value, call: &Incoming) -> Vec<Item> {
    let end = Item::end("data: [DONE]\n\n".to_owned());
    if body.get("choices").is_none() {
        return vec![Item::other(format!("data: {body}\n\n")), end];
    }
    let with_usage = call.body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let message = &body["choices"][0]["message"];
    let mut items = vec![Item::other(chunk(
        body,
        &json!({ "role": "assistant", "content": "", "refusal": null }),
        &Value::Null,
        with_usage,
    ))];
    let mut token = |delta: Value| {
        items.push(Item::token(chunk(body, &delta, &Value::Null, with_usage)));
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
    items.push(Item::other(chunk(body, &json!({}), finish, with_usage)));
    if with_usage {
        let mut last = head(body);
        last["choices"] = json!([]);
        last["usage"] = body["usage"].clone();
        items.push(Item::other(format!("data: {last}\n\n")));
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

fn chunk(body: &Value, delta: &Value, finish: &Value, with_usage: bool) -> String {
    let mut chunk = head(body);
    chunk["choices"] =
        json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
    if with_usage {
        chunk["usage"] = Value::Null;
    }
    chunk["obfuscation"] = json!("x7Jq2");
    format!("data: {chunk}\n\n")
}
