//! Answers as Gemini sends them.

use std::rc::Rc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Kind;
use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};
use crate::provider::{CallResult, fixtures, formats, pieces};

mod stream;

fn read(bytes: &[u8]) -> CallResult {
    pieces::whole(formats::of(Kind::Google), bytes, &Rc::default())
}

fn outcome(body: &Value) -> CallResult {
    read(body.to_string().as_bytes())
}

fn candidate(parts: &Value, reason: &str) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts},
        "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 6, "candidatesTokenCount": 5,
            "thoughtsTokenCount": 20, "cachedContentTokenCount": 2, "totalTokenCount": 31}})
}

fn good(body: &Value) -> Answer {
    outcome(body).map_err(|failure| failure.message).ok().unwrap()
}

const USAGE: Usage = Usage {
    input_tokens: 6,
    output_tokens: 25,
    cached_tokens: 2,
    reasoning_tokens: 20,
    cache_write_tokens: 0,
    long_write_tokens: 0,
    told_cost: None,
};

#[test]
fn texts_are_joined_and_thoughts_stand_apart_and_are_counted() {
    let parts = json!([{"text": "hm", "thought": true}, {"text": "Hel"},
        {"text": "lo", "thoughtSignature": "s"}, {"executableCode": {"code": "x"}}]);
    let answer = good(&candidate(&parts, "STOP"));
    assert_eq!((answer.content.as_deref(), answer.finish), (Some("Hello"), Finish::Stop));
    assert_eq!(answer.usage, Some(USAGE));
    assert_eq!(answer.reasoning_content.as_deref(), Some("hm"));
    assert_eq!(answer.provider_data.unwrap()["signature"], "s");
}

#[test]
fn calls_are_read_in_the_forms_of_gateways() {
    let parts = json!([{"functionCall": {"id": 5, "name": "f", "args": "{\"x\":1}"}}]);
    let calls = good(&candidate(&parts, "STOP")).tool_calls;
    assert_eq!((&*calls[0].id, &*calls[0].function.arguments), ("5", "{\"x\":1}"));
}

#[test]
fn function_calls_are_tool_calls_though_the_reason_is_stop() {
    let parts = json!([
        {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "g-2", "name": "g"}}]);
    let answer = good(&candidate(&parts, "STOP"));
    assert_eq!((answer.content, answer.finish), (None, Finish::ToolCalls));
    let [first, second] = answer.tool_calls.as_slice() else { panic!("two calls") };
    assert!(first.id.starts_with("call_"));
    assert_eq!(first.function.arguments, r#"{"x":1}"#);
    assert_eq!(first.extra_content, Some(json!({"google": {"thought_signature": "c2ln"}})));
    assert_eq!(answer.provider_data.unwrap()["calls"], json!({ first.id.as_str(): "c2ln" }));
    assert_eq!((second.id.as_str(), second.function.arguments.as_str()), ("g-2", "{}"));
    assert_eq!(second.extra_content, None);
}

#[test]
fn an_error_alone_in_a_list_is_that_error() {
    let error = json!([{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}]);
    assert_eq!(outcome(&error).err().unwrap().fault, Fault::Overloaded);
    assert_eq!(outcome(&json!([])).err().unwrap().fault, Fault::BadBody);
}

#[test]
fn a_blocked_prompt_and_a_blocked_answer_are_refusals() {
    let prompt = json!({"promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 6, "totalTokenCount": 6}});
    let answer = good(&prompt);
    assert_eq!((answer.content, answer.finish), (None, Finish::Refused));
    assert_eq!(answer.usage.unwrap().input_tokens, 6);
    for reason in ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST"] {
        let body = json!({"candidates": [{"finishReason": reason}]});
        assert_eq!(good(&body).finish, Finish::Refused);
    }
}

#[test]
fn usage_that_no_call_can_have_is_unknown() {
    let most = crate::domain::price::MOST_TOKENS;
    let mut body = candidate(&json!([{"text": "x"}]), "STOP");
    for field in ["promptTokenCount", "candidatesTokenCount", "cachedContentTokenCount"] {
        let told = body["usageMetadata"][field].take();
        body["usageMetadata"][field] = json!(most + 1);
        assert_eq!(good(&body).usage, None, "{field}");
        body["usageMetadata"][field] = told;
    }
    assert_eq!(good(&body).usage, Some(USAGE));
}

#[test]
fn thinking_that_ate_the_budget_is_a_cut_answer() {
    let body =
        json!({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]});
    let answer = good(&body);
    assert_eq!((answer.content.as_deref(), answer.finish), (Some(""), Finish::Length));
}

#[test]
fn malformed_outputs_are_glitches_that_cost() {
    for reason in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "10"] {
        let failure = outcome(&candidate(&json!([]), reason)).err().unwrap();
        assert_eq!((failure.fault, failure.usage), (Fault::ModelGlitch, Some(Box::new(USAGE))));
    }
}

#[test]
fn empty_and_foreign_bodies_are_failures() {
    let fault = |body: &Value| outcome(body).err().unwrap().fault;
    assert_eq!(fault(&candidate(&json!([]), "STOP")), Fault::EmptyAnswer);
    assert_eq!(fault(&json!({"candidates": []})), Fault::BadBody);
    assert_eq!(fault(&json!([])), Fault::BadBody);
    let error = json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}});
    assert_eq!(fault(&error), Fault::Overloaded);
}

#[test]
fn an_unknown_reason_with_text_is_a_stop() {
    assert_eq!(good(&candidate(&json!([{"text": "x"}]), "NEW_REASON")).finish, Finish::Stop);
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
