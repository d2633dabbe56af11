//! Request bodies in Gemini's form; answers are tested beside their reader.

mod history;

use serde_json::{Value, json};

use super::*;
use crate::config::{Kind, Model};
use crate::domain::fault::Fault;
use crate::provider::fixtures::{self, call, call as call_of, model, request};
use crate::provider::formats::google::contents::NO_SIGNATURE;

fn gemini(id: &str) -> Model {
    let provider = fixtures::provider(Kind::Google, "https://example.com/v1beta");
    Model { model_id: id.to_owned(), ..model(provider) }
}

fn written_for(id: &str, asked: Value) -> Value {
    let request = request(asked);
    fixtures::tree(body(&call(&gemini(id), &request), Asking::WHOLE))
}

fn written(asked: Value) -> Value {
    written_for("gemini-3-flash", asked)
}

fn refused(messages: Value) -> Failure {
    let request = request(json!({"messages": messages}));
    body(&call(&gemini("g"), &request), Asking::WHOLE).unwrap_err()
}

fn tools() -> Value {
    json!([{"function": {"name": "weather", "description": "now",
        "parameters": {"type": "object"}, "strict": true}}, {"function": {"name": "now"}}])
}

#[test]
fn a_plain_question_has_only_what_was_asked() {
    let body = written(json!({"messages": [{"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi"}]}));
    assert_eq!(
        body,
        json!({"systemInstruction": {"parts": [{"text": "Be short."}]},
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "generationConfig": {"maxOutputTokens": 64, "temperature": 0.5}})
    );
}

#[test]
fn the_path_names_the_model_once() {
    for (model_id, wanted) in [
        ("gemini-x", "/v1/models/gemini-x:generateContent"),
        ("models/gemini-x", "/v1/models/gemini-x:generateContent"),
        ("tunedModels/t", "/v1/tunedModels/t:generateContent"),
    ] {
        let mut url = Url::parse("http://127.0.0.1/v1/").unwrap();
        Google.address(&mut url, model_id, false);
        assert_eq!((url.path(), url.query()), (wanted, None));
    }
}

