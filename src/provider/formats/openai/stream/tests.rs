//! Streams as OpenAI and its imitators send them.

use serde_json::json;

use crate::config::Kind;
use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::Finish;
use crate::provider::gather::tests::{Bad, Good, Seen, whole};

mod again;

fn stream(chunks: &[serde_json::Value]) -> Seen {
    let text: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    whole(Kind::OpenAi, &(text + "data: [DONE]\n\n"))
}

fn good(chunks: &[serde_json::Value]) -> Good {
    stream(chunks).end.unwrap()
}

fn bad(chunks: &[serde_json::Value]) -> Bad {
    stream(chunks).end.unwrap_err()
}

fn delta(delta: serde_json::Value) -> serde_json::Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> serde_json::Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn tokens(usage: Option<Usage>) -> [u64; 2] {
    usage.map(|usage| [usage.input_tokens, usage.output_tokens]).unwrap()
}

#[test]
fn azure_begins_with_a_chunk_without_choices() {
    let answer = good(&[
        json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
            "prompt_filter_results": [{"prompt_index": 0}]}),
        delta(json!({"content": "Hi"})),
        finish("stop"),
    ]);
    assert_eq!((answer.content.as_deref(), answer.finish), (Some("Hi"), Finish::Stop));
}

#[test]
fn usage_is_read_wherever_it_stands_and_the_last_one_wins() {
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 2});
    let own_chunk = json!({"choices": [], "usage": usage});
    let litellm = json!({"choices": [{"index": 0, "delta": {}}], "usage": usage});
    let groq = json!({"choices": [], "x_groq": {"id": "r", "usage": usage}});
    for last in [own_chunk, litellm, groq] {
        let answer = good(&[delta(json!({"content": "Hi"})), finish("stop"), last]);
        assert_eq!(tokens(answer.usage), [7, 2]);
    }
    let mut mistral = finish("stop");
    mistral["usage"] = usage;
    mistral["p"] = json!("abcd");
    assert_eq!(tokens(good(&[delta(json!({"content": "Hi"})), mistral]).usage), [7, 2]);
    let mut early = delta(json!({"content": "Hi"}));
    early["usage"] = json!({"prompt_tokens": 7, "completion_tokens": 1});
    let late = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}});
    assert_eq!(tokens(good(&[early, finish("stop"), late]).usage), [7, 3]);
}

#[test]
fn whole_calls_that_all_have_index_zero_are_told_apart_by_their_ids() {
    let call = |id: &str| {
        delta(json!({"tool_calls": [{"index": 0, "id": id, "type": "function",
            "function": {"name": "f", "arguments": "{}"}}]}))
    };
    let answer = good(&[call("c1"), call("c2"), finish("tool_calls")]);
    assert_eq!(answer.calls.len(), 2);
    assert_eq!(answer.finish, Finish::ToolCalls);
}

#[test]
fn an_id_that_is_repeated_in_every_fragment_is_one_call() {
    let piece = |text: &str| {
        delta(json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c1",
            "function": {"name": "f", "arguments": text}}]}))
    };
    let answer = good(&[piece("{\"a\""), piece(":1}"), finish("stop")]);
    assert_eq!(answer.calls, [["c1", "f", "{\"a\":1}"].map(str::to_owned)]);
    assert_eq!(answer.finish, Finish::ToolCalls);
}

#[test]
fn arguments_may_be_missing_or_an_object() {
    let call = |function: serde_json::Value| {
        let answer = good(&[
            delta(json!({"tool_calls": [{"index": 0, "id": "c", "function": function}]})),
            finish("tool_calls"),
        ]);
        answer.calls[0][2].clone()
    };
    assert_eq!(call(json!({"name": "f"})), "{}");
    assert_eq!(call(json!({"name": "f", "arguments": ""})), "{}");
    assert_eq!(call(json!({"name": "f", "arguments": {"a": 1}})), "{\"a\":1}");
}

#[test]
fn a_call_without_a_name_is_a_bad_body() {
    let call = delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}));
    assert_eq!(bad(&[call, finish("tool_calls")]).fault, Fault::BadBody);
}

#[test]
fn thoughts_are_put_together_under_whatever_name_they_come() {
    for name in ["reasoning_content", "reasoning", "reasoning_text", "thinking"] {
        let answer = good(&[
            delta(json!({ name: "I " })),
            delta(json!({ name: "see" })),
            delta(json!({"content": "Hi"})),
            finish("stop"),
        ]);
        assert_eq!(answer.thoughts.as_deref(), Some("I see"));
        assert_eq!(answer.kept, json!({ "told_as": name }));
    }
    let both = json!({"reasoning": "hm", "reasoning_content": "hm"});
    let answer = good(&[delta(both), delta(json!({"content": "Hi"})), finish("stop")]);
    assert_eq!(answer.thoughts.as_deref(), Some("hm"));
}

#[test]
fn details_of_reasoning_are_put_together_by_index() {
    let detail = |detail: serde_json::Value| {
        let text = detail["text"].clone();
        delta(json!({"reasoning": text, "reasoning_details": [detail]}))
    };
    let answer = good(&[
        detail(json!({"type": "reasoning.text", "text": "I ", "index": 0, "signature": null})),
        detail(json!({"type": "reasoning.text", "text": "see", "index": 0})),
        detail(json!({"type": "reasoning.text", "signature": "s", "index": 0})),
        delta(
            json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 1}]}),
        ),
        delta(json!({"content": "Hi"})),
        finish("stop"),
    ]);
    assert_eq!(answer.thoughts.as_deref(), Some("I see"));
    assert_eq!(
        answer.kept["blocks"],
        json!([{"type": "reasoning.text", "text": "I see", "index": 0, "signature": "s"},
            {"type": "reasoning.encrypted", "data": "x", "index": 1}])
    );
}

