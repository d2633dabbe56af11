//! A whole message taken apart into the events of a stream.
//!
//! Every event has its name and says it again in its data. The start counts the input, the end the
//! output; a ping follows the start of the first block, as it nearly always does.

use serde_json::{Value, json};

use crate::sim::flow::{Item, tokens};
use crate::sim::wire::{items, text};

/// The events of this body.
pub(super) fn events(body: &Value) -> Vec<Item> {
    if body["type"] == "error" {
        return vec![Item::other(event(body))];
    }
    let mut start = body.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["stop_sequence"] = Value::Null;
    start["usage"]["output_tokens"] = json!(1);
    if let Some(start) = start.as_object_mut() {
        start.shift_remove("stop_details");
    }
    let mut all = vec![Item::other(event(&json!({ "type": "message_start", "message": start })))];
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
    all.push(Item::other(event(&last)));
    all.push(Item::end(event(&json!({ "type": "message_stop" }))));
    all
}

fn block_events(index: usize, block: &Value, all: &mut Vec<Item>) {
    let is_tool = block["type"] == "tool_use";
    let (mut begin, pieces) = match is_tool {
        true => (block.clone(), tokens(&block["input"].to_string())),
        false => (block.clone(), tokens(text(block, "text"))),
    };
    begin[if is_tool { "input" } else { "text" }] = if is_tool { json!({}) } else { json!("") };
    all.push(Item::other(event(
        &json!({ "type": "content_block_start", "index": index, "content_block": begin }),
    )));
    if index == 0 {
        all.push(Item::other("event: ping\ndata: {\"type\": \"ping\"}\n\n".to_owned()));
    }
    for piece in pieces {
        let delta = match is_tool {
            true => json!({ "type": "input_json_delta", "partial_json": piece }),
            false => json!({ "type": "text_delta", "text": piece }),
        };
        all.push(Item::token(event(
            &json!({ "type": "content_block_delta", "index": index, "delta": delta }),
        )));
    }
    all.push(Item::other(event(&json!({ "type": "content_block_stop", "index": index }))));
}

fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", text(data, "type"))
}
