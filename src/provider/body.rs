//! What the three wire formats share when they write a request body.
//!
//! The usual body goes from borrowed structs straight to bytes. Only when `extra` applies does it
//! go through a tree, so that the additions can be merged in; `stream` is never taken from there,
//! because how an answer is read is decided here.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Call, Failure};
use crate::domain::fault::Fault;
use crate::protocol::chat::{ChatRequest, Function, Message, Role, ToolCall};
use crate::protocol::surrogate;

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
    /// Whether thoughts go back whose maker can only be guessed.
    pub(super) guesses: bool,
    /// Whether a caller who asks for thinking is shown the thoughts, where that must be asked for.
    pub(super) thoughts: bool,
    /// Whether a token limit of our own is given at all.
    pub(super) limit: bool,
    /// Most tokens that the model lets us ask for by ourselves, where that was learnt.
    pub(super) most_tokens: Option<u32>,
}

impl Asking {
    /// The answer in one piece, as servers without streams give it.
    pub(super) const WHOLE: Asking = Asking {
        stream: false,
        usage: true,
        temperature: true,
        other_limit: false,
        guesses: true,
        thoughts: true,
        limit: true,
        most_tokens: None,
    };
    /// As a stream with all that belongs to it.
    pub(super) const STREAM: Asking = Asking { stream: true, ..Asking::WHOLE };

    /// Whether it asks for a stream.
    pub(super) fn streams(self) -> bool {
        self.stream
    }

    /// The call as it is made in this way.
    pub(super) fn call<'a>(self, call: &Call<'a>) -> Call<'a> {
        let given = call.request.temperature.is_some();
        let temperature = call.temperature.filter(|_| self.temperature || given);
        if call.request.max_tokens == call.max_tokens {
            return Call { temperature, ..*call };
        }
        let limit = call.max_tokens.filter(|_| self.limit);
        let max_tokens = limit.map(|own| self.most_tokens.map_or(own, |most| own.min(most)));
        Call { temperature, max_tokens, ..*call }
    }
}

/// The body as bytes, with `extra` merged in: the model's, then the request's by kind, then the
/// request's by model name. The later one wins; objects are merged, anything else is replaced.
pub(super) fn to_bytes<T: Serialize>(call: &Call<'_>, body: &T) -> Result<Vec<u8>, Failure> {
    to_bytes_without(call, body, &[])
}

/// The same without these fields of the additions.
pub(super) fn to_bytes_without<T: Serialize>(
    call: &Call<'_>,
    body: &T,
    without: &[&str],
) -> Result<Vec<u8>, Failure> {
    let extras = extras(call);
    let written = if extras.iter().flatten().all(|extra| extra.is_empty()) {
        let mut bytes = Vec::with_capacity(call.request.bytes + 256);
        serde_json::to_writer(&mut bytes, body).map(|()| bytes)
    } else {
        serde_json::to_value(body).and_then(|mut tree| {
            extras.into_iter().flatten().for_each(|extra| merge(&mut tree, extra));
            if let Value::Object(tree) = &mut tree {
                without.iter().for_each(|name| drop(tree.shift_remove(*name)));
            }
            serde_json::to_vec(&tree)
        })
    };
    written.map_err(|_| invalid("the request cannot be written as JSON"))
}

/// What is merged into the body, the last one last.
fn extras<'a>(call: &Call<'a>) -> [Option<&'a Map<String, Value>>; 3] {
    let asked = &call.request.extra;
    let (kind, name) = (call.model.provider.kind.name(), &*call.model.name);
    [Some(&call.model.extra), asked.get(kind), asked.get(name)]
}

/// What the additions say of a field.
pub(super) fn extra<'a>(call: &Call<'a>, field: &str) -> Option<&'a Value> {
    extras(call).into_iter().flatten().rev().find_map(|extra| extra.get(field))
}

fn merge(into: &mut Value, extra: &Map<String, Value>) {
    let Value::Object(into) = into else { return };
    for (name, value) in extra {
        if matches!(&**name, "stream" | "stream_options") {
            continue;
        }
        match (into.get_mut(name), value) {
            (Some(old @ Value::Object(_)), Value::Object(more)) => merge(old, more),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// How an answer is sampled.
pub(super) struct Sampling {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
}

/// For Claude and its like: newer models refuse temperature and `top_p` together, and the
/// temperature may be a mere default: it yields to a `top_p` that the caller set alone. Temperatures
/// above 1 are unknown there.
pub(super) fn one_way_of_sampling(call: &Call<'_>) -> Sampling {
    let top_p = call.request.top_p.filter(|_| call.model.supports.temperature);
    let is_wanted = call.request.temperature.is_some() || top_p.is_none();
    let temperature = call.temperature.filter(|_| is_wanted);
    Sampling { temperature: temperature.map(|temperature| temperature.clamp(0.0, 1.0)), top_p }
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
        join(&mut joined, text);
    }
    joined
}

/// Puts a text behind others, with a blank line between.
pub(super) fn join(joined: &mut String, text: &str) {
    if !joined.is_empty() && !text.is_empty() {
        joined.push_str("\n\n");
    }
    joined.push_str(text);
}

/// The names of all functions that were called in a conversation.
pub(super) fn called(request: &ChatRequest) -> impl Iterator<Item = &str> {
    let calls = request.messages.iter().flat_map(|message| &message.tool_calls);
    calls.map(|call| call.function.name.as_str())
}

/// What the target of a call left in a message for itself; `None` if another model did, or nobody.
pub(super) fn own_data<'a>(
    message: &'a Message,
    call: &Call<'_>,
) -> Option<&'a Map<String, Value>> {
    let kind = call.model.provider.kind.name();
    message.provider_data.as_ref()?.of(kind, &call.model.model_id)
}

