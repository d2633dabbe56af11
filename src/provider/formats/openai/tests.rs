//! Request bodies in OpenAI's form; answers are tested beside their reader.

mod history;

use serde_json::{Value, json};

use super::*;
use crate::config::{Kind, Model};
use crate::provider::fixtures::{self, call, model, request};

fn at(base_url: &str) -> Model {
    model(fixtures::provider(Kind::OpenAi, base_url))
}

fn own() -> Model {
    let mut provider = fixtures::provider(Kind::OpenAi, "https://api.openai.com/v1");
    provider.max_tokens_field = MaxTokensField::MaxCompletionTokens;
    model(provider)
}

fn local() -> Model {
    at("http://localhost:11434/v1")
}

fn written(model: &Model, asked: Value) -> Value {
    let request = request(asked);
    fixtures::tree(body(&call(model, &request), Asking::WHOLE))
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "weather", "description": "now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])
}

#[test]
fn a_plain_question_has_only_what_was_asked() {
    let body = written(&local(), json!({"messages": [{"role": "user", "content": "Hi"}]}));
    assert_eq!(
        body,
        json!({"model": "m-1", "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 64, "temperature": 0.5})
    );
}

#[test]
fn openais_own_hosts_get_the_newer_token_limit_and_know_developer() {
    let asked = json!({"messages": [{"role": "developer", "content": "x"}]});
    let body = written(&own(), asked.clone());
    assert_eq!(body["max_completion_tokens"], 64);
    assert!(body.get("max_tokens").is_none());
    assert_eq!(body["messages"][0]["role"], "developer");
    assert_eq!(written(&local(), asked)["messages"][0]["role"], "system");
}

#[test]
fn parameters_are_passed_on() {
    let body = written(
        &local(),
        json!({"messages": [{"role": "user", "content": "Hi"}], "top_p": 0.9, "stop": "END",
            "seed": 7, "tools": tools(), "tool_choice": "required", "parallel_tool_calls": false,
            "reasoning_effort": "low", "response_format": {"type": "json_schema",
                "json_schema": {"name": "n", "schema": {"b": 1, "a": 2}, "strict": true}}}),
    );
    assert_eq!(body["top_p"], 0.9);
    assert_eq!(body["stop"], json!(["END"]));
    assert_eq!(body["seed"], 7);
    assert_eq!(body["tools"], tools());
    assert_eq!(body["tool_choice"], "required");
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(body["reasoning_effort"], "low");
    assert_eq!(
        body["response_format"].to_string(),
        r#"{"type":"json_schema","json_schema":{"name":"n","schema":{"b":1,"a":2},"strict":true}}"#
    );
}

#[test]
fn the_json_object_format_is_passed_on_and_text_is_left_out() {
    let asked = |kind: &str| json!({"messages": [{"role": "user", "content": "Hi"}], "response_format": {"type": kind}});
    let body = written(&local(), asked("json_object"));
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert!(written(&local(), asked("text")).get("response_format").is_none());
}

#[test]
fn tool_settings_without_tools_are_left_out() {
    let body = written(
        &local(),
        json!({"messages": [{"role": "user", "content": "Hi"}], "tool_choice": "auto",
            "parallel_tool_calls": true}),
    );
    assert!(body.get("tool_choice").is_none() && body.get("parallel_tool_calls").is_none());
}

#[test]
fn a_model_that_refuses_sampling_gets_neither_temperature_nor_top_p() {
    let mut model = own();
    model.supports.temperature = false;
    let request = request(json!({"messages": [{"role": "user", "content": "Hi"}], "top_p": 0.5}));
    let body =
        fixtures::tree(body(&Call { temperature: None, ..call(&model, &request) }, Asking::WHOLE));
    assert!(body.get("temperature").is_none() && body.get("top_p").is_none());
}

#[test]
fn images_and_tool_rounds_keep_their_form() {
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "What?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function",
                "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "4 C"}]);
    let body = written(&local(), json!({"messages": messages}));
    assert_eq!(body["messages"], messages);
}

#[test]
fn broken_tool_arguments_are_wrapped_into_an_object() {
    for (given, sent) in [
        ("{\"x\":", json!({"arguments": "{\"x\":"})),
        ("[1]", json!({"arguments": "[1]"})),
        ("null", json!({})),
        ("", json!({})),
        ("{\"x\":1}", json!({"x": 1})),
    ] {
        let body = written(
            &local(),
            json!({"messages": [{"role": "assistant", "tool_calls": [
            {"id": "c", "function": {"name": "f", "arguments": given}}]}]}),
        );
        let arguments = body["messages"][0]["tool_calls"][0]["function"]["arguments"].as_str();
        assert_eq!(serde_json::from_str::<Value>(arguments.unwrap()).unwrap(), sent, "{given}");
    }
}

#[test]
fn strict_servers_do_not_see_the_data_of_others() {
    let asked = json!({"messages": [{"role": "assistant", "content": "x", "name": "bob",
        "reasoning_content": "hm", "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"gateway": {"trace": "s"}}}]}]});
    let strict = &written(&own(), asked.clone())["messages"][0];
    assert!(strict.get("reasoning_content").is_none());
    assert!(strict["tool_calls"][0].get("extra_content").is_none());
    let common = &written(&local(), asked.clone())["messages"][0];
    assert_eq!(common["reasoning_content"], "hm");
    assert_eq!(common["tool_calls"][0]["extra_content"]["gateway"]["trace"], "s");
    let groq = &written(&at("https://api.groq.com/openai/v1"), asked)["messages"][0];
    assert!(groq.get("name").is_none());
}

#[test]
fn mistral_has_its_own_words_for_seed_and_tool_choice() {
    let body = written(
        &at("https://api.mistral.ai/v1"),
        json!({"messages": [{"role": "user", "content": "Hi"}], "seed": 7, "tools": tools(),
            "tool_choice": "required"}),
    );
    assert_eq!((&body["random_seed"], &body["tool_choice"]), (&json!(7), &json!("any")));
    assert!(body.get("seed").is_none());
}

#[test]
fn extra_is_merged_last_and_in_order_but_never_turns_on_streams() {
    let mut model = local();
    model.extra = json!({"a": 1, "b": {"x": 1}, "c": 1}).as_object().unwrap().clone();
    let body = written(
        &model,
        json!({"messages": [{"role": "user", "content": "Hi"}], "extra": {
            "openai": {"b": {"y": 2}, "c": 2, "temperature": 1.5, "stream": true},
            "m": {"c": 3}, "anthropic": {"d": 4}}}),
    );
    assert_eq!(body["a"], 1);
    assert_eq!(body["b"], json!({"x": 1, "y": 2}));
    assert_eq!((&body["c"], &body["temperature"]), (&json!(3), &json!(1.5)));
    assert!(body.get("d").is_none() && body.get("stream").is_none());
}

#[test]
fn what_a_model_adds_to_the_instructions_makes_them_one_message() {
    let messages = json!([{"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"}, {"role": "developer", "content": "Be short."}]);
    let model = Model { system_prefix: Some("First.".to_owned()), ..local() };
    let body = written(&model, json!({ "messages": messages }));
    let system = json!({"role": "system", "content": "First.\n\nBe kind.\n\nBe short."});
    assert_eq!(body["messages"], json!([system, {"role": "user", "content": "Hi"}]));
    let model = Model { system_suffix: Some("Last.".to_owned()), ..local() };
    let body = written(&model, json!({"messages": [{"role": "user", "content": "Hi"}]}));
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "Last."}));
}