#[test]
fn reasoning_is_life_and_no_text_and_roles_and_empty_deltas_are_neither() {
    for empty in [
        json!({"role": "assistant"}),
        json!({"content": ""}),
        json!({"content": null}),
        json!({"reasoning": ""}),
    ] {
        let seen = stream(&[delta(empty.clone())]);
        assert!(!seen.life && seen.told.is_empty(), "{empty}");
    }
    for thought in [
        json!({"reasoning": "hm"}),
        json!({"reasoning_content": "hm"}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
    ] {
        let seen = stream(&[delta(thought.clone())]);
        assert!(seen.life && seen.told.is_empty(), "{thought}");
    }
}

#[test]
fn other_choices_are_passed_over() {
    let mut other = delta(json!({"content": "other"}));
    other["choices"][0]["index"] = json!(1);
    let answer = good(&[other, delta(json!({"content": "Hi"})), finish("stop")]);
    assert_eq!(answer.content.as_deref(), Some("Hi"));
}

#[test]
fn errors_are_classified_by_what_they_say_and_done_does_not_heal_them() {
    let text = delta(json!({"content": "half"}));
    for (error, fault) in [
        (
            json!({"error": {"message": "busy", "type": "server_error", "code": null}}),
            Fault::ServerError,
        ),
        (json!({"error": {"message": "x", "type": "overloaded_error"}}), Fault::Overloaded),
        (
            json!({"error": {"message": "x", "code": "429", "type": "throttling_error"}}),
            Fault::RateLimited,
        ),
        (
            json!({"error": {"message": "x", "type": "invalid_request_error", "code": "context_length_exceeded"}}),
            Fault::ContextTooLong,
        ),
        (json!({"error": "broken"}), Fault::ServerError),
        (
            // A request that was answered in part was good enough.
            json!({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}),
            Fault::StreamCut,
        ),
        (
            json!({"choices": [{"index": 0, "delta": {"content": ""}, "error": {"code": 502, "message": "x"}, "finish_reason": "error"}]}),
            Fault::ServerError,
        ),
        (finish("error"), Fault::StreamCut),
        (finish("insufficient_system_resource"), Fault::Overloaded),
    ] {
        let failure = bad(&[text.clone(), error.clone(), finish("stop")]);
        assert_eq!(failure.fault, fault, "{error}");
    }
    let named = "event: error\ndata: {\"message\":\"x\",\"code\":503}\n\n";
    assert_eq!(whole(Kind::OpenAi, named).end.unwrap_err().fault, Fault::Overloaded);
    let bare = "{\"error\": {\"message\": \"x\", \"code\": 503}}\n";
    assert_eq!(whole(Kind::OpenAi, bare).end.unwrap_err().fault, Fault::Overloaded);
}

#[test]
fn a_failure_keeps_the_usage_that_was_known() {
    let mut text = delta(json!({"content": "half"}));
    text["usage"] = json!({"prompt_tokens": 7, "completion_tokens": 1});
    let failure = bad(&[text.clone(), json!({"error": {"message": "x"}})]);
    assert_eq!(tokens(failure.usage), [7, 1]);
    let cut = bad(&[text]);
    assert_eq!((cut.fault, tokens(cut.usage)), (Fault::StreamCut, [7, 1]));
}

#[test]
fn refusals_and_filters_are_answers_that_say_so() {
    let refused = good(&[
        delta(json!({"refusal": "I can"})),
        delta(json!({"refusal": "not."})),
        finish("stop"),
    ]);
    assert_eq!((refused.content.as_deref(), refused.finish), (Some("I cannot."), Finish::Refused));
    let filtered = good(&[delta(json!({"content": "half"})), finish("content_filter")]);
    assert_eq!((filtered.content.as_deref(), filtered.finish), (Some("half"), Finish::Refused));
}

#[test]
fn a_finish_of_a_new_kind_ends_an_answer_with_text_and_nothing_is_empty() {
    let answer = good(&[delta(json!({"content": "Hi"})), finish("something_new")]);
    assert_eq!(answer.finish, Finish::Stop);
    assert_eq!(bad(&[finish("stop")]).fault, Fault::EmptyAnswer);
}

#[test]
fn a_whole_answer_among_events_is_an_answer() {
    let text = "{\"choices\":[{\"message\":{\"content\":\"Hi\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n";
    let seen = whole(Kind::OpenAi, text);
    assert_eq!(seen.told, "Hi");
    assert_eq!(seen.end.unwrap().calls.len(), 1);
}

#[test]
fn a_chunk_of_another_shape_is_a_bad_body() {
    for odd in
        [json!([5]), json!("text"), json!({"choices": "x"}), json!({"choices": [{"delta": 5}]})]
    {
        let failure = bad(&[delta(json!({"content": "half"})), odd.clone()]);
        assert_eq!(failure.fault, Fault::BadBody, "{odd}");
    }
    let ignored =
        good(&[json!({"object": "unknown.kind"}), delta(json!({"content": "Hi"})), finish("stop")]);
    assert_eq!(ignored.content.as_deref(), Some("Hi"));
}
