//! Answers as Anthropic sends them.

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
    pieces::whole(formats::of(Kind::Anthropic), bytes, &Rc::default())
}

fn outcome(body: &Value) -> CallResult {
    read(body.to_string().as_bytes())
}

fn good(content: &Value, reason: &str) -> Answer {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": content,
        "stop_reason": reason, "stop_sequence": null});
    outcome(&body).map_err(|failure| failure.message).ok().unwrap()
}

#[test]
fn text_blocks_are_joined_and_thinking_stands_apart() {
    let content = json!([{"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Hel"}, {"type": "new_kind", "x": 1},
        {"type": "text", "text": "lo"}]);
    for reason in ["end_turn", "stop_sequence", "something_new"] {
        let answer = good(&content, reason);
        assert_eq!((answer.content.as_deref(), answer.finish), (Some("Hello"), Finish::Stop));
        assert_eq!(answer.reasoning_content.as_deref(), Some("hm"));
        let kept = answer.provider_data.unwrap().remove("blocks").unwrap();
        assert_eq!(kept, json!([{"type": "thinking", "thinking": "hm", "signature": "s"}]));
    }
}

#[test]
fn cached_tokens_are_counted_among_the_prompt() {
    let body = json!({"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 30, "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4}}});
    let expected =
        Usage { input_tokens: 60, output_tokens: 9, cached_tokens: 30, ..Usage::default() };
    let expected = Usage { reasoning_tokens: 4, cache_write_tokens: 20, ..expected };
    assert_eq!(outcome(&body).ok().unwrap().usage, Some(expected));
}

#[test]
fn usage_that_no_call_can_have_is_unknown() {
    let most = crate::domain::price::MOST_TOKENS;
    for (input, written, output, known) in
        [(most, 0, 9, true), (most, 1, 9, false), (u64::MAX, 1, 9, false), (1, 1, most + 1, false)]
    {
        let body = json!({"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": input, "cache_creation_input_tokens": written,
                "output_tokens": output}});
        assert_eq!(outcome(&body).ok().unwrap().usage.is_some(), known, "{input} {output}");
    }
}

#[test]
fn tool_uses_become_calls_with_text_arguments() {
    let content = json!([{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}]);
    let answer = good(&content, "tool_use");
    assert_eq!((answer.content, answer.finish), (None, Finish::ToolCalls));
    assert_eq!(answer.tool_calls[0].id, "toolu_1");
    assert_eq!(answer.tool_calls[0].function.arguments, r#"{"x":1}"#);
    assert_eq!(answer.tool_calls[1].function.arguments, "{}");
}

#[test]
fn every_kind_of_cut_is_a_length() {
    for reason in ["max_tokens", "model_context_window_exceeded", "pause_turn", "compaction"] {
        assert_eq!(good(&json!([]), reason).finish, Finish::Length);
        assert_eq!(good(&json!([]), reason).content.as_deref(), Some(""));
    }
}

#[test]
fn a_refusal_is_an_answer_with_its_explanation() {
    assert_eq!(good(&json!([]), "refusal").finish, Finish::Refused);
    let body = json!({"content": [], "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "x", "explanation": "Not this."}});
    assert_eq!(outcome(&body).ok().unwrap().content.as_deref(), Some("Not this."));
}

#[test]
fn empty_and_foreign_bodies_are_failures() {
    let fault = |body: &Value| outcome(body).err().unwrap().fault;
    assert_eq!(fault(&json!({"content": [], "stop_reason": "end_turn"})), Fault::EmptyAnswer);
    assert_eq!(fault(&json!({"choices": []})), Fault::BadBody);
    assert_eq!(fault(&json!("x")), Fault::BadBody);
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}});
    assert_eq!(fault(&error), Fault::Overloaded);
}

#[test]
fn content_and_calls_are_read_in_the_forms_of_gateways() {
    for content in [json!("Hi"), json!({"type": "text", "text": "Hi"})] {
        assert_eq!(good(&content, "end_turn").content.as_deref(), Some("Hi"));
    }
    for input in [json!({"x": 1}), json!("{\"x\":1}")] {
        let call = json!([{"type": "tool_use", "id": 5, "name": "f", "input": input}]);
        let calls = good(&call, "tool_use").tool_calls;
        assert_eq!((&*calls[0].id, &*calls[0].function.arguments), ("5", "{\"x\":1}"));
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
}
