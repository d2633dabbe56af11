//! What the three wire formats share when they write a request body.
//!
//! The usual body goes from borrowed structs straight to bytes. Only when `extra` applies does it
//! go through a tree, so that the additions can be merged in; `stream` is never taken from there,
//! because how an answer is read is decided here.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Call, Failure};
use crate::domain::fault::Fault;
use crate::protocol::chat::{Message, Role, ToolCall};

/// What is said when a conversation holds instructions only and the API requires a turn.
pub(super) const NO_TURN: &str = "Follow the instructions above.";

/// How an answer is asked for, and which of our own additions come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// Whether it is asked for as a stream.
    pub(super) stream: bool,
    /// Whether a stream is to say what it consumed, where that must be asked for.
    pub(super) usage: bool,
    /// Whether a temperature is given when the caller gave none.
    pub(super) temperature: bool,
    /// Whether the token limit goes by its other name, where there are two.
    pub(super) other_limit: bool,
}

impl Asking {
    /// The answer in one piece, as servers without streams give it.
    pub(super) const WHOLE: Asking =
        Asking { stream: false, usage: true, temperature: true, other_limit: false };
    /// As a stream with all that belongs to it.
    pub(super) const STREAM: Asking = Asking { stream: true, ..Asking::WHOLE };

    /// Whether it asks for a stream.
    pub(super) fn streams(self) -> bool {
        self.stream
    }

    /// The call as it is made in this way.
    pub(super) fn call<'a>(self, call: &Call<'a>) -> Call<'a> {
        let given = call.request.temperature.is_some();
        Call { temperature: call.temperature.filter(|_| self.temperature || given), ..*call }
    }
}

/// The body as bytes, with `extra` merged in: the model's, then the request's by kind, then the
/// request's by model name. The later one wins; objects are merged, anything else is replaced.
pub(super) fn to_bytes<T: Serialize>(call: &Call<'_>, body: &T) -> Result<Vec<u8>, Failure> {
    let asked = &call.request.extra;
    let extras = [
        Some(&call.model.extra),
        asked.get(call.model.provider.kind.name()),
        asked.get(&*call.model.name),
    ];
    let written = if extras.iter().flatten().all(|extra| extra.is_empty()) {
        let mut bytes = Vec::with_capacity(call.request.bytes + 256);
        serde_json::to_writer(&mut bytes, body).map(|()| bytes)
    } else {
        serde_json::to_value(body).and_then(|mut tree| {
            extras.into_iter().flatten().for_each(|extra| merge(&mut tree, extra));
            serde_json::to_vec(&tree)
        })
    };
    written.map_err(|_| invalid("the request cannot be written as JSON"))
}

fn merge(into: &mut Value, extra: &Map<String, Value>) {
    let Value::Object(into) = into else { return };
    let allowed = |name: &str| !matches!(name, "stream" | "stream_options");
    for (name, value) in extra.iter().filter(|(name, _)| allowed(name)) {
        match (into.get_mut(name), value) {
            (Some(old @ Value::Object(_)), Value::Object(more)) => merge(old, more),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The caller's mistake: no model can do better.
pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Fault::InvalidRequest, message)
}

/// Whether a message instructs the model rather than being said in the conversation.
pub(super) fn instructs(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// All system and developer texts, joined by a blank line, between what the model's configuration
/// puts before and behind them; empty ones are left out.
pub(super) fn system_text(call: &Call<'_>) -> String {
    let mut joined = String::new();
    let (prefix, suffix) = (&call.model.system_prefix, &call.model.system_suffix);
    let instructions = call.request.messages.iter().filter(|message| instructs(message));
    let texts = instructions.filter_map(|m| m.content.as_ref()).flat_map(|c| c.texts());
    for text in prefix.as_deref().into_iter().chain(texts).chain(suffix.as_deref()) {
        if !joined.is_empty() && !text.is_empty() {
            joined.push_str("\n\n");
        }
        joined.push_str(text);
    }
    joined
}

/// The arguments of a call as a JSON object; an empty text or `null` means no arguments. What a model
/// got wrong is wrapped into one: the conversation must go on with every model.
pub(super) fn arguments(call: &ToolCall) -> Cow<'_, RawValue> {
    let text = match call.function.arguments.trim() {
        "" | "null" => "{}",
        text => text,
    };
    let object: Option<&RawValue> = serde_json::from_str(text).ok();
    match object.filter(|raw| raw.get().starts_with('{')) {
        Some(object) => Cow::Borrowed(object),
        None => Cow::Owned(wrapped(text)),
    }
}

fn wrapped(text: &str) -> Box<RawValue> {
    let object = serde_json::json!({ "arguments": text });
    // The text of a JSON value is a JSON text.
    RawValue::from_string(object.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A `data:` URL taken apart: media type and base64 text.
pub(super) fn data_url(url: &str) -> Option<(&str, &str)> {
    let head = url.get(..5).filter(|head| head.eq_ignore_ascii_case("data:"))?;
    let (kind, data) = url[head.len()..].split_once(',')?;
    let media_type = kind.strip_suffix(";base64")?;
    // Parameters such as a charset mean nothing for images.
    let media_type = media_type.split(';').next().unwrap_or_default();
    (!media_type.is_empty()).then_some((media_type, data))
}

/// An image that is neither inline data nor an `https:` address.
pub(super) fn bad_image() -> Failure {
    invalid("an image_url must be an https address or a data: URL with base64")
}

/// Whether an image may be fetched by the provider.
pub(super) fn is_web_address(url: &str) -> bool {
    let begins = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    begins("https://") || begins("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_merged_and_other_values_replaced() {
        let mut body = serde_json::json!({"a": {"x": 1, "y": [1]}, "b": 1});
        let extra = serde_json::json!({"a": {"y": [2], "z": 3}, "b": {"c": 2}, "stream": true});
        merge(&mut body, extra.as_object().unwrap());
        assert_eq!(body, serde_json::json!({"a": {"x": 1, "y": [2], "z": 3}, "b": {"c": 2}}));
    }

    #[test]
    fn data_urls_are_taken_apart_and_others_are_none() {
        assert_eq!(data_url("data:image/png;base64,AA=="), Some(("image/png", "AA==")));
        assert_eq!(data_url("DATA:image/gif;charset=x;base64,AA"), Some(("image/gif", "AA")));
        for url in ["https://x.example/a.png", "data:image/png,AA", "data:;base64,AA", "é"] {
            assert_eq!(data_url(url), None, "{url}");
        }
    }
}
