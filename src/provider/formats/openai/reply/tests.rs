//! Answers as OpenAI and its imitators send them.

use std::rc::Rc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Kind;
use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};
use crate::provider::{CallResult, fixtures, formats, pieces};

fn read(bytes: &[u8]) -> CallResult {
    pieces::whole(formats::of(Kind::OpenAi), bytes, &Rc::default())
}

fn outcome(body: &Value) -> CallResult {
    read(body.to_string().as_bytes())
}

fn good(body: &Value) -> Answer {
    outcome(body).map_err(|failure| failure.message).ok().unwrap()
}

fn bad(body: &Value) -> Failure {
    outcome(body).err().unwrap()
}

fn choice(message: &Value, finish: &Value) -> Value {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})
}

#[test]
fn text_and_usage_are_read() {
    let answer = good(&json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1,
        "model": "gpt-4o-mini-2024-07-18", "choices": [{"index": 0, "message":
            {"role": "assistant", "content": "Hi.", "refusal": null, "tool_calls": null},
            "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 4}}}));
    assert_eq!((answer.content.as_deref(), answer.finish), (Some("Hi."), Finish::Stop));
    let expected =
        Usage { input_tokens: 12, output_tokens: 9, cached_tokens: 5, ..Usage::default() };
    let expected = Usage { reasoning_tokens: 4, ..expected };
    assert_eq!(answer.usage, Some(expected));
}

#[test]
fn missing_or_odd_usage_is_unknown() {
    let mut body = choice(&json!({"content": "Hi"}), &json!("stop"));
    assert_eq!(good(&body).usage, None);
    for odd in [json!(null), json!({}), json!("many"), json!({"prompt_tokens": -1})] {
        body["usage"] = odd;
        assert_eq!(good(&body).usage, None);
    }
}

#[test]
fn usage_that_no_call_can_have_is_unknown() {
    let mut body = choice(&json!({"content": "Hi"}), &json!("stop"));
    let most = crate::domain::price::MOST_TOKENS;
    for (input, output, known) in [
        (most, 1, true),
        (most + 1, 1, false),
        (1, most + 1, false),
        (4_611_686_018_427_387_904, 1, false),
    ] {
        body["usage"] = json!({"prompt_tokens": input, "completion_tokens": output});
        assert_eq!(good(&body).usage.is_some(), known, "{input} {output}");
    }
}

#[test]
fn deepseeks_cached_tokens_are_read() {
    let mut body = choice(&json!({"content": "Hi"}), &json!("stop"));
    body["usage"] = json!({"prompt_tokens": 9, "completion_tokens": 1,
        "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1});
    assert_eq!(good(&body).usage.unwrap().cached_tokens, 8);
}

#[test]
fn content_may_be_a_list_of_parts_and_reasoning_stands_apart() {
    let message = json!({"reasoning_content": "hm", "content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "no"}]},
        {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]});
    let answer = good(&choice(&message, &json!("stop")));
    assert_eq!(answer.content.as_deref(), Some("Hello"));
    assert_eq!(answer.reasoning_content.as_deref(), Some("hm"));
    let parts = json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]},
        {"type": "reasoning", "text": "b"}, {"type": "text", "text": "Hi"}]});
    let answer = good(&choice(&parts, &json!("stop")));
    assert_eq!(
        (answer.content.as_deref(), answer.reasoning_content.as_deref()),
        (Some("Hi"), Some("ab"))
    );
}

#[test]
fn details_of_reasoning_are_kept_as_they_are() {
    let details = json!([{"type": "reasoning.summary", "summary": "I see", "index": 0, "id": null},
        {"type": "reasoning.encrypted", "data": "x", "index": 0, "format": "f"},
        {"type": "reasoning.encrypted", "data": "y", "index": 0, "format": "f"}]);
    let message = json!({"content": "Hi", "reasoning_details": details});
    let answer = good(&choice(&message, &json!("stop")));
    assert_eq!(answer.reasoning_content.as_deref(), Some("I see"));
    assert_eq!(answer.provider_data.unwrap()["blocks"], details);
    let plain = good(&choice(&json!({"content": "Hi"}), &json!("stop")));
    assert!(plain.reasoning_content.is_none() && plain.provider_data.is_none());
}

