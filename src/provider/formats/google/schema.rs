//! Schemas as Gemini takes them: JSON Schema with less in it.
//!
//! Definitions have one place and a reference stands alone; `const` and `allOf` are unknown, and
//! values of an `enum` are texts or numbers. All of that can be said in other words. What Gemini
//! does not know beside that it passes over.

use serde_json::{Map, Value, json};

use crate::protocol::chat::Function;
use crate::provider::schema::object;

/// The parameters of a function; `None` for one without any.
pub(super) fn parameters(function: &Function) -> Option<Value> {
    serde_json::from_str(object(function)?.get()).ok().map(|schema| fit(&schema))
}

/// The same schema in Gemini's words.
pub(super) fn fit(schema: &Value) -> Value {
    let Value::Object(given) = schema else {
        // `true` and `false` say no more than nothing does.
        return json!({});
    };
    let mut fitted = together(given.clone());
    for (name, value) in &mut fitted {
        match (name.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(inner)) => {
                inner.values_mut().for_each(|value| *value = fit(value));
            }
            ("anyOf" | "oneOf" | "prefixItems", Value::Array(inner)) => {
                inner.iter_mut().for_each(|value| *value = fit(value));
            }
            ("items", value) => *value = fit(value),
            ("additionalProperties", value @ Value::Object(_)) => *value = fit(value),
            ("$ref", Value::String(to)) => *to = to.replacen("#/definitions/", "#/$defs/", 1),
            _ => {}
        }
    }
    fitted.shift_remove("$schema");
    if let Some(Value::Object(more)) = fitted.shift_remove("definitions") {
        let defs = fitted.entry("$defs").or_insert_with(|| json!({}));
        if let Value::Object(defs) = defs {
            fill(defs, more);
        }
    }
    values(&mut fitted);
    alone(fitted)
}

/// What all of several schemas say, as one.
fn together(mut schema: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Array(parts)) = schema.shift_remove("allOf") else { return schema };
    let parts: Vec<Map<String, Value>> = parts
        .into_iter()
        .filter_map(|part| match part {
            Value::Object(part) => Some(together(part)),
            _ => None,
        })
        .collect();
    for part in parts {
        for (name, value) in part {
            match (schema.get_mut(&name), value) {
                (Some(Value::Object(own)), Value::Object(more)) if name == "properties" => {
                    fill(own, more);
                }
                (Some(Value::Array(own)), Value::Array(more)) if name == "required" => {
                    let new: Vec<Value> =
                        more.into_iter().filter(|one| !own.contains(one)).collect();
                    own.extend(new);
                }
                (Some(_), _) => {}
                (None, value) => drop(schema.insert(name, value)),
            }
        }
    }
    schema
}

/// Adds what is not there yet.
fn fill(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        into.entry(name).or_insert(value);
    }
}

/// Says in `enum` and `type` which values there are.
fn values(schema: &mut Map<String, Value>) {
    if let Some(only) = schema.shift_remove("const") {
        schema.entry("enum").or_insert_with(|| json!([only]));
    }
    let Some(Value::Array(all)) = schema.get("enum") else { return };
    let (told, rest): (Vec<Value>, Vec<Value>) =
        all.iter().cloned().partition(|value| value.is_string() || value.is_number());
    let kinds: Vec<&str> = rest.iter().map(kind).collect();
    if !rest.is_empty() {
        let known = match schema.get("type") {
            Some(Value::Array(known)) => known.clone(),
            Some(known) => vec![known.clone()],
            None => told.first().map(kind).map(Value::from).into_iter().collect(),
        };
        let more = kinds.into_iter().map(Value::from).filter(|kind| !known.contains(kind));
        let mut types: Vec<Value> = known.iter().cloned().chain(more).collect();
        types.dedup();
        let only = if types.len() == 1 { types.pop() } else { None };
        schema.insert("type".to_owned(), only.unwrap_or(Value::Array(types)));
    }
    match told.is_empty() {
        true => drop(schema.shift_remove("enum")),
        false => drop(schema.insert("enum".to_owned(), Value::Array(told))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A reference with nothing beside it but what begins like it.
fn alone(mut schema: Map<String, Value>) -> Value {
    let stands_alone = schema.keys().all(|name| name.starts_with('$'));
    match schema.shift_remove("$ref") {
        Some(to) if stands_alone => {
            schema.insert("$ref".to_owned(), to);
        }
        Some(to) => {
            schema.entry("anyOf").or_insert_with(|| json!([{ "$ref": to }]));
        }
        None => {}
    }
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gemini_does_not_know_is_said_in_its_words() {
        let text = json!({"type": "string"});
        for (given, fitted) in [
            (json!({"const": "a"}), json!({"enum": ["a"]})),
            (json!({"const": true}), json!({"type": "boolean"})),
            (json!({"const": null}), json!({"type": "null"})),
            (
                json!({"type": "string", "enum": ["a", null]}),
                json!({"type": ["string", "null"], "enum": ["a"]}),
            ),
            (json!({"enum": [true, false]}), json!({"type": "boolean"})),
            (json!({"enum": [1, "a"]}), json!({"enum": [1, "a"]})),
            (
                json!({"$ref": "#/definitions/A", "description": "d"}),
                json!({"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]}),
            ),
            (json!({"$ref": "#/$defs/A"}), json!({"$ref": "#/$defs/A"})),
            (
                json!({"$schema": "s", "type": "object", "definitions": {"A": {"const": 1}}}),
                json!({"type": "object", "$defs": {"A": {"enum": [1]}}}),
            ),
            (
                json!({"allOf": [{"properties": {"a": text}, "required": ["a"]},
                    {"properties": {"b": {"const": "x"}}, "required": ["a", "b"], "type": "object"}]}),
                json!({"properties": {"a": text, "b": {"enum": ["x"]}}, "required": ["a", "b"],
                    "type": "object"}),
            ),
            (
                json!({"type": "array", "items": {"anyOf": [{"const": "a"}, true]}, "minItems": 1}),
                json!({"type": "array", "items": {"anyOf": [{"enum": ["a"]}, {}]}, "minItems": 1}),
            ),
            (
                json!({"additionalProperties": false, "properties": {"const": text, "enum": {}}}),
                json!({"additionalProperties": false, "properties": {"const": text, "enum": {}}}),
            ),
            (
                json!({"additionalProperties": {"const": 2}, "oneOf": [{"const": 3}]}),
                json!({"additionalProperties": {"enum": [2]}, "oneOf": [{"enum": [3]}]}),
            ),
        ] {
            assert_eq!(fit(&given), fitted, "{given}");
            assert_eq!(fit(&fitted), fitted, "what fits is left alone");
        }
    }
}
