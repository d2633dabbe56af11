//! Streams as Anthropic and gateways before it send them.

use serde_json::{Value, json};

use crate::config::Kind;
use crate::domain::fault::Fault;
use crate::protocol::answer::Finish;
use crate::provider::gather::tests::{Seen, whole};

fn stream(events: &[Value]) -> Seen {
    let event = |data: &Value| {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
    };
    let text: String = events.iter().map(event).collect();
    whole(Kind::Anthropic, &text)
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"role": "assistant", "content": [],
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}}})
}

fn begin(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn text(text: &str) -> Value {
    delta(0, json!({"type": "text_delta", "text": text}))
}

fn end(reason: &str) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}})
}

fn stop() -> Value {
    json!({"type": "message_stop"})
}

#[test]
fn usage_grows_and_input_is_that_of_the_start() {
    let answer = stream(&[start(), text("Hi"), end("end_turn"), stop()]).end.unwrap();
    let usage = answer.usage.unwrap();
    assert_eq!([usage.input_tokens, usage.output_tokens, usage.cached_tokens], [8, 9, 3]);
    // Some gateways know the input only at the end, or say zero there.
    let late = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 50, "output_tokens": 9}});
    let answer = stream(&[start(), text("Hi"), late, stop()]).end.unwrap();
    assert_eq!(answer.usage.unwrap().input_tokens, 53);
    let zero = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 0, "output_tokens": 9}});
    let answer = stream(&[start(), text("Hi"), zero, stop()]).end.unwrap();
    assert_eq!(answer.usage.unwrap().input_tokens, 8);
}

#[test]
fn a_stream_that_breaks_tells_what_it_has_consumed() {
    let failure = stream(&[start(), text("half")]).end.unwrap_err();
    assert_eq!(failure.fault, Fault::StreamCut);
    assert_eq!(failure.usage.unwrap().input_tokens, 8);
}

#[test]
fn a_stop_reason_finishes_an_answer_and_so_does_message_stop() {
    for (reason, finish) in
        [("end_turn", Finish::Stop), ("max_tokens", Finish::Length), ("refusal", Finish::Refused)]
    {
        let answer = stream(&[start(), text("Hi"), end(reason)]).end.unwrap();
        assert_eq!((answer.finish, answer.usage.unwrap().output_tokens), (finish, 9));
    }
    let call = begin(0, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}));
    let called = stream(&[start(), call, end("tool_use")]).end.unwrap();
    assert_eq!((called.finish, called.calls.len()), (Finish::ToolCalls, 1));
    for unfinished in [json!({"stop_reason": null}), json!({})] {
        let delta = json!({"type": "message_delta", "delta": unfinished});
        let cut = stream(&[start(), text("Hi"), delta]).end.unwrap_err();
        assert_eq!(cut.fault, Fault::StreamCut);
    }
    let odd = stream(&[start(), text("Hi"), stop()]).end.unwrap();
    assert_eq!(odd.finish, Finish::Stop);
}

#[test]
fn blocks_are_put_together_by_index_and_text_is_joined() {
    let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let json =
        |index, json: &str| delta(index, json!({"type": "input_json_delta", "partial_json": json}));
    let seen = stream(&[
        start(),
        begin(0, json!({"type": "text", "text": "A"})),
        json!({"type": "ping"}),
        text("B"),
        begin(1, tool("t1")),
        begin(2, tool("t2")),
        json(1, "{\"a\""),
        json(2, ""),
        json(1, ":1}"),
        end("tool_use"),
        stop(),
    ]);
    assert!(seen.life);
    let answer = seen.end.unwrap();
    assert_eq!(answer.content.as_deref(), Some("AB"));
    let expected = [["t1", "f", "{\"a\":1}"], ["t2", "f", "{}"]];
    assert_eq!(answer.calls, expected.map(|call| call.map(str::to_owned)));
    assert_eq!(answer.finish, Finish::ToolCalls);
}

#[test]
fn input_that_comes_with_the_start_of_its_block_is_kept() {
    let block = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}});
    let answer = stream(&[begin(0, block), end("tool_use"), stop()]).end.unwrap();
    assert_eq!(answer.calls[0][2], "{\"a\":1}");
}

