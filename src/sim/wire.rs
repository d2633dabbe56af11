//! A call and a reply as HTTP has them, for all kinds to read and write.
//!
//! Holds what they share: looking into headers and JSON, and putting a reply together. What a
//! field or a status means is in the folder of each kind; sockets are in [`super::server`].

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::behaviour::ProviderError;

/// A request that has been read. It holds a key, so it has no `Debug`.
pub(super) struct Incoming {
    pub(super) get: bool,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    /// `Null` if it was not JSON.
    pub(super) body: Value,
    /// As it came, for those who sign it.
    pub(super) raw: Bytes,
}

/// A reply to be sent.
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a simulator was told about who may ask for what.
#[derive(Default)]
pub(super) struct AccessRules {
    /// The only key that is right; any will do without.
    pub(super) key: Option<String>,
    /// Calls without a key are fine, as with a server on one's own machine.
    pub(super) keyless: bool,
    /// The models there are; every name will do without.
    pub(super) models: Option<Vec<String>>,
}

impl AccessRules {
    pub(super) fn knows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|all| all.iter().any(|one| one == model))
    }

    pub(super) fn accepts(&self, key: &str) -> bool {
        let right = self.key.as_ref().is_none_or(|right| right == key);
        right && (self.keyless || !key.is_empty())
    }
}

impl Incoming {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
    }

    pub(super) fn query_value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The model named in the body.
    pub(super) fn body_model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }
}

impl HttpReply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(super) fn html(status: u16) -> Self {
        let page = "<!doctype html>\n<html><head><title>Welcome</title></head>\
                    <body><h1>Nothing to see here</h1></body></html>\n";
        Self::new(status, "text/html; charset=utf-8", page.to_owned())
    }

    pub(super) fn new(status: u16, content_type: &'static str, body: String) -> Self {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, body: Bytes::from(body) }
    }

    /// Adds headers whose values never change.
    pub(super) fn fixed(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        for (name, value) in headers {
            self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        self
    }

    /// Adds a header; one that HTTP cannot carry is left out.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds the headers an error was scripted with.
    pub(super) fn scripted(self, error: &ProviderError) -> Self {
        error.headers.iter().fold(self, |reply, (name, value)| reply.with(name, value))
    }
}

/// The first field of an object that is not in the list.
pub(super) fn unknown<'a>(object: &'a Map<String, Value>, known: &[&str]) -> Option<&'a str> {
    object.keys().map(String::as_str).find(|name| !known.contains(name))
}

/// A field, where `null` is as good as absent.
pub(super) fn given<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// A text field; empty when absent or of another type.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of an array field; none when absent or of another type.
pub(super) fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings of an array field.
pub(super) fn strings(object: &Value, name: &str) -> Vec<String> {
    items(object, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether this is base64 as providers accept it.
pub(super) fn is_base64(data: &str) -> bool {
    use base64::Engine;
    !data.is_empty() && base64::engine::general_purpose::STANDARD.decode(data).is_ok()
}
