//! Request bodies in Anthropic's form; answers are tested beside their reader.

mod cache;
mod history;

use serde_json::{Value, json};

use super::*;
use crate::config::{Kind, Model};
use crate::domain::fault::Fault;
use crate::provider::fixtures::{self, call, model, request};

fn claude() -> Model {
    model(fixtures::provider(Kind::Anthropic, "https://api.anthropic.com"))
}

fn written(asked: Value) -> Value {
    let request = request(asked);
    fixtures::tree(body(&call(&claude(), &request), Asking::WHOLE))
}

fn refused(messages: Value) -> Failure {
    let request = request(json!({"messages": messages}));
    body(&call(&claude(), &request), Asking::WHOLE).unwrap_err()
}

fn tools() -> Value {
    json!([{"function": {"name": "weather", "parameters": {"type": "object"}}},
        {"function": {"name": "now"}}])
}

#[test]
fn a_plain_question_has_only_what_was_asked() {
    let body = written(json!({"messages": [{"role": "user", "content": "Hi"}]}));
    assert_eq!(
        body,
        json!({"model": "m-1", "max_tokens": 64, "temperature": 0.5, "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]})
    );
}

#[test]
fn instructions_are_hoisted_and_joined() {
    let body = written(json!({"messages": [
        {"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"},
        {"role": "system", "content": ""},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]}]}));
    assert_eq!(body["system"], "Be short.\n\nBe kind.");
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_conversation_of_instructions_only_gets_a_turn() {
    let body = written(json!({"messages": [{"role": "system", "content": "Say hi."}]}));
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(body["system"], "Say hi.");
}

#[test]
fn turns_of_one_speaker_are_merged_and_empty_texts_dropped() {
    let body = written(json!({"messages": [
        {"role": "user", "content": "a"}, {"role": "user", "content": ""},
        {"role": "assistant", "content": ""}, {"role": "user", "content": "b"}]}));
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])
    );
}

#[test]
fn parallel_tool_results_come_back_in_one_message() {
    let body = written(json!({"tools": tools(), "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "Looking.", "tool_calls": [
            {"id": "t1", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
            {"id": "t2", "function": {"name": "now", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "t1", "content": "4 C"},
        {"role": "tool", "tool_call_id": "t2", "content": "noon"},
        {"role": "user", "content": "So?"}]}));
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"type": "text", "text": "Looking."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "t2", "name": "now", "input": {}}])
    );
    let result = |id: &str, text: &str| {
        json!({"type": "tool_result", "tool_use_id": id,
            "content": [{"type": "text", "text": text}]})
    };
    assert_eq!(
        body["messages"][2],
        json!({"role": "user", "content": [result("t1", "4 C"), result("t2", "noon"),
            {"type": "text", "text": "So?"}]})
    );
}

#[test]
fn images_are_sent_inline_or_by_address() {
    let body = written(json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]}));
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"type": "image", "source":
                {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}])
    );
    let local = refused(json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]));
    assert_eq!(local.fault, Fault::InvalidRequest);
}

#[test]
fn tools_always_have_a_schema() {
    let body = written(json!({"messages": [{"role": "user", "content": "x"}], "tools": tools()}));
    assert_eq!(
        body["tools"],
        json!([{"name": "weather", "input_schema": {"type": "object"}},
            {"name": "now", "input_schema": {"type": "object", "properties": {}}}])
    );
    assert!(body.get("tool_choice").is_none());
}