#[test]
fn thinking_is_life_and_pings_starts_and_stops_are_not() {
    let quiet = [
        start(),
        json!({"type": "ping"}),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        begin(1, json!({"type": "text", "text": ""})),
        text(""),
        json!({"type": "content_block_stop", "index": 0}),
        end("end_turn"),
    ];
    for event in quiet {
        let seen = stream(std::slice::from_ref(&event));
        assert!(!seen.life && seen.told.is_empty(), "{event}");
    }
    for event in [
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        begin(0, json!({"type": "redacted_thinking", "data": "eA=="})),
    ] {
        let seen = stream(std::slice::from_ref(&event));
        assert!(seen.life && seen.told.is_empty(), "{event}");
    }
}

#[test]
fn thoughts_are_shown_and_kept_as_they_are() {
    let answer = stream(&[
        start(),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "I should "})),
        delta(0, json!({"type": "thinking_delta", "thinking": "look"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        begin(1, json!({"type": "redacted_thinking", "data": "eA=="})),
        begin(2, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
        end("tool_use"),
        stop(),
    ]);
    let answer = answer.end.unwrap();
    assert_eq!(answer.thoughts.as_deref(), Some("I should look"));
    assert_eq!(
        answer.kept,
        json!({"blocks": [
            {"type": "thinking", "thinking": "I should look", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "eA=="}]})
    );
}

#[test]
fn what_is_not_known_yet_is_passed_over() {
    let answer = stream(&[
        start(),
        json!({"type": "new_event", "delta": {"type": "text_delta", "text": "no"}}),
        begin(0, json!({"type": "new_block", "text": "no"})),
        delta(0, json!({"type": "new_delta", "text": "no"})),
        text("yes"),
        end("end_turn"),
        stop(),
        text("after the end"),
    ]);
    assert_eq!(answer.end.unwrap().content.as_deref(), Some("yes"));
}

#[test]
fn errors_are_classified_by_their_inner_type() {
    let error = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "x"}});
    for (kind, fault) in [
        ("overloaded_error", Fault::Overloaded),
        ("api_error", Fault::ServerError),
        ("rate_limit_error", Fault::RateLimited),
        // A request that was answered in part was good enough, and so were its key and model.
        ("not_found_error", Fault::StreamCut),
        ("authentication_error", Fault::StreamCut),
        ("invalid_request_error", Fault::StreamCut),
    ] {
        let failure = stream(&[start(), text("half"), error(kind), stop()]).end.unwrap_err();
        assert_eq!(failure.fault, fault, "{kind}");
        assert_eq!(failure.usage.unwrap().input_tokens, 8);
    }
    let bare = "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n";
    assert_eq!(whole(Kind::Anthropic, bare).end.unwrap_err().fault, Fault::Overloaded);
}

#[test]
fn a_refusal_without_text_says_why() {
    let refused = json!({"type": "message_delta", "delta": {"stop_reason": "refusal",
        "stop_details": {"type": "refusal", "explanation": "Not allowed."}}});
    let seen = stream(&[start(), refused.clone(), stop()]);
    assert_eq!(seen.told, "Not allowed.");
    assert_eq!(seen.end.unwrap().finish, Finish::Refused);
    let seen = stream(&[start(), text("half"), refused, stop()]);
    assert_eq!(seen.told, "half");
}

#[test]
fn a_limit_within_a_tool_call_leaves_the_call_out() {
    let tool = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    let half = delta(0, json!({"type": "input_json_delta", "partial_json": "{\"a\":"}));
    let answer = stream(&[begin(0, tool), half, end("max_tokens"), stop()]).end.unwrap();
    assert_eq!((answer.calls.len(), answer.finish), (0, Finish::Length));
}

#[test]
fn numbers_as_texts_and_inputs_as_objects_are_read() {
    let mut begun = begin(0, json!({"type": "tool_use", "id": 5, "name": "f", "input": {}}));
    begun["index"] = json!("0");
    let piece = |json: Value| delta(0, json!({"type": "input_json_delta", "partial_json": json}));
    for pieces in [vec![json!({"x": 1})], vec![json!("{\"x\":"), json!(1), json!("}")]] {
        let mut events = vec![start(), begun.clone()];
        events.extend(pieces.into_iter().map(piece));
        events.extend([end("tool_use"), stop()]);
        let calls = stream(&events).end.unwrap().calls;
        assert_eq!(calls, [["5", "f", "{\"x\":1}"].map(str::to_owned)]);
    }
}
