//! Streams, event by event.

use serde_json::{Value, json};

use super::{answered, asked, call};
use crate::dialects::responses::ResponseWriter;
use crate::dialects::{EventWriter, Sse};
use crate::protocol::event::Speaker;
use crate::protocol::reply::{ErrorBody, ErrorCode};

struct Told {
    writer: ResponseWriter,
    out: Sse,
}

impl Told {
    fn begun(request: &Value) -> Told {
        let echo = asked(request).unwrap().echo;
        let mut told = Told { writer: ResponseWriter::new(7, echo), out: Sse::default() };
        let speaker = Speaker {
            request_id: "r1".into(),
            task: "default".into(),
            primary: "m".into(),
            provider: "p".into(),
            model_id: "gpt-x".to_owned(),
            fallback_count: 0,
            attempts: Vec::new(),
        };
        told.writer.begin(&speaker, &mut told.out);
        told
    }

    fn text(&mut self, text: &str) {
        self.writer.text(text, &mut self.out);
    }

    fn end(mut self, more: &Value) -> Vec<Value> {
        let answered = answered(more);
        for call in answered.tool_calls.iter().flatten() {
            self.writer.tool_call(call, &mut self.out);
        }
        self.writer.end(&answered, &mut self.out);
        self.events()
    }

    /// All events; each has its name twice and the next number.
    fn events(mut self) -> Vec<Value> {
        let text = String::from_utf8(self.out.take().to_vec()).unwrap();
        let mut events = Vec::new();
        for block in text.split_terminator("\n\n") {
            let (name, data) = block.split_once('\n').unwrap();
            let mut event: Value =
                serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(event["type"], name.strip_prefix("event: ").unwrap());
            let fields = event.as_object_mut().unwrap();
            assert_eq!(fields.remove("sequence_number"), Some(json!(events.len())));
            events.push(event);
        }
        events
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["type"].as_str().unwrap());
    kinds.map(|kind| kind.strip_prefix("response.").unwrap()).collect()
}

#[test]
fn a_text_is_told_in_its_item_and_again_at_the_end() {
    // As some programs write it: on many lines, which an event must not be.
    let mut told = Told::begun(&json!({"input": "hi", "tools": [{"type": "web_search"}]}));
    told.text("Hi ");
    told.text("there");
    let events = told.end(&json!({}));
    assert_eq!(
        kinds(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(events[0]["response"]["output"], json!([]));
    let part = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
    assert_eq!(
        events[2],
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"type": "message", "id": "msg_r1", "status": "in_progress",
                     "role": "assistant", "content": []}})
    );
    assert_eq!(
        events[3],
        json!({"type": "response.content_part.added", "item_id": "msg_r1", "output_index": 0,
            "content_index": 0, "part": part})
    );
    assert_eq!(
        events[4],
        json!({"type": "response.output_text.delta", "item_id": "msg_r1", "output_index": 0,
            "content_index": 0, "delta": "Hi ", "logprobs": []})
    );
    assert_eq!(events[6]["text"], "Hi there");
    assert_eq!(events[7]["part"]["text"], "Hi there");
    let last = &events[9]["response"];
    assert_eq!((&last["id"], &last["status"]), (&json!("resp_r1"), &json!("completed")));
    assert_eq!(last["output"], json!([events[8]["item"]]));
    assert_eq!(last["usage"]["total_tokens"], 13);
    assert_eq!(last["created_at"], events[0]["response"]["created_at"]);
}

#[test]
fn thoughts_and_calls_follow_the_text_and_are_told_whole() {
    let mut told = Told::begun(&json!({"input": "hi"}));
    told.text("Hi there");
    let events = told.end(&json!({"reasoning_content": "hm", "finish_reason": "tool_calls",
        "tool_calls": [call("c1", "f", "{\"a\":1}"), call("c2", "g", "{}")]}));
    assert_eq!(
        kinds(&events)[8..],
        [
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(
        events[10],
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_r1",
            "output_index": 1, "summary_index": 0, "delta": "hm"})
    );
    assert_eq!(
        events[14],
        json!({"type": "response.output_item.added", "output_index": 2,
            "item": {"type": "function_call", "id": "fc_r1_0", "status": "in_progress",
                     "call_id": "c1", "name": "f", "arguments": ""}})
    );
    assert_eq!(
        events[16],
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_r1_0",
            "output_index": 2, "name": "f", "arguments": "{\"a\":1}"})
    );
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(events[22]["response"]["output"], json!(done));
    assert_eq!(events[22]["response"]["output"][3]["call_id"], "c2");
}

#[test]
fn an_answer_that_was_cut_short_ends_as_incomplete() {
    for (finish, reason) in [("length", "max_output_tokens"), ("refused", "content_filter")] {
        let mut told = Told::begun(&json!({"input": "hi"}));
        told.text("Hi there");
        let events = told.end(&json!({ "finish_reason": finish }));
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["incomplete_details"], json!({ "reason": reason }));
    }
}

#[test]
fn a_text_that_was_not_told_in_pieces_is_told_at_the_end() {
    let events = Told::begun(&json!({"input": "hi"})).end(&json!({}));
    assert_eq!(events[4]["delta"], "Hi there");
    let events = Told::begun(&json!({"input": "hi"})).end(&json!({"content": null}));
    assert_eq!(kinds(&events), ["created", "in_progress", "completed"]);
}

#[test]
fn a_stream_that_broke_fails_and_ends_nothing() {
    let mut told = Told::begun(&json!({"input": "hi"}));
    told.text("Hi");
    let error = ErrorBody::new(ErrorCode::Interrupted, "it broke");
    told.writer.fail(&error, &mut told.out);
    let events = told.events();
    assert!(!kinds(&events).iter().any(|kind| kind.ends_with("done") || *kind == "completed"));
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"], json!({"code": "server_error", "message": "it broke"}));
}

#[test]
fn a_body_on_many_lines_makes_no_event_of_many_lines() {
    let body = "{\n \"input\": \"hi\",\n \"metadata\": {\n  \"a\": \"b\"\n }\n}";
    let echo = crate::dialects::responses::read(body.as_bytes()).unwrap().echo;
    let mut told = Told::begun(&json!({"input": "hi"}));
    told.out.take();
    told.writer = ResponseWriter::new(7, echo);
    let events = told.end(&json!({}));
    assert_eq!(events.last().unwrap()["response"]["metadata"], json!({"a": "b"}));
}
