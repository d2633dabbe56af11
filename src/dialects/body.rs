//! What bodies of all dialects have in common: fields in their order, and mistakes that name the
//! place where they stand. Values may be private and are never shown.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::request;

/// The fields of a body in their order, each as it was written.
pub(super) struct BodyFields<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> BodyFields<'a> {
    /// Reads a body; `example` is what is expected of it.
    pub(super) fn read(body: &'a [u8], example: &str) -> Result<BodyFields<'a>, ErrorBody> {
        serde_json::from_slice(body).map_err(|error| not_json(&error, example))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for BodyFields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct FieldsReader;
        impl<'de> Visitor<'de> for FieldsReader {
            type Value = BodyFields<'de>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BodyFields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    fields.push((name.0, map.next_value()?));
                }
                Ok(BodyFields(fields))
            }
        }
        input.deserialize_map(FieldsReader)
    }
}

/// Borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Where the body stops being JSON.
fn not_json(error: &serde_json::Error, example: &str) -> ErrorBody {
    if error.is_data() {
        let message = format!("expected a JSON object such as {example}");
        return ErrorBody::new(ErrorCode::BadRequest, message);
    }
    let place = format!("line {}, column {}", error.line(), error.column());
    let message = format!("the body is not JSON, or not all of it ({place})");
    ErrorBody::new(ErrorCode::InvalidJson, message)
}

/// Reads a value that stands at this place; a mistake within it is told by its whole path.
pub(super) fn read_at<'a, T: Deserialize<'a>>(
    place: &str,
    value: &'a RawValue,
) -> Result<T, ErrorBody> {
    request::typed(value.get()).map_err(|told| {
        // Columns are those of the value and lead astray.
        let told = told.rsplit_once(" (column ").map_or(told.as_str(), |(told, _)| told);
        let within = told.strip_prefix('`').and_then(|told| told.split_once("`: "));
        match within {
            Some((path, why)) if path.starts_with('[') => refused(&format!("{place}{path}"), why),
            Some((path, why)) => refused(&format!("{place}.{path}"), why),
            None => refused(place, told),
        }
    })
}

pub(super) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// A field that is wrong, and why.
pub(super) fn refused(name: &str, why: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::BadRequest, format!("`{name}`: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_by_its_whole_path_and_without_the_value() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "read only to fail")]
        struct Inner {
            a: Vec<u32>,
        }
        let told = |json: &'static str| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            read_at::<Inner>("input[1]", raw).unwrap_err().message
        };
        let message = told(r#"{"a":[1,"secret"]}"#);
        assert!(message.starts_with("`input[1].a[1]`: "), "{message}");
        assert!(!message.contains("secret"));
        assert!(told("7").starts_with("`input[1]`: "));
        let raw: &RawValue = serde_json::from_str("[1,true]").unwrap();
        let message = read_at::<Vec<u32>>("stop", raw).unwrap_err().message;
        assert!(message.starts_with("`stop[1]`: "), "{message}");
    }
}
