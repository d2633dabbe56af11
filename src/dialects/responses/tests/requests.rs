//! From a body to a request.

use serde_json::{Value, json};

use super::{asked, call, message, messages};
use crate::protocol::chat::{Effort, ResponseFormat};
use crate::protocol::reply::ErrorCode;

fn with(more: &Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn settings_are_those_of_our_own_request() {
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    let asked = asked(&with(&json!({
        "instructions": "be short", "max_output_tokens": 50, "temperature": 0.5, "top_p": 1,
        "parallel_tool_calls": false, "stream": true, "store": true, "background": false,
        "text": {"format": {"type": "json_schema", "name": "N", "schema": schema, "strict": true},
                 "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"}, "previous_response_id": null,
    })))
    .unwrap();
    let request = &asked.request;
    assert_eq!(
        messages(&asked),
        json!([{"role": "system", "content": "be short"}, {"role": "user", "content": "hi"}])
    );
    assert_eq!((request.model.as_deref(), request.max_tokens), (Some("m"), Some(50)));
    assert_eq!((request.temperature, request.top_p), (Some(0.5), Some(1.0)));
    assert_eq!(request.parallel_tool_calls, Some(false));
    assert_eq!(request.reasoning_effort, Some(Effort::High));
    assert!(request.stream && request.bytes > 100);
    let Some(ResponseFormat::JsonSchema { json_schema }) = &request.response_format else {
        panic!("no schema");
    };
    assert_eq!((json_schema.name.as_str(), json_schema.strict), ("N", Some(true)));
    assert_eq!(json_schema.schema.as_ref().unwrap().to_string(), schema.to_string());
    assert_eq!(Value::from(request.extra["openai"].clone()), json!({"verbosity": "low"}));
    assert_eq!(asked.for_own_kind, ["text.verbosity"]);
    assert!(asked.dropped.is_empty(), "{:?}", asked.dropped);
}

#[test]
fn nothing_is_filled_in_where_a_program_says_nothing() {
    let request = asked(&json!({"input": "hi"})).unwrap().request;
    assert!(request.max_tokens.is_none() && request.temperature.is_none() && !request.stream);
    assert!(request.tool_choice.is_none() && request.response_format.is_none());
}

#[test]
fn a_list_of_models_stands_for_the_name() {
    let request = asked(&with(&json!({"models": ["a", "b"]}))).unwrap().request;
    assert_eq!((request.models.unwrap(), request.model), (vec!["a".into(), "b".into()], None));
    assert!(message(&with(&json!({"models": ["a", "a"]}))).starts_with("`models`: "));
}

#[test]
fn a_turn_of_several_items_is_one_message() {
    let asked = asked(&json!({"input": [
        {"role": "user", "content": [{"type": "input_text", "text": "a"},
                                     {"type": "input_text", "text": "b"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "x"},
                                                        {"type": "summary_text", "text": "y"}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "Let me ", "annotations": []},
                     {"type": "output_text", "text": "see.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "id": "fc_2", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [
            {"type": "input_text", "text": "two"},
            {"type": "input_image", "image_url": "https://x/y.png"}]},
        {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c3", "output": ""},
        {"role": "assistant", "content": "done"},
        {"role": "assistant", "content": "really"},
        {"role": "developer", "content": "go on"},
    ]}))
    .unwrap();
    let image = json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}});
    assert_eq!(
        messages(&asked),
        json!([
            {"role": "user", "content": [{"type": "text", "text": "a"},
                                         {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "Let me see.", "reasoning_content": "x\n\ny",
             "tool_calls": [call("c1", "f", "{}"), call("c2", "g", "{}")]},
            {"role": "tool", "content": "one", "tool_call_id": "c1"},
            {"role": "tool", "content": [{"type": "text", "text": "two"}, image],
             "tool_call_id": "c2"},
            {"role": "assistant", "content": null, "tool_calls": [call("c3", "f", "{}")]},
            {"role": "tool", "content": "", "tool_call_id": "c3"},
            {"role": "assistant", "content": "done"},
            {"role": "assistant", "content": "really"},
            {"role": "developer", "content": "go on"},
        ])
    );
}

#[test]
fn a_result_without_its_call_is_taken() {
    let asked = asked(&json!({"input": [
        {"type": "function_call_output", "call_id": "gone", "output": "sunny"},
        {"role": "user", "content": "well?"}]}))
    .unwrap();
    assert_eq!(messages(&asked)[0]["tool_call_id"], "gone");
}

#[test]
fn items_fields_and_tools_that_are_left_out_are_named_once() {
    let asked = asked(&json!({
        "input": [
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "name": 7},
            {"type": "custom_tool_call", "call_id": "c", "input": "x", "name": "apply_patch"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "y"},
            {"type": "web_search_call", "id": "ws_2", "status": "completed"},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"},
                                         {"type": "input_video", "text": 7}]},
        ],
        "tools": [{"type": "web_search"}, {"type": "computer_use_preview"}],
        "include": ["file_search_call.results"], "metadata": {"a": "b"}, "user": "u",
        "prompt_cache_key": "k", "client_metadata": {"x": "y"}, "safety_identifier": "s",
        "service_tier": "flex", "truncation": "auto", "something_new": 1, "max_tool_calls": null,
    }))
    .unwrap();
    let mut dropped = asked.dropped.clone();
    dropped.sort_unstable();
    assert_eq!(
        dropped,
        [
            "client_metadata",
            "include",
            "input.custom_tool_call",
            "input.custom_tool_call_output",
            "input.input_video",
            "input.web_search_call",
            "metadata",
            "prompt_cache_key",
            "safety_identifier",
            "service_tier",
            "something_new",
            "tools.computer_use_preview",
            "tools.web_search",
            "truncation",
            "user",
        ]
    );
    assert_eq!(messages(&asked), json!([{"role": "user", "content": "hi"}]));
}

