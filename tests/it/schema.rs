//! The JSON Schema of the protocol says what the daemon's own reader says.
//!
//! Every line of every test goes through the same comparison (`harness/shape.rs`); here are the
//! lines that nobody would send.

use std::process::Command;

use serde_json::{Value, json};

use super::harness::shape::{disagreement, misshapen};

/// Requests that are right, with every field there is.
fn requests() -> Vec<Value> {
    let user = json!([{"role":"user","content":"p"}]);
    vec![
        json!({"messages":user}),
        json!({"id":7,"op":"chat","task":"t","models":["a","b"],"messages":[
                {"role":"system","content":"s"},
                {"role":"user","name":"n","content":[{"type":"text","text":"t"},
                    {"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},
                    {"type":"file","file":{"file_data":"AA==","filename":"a.pdf","file_id":"f"},
                        "cache_control":{"type":"ephemeral"}},
                    {"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]},
                {"role":"assistant","content":null,"reasoning_content":"r",
                    "provider_data":{"kind":"openai","model":"m"},"tool_calls":[
                    {"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
                {"role":"tool","tool_call_id":"c","content":"r"}],
            "max_tokens":9,"max_completion_tokens":9,"temperature":0.5,"top_p":0.5,"stop":["a"],"seed":3,
            "tools":[{"type":"function","function":{"name":"f","description":"d",
                "parameters":{"type":"object"},"strict":true},
                "cache_control":{"type":"ephemeral"}}],
            "tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":true,
            "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{},
                "description":"d","strict":false}},
            "reasoning_effort":"low","timeout":"30s","stream":false,"on_refusal":"fallback",
            "on_interrupt":"fail","max_cost_usd":0.5,"plan":true,"extra":{"openai":{"x":1}}}),
        json!({"id":"x","messages":user,"stop":"a","tool_choice":"auto","timeout":2.5,
            "response_format":{"type":"text"}}),
        json!({"messages":user,"model":"m"}),
        json!({"id":null,"op":"ping"}),
        json!({"id":-1,"op":"health","window":"1h 30m"}),
        json!({"op":"chains"}),
        json!({"op":"why","request_id":"01M7W9TJWBQC5AZC8MQKY1RQDG"}),
        json!({"op":"costs","week":"2026-W47"}),
        json!({"op":"costs","from":"2026-11-01","to":"2026-12-01T00:00:00Z"}),
        json!({"op":"breaker","model":"a","set":"open","for":600}),
        json!({"op":"reload"}),
        json!({"op":"events","types":["call","stop"]}),
        json!({"op":"cancel","target":12}),
    ]
}

/// Values that do not belong where they are put, or do.
fn values() -> Vec<Value> {
    let mut values = vec![json!([]), json!({}), json!([1]), json!(["a"]), json!(["a", "a"])];
    values.extend([json!({"a": 1}), json!({"a": {"model": "m"}}), json!([null]), Value::Null]);
    values.extend([true, false].map(Value::from));
    values.extend([0, 1, -1, 5_000_000_000_i64].map(Value::from));
    values.extend([0.5, -0.5, 1.5, 2.5, 1e300].map(Value::from));
    values.push(json!(u64::MAX));
    let words = ["", "x", "30s", "0s", "1.5 hours", "user", "tool", "assistant", "auto", "call"];
    values.extend(words.map(Value::from));
    values.push(json!("x".repeat(129)));
    values
}

/// The places of a value, itself included, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, member)| places(member, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(number, item)| places(item, &format!("{at}/{number}"), found));
        }
        _ => {}
    }
}

fn agree(request: &Value, wrong: &mut Vec<String>) {
    wrong.extend(disagreement(request.to_string().as_bytes()));
}

#[test]
fn the_schema_refuses_what_the_daemon_refuses_and_takes_what_it_takes() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for request in requests() {
        assert!(
            fallbackd::protocol::request::read(request.to_string().as_bytes()).is_ok(),
            "{request}"
        );
        let mut all = Vec::new();
        places(&request, "", &mut all);
        for place in all {
            let was_object = request.pointer(&place).is_some_and(Value::is_object);
            // The reader of JSON would also take a list of an object's members in their order. No
            // page says so and nobody may count on it, so the schema does not say it either.
            for value in values().into_iter().filter(|value| !(was_object && value.is_array())) {
                let mut changed = request.clone();
                *changed.pointer_mut(&place).unwrap() = value;
                agree(&changed, &mut wrong);
                tried += 1;
            }
            let mut more = request.clone();
            if let Some(Value::Object(members)) = more.pointer_mut(&place) {
                members.insert("zzz".to_owned(), json!(1));
                agree(&more, &mut wrong);
            }
            let (parent, name) = place.rsplit_once('/').unwrap_or_default();
            let mut fewer = request.clone();
            if let Some(Value::Object(members)) = fewer.pointer_mut(parent) {
                members.remove(name);
                agree(&fewer, &mut wrong);
            }
        }
    }
    assert!(tried > 2000, "{tried}");
    wrong.truncate(10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_that_the_daemon_would_not_send_is_refused() {
    let rows = [
        json!({"id":1,"ok":true,"version":"0","protocol":"1","uptime_ms":1,"pid":1,"zzz":1}),
        json!({"id":1,"event":"delta"}),
        json!({"log":{"event":"call"}}),
        json!({"ok":true}),
        json!({"id":1,"ok":false}),
        json!({"id":1,"ok":false,"error":{"code":"whatever","message":"m"}}),
    ];
    for line in rows {
        assert!(misshapen(&line.to_string()).is_some(), "{line}");
    }
    assert_eq!(misshapen(r#"{"id":1,"ok":true,"cancelled":true}"#), None);
}

#[test]
fn the_schema_is_a_valid_schema_of_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_fallbackctl")).arg("schema").output().unwrap();
    assert!(output.status.success());
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).unwrap();
}
