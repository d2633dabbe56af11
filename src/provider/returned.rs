//! Thoughts that stand in a history, and to whom they go back.
//!
//! What a reply carried names its maker and goes to nobody else. Other clients' histories name
//! nobody: signed thoughts are taken for Claude's then, all others for those of a server of OpenAI's
//! kind that keeps thoughts. Where such a guess is refused the same model is asked without them,
//! since what was thought once must not end a conversation.

use std::borrow::Cow;

use serde_json::Value;

use crate::protocol::chat::{ChatRequest, Message};
use crate::protocol::content::{Content, Part};

/// A thought of Claude's, as far as its signature covers it. Other fields would be refused.
pub(super) enum SignedThought<'a> {
    Told { text: &'a str, signature: &'a str },
    Redacted(&'a str),
}

/// Thoughts with a signature that name no maker.
pub(super) fn signed(message: &Message) -> Vec<SignedThought<'_>> {
    if message.provider_data.is_some() {
        return Vec::new();
    }
    let beside: Vec<_> = list(&message.thinking_blocks).iter().filter_map(signature).collect();
    match beside.is_empty() {
        true => thoughts(message).filter_map(signature).collect(),
        false => beside,
    }
}

/// What was thought in words, without a signature and a maker.
pub(super) fn told(message: &Message) -> Option<Cow<'_, str>> {
    if message.provider_data.is_some() {
        return None;
    }
    if let Some(text) = &message.reasoning_content {
        return Some(Cow::Borrowed(text));
    }
    let unsigned = thoughts(message).filter(|thought| signature(thought).is_none());
    let texts: Vec<&str> = unsigned.flat_map(words).collect();
    (!texts.is_empty()).then(|| texts.join("\n").into())
}

/// Thoughts in OpenRouter's form that name no maker.
pub(super) fn details(message: &Message) -> Option<&Value> {
    let unnamed = message.reasoning_details.as_ref().filter(|_| message.provider_data.is_none());
    unnamed.filter(|details| details.as_array().is_some_and(|list| !list.is_empty()))
}

/// Whether there are thoughts whose maker can only be guessed.
pub(super) fn has_guesses(request: &ChatRequest) -> bool {
    request.messages.iter().any(|message| {
        told(message).is_some() || details(message).is_some() || !signed(message).is_empty()
    })
}

fn list(value: &Option<Value>) -> &[Value] {
    value.as_ref().and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn thoughts(message: &Message) -> impl Iterator<Item = &Value> {
    let parts = match &message.content {
        Some(Content::Parts(parts)) => parts.as_slice(),
        _ => &[],
    };
    parts.iter().filter_map(|part| match part {
        Part::Thought(thought) => Some(thought),
        _ => None,
    })
}

fn signature(thought: &Value) -> Option<SignedThought<'_>> {
    if let Some(signature) = field(thought, "signature") {
        let text = field(thought, "thinking").or(field(thought, "text")).unwrap_or_default();
        return Some(SignedThought::Told { text, signature });
    }
    let is_redacted = field(thought, "type").is_some_and(|kind| kind.contains("redacted"));
    field(thought, "data").filter(|_| is_redacted).map(SignedThought::Redacted)
}

fn field<'a>(thought: &'a Value, name: &str) -> Option<&'a str> {
    thought.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The texts of a thought, under whichever name: one, or a list of them.
fn words(thought: &Value) -> Vec<&str> {
    let fields = thought.as_object().into_iter().flatten();
    let said = fields.filter(|(name, _)| !matches!(name.as_str(), "type" | "id" | "status"));
    let mut found = Vec::new();
    for (name, value) in said {
        match value {
            // What is encrypted is no text.
            Value::String(text) if !name.contains("encrypted") && name != "data" => {
                found.push(text.as_str());
            }
            Value::Array(items) => {
                found.extend(items.iter().filter_map(|item| item.get("text")?.as_str()));
            }
            _ => {}
        }
    }
    found.retain(|text| !text.trim().is_empty());
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(more: Value) -> Message {
        let mut message = json!({"role": "assistant", "content": "Looking."});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(message).unwrap()
    }

    fn signatures(message: &Message) -> Vec<&str> {
        let all = signed(message).into_iter().map(|thought| match thought {
            SignedThought::Told { signature, .. } => signature,
            SignedThought::Redacted(data) => data,
        });
        all.collect()
    }

    #[test]
    fn signed_thoughts_are_found_beside_the_content_or_in_it() {
        let blocks = json!([{"type": "thinking", "thinking": "hm", "signature": "s", "index": 0},
            {"type": "redacted_thinking", "data": "x"}, {"type": "thinking", "thinking": "no"}]);
        assert_eq!(signatures(&message(json!({ "thinking_blocks": blocks }))), ["s", "x"]);
        assert_eq!(signatures(&message(json!({ "content": blocks }))), ["s", "x"]);
        let both = message(json!({ "content": blocks, "thinking_blocks": blocks }));
        assert_eq!(signatures(&both).len(), 2, "they are the same");
        let named = json!({ "thinking_blocks": blocks, "provider_data": {"kind": "openai"} });
        assert!(signatures(&message(named)).is_empty());
        for nonsense in [json!("x"), json!({"a": 1}), Value::Null] {
            assert!(signatures(&message(json!({ "thinking_blocks": nonsense }))).is_empty());
        }
    }

    #[test]
    fn words_of_thoughts_are_found_under_every_name() {
        for thought in [
            json!({"type": "thinking", "thinking": "hm"}),
            json!({"type": "reasoning", "text": "hm", "id": "r1"}),
            json!({"type": "reasoning", "reasoning": "hm"}),
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "abc"}),
            json!({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}),
        ] {
            let one = message(json!({ "content": [thought] }));
            assert_eq!(told(&one).as_deref(), Some("hm"), "{thought}");
            assert!(signed(&one).is_empty());
        }
        let silent = json!([{"type": "reasoning", "summary": [], "encrypted_content": "abc"}]);
        assert_eq!(told(&message(json!({ "content": silent }))), None);
        let own = json!({"reasoning_content": "own", "content": [{"type": "thinking", "thinking": "hm"}]});
        assert_eq!(told(&message(own)).as_deref(), Some("own"));
    }
}
