//! The `id` that a client gives a request, echoed in every line about it.

use std::fmt;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Longest string id, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// A request id: a string of at most 128 bytes, an integer, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// Absent or `null`; may stand for several outstanding requests at once.
    #[default]
    Null,
    /// An integer below zero.
    Negative(i64),
    /// Zero or a positive integer.
    Number(u64),
    /// A string of at most [`MAX_ID_BYTES`].
    Text(Box<str>),
}

/// Read by hand because an untagged derive would not say what was found instead.
impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Id, D::Error> {
        input.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a string of at most {MAX_ID_BYTES} bytes or an integer")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Id, E> {
        Ok(Id::Null)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
        Ok(u64::try_from(number).map_or(Id::Negative(number), Id::Number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
        Ok(Id::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
        if text.len() > MAX_ID_BYTES {
            return Err(E::invalid_length(text.len(), &self));
        }
        Ok(Id::Text(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_sent() {
        for text in ["null", "7", "-7", "18446744073709551615", "\"a-b\""] {
            let id: Id = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), text);
        }
    }

    #[test]
    fn other_types_and_long_strings_are_no_ids() {
        let long = format!("\"{}\"", "x".repeat(129));
        for text in ["1.5", "true", "[]", "{}", long.as_str()] {
            assert!(serde_json::from_str::<Id>(text).is_err(), "{text}");
        }
    }
}
