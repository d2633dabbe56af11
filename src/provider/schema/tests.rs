//! What becomes of schemas that are not one object.

use serde_json::json;

use super::*;

fn made(schema: Value) -> Value {
    let function = json!({ "name": "f", "parameters": schema }).to_string();
    let function: Function = serde_json::from_str(&function).unwrap();
    serde_json::from_str(object(&function).unwrap().get()).unwrap()
}

fn text() -> Value {
    json!({"type": "string"})
}

#[test]
fn what_is_one_object_already_is_left_alone() {
    let schema =
        r##"{ "properties":{"b":{"anyOf":[{"$ref":"#/$defs/X"}]},"a":{}}, "type":"object" }"##;
    let function = format!(r#"{{"name":"f","parameters":{schema}}}"#);
    let function: Function = serde_json::from_str(&function).unwrap();
    assert_eq!(object(&function).unwrap().get(), schema);
    let bare: Function = serde_json::from_str(r#"{"name":"f","parameters":null}"#).unwrap();
    assert!(object(&bare).is_none());
}

#[test]
fn a_type_that_is_missing_or_one_of_several_is_an_object() {
    let any = json!({"type": "object", "properties": {}});
    for schema in [
        json!({}),
        json!(true),
        json!({"type": ["object", "null"]}),
        json!({"type": null}),
        json!({"anyOf": [{"type": "object"}, {"type": "null"}]}),
    ] {
        assert_eq!(made(schema.clone()), any, "{schema}");
    }
    let given = json!({"properties": {"a": text()}, "required": ["a"], "title": "t"});
    let whole = json!({"type": "object", "properties": {"a": text()}, "required": ["a"],
        "title": "t"});
    assert_eq!(made(given), whole);
}

#[test]
fn a_choice_of_fields_becomes_all_fields_and_a_word_on_it() {
    let schema = json!({"type": "object", "description": "Find.", "properties": {"a": text(), "b": text()},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert_eq!(
        made(schema),
        json!({"type": "object", "properties": {"a": text(), "b": text()},
            "description": "Find.\nGive one of: a; or b."})
    );
    let branch = |kind: &str, field: &str| {
        json!({"type": "object", "additionalProperties": false, "required": ["kind", field],
            "properties": {"kind": {"const": kind}, field: text()}})
    };
    assert_eq!(
        made(json!({"oneOf": [branch("file", "path"), branch("page", "url"), {"type": "null"}]})),
        json!({"type": "object",
            "properties": {"kind": {"anyOf": [{"const": "file"}, {"const": "page"}]},
                "path": text(), "url": text()},
            "required": ["kind"], "additionalProperties": false,
            "description": "Give one of: kind and path; or kind and url."})
    );
}

#[test]
fn all_of_several_and_references_are_written_out() {
    let defs = json!({"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}},
        "required": ["a"]}});
    assert_eq!(
        made(json!({"$ref": "#/$defs/A", "$defs": defs, "description": "d"})),
        json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"],
            "$defs": defs, "description": "d"})
    );
    assert_eq!(
        made(json!({"definitions": defs, "allOf": [{"$ref": "#/definitions/A"},
            {"properties": {"b": text()}, "required": ["b", "a"]}]})),
        json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}, "b": text()},
            "required": ["a", "b"], "definitions": defs})
    );
    let many = vec![json!({"$ref": "#"}); 20];
    assert_eq!(made(json!({"anyOf": many, "allOf": many}))["type"], "object");
    let never = json!({"type": "object", "properties": {}, "not": {"required": ["a", "b"]}});
    assert_eq!(made(never), json!({"type": "object", "properties": {}}));
    // One that leads nowhere, or to itself, ends nothing.
    for lost in ["#/$defs/none", "https://x.example/schema.json", "#"] {
        assert_eq!(made(json!({"$ref": lost}))["type"], "object", "{lost}");
    }
}

#[test]
fn arguments_that_are_no_object_are_the_field_of_one() {
    let defs = json!({"X": text()});
    for inner in [
        text(),
        json!({"type": "array", "items": {"$ref": "#/$defs/X"}}),
        json!({"enum": ["a", "b"]}),
        json!({"anyOf": [text(), {"type": "number"}]}),
    ] {
        let mut schema = inner.clone();
        schema["$defs"] = defs.clone();
        let wrapped = json!({"type": "object", "properties": {"value": inner},
            "required": ["value"], "$defs": defs});
        assert_eq!(made(schema), wrapped);
    }
}

#[test]
fn whatever_stands_at_the_top_becomes_an_object_without_alternatives() {
    let pieces = [
        json!({}),
        json!({"type": "object", "properties": {"a": text()}}),
        json!(3),
        json!([]),
        json!({"$ref": "#/oneOf/0"}),
        json!({"allOf": [{"anyOf": []}]}),
        text(),
    ];
    for one in &pieces {
        for other in &pieces {
            for keyword in ["anyOf", "oneOf", "allOf", "$ref", "type", "properties", "required"] {
                let schema = json!({ keyword: [one, other], "oneOf": [other] });
                let made = made(schema.clone());
                assert_eq!(made["type"], "object", "{schema}");
                let gone = ["anyOf", "oneOf", "allOf", "$ref"];
                let left = gone.iter().find(|name| made.get(**name).is_some());
                assert_eq!(left, None, "{schema}: {made}");
                assert!(made["properties"].is_object(), "{schema}");
            }
        }
    }
}
