//! A whole response taken apart into the responses of a stream.
//!
//! Every event is a response of which only the parts are new; the last one has the finish reason
//! and the final numbers. There is no end marker, and an error may stand there without `data:`.

use serde_json::{Value, json};

use crate::sim::flow::{Item, tokens};
use crate::sim::wire::text;

/// The events of this body.
pub(super) fn events(body: &Value) -> Vec<Item> {
    if body.is_array() {
        return vec![Item::other(format!("{body:#}\n"))];
    }
    let part = &body["candidates"][0]["content"]["parts"][0];
    let mut pieces = tokens(text(part, "text"));
    let Some(last) = pieces.pop() else {
        return vec![Item::token(event(body))];
    };
    let mut items: Vec<Item> =
        pieces.iter().map(|piece| Item::token(part_of(body, piece))).collect();
    let mut end = body.clone();
    end["candidates"][0]["content"]["parts"][0]["text"] = json!(last);
    items.push(Item::token(event(&end)));
    items
}

fn part_of(body: &Value, piece: &str) -> String {
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

fn event(data: &Value) -> String {
    format!("data: {data}\r\n\r\n")
}
