//! Reading single fields of a reply without insisting on any.
//!
//! A field that is absent, `null` or of another type reads as "nothing": a newer or older daemon
//! must not make the command fail. Texts come back cleaned, since parts of them were written by
//! a provider or a model.

use serde_json::Value;

use super::text;

/// A text on one line, free of control characters.
pub(super) fn word(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(text::one_line)
}

/// A number.
pub(super) fn number(value: &Value, key: &str) -> Option<f64> {
    value.get(key).and_then(Value::as_f64)
}

/// A whole number that is not negative; fractions are cut off.
pub(super) fn whole(value: &Value, key: &str) -> Option<u64> {
    let field = value.get(key)?;
    field.as_u64().or_else(|| field.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
}

/// Whether a field is `true`.
pub(super) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// A list; empty when there is none.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The members of an object in the order they came; none when it is none.
pub(super) fn members<'a>(
    value: &'a Value,
    key: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// A field that is there and not `null`.
pub(super) fn present<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|field| !field.is_null())
}

/// A list of texts.
pub(super) fn words(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().filter_map(Value::as_str).map(text::one_line).collect()
}

/// A list of texts, joined.
pub(super) fn joined(value: &Value, key: &str, between: &str) -> String {
    words(value, key).join(between)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_null_or_of_another_type_reads_as_nothing() {
        let reply = json!({"a": null, "b": "text", "c": 2.9, "d": -1});
        assert_eq!(word(&reply, "a"), None);
        assert_eq!(word(&reply, "zzz"), None);
        assert_eq!(number(&reply, "b"), None);
        assert_eq!(whole(&reply, "c"), Some(2));
        assert_eq!(whole(&reply, "d"), None);
        assert!(!flag(&reply, "b"));
        assert!(list(&reply, "c").is_empty());
        assert_eq!(members(&reply, "b").count(), 0);
        assert!(present(&reply, "a").is_none());
        assert_eq!(word(&json!("no object"), "a"), None);
    }

    #[test]
    fn a_text_with_escape_sequences_comes_back_clean() {
        assert_eq!(word(&json!({"a": "x\u{1b}[31my\nz"}), "a").unwrap(), "xy z");
    }
}
