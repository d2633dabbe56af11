//! Streams as Gemini sends them, with its ways of blocking and failing.

use serde_json::{Value, json};

use crate::config::Kind;
use crate::domain::fault::Fault;
use crate::protocol::answer::Finish;
use crate::provider::gather::tests::{Seen, whole};

fn stream(responses: &[Value]) -> Seen {
    let text: String = responses.iter().map(|one| format!("data: {one}\r\n\r\n")).collect();
    whole(Kind::Google, &text)
}

fn parts(parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}]})
}

fn text(text: &str) -> Value {
    parts(json!([{"text": text}]))
}

fn finish(reason: &str) -> Value {
    json!({"candidates": [{"content": {"role": "model"}, "finishReason": reason}]})
}

#[test]
fn only_a_finish_reason_finishes_an_answer() {
    let cut = stream(&[text("half")]).end.unwrap_err();
    assert_eq!(cut.fault, Fault::StreamCut);
    let unspecified = stream(&[text("half"), finish("FINISH_REASON_UNSPECIFIED")]);
    assert_eq!(unspecified.end.unwrap_err().fault, Fault::StreamCut);
    let done = stream(&[text("a"), text("b"), finish("STOP")]).end.unwrap();
    assert_eq!((done.content.as_deref(), done.finish), (Some("ab"), Finish::Stop));
}

#[test]
fn usage_is_cumulative_and_the_last_one_wins() {
    let mut first = text("a");
    first["usageMetadata"] = json!({"promptTokenCount": 6, "totalTokenCount": 6});
    let mut last = finish("STOP");
    last["usageMetadata"] =
        json!({"promptTokenCount": 6, "candidatesTokenCount": 2, "thoughtsTokenCount": 20});
    let usage = stream(&[first.clone(), last]).end.unwrap().usage.unwrap();
    assert_eq!([usage.input_tokens, usage.output_tokens, usage.reasoning_tokens], [6, 22, 20]);
    let cut = stream(&[first]).end.unwrap_err();
    assert_eq!(cut.usage.unwrap().input_tokens, 6);
}

#[test]
fn thoughts_are_life_and_empty_parts_are_not() {
    let thought = stream(&[parts(json!([{"text": "hm", "thought": true}]))]);
    assert!(thought.life && thought.told.is_empty());
    let empty =
        stream(&[parts(json!([{"text": ""}])), json!({"usageMetadata": {"promptTokenCount": 1}})]);
    assert!(!empty.life && empty.told.is_empty());
}

#[test]
fn calls_come_whole_and_keep_their_signature_and_id() {
    let call = |n: u64| {
        parts(json!([{"functionCall": {"id": format!("c{n}"), "name": "f", "args": {"n": n}}}]))
    };
    let answer = stream(&[call(1), call(2), finish("STOP")]).end.unwrap();
    let expected = [["c1", "f", "{\"n\":1}"], ["c2", "f", "{\"n\":2}"]];
    assert_eq!(answer.calls, expected.map(|call| call.map(str::to_owned)));
    assert_eq!(answer.finish, Finish::ToolCalls);
    let same = parts(json!([{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]));
    assert_eq!(stream(&[same, finish("STOP")]).end.unwrap().calls.len(), 2);
}

#[test]
fn blocked_prompts_and_answers_are_refusals_and_malformed_ones_are_not() {
    let blocked = stream(&[json!({"promptFeedback": {"blockReason": "SAFETY"}})]).end.unwrap();
    assert_eq!((blocked.content, blocked.finish), (None, Finish::Refused));
    let cut_off = stream(&[text("half"), finish("PROHIBITED_CONTENT")]).end.unwrap();
    assert_eq!((cut_off.content.as_deref(), cut_off.finish), (Some("half"), Finish::Refused));
    let glitch = stream(&[text("half"), finish("MALFORMED_FUNCTION_CALL")]).end.unwrap_err();
    assert_eq!(glitch.fault, Fault::ModelGlitch);
    let length = stream(&[finish("MAX_TOKENS")]).end.unwrap();
    assert_eq!((length.content.as_deref(), length.finish), (Some(""), Finish::Length));
}

#[test]
fn errors_come_as_events_as_bare_lines_and_in_lists() {
    let error = json!({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}});
    let half = format!("data: {}\n\n", text("half"));
    for wire in [
        format!("{half}data: {error}\n\n"),
        format!("{half}{error}\n"),
        format!("{half}{error:#}\n"),
        format!("{half}[{error}]"),
        format!("{half}{:#}", json!([error])),
        format!("{half}data: {}\n\n", json!([error])),
    ] {
        let failure = whole(Kind::Google, &wire).end.unwrap_err();
        assert_eq!(failure.fault, Fault::Overloaded, "{wire}");
    }
    let daily = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x",
        "details": [{"violations": [{"quotaId": "GenerateRequestsPerDay"}]}]}});
    let failure = stream(&[daily]).end.unwrap_err();
    assert_eq!(failure.fault, Fault::QuotaExhausted);
}

#[test]
fn a_list_of_responses_is_a_stream_too() {
    let list = json!([text("a"), text("b"), finish("STOP")]);
    let seen = whole(Kind::Google, &format!("{list:#}"));
    assert_eq!((seen.told.as_str(), seen.end.unwrap().finish), ("ab", Finish::Stop));
}
