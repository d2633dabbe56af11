//! Whole answers, and what comes back of them.

use serde_json::{Value, json};

use super::{answered, asked, call, messages};
use crate::dialects::Given;
use crate::dialects::responses::whole;

fn answer(request: &Value, more: &Value) -> Value {
    let echo = asked(request).unwrap().echo;
    let answered = answered(more);
    let given =
        Given { answered: &answered, request_id: "r1", unix_time: 1_800_000_000, echo: &echo };
    serde_json::from_str(&whole(&given)).unwrap()
}

#[test]
fn an_answer_is_an_object_of_items_that_says_its_settings_again() {
    let tools = json!([{"type": "function", "name": "f", "parameters": null, "strict": false}]);
    let request = json!({"input": "hi", "instructions": "short", "temperature": 0.5,
        "tools": tools, "metadata": {"a": "b"}, "store": true, "reasoning": {"effort": "low"}});
    assert_eq!(
        answer(&request, &json!({})),
        json!({
            "id": "resp_r1", "object": "response", "created_at": 1_800_000_000_u64,
            "status": "completed", "error": null, "incomplete_details": null, "model": "gpt-x",
            "output": [{"type": "message", "id": "msg_r1", "status": "completed",
                "role": "assistant", "content": [{"type": "output_text", "text": "Hi there",
                    "annotations": [], "logprobs": []}]}],
            "usage": {
                "input_tokens": 9,
                "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
                "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 1},
                "total_tokens": 13},
            "background": false, "instructions": "short", "max_output_tokens": null,
            "metadata": {"a": "b"}, "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": "low"}, "temperature": 0.5,
            "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": tools,
            "top_p": null, "truncation": "disabled", "user": null, "store": false,
        })
    );
}

#[test]
fn calls_are_items_and_stand_in_their_namespace_again() {
    let function = json!({"type": "function", "name": "spawn"});
    let request = json!({"input": "hi", "tools": [
        {"type": "namespace", "name": "agents", "description": "d", "tools": [function]}]});
    let more = json!({"content": null, "finish_reason": "tool_calls",
        "tool_calls": [call("c1", "spawn", "{\"a\":1}"), call("c2", "other", "")]});
    assert_eq!(
        answer(&request, &more)["output"],
        json!([
            {"type": "function_call", "id": "fc_r1_0", "status": "completed", "call_id": "c1",
             "name": "spawn", "namespace": "agents", "arguments": "{\"a\":1}"},
            {"type": "function_call", "id": "fc_r1_1", "status": "completed", "call_id": "c2",
             "name": "other", "arguments": ""},
        ])
    );
}

#[test]
fn an_answer_that_was_cut_short_says_why() {
    let request = json!({"input": "hi"});
    let long = answer(&request, &json!({"finish_reason": "length"}));
    assert_eq!(long["status"], "incomplete");
    assert_eq!(long["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(long["output"][0]["status"], "incomplete");
    let refused = answer(&request, &json!({"finish_reason": "refused", "content": "I can't."}));
    assert_eq!(refused["incomplete_details"], json!({"reason": "content_filter"}));
    assert_eq!(
        refused["output"][0]["content"],
        json!([{"type": "refusal", "refusal": "I can't."}])
    );
    let silent = answer(&request, &json!({"finish_reason": "refused", "content": null}));
    assert_eq!(silent["output"], json!([]));
}

#[test]
fn what_a_provider_wants_back_comes_back_with_the_items() {
    let data = json!({"kind": "anthropic", "model": "claude-x", "thinking": [{"signature": "s"}]});
    let mut signed = call("c1", "f", "{}");
    signed["extra_content"] = json!({"google": {"thought_signature": "t"}});
    let more = json!({"reasoning_content": "hm", "provider_data": data, "tool_calls": [signed],
        "finish_reason": "tool_calls"});
    let mut items = answer(&json!({"input": "hi"}), &more)["output"].as_array().unwrap().clone();
    let kinds: Vec<&Value> = items.iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!(items[0]["summary"], json!([{"type": "summary_text", "text": "hm"}]));
    items.push(json!({"type": "function_call_output", "call_id": "c1", "output": "1"}));
    let back = messages(&asked(&json!({ "input": items })).unwrap());
    assert_eq!(
        back[0],
        json!({"role": "assistant", "content": "Hi there", "tool_calls": [signed],
               "reasoning_content": "hm", "provider_data": data})
    );
}

#[test]
fn thoughts_of_another_server_stay_sealed() {
    let asked = asked(&json!({"input": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "fallbackd.1.!"},
        {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}))
    .unwrap();
    assert_eq!(messages(&asked)[0], json!({"role": "assistant", "content": "a"}));
}

#[test]
fn a_value_as_long_as_a_book_is_not_said_again() {
    let request = json!({"input": "hi", "instructions": "x".repeat(70_000)});
    assert_eq!(answer(&request, &json!({}))["instructions"], Value::Null);
}
