//! Fields that should be a text or a number, and with some servers are the other.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A text, a number or a truth value, as text; anything else is none.
pub(super) fn scalar(raw: &RawValue) -> Option<String> {
    match serde_json::from_str(raw.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => Some(raw.get().to_owned()),
        _ => None,
    }
}

/// A number, which may be a text or have a decimal point.
pub(super) fn count(raw: &RawValue) -> Option<u64> {
    let text = scalar(raw)?;
    let text = text.trim();
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// For a field that holds a text.
pub(super) fn text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(input)?;
    Ok(raw.and_then(|raw| scalar(&raw)))
}

/// For a field that holds JSON as a text, or as what the text should hold.
pub(super) fn json<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(input)?;
    Ok(raw.map(|raw| scalar(&raw).unwrap_or_else(|| raw.get().to_owned())))
}

/// For a field that holds a number of a call or a block.
pub(super) fn index<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(input)?;
    Ok(raw.and_then(|raw| count(&raw)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_each_other() {
        for (json, expected, number) in [
            ("\"0\"", Some("0"), Some(0)),
            ("0", Some("0"), Some(0)),
            ("2.0", Some("2.0"), Some(2)),
            ("\"x\"", Some("x"), None),
            ("-1", Some("-1"), None),
            ("true", Some("true"), None),
            ("null", None, None),
            ("{}", None, None),
            ("[1]", None, None),
        ] {
            assert_eq!(
                text(&mut serde_json::Deserializer::from_str(json)).unwrap().as_deref(),
                expected
            );
            assert_eq!(
                index(&mut serde_json::Deserializer::from_str(json)).unwrap(),
                number,
                "{json}"
            );
        }
    }
}
