//! The smallest value that fits a JSON schema, for tool arguments and JSON answers.
//!
//! It knows the part of JSON Schema that providers accept: types, enums, required properties,
//! bounds, references into `$defs`, and the first branch of `anyOf`. Type names may be in capitals,
//! as Google writes them. It checks nothing; a schema that cannot be met gives a value that does
//! not fit, and a recursive one is cut off.

use serde_json::{Map, Value, json};

const DEEPEST: usize = 32;

/// A value that fits.
pub(super) fn smallest(schema: &Value) -> Value {
    fit(schema, schema, DEEPEST)
}

fn fit(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(value) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
        return value.clone();
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|path| root.pointer(path));
        return target.map_or(Value::Null, |target| fit(target, root, depth - 1));
    }
    let branch = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(key)?.get(0));
    if let Some(branch) = branch {
        return fit(branch, root, depth - 1);
    }
    match type_of(schema).as_str() {
        "object" => object(schema, root, depth),
        "array" => {
            let item = schema.get("items").unwrap_or(&Value::Null);
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(100);
            (0..least).map(|_| fit(item, root, depth - 1)).collect()
        }
        "string" => string(schema),
        "integer" | "number" => number(schema),
        "boolean" => Value::Bool(false),
        _ => Value::Null,
    }
}

fn type_of(schema: &Value) -> String {
    let named = match schema.get("type") {
        Some(Value::Array(several)) => several.first().and_then(Value::as_str),
        Some(one) => one.as_str(),
        None if schema.get("properties").is_some() => Some("object"),
        None => None,
    };
    named.unwrap_or_default().to_ascii_lowercase()
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let fields: Map<String, Value> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| {
            let inner = schema.get("properties").and_then(|all| all.get(name));
            (name.to_owned(), fit(inner.unwrap_or(&Value::Null), root, depth - 1))
        })
        .collect();
    Value::Object(fields)
}

fn string(schema: &Value) -> Value {
    let mut text = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("date") => "2026-01-01",
        _ => "text",
    }
    .to_owned();
    let bound = |key| schema.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    if let Some(least) = bound("minLength") {
        while text.len() < least.min(10_000) {
            text.push('x');
        }
    }
    text.truncate(bound("maxLength").unwrap_or(usize::MAX));
    Value::String(text)
}

fn number(schema: &Value) -> Value {
    if let Some(least) = schema.get("minimum") {
        return least.clone();
    }
    let above = schema.get("exclusiveMinimum").and_then(Value::as_i64);
    json!(above.map_or(0, |above| above.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_required_is_filled_in() {
        let schema = json!({
            "type": "OBJECT",
            "$defs": { "Kind": { "enum": ["small", "big"] } },
            "properties": {
                "name": { "type": "string", "minLength": 6 },
                "kind": { "$ref": "#/$defs/Kind" },
                "count": { "type": ["integer", "null"], "minimum": 2 },
                "list": { "type": "array", "items": { "type": "boolean" }, "minItems": 1 },
                "spare": { "type": "string" },
            },
            "required": ["name", "kind", "count", "list"],
        });
        let expected = json!({ "name": "textxx", "kind": "small", "count": 2, "list": [false] });
        assert_eq!(smallest(&schema), expected);
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({ "type": "object", "properties": { "next": { "$ref": "#" } },
                             "required": ["next"] });
        assert!(smallest(&schema).is_object());
    }
}
