//! Field names as Google takes them: `mimeType` and `mime_type` are the same.
//!
//! The official SDK mixes both. Everything is brought to the camel-case form before it is checked,
//! except inside the values whose names belong to the caller: arguments, results and schemas.

use serde_json::Value;

#[rustfmt::skip]
const FREE: &[&str] = &[
    "args", "response", "parameters", "parametersJsonSchema", "responseSchema",
    "responseJsonSchema", "_responseJsonSchema", "labels",
];

/// The same request with all names in camel case.
pub(super) fn camel(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(camel).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, inner)| {
                let name = camel_name(name);
                let free = FREE.contains(&name.as_str());
                (name, if free { inner.clone() } else { camel(inner) })
            })
            .collect(),
        other => other.clone(),
    }
}

fn camel_name(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for (at, word) in name.split('_').enumerate() {
        match word.chars().next() {
            Some(first) if at > 0 && !camel.is_empty() => {
                camel.push(first.to_ascii_uppercase());
                camel.push_str(&word[first.len_utf8()..]);
            }
            Some(_) => camel.push_str(word),
            None => {}
        }
    }
    // The one name of the API that begins with an underscore.
    if name == "_responseJsonSchema" { name.to_owned() } else { camel }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_the_api_change_and_names_of_the_caller_do_not() {
        let given = json!({ "inline_data": { "mime_type": "x" }, "args": { "home_town": 1 } });
        let expected = json!({ "inlineData": { "mimeType": "x" }, "args": { "home_town": 1 } });
        assert_eq!(camel(&given), expected);
    }
}