/// The texts that end an answer, less those of whitespace alone, which some APIs refuse.
pub(super) fn stop_sequences(request: &ChatRequest) -> Vec<&str> {
    request.stop.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect()
}

/// The schema of a function's arguments, which says that they are an object, as servers of OpenAI's
/// kind demand; `None` for a function without any. See [`super::schema`] for APIs that demand more.
pub(super) fn parameters(function: &Function) -> Option<Cow<'_, RawValue>> {
    #[derive(Deserialize)]
    struct SchemaHead<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    let schema = function.parameters.as_deref().filter(|schema| schema.get() != "null")?;
    let untyped =
        serde_json::from_str::<SchemaHead<'_>>(schema.get()).is_ok_and(|h| h.kind.is_none());
    if !untyped || !schema.get().starts_with('{') {
        return Some(Cow::Borrowed(schema));
    }
    let mut typed = Map::from_iter([("type".to_owned(), Value::from("object"))]);
    let rest: Map<String, Value> = serde_json::from_str(schema.get()).ok()?;
    typed.extend(rest.into_iter().filter(|(name, _)| name != "type"));
    typed.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    Some(Cow::Owned(raw(&Value::Object(typed))))
}

/// The text of a JSON value is a JSON text.
pub(super) fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
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
        Some(object) => match surrogate::mend(object.get().as_bytes()).map(String::from_utf8) {
            Some(Ok(mended)) => {
                RawValue::from_string(mended).map_or_else(|_| Cow::Owned(wrapped(text)), Cow::Owned)
            }
            _ => Cow::Borrowed(object),
        },
        None => Cow::Owned(wrapped(text)),
    }
}

fn wrapped(text: &str) -> Box<RawValue> {
    raw(&serde_json::json!({ "arguments": text }))
}

/// A `data:` URL taken apart: media type and base64 text.
pub(super) fn data_url(url: &str) -> Option<(&str, &str)> {
    let head = url.get(..5).filter(|head| head.eq_ignore_ascii_case("data:"))?;
    let (kind, data) = url[head.len()..].split_once(',')?;
    let media_type = kind.strip_suffix(";base64")?;
    // Parameters such as a charset mean nothing for images.
    let media_type = media_type.split(';').next().unwrap_or_default();
    // A name that is none, and that providers refuse.
    let is_jpg = media_type.eq_ignore_ascii_case("image/jpg");
    let media_type = if is_jpg { "image/jpeg" } else { media_type };
    (!media_type.is_empty()).then_some((media_type, data))
}

/// An image that is neither inline data nor an `https:` address.
pub(super) fn bad_image() -> Failure {
    invalid("an image_url must be an https address or a data: URL with base64")
}

/// Whether an image may be fetched by the provider.
pub(super) fn is_web_address(url: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::need::Abilities;

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

    #[test]
    fn a_temperature_that_nobody_asked_for_yields_to_a_top_p() {
        use crate::config::{Kind, Model};
        use crate::provider::fixtures;
        let able = fixtures::model(fixtures::provider(Kind::Anthropic, "https://x.example"));
        let abilities = Abilities { temperature: false, ..Abilities::default() };
        let unable = Model { supports: abilities, ..able.clone() };
        let rows = [
            (serde_json::json!({}), &able, (Some(0.5), None)),
            (serde_json::json!({"top_p": 0.9}), &able, (None, Some(0.9))),
            (serde_json::json!({"top_p": 0.9, "temperature": 0.5}), &able, (Some(0.5), Some(0.9))),
            (serde_json::json!({"top_p": 0.9}), &unable, (Some(0.5), None)),
        ];
        for (mut asked, model, wanted) in rows {
            asked["messages"] = serde_json::json!([{"role": "user", "content": "x"}]);
            let request = fixtures::request(asked);
            let call = Call { temperature: Some(0.5), ..fixtures::call(model, &request) };
            let Sampling { temperature, top_p } = one_way_of_sampling(&call);
            assert_eq!((temperature, top_p), wanted);
            let hot = Call { temperature: Some(1.7), ..call };
            assert!(one_way_of_sampling(&hot).temperature.is_none_or(|it| it <= 1.0));
        }
    }
}