#[test]
fn what_is_so_anyway_is_not_called_left_out() {
    let asked = asked(&with(&json!({
        "include": ["reasoning.encrypted_content"], "store": false, "truncation": "disabled",
        "service_tier": "auto", "metadata": {}, "top_logprobs": 0, "stream": false,
    })));
    assert!(asked.unwrap().dropped.is_empty());
}

#[test]
fn what_would_have_to_be_kept_is_refused_in_a_sentence() {
    for (field, value, word) in [
        ("previous_response_id", json!("resp_1"), "input"),
        ("conversation", json!({"id": "conv_1"}), "input"),
        ("prompt", json!({"id": "pmpt_1"}), "instructions"),
        ("background", json!(true), "wait"),
        ("top_logprobs", json!(3), "one text"),
        ("include", json!(["message.output_text.logprobs"]), "one text"),
        ("tool_choice", json!({"type": "web_search_preview"}), "no backup"),
    ] {
        let told = message(&with(&json!({ field: value })));
        assert!(told.starts_with(&format!("`{field}`: ")) && told.contains(word), "{told}");
    }
}

#[test]
fn an_item_that_is_referred_to_may_be_missing_beside_a_call_and_nowhere_else() {
    let asked = asked(&json!({"input": [
        {"role": "user", "content": "hi"},
        {"type": "item_reference", "id": "rs_1"},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"}]}))
    .unwrap();
    assert_eq!(messages(&asked).as_array().unwrap().len(), 3);
    assert_eq!(asked.dropped, ["input.item_reference"]);
    for input in [
        json!([{"role": "user", "content": "hi"}, {"id": "msg_1"}]),
        json!([{"role": "user", "content": "hi"}, {"type": "item_reference", "id": "msg_1"},
               {"role": "user", "content": "again"}]),
    ] {
        let told = message(&json!({ "input": input }));
        assert!(told.starts_with("`input[1]`: ") && told.contains("store: false"), "{told}");
    }
}

#[test]
fn a_mistake_names_its_place_and_shows_nothing() {
    for (body, place) in [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": 7}), "input"),
        (json!({"input": [{"type": "web_search_call", "id": "x"}]}), "input"),
        (json!({"input": [{"role": "odd", "content": "x"}]}), "input[0].role"),
        (json!({"input": [{"role": "tool", "content": "x"}]}), "input[0].role"),
        (json!({"input": [{"role": "user"}]}), "input[0]"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0]",
        ),
        (json!({"input": [{"type": "function_call", "call_id": "c"}]}), "input[0]"),
        (with(&json!({"temperature": "secret"})), "temperature"),
        (with(&json!({"temperature": 3})), "temperature"),
        (with(&json!({"max_output_tokens": 0})), "max_output_tokens"),
        (with(&json!({"reasoning": {"effort": "odd"}})), "reasoning.effort"),
        (with(&json!({"text": {"format": {"type": "odd"}}})), "text.format.type"),
        (with(&json!({"tools": [{"type": "function"}]})), "tools[0]"),
        (with(&json!({"tools": {}})), "tools"),
        (with(&json!({"tool_choice": "secret"})), "tool_choice"),
    ] {
        let error = asked(&body).map(|_| ()).unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest);
        let told = error.message;
        assert!(told.starts_with(&format!("`{place}`: ")), "{place}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
    for body in [&b"{\"input\":"[..], b"", b"{\"input\":\"\xff\"}"] {
        let error = super::super::read(body).map(|_| ()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidJson, "{}", error.message);
    }
    let error = super::super::read(b"[1]").map(|_| ()).unwrap_err();
    assert!(error.message.contains("{\"input\":"), "{}", error.message);
}

#[test]
fn half_a_character_is_read_as_everywhere_else() {
    let body = br#"{"input": [{"role": "user", "content": "a\ud83d"}]}"#;
    assert_eq!(messages(&super::super::read(body).unwrap())[0]["content"], "a\u{fffd}");
}