#[test]
fn tool_calls_are_read_whatever_the_finish_reason_says() {
    let message = json!({"content": null, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
        {"function": {"name": "g", "arguments": {"y": 2}}},
        {"id": "c", "function": {"name": "h", "arguments": ""}}]});
    for finish in [json!("tool_calls"), json!("stop"), json!(null)] {
        let answer = good(&choice(&message, &finish));
        assert_eq!((answer.content.as_deref(), answer.finish), (None, Finish::ToolCalls));
        let calls: Vec<_> =
            answer.tool_calls.iter().map(|call| call.function.arguments.as_str()).collect();
        assert_eq!(calls, [r#"{"x":1}"#, r#"{"y":2}"#, "{}"]);
        assert_eq!(answer.tool_calls[0].id, "call_1");
        assert!(answer.tool_calls[1].id.starts_with("call_"));
    }
}

#[test]
fn refusals_and_filters_are_answers() {
    let refusal = json!({"content": null, "refusal": "I cannot help."});
    let answer = good(&choice(&refusal, &json!("stop")));
    assert_eq!(
        (answer.content.as_deref(), answer.finish),
        (Some("I cannot help."), Finish::Refused)
    );
    let filtered = good(&choice(&json!({"content": ""}), &json!("content_filter")));
    assert_eq!((filtered.content, filtered.finish), (None, Finish::Refused));
    let azure = json!({"choices": [{"index": 0, "finish_reason": "content_filter"}]});
    assert_eq!(good(&azure).finish, Finish::Refused);
}

#[test]
fn a_cut_answer_is_an_answer_even_without_text() {
    for (text, finish) in [("Hel", "length"), ("", "length"), ("", "model_length")] {
        let answer = good(&choice(&json!({"content": text}), &json!(finish)));
        assert_eq!((answer.content.as_deref(), answer.finish), (Some(text), Finish::Length));
    }
}

#[test]
fn an_unknown_or_missing_finish_with_text_is_a_stop() {
    for finish in [json!("eos"), json!(null)] {
        assert_eq!(good(&choice(&json!({"content": "x"}), &finish)).finish, Finish::Stop);
    }
}

#[test]
fn an_empty_answer_keeps_its_usage() {
    let mut body = choice(&json!({"content": ""}), &json!("stop"));
    body["usage"] = json!({"prompt_tokens": 9, "completion_tokens": 0});
    let failure = bad(&body);
    assert_eq!(failure.fault, Fault::EmptyAnswer);
    assert_eq!(failure.usage.unwrap().input_tokens, 9);
}

#[test]
fn errors_in_a_200_are_told_by_their_code() {
    let whole = json!({"error": {"code": 429, "message": "Rate limited"}});
    assert_eq!(bad(&whole).fault, Fault::RateLimited);
    let in_choice = json!({"choices": [{"message": {"content": ""}, "finish_reason": "error",
        "error": {"code": 502, "message": "Provider broke"}}]});
    assert_eq!(bad(&in_choice).fault, Fault::ServerError);
    let words_only = choice(&json!({"content": "half"}), &json!("error"));
    assert_eq!(bad(&words_only).fault, Fault::StreamCut);
    let busy = choice(&json!({"content": ""}), &json!("insufficient_system_resource"));
    assert_eq!(bad(&busy).fault, Fault::Overloaded);
}

#[test]
fn what_is_not_such_an_answer_is_a_bad_body() {
    let html = "<!doctype html><title>x</title>";
    let truncated = r#"{"choices":[{"message":{"content":"secret words"#;
    for text in
        ["", "null", "[]", "{}", html, truncated, r#"{"choices":[]}"#, r#"{"choices":[{}]}"#]
    {
        let failure = read(text.as_bytes()).err().unwrap();
        assert_eq!(failure.fault, Fault::BadBody, "{text}");
        assert!(!failure.message.contains("secret words"));
    }
}

proptest! {
    #[test]
    fn any_json_is_read_without_panic(json in fixtures::any_json()) {
        let _ = outcome(&json);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_text_and_finish_are_read(text in any::<String>(), finish in "[a-z_]{0,12}") {
        let body = choice(&json!({"content": text}), &json!(finish));
        if let Ok(answer) = outcome(&body) {
            prop_assert_eq!(answer.content.unwrap_or_default(), text);
        }
    }
}

#[test]
fn the_only_call_may_be_told_in_the_old_way() {
    let old = json!({"content": null, "function_call": {"name": "f", "arguments": "{\"x\":1}"}});
    let answer = good(&choice(&old, &json!("function_call")));
    assert_eq!(answer.finish, Finish::ToolCalls);
    assert_eq!(answer.tool_calls[0].function.arguments, "{\"x\":1}");
}

#[test]
fn thoughts_among_the_parts_are_not_the_answer() {
    let parts = json!([{"type": "reasoning", "text": "thoughts"}, {"type": "thinking",
        "thinking": "more"}, {"type": "text", "text": "hel"}, {"type": "output_text", "text": "lo"}]);
    let answer = good(&choice(&json!({"content": parts}), &json!("stop")));
    assert_eq!(answer.content.as_deref(), Some("hello"));
}