#[test]
fn parameters_have_other_names() {
    let body = written(json!({"messages": [{"role": "user", "content": "x"}], "top_p": 0.9,
        "stop": ["A", "B"], "seed": 7, "response_format": {"type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}}}}));
    assert_eq!(
        body["generationConfig"],
        json!({"maxOutputTokens": 64, "temperature": 0.5, "topP": 0.9,
            "stopSequences": ["A", "B"], "seed": 7, "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"}})
    );
    let object = written(json!({"messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_object"}}));
    assert_eq!(object["generationConfig"]["responseMimeType"], "application/json");
}

#[test]
fn effort_is_a_budget_for_old_models_and_a_level_for_new_ones() {
    let thinking = |id: &str, effort: &str| {
        let asked = json!({"messages": [{"role": "user", "content": "x"}],
            "reasoning_effort": effort});
        written_for(id, asked)["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(thinking("gemini-2.5-flash", "none"), json!({"thinkingBudget": 0}));
    assert_eq!(
        thinking("models/gemini-2.5-flash", "medium"),
        json!({"thinkingBudget": 8192, "includeThoughts": true})
    );
    assert_eq!(thinking("gemini-3-flash", "none"), json!({"thinkingLevel": "minimal"}));
    assert_eq!(
        thinking("gemini-4-argon", "max"),
        json!({"thinkingLevel": "high", "includeThoughts": true})
    );
}

#[test]
fn thoughts_are_asked_for_with_the_effort_and_not_where_that_is_refused() {
    let thinking = |effort: Value, thoughts: bool| {
        let request = request(json!({"messages": [{"role": "user", "content": "x"}],
            "reasoning_effort": effort}));
        let asking = Asking { thoughts, ..Asking::WHOLE };
        let body = fixtures::tree(body(&call(&gemini("gemini-3-flash"), &request), asking));
        body["generationConfig"].get("thinkingConfig").cloned()
    };
    for effort in ["low", "medium", "high", "xhigh", "max"] {
        let asked = thinking(json!(effort), true).unwrap();
        assert_eq!(asked["includeThoughts"], true, "{effort}");
        assert!(thinking(json!(effort), false).unwrap().get("includeThoughts").is_none());
    }
    for effort in ["none", "minimal"] {
        assert!(thinking(json!(effort), true).unwrap().get("includeThoughts").is_none());
    }
    assert_eq!(thinking(Value::Null, true), None);
}

#[test]
fn tools_and_choices_are_declared() {
    let with = |choice: Value| {
        written(json!({"messages": [{"role": "user", "content": "x"}], "tools": tools(),
            "tool_choice": choice}))
    };
    let body = with(json!({"type": "function", "function": {"name": "now"}}));
    assert_eq!(
        body["tools"],
        json!([{"functionDeclarations": [{"name": "weather", "description": "now",
            "parametersJsonSchema": {"type": "object"}}, {"name": "now"}]}])
    );
    assert_eq!(
        body["toolConfig"]["functionCallingConfig"],
        json!({"mode": "ANY", "allowedFunctionNames": ["now"]})
    );
    for (choice, mode) in [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")] {
        let body = with(json!(choice));
        assert_eq!(body["toolConfig"]["functionCallingConfig"], json!({"mode": mode}));
    }
}

#[test]
fn a_tool_round_names_functions_and_returns_the_signature() {
    let body = written(json!({"tools": tools(), "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [
            {"id": "call_1", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"},
                "extra_content": {"google": {"thought_signature": "c2ln"}}},
            {"id": "g-2", "function": {"name": "now", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "4 C"},
        {"role": "tool", "tool_call_id": "g-2", "content": "{\"hour\": 12}"}]}));
    assert_eq!(
        body["contents"][1],
        json!({"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}},
                "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "g-2", "name": "now", "args": {}}}]})
    );
    assert_eq!(
        body["contents"][2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"output": "4 C"}}},
            {"functionResponse": {"id": "g-2", "name": "now", "response": {"hour": 12}}}]})
    );
}

#[test]
fn calls_of_another_model_have_the_placeholder_that_newer_models_want() {
    let call = |id: &str| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
    let messages = request(json!({"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [call("a"), call("b")]}]}));
    for (model, signatures) in
        [("gemini-3-pro", [Some(NO_SIGNATURE), None]), ("gemini-2.5-flash", [None, None])]
    {
        let model_of = gemini(model);
        let turns = contents::turns(&call_of(&model_of, &messages)).ok().unwrap();
        let sent = serde_json::to_value(&turns[1].parts).unwrap();
        let told = [0, 1].map(|at| sent[at]["thoughtSignature"].as_str());
        assert_eq!(told, signatures, "{model}");
    }
}

#[test]
fn images_are_sent_inline_only() {
    let body = written(json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}));
    assert_eq!(
        body["contents"][0]["parts"],
        json!([{"inlineData": {"mimeType": "image/png", "data": "AA=="}}])
    );
    let shown = |url: &str| {
        refused(json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url}}]}]))
    };
    assert_eq!(shown("https://example.com/a.png").fault, Fault::UnsupportedParam);
    assert_eq!(shown("ftp://example.com/a.png").fault, Fault::InvalidRequest);
}

#[test]
fn instructions_only_get_a_turn_and_same_speakers_are_merged() {
    let only = written(json!({"messages": [{"role": "developer", "content": "Say hi."}]}));
    assert_eq!(only["contents"][0]["role"], "user");
    let merged = written(json!({"messages": [{"role": "user", "content": "a"},
        {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]}));
    assert_eq!(
        merged["contents"],
        json!([{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}]}])
    );
}

#[test]
fn what_a_model_adds_stands_around_the_instructions() {
    let model = Model { system_suffix: Some("Last.".to_owned()), ..gemini("gemini-2.5-flash") };
    let messages =
        json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]);
    let request = request(json!({ "messages": messages }));
    let body = fixtures::tree(body(&call(&model, &request), Asking::WHOLE));
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], "Be kind.\n\nLast.");
}