#[test]
fn tool_choices_have_other_names() {
    let chosen = |choice: Value, parallel: Value| {
        written(json!({"messages": [{"role": "user", "content": "x"}], "tools": tools(),
            "tool_choice": choice, "parallel_tool_calls": parallel}))["tool_choice"]
            .clone()
    };
    assert_eq!(chosen(json!("auto"), json!(null)), json!({"type": "auto"}));
    assert_eq!(chosen(json!("none"), json!(false)), json!({"type": "none"}));
    assert_eq!(chosen(json!("required"), json!(true)), json!({"type": "any"}));
    let named = json!({"type": "function", "function": {"name": "now"}});
    assert_eq!(
        chosen(named, json!(false)),
        json!({"type": "tool", "name": "now", "disable_parallel_tool_use": true})
    );
    assert_eq!(
        chosen(json!(null), json!(false)),
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
}

#[test]
fn sampling_is_clamped_and_seed_has_no_equal() {
    let request = request(json!({"messages": [{"role": "user", "content": "x"}], "seed": 7,
        "temperature": 1.8, "top_p": 0.9, "stop": ["END", " \n"]}));
    let body = fixtures::tree(body(
        &Call { temperature: Some(1.8), ..call(&claude(), &request) },
        Asking::WHOLE,
    ));
    assert_eq!((&body["temperature"], &body["top_p"]), (&json!(1.0), &json!(0.9)));
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert!(body.get("seed").is_none());
}

#[test]
fn a_default_temperature_yields_to_a_chosen_top_p() {
    let body = written(json!({"messages": [{"role": "user", "content": "x"}], "top_p": 0.9}));
    assert_eq!(body["top_p"], 0.9);
    assert!(body.get("temperature").is_none());
}

#[test]
fn json_formats_become_a_schema_or_an_instruction() {
    let schema = written(json!({"messages": [{"role": "user", "content": "x"}],
        "reasoning_effort": "minimal", "response_format": {"type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}}}}));
    assert_eq!(
        schema["output_config"],
        json!({"effort": "low", "format": {"type": "json_schema",
            "schema": {"type": "object", "additionalProperties": false}}})
    );
    let object = written(json!({"messages": [{"role": "system", "content": "Be short."},
        {"role": "user", "content": "x"}], "response_format": {"type": "json_object"}}));
    let system = object["system"].as_str().unwrap();
    assert!(system.starts_with("Be short.\n\n") && system.contains("JSON object"));
}

#[test]
fn extra_goes_by_the_name_of_the_kind() {
    let body = written(json!({"messages": [{"role": "user", "content": "x"}],
        "extra": {"anthropic": {"top_k": 5}, "openai": {"n": 2}}}));
    assert_eq!(body["top_k"], 5);
    assert!(body.get("n").is_none());
}

#[test]
fn what_a_model_adds_stands_around_the_instructions() {
    let (prefix, suffix) = (Some("First.".to_owned()), Some("Last.".to_owned()));
    let model = Model { system_prefix: prefix, system_suffix: suffix, ..claude() };
    let messages =
        json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]);
    let request = request(json!({ "messages": messages }));
    let body = fixtures::tree(body(&call(&model, &request), Asking::WHOLE));
    assert_eq!(body["system"], "First.\n\nBe kind.\n\nLast.");
}

#[test]
fn a_foreign_history_fits() {
    let call = |id: &str, arguments: &str| {
        json!([{"role": "user", "content": "a"},
            {"role": "assistant", "content": " \n", "tool_calls": [
                {"id": id, "function": {"name": "f", "arguments": arguments}}]},
            {"role": "tool", "tool_call_id": id, "content": "4 C"}])
    };
    let long = "x".repeat(200);
    let mut seen = std::collections::HashSet::new();
    for id in ["functions.f:0", "functions.f.0", long.as_str(), "toolu_1", "ü"] {
        let body = written(json!({"messages": call(id, "[1]")}));
        let blocks = &body["messages"][1]["content"];
        assert_eq!(blocks.as_array().unwrap().len(), 1, "blanks are left out");
        assert_eq!(blocks[0]["input"], json!({"arguments": "[1]"}));
        let sent = blocks[0]["id"].as_str().unwrap();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        assert!(sent.chars().all(fits) && (1..=64).contains(&sent.len()), "{sent}");
        assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], sent);
        assert!(seen.insert(sent.to_owned()), "two calls stay two");
    }
}

#[test]
fn objects_of_a_schema_are_closed_unless_they_say_otherwise() {
    let schema = json!({"type": "object", "additionalProperties": true, "properties": {
        "a": {"type": "object", "enum": [{"type": "object"}]},
        "b": {"type": "array", "items": {"type": "object"}}}});
    let body = written(json!({"messages": [{"role": "user", "content": "x"}], "response_format":
        {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}));
    assert_eq!(
        body["output_config"]["format"]["schema"],
        json!({"type": "object", "additionalProperties": true, "properties": {
            "a": {"type": "object", "enum": [{"type": "object"}], "additionalProperties": false},
            "b": {"type": "array", "items": {"type": "object", "additionalProperties": false}}}})
    );
}
