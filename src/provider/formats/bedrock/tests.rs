//! Requests as Bedrock wants them, and its answers, whole and in events.

use serde_json::{Value, json};

use super::*;
use crate::config::{Kind, Model};
use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};
use crate::provider::CallResult;
use crate::provider::fixtures::{self, call, request, tree};
use crate::provider::framing::eventstream::message;
use crate::provider::gather::tests::{Seen, run};
use crate::provider::pieces;

fn model(id: &str) -> Model {
    let provider = fixtures::provider(Kind::Bedrock, "https://bedrock.example");
    Model { model_id: id.to_owned(), ..fixtures::model(provider) }
}

fn written(id: &str, asked: Value) -> Value {
    let (model, request) = (model(id), request(asked));
    tree(Bedrock.body(&call(&model, &request), Asking::STREAM))
}

fn failure(asked: Value) -> Failure {
    let (model, request) = (model("m"), request(asked));
    Bedrock.body(&call(&model, &request), Asking::WHOLE).unwrap_err()
}

fn history(messages: Value) -> Value {
    written("m", json!({ "messages": messages }))
}

#[test]
fn an_id_is_one_segment_of_the_path_whatever_it_has() {
    let at = |id: &str, streams| {
        let mut url: Url = "https://b.example/base/".parse().unwrap();
        Bedrock.address(&mut url, id, streams);
        url.to_string()
    };
    assert_eq!(
        at("eu.anthropic.claude-haiku-4-5-20251001-v1:0", false),
        "https://b.example/base/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
    );
    assert_eq!(
        at("arn:aws:bedrock:eu-central-1:1:inference-profile/eu.x", true),
        "https://b.example/base/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile\
         %2Feu.x/converse-stream"
    );
}

#[test]
fn speakers_alternate_and_the_user_begins() {
    let body = history(json!([
        { "role": "system", "content": "Be short." },
        { "role": "assistant", "content": "Hi." },
        { "role": "user", "content": "a" },
        { "role": "user", "content": [{ "type": "text", "text": "b" },
            { "type": "text", "text": " " }] },
        { "role": "assistant", "content": null },
        { "role": "user", "content": "c" },
    ]));
    assert_eq!(body["system"], json!([{ "text": "Be short." }]));
    let roles: Vec<&Value> =
        body["messages"].as_array().unwrap().iter().map(|turn| &turn["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(
        body["messages"][2]["content"],
        json!([{ "text": "a" }, { "text": "b" }, { "text": "c" }])
    );
    let only = history(json!([{ "role": "system", "content": "Say hi." }]));
    assert_eq!(only["messages"][0]["content"][0]["text"], body::NO_TURN);
}

#[test]
fn calls_and_results_keep_their_pairs_in_the_form_of_this_api() {
    let call = |id: &str, arguments: &str| {
        json!({ "id": id, "type": "function",
            "function": { "name": "f", "arguments": arguments } })
    };
    let body = history(json!([
        { "role": "user", "content": "go" },
        { "role": "assistant",
            "tool_calls": [call("call:1 é", "{\"x\":1}"), call("call_2", "half {")] },
        { "role": "tool", "tool_call_id": "call:1 é", "content": "4 C" },
        { "role": "tool", "tool_call_id": "call_2", "content": "" },
    ]));
    let uses = &body["messages"][1]["content"];
    let results = &body["messages"][2]["content"];
    assert_eq!(body["messages"][2]["role"], "user");
    for at in 0..2 {
        let id = &uses[at]["toolUse"]["toolUseId"];
        assert_eq!(id, &results[at]["toolResult"]["toolUseId"]);
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
        assert!(id.as_str().unwrap().chars().all(fits), "{id}");
    }
    assert_eq!(uses[0]["toolUse"]["input"], json!({ "x": 1 }));
    assert_eq!(uses[1]["toolUse"]["input"], json!({ "arguments": "half {" }));
    assert_eq!(results[0]["toolResult"]["content"], json!([{ "text": "4 C" }]));
    assert_eq!(results[1]["toolResult"]["content"], json!([]));
    // A history with calls is refused without tools.
    let offered = &body["toolConfig"]["tools"];
    assert_eq!(offered.as_array().unwrap().len(), 1);
    assert_eq!(offered[0]["toolSpec"]["name"], "f");
    assert_eq!(offered[0]["toolSpec"]["inputSchema"]["json"]["type"], "object");
}

#[test]
fn tools_and_the_wish_for_one_are_unions_of_one_member() {
    let tool = json!({ "type": "function", "function": { "name": "f", "description": "",
        "parameters": { "type": "object", "properties": {} } } });
    let bare = json!({ "type": "function", "function": { "name": "g" } });
    let with = |choice: Value| {
        let mut asked = json!({ "messages": [{ "role": "user", "content": "x" }],
            "tools": [tool, bare] });
        asked["tool_choice"] = choice;
        written("m", asked)["toolConfig"].clone()
    };
    let config = with(json!("auto"));
    assert_eq!(config["toolChoice"], json!({ "auto": {} }));
    assert_eq!(
        config["tools"],
        json!([
            { "toolSpec": { "name": "f", "inputSchema":
                { "json": { "type": "object", "properties": {} } } } },
            { "toolSpec": { "name": "g", "inputSchema":
                { "json": { "type": "object", "properties": {} } } } },
        ])
    );
    assert_eq!(with(json!("required"))["toolChoice"], json!({ "any": {} }));
    let named = json!({ "type": "function", "function": { "name": "g" } });
    assert_eq!(with(named)["toolChoice"], json!({ "tool": { "name": "g" } }));
    assert_eq!(with(json!("none")), Value::Null);
}

#[test]
fn sampling_stays_within_this_apis_range_and_defaults_yield() {
    let asked = |more: Value| {
        let mut asked = json!({ "messages": [{ "role": "user", "content": "x" }] });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        written("m", asked)["inferenceConfig"].clone()
    };
    assert_eq!(asked(json!({})), json!({ "maxTokens": 64, "temperature": 0.5 }));
    assert_eq!(
        asked(json!({ "top_p": 0.5, "stop": ["END", " "] })),
        json!({ "maxTokens": 64, "topP": 0.5, "stopSequences": ["END"] })
    );
}

#[test]
fn images_go_as_bytes_with_their_format() {
    let image = |url: &str| {
        json!({ "messages": [{ "role": "user",
            "content": [{ "type": "image_url", "image_url": { "url": url } }] }] })
    };
    let block = &written("m", image("data:image/jpg;base64,AAAA"))["messages"][0]["content"][0];
    assert_eq!(block, &json!({ "image": { "format": "jpeg", "source": { "bytes": "AAAA" } } }));
    for url in ["https://x.example/a.png", "data:image/tiff;base64,AAAA"] {
        assert_eq!(failure(image(url)).fault, Fault::UnsupportedParam, "{url}");
    }
    assert_eq!(failure(image("file:///x")).fault, Fault::InvalidRequest);
}

#[test]
fn a_schema_is_a_text_and_effort_is_said_in_the_makers_words() {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let format =
        json!({ "type": "json_schema", "json_schema": { "name": "place", "schema": schema } });
    let asked = json!({ "messages": [{ "role": "user", "content": "x" }],
        "response_format": format, "reasoning_effort": "low" });
    let body = written("eu.anthropic.claude-sonnet-4-6", asked.clone());
    let format = &body["outputConfig"]["textFormat"];
    assert_eq!(format["type"], "json_schema");
    let sent = format["structure"]["jsonSchema"]["schema"].as_str().unwrap();
    let sent: Value = serde_json::from_str(sent).unwrap();
    assert_eq!((&sent["type"], &sent["additionalProperties"]), (&json!("object"), &json!(false)));
    let effort = &body["additionalModelRequestFields"];
    assert_eq!(effort, &json!({ "output_config": { "effort": "low" } }));
    let open = &written("openai.gpt-oss-120b-1:0", asked.clone())["additionalModelRequestFields"];
    assert_eq!(open, &json!({ "reasoning_effort": "low" }));
    assert_eq!(written("meta.llama", asked)["additionalModelRequestFields"], Value::Null);
}

#[test]
fn extra_fields_are_merged_into_those_of_the_maker() {
    let asked = json!({ "messages": [{ "role": "user", "content": "x" }],
        "reasoning_effort": "low",
        "extra": { "bedrock": { "serviceTier": { "type": "flex" },
            "additionalModelRequestFields": { "top_k": 5 } } } });
    let body = written("anthropic.claude", asked);
    assert_eq!(body["serviceTier"], json!({ "type": "flex" }));
    let fields = json!({ "output_config": { "effort": "low" }, "top_k": 5 });
    assert_eq!(body["additionalModelRequestFields"], fields);
}

fn whole(body: &Value) -> CallResult {
    pieces::whole(&Bedrock, body.to_string().as_bytes(), &std::rc::Rc::default())
}

fn answer(content: Value, stop: &str) -> Answer {
    let body = json!({ "metrics": { "latencyMs": 1 }, "stopReason": stop,
        "output": { "message": { "role": "assistant", "content": content } },
        "usage": { "inputTokens": 5, "outputTokens": 7, "totalTokens": 42,
            "cacheReadInputTokens": 20, "cacheWriteInputTokens": 10 } });
    whole(&body).map_err(|failure| failure.message).unwrap()
}

#[test]
fn a_whole_answer_is_text_calls_and_all_tokens() {
    let thought = json!({ "reasoningContent": { "reasoningText": { "text": "hm" } } });
    let cited =
        json!({ "citationsContent": { "content": [{ "text": " there" }], "citations": [] } });
    let tool = json!({ "toolUse": { "toolUseId": "t1", "name": "f", "input": { "x": 1 } } });
    let got = answer(json!([thought, { "text": "Hi" }, cited, tool]), "tool_use");
    assert_eq!((got.content.as_deref(), got.finish), (Some("Hi there"), Finish::ToolCalls));
    let call = &got.tool_calls[0];
    assert_eq!(
        (call.id.as_str(), call.function.name.as_str(), call.function.arguments.as_str()),
        ("t1", "f", "{\"x\":1}")
    );
    let usage = Usage {
        input_tokens: 35,
        output_tokens: 7,
        cached_tokens: 20,
        cache_write_tokens: 10,
        ..Usage::default()
    };
    assert_eq!(got.usage, Some(usage));
}

#[test]
fn every_stop_reason_has_a_meaning() {
    let said = || json!([{ "text": "Hi" }]);
    for (stop, finish) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("guardrail_intervened", Finish::Refused),
        ("content_filtered", Finish::Refused),
        ("a_new_one", Finish::Stop),
    ] {
        assert_eq!(answer(said(), stop).finish, finish, "{stop}");
    }
    for stop in ["malformed_model_output", "malformed_tool_use"] {
        let body = json!({ "output": { "message": { "content": said() } }, "stopReason": stop });
        assert_eq!(whole(&body).err().unwrap().fault, Fault::ModelGlitch, "{stop}");
    }
}

#[test]
fn an_error_in_a_good_answer_is_what_its_type_says() {
    let error = json!({ "__type": "com.amazon.bedrock#ThrottlingException", "message": "slow" });
    let failure = whole(&error).err().unwrap();
    assert_eq!(
        (failure.fault, failure.code.as_deref()),
        (Fault::RateLimited, Some("throttlingexception"))
    );
    assert_eq!(whole(&json!({ "x": 1 })).err().unwrap().fault, Fault::BadBody);
}

/// The frames of these events, and behind them an exception if there is one.
fn frames(events: &[(&str, Value)], exception: Option<(&str, &str)>) -> Vec<u8> {
    let mut all: Vec<u8> =
        events.iter().flat_map(|(name, data)| message("event", name, &data.to_string())).collect();
    if let Some((name, said)) = exception {
        all.extend(message("exception", name, &json!({ "message": said }).to_string()));
    }
    all
}

fn seen(events: &[(&str, Value)], exception: Option<(&str, &str)>) -> Seen {
    run(Kind::Bedrock, [frames(events, exception).as_slice()])
}

fn delta(index: u64, delta: Value) -> (&'static str, Value) {
    ("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta, "p": "abc" }))
}

fn stop(reason: &str) -> (&'static str, Value) {
    ("messageStop", json!({ "stopReason": reason }))
}

#[test]
fn a_stream_is_read_to_the_usage_behind_its_finish() {
    let tool = json!({ "toolUse": { "toolUseId": "t1", "name": "f" } });
    let seen = seen(
        &[
            ("messageStart", json!({ "role": "assistant" })),
            delta(0, json!({ "reasoningContent": { "text": "hm" } })),
            delta(0, json!({ "reasoningContent": { "signature": "sig" } })),
            delta(1, json!({ "text": "Grüße" })),
            ("contentBlockStop", json!({ "contentBlockIndex": 1 })),
            ("contentBlockStart", json!({ "contentBlockIndex": 2, "start": tool })),
            delta(2, json!({ "toolUse": { "input": "{\"x\":" } })),
            delta(2, json!({ "toolUse": { "input": "1}" } })),
            ("aNewEvent", json!([1])),
            stop("tool_use"),
            (
                "metadata",
                json!({ "usage": { "inputTokens": 3, "outputTokens": 4,
                "totalTokens": 9, "cacheReadInputTokens": 2 }, "metrics": {} }),
            ),
        ],
        None,
    );
    assert!(seen.life);
    let good = seen.end.unwrap();
    assert_eq!(good.content.as_deref(), Some("Grüße"));
    assert_eq!(good.calls, [["t1", "f", "{\"x\":1}"].map(str::to_owned)]);
    let usage = Usage { input_tokens: 5, output_tokens: 4, cached_tokens: 2, ..Usage::default() };
    assert_eq!((good.finish, good.usage), (Finish::ToolCalls, Some(usage)));
}

#[test]
fn an_exception_within_a_stream_is_what_it_would_be_without() {
    let text = || {
        vec![("messageStart", json!({ "role": "assistant" })), delta(0, json!({ "text": "half" }))]
    };
    for (name, said, fault) in [
        ("throttlingException", "Too many tokens, please wait.", Fault::RateLimited),
        ("serviceUnavailableException", "x", Fault::Overloaded),
        ("internalServerException", "x", Fault::ServerError),
        ("modelStreamErrorException", "The model did not answer.", Fault::ServerError),
        ("validationException", "Input is too long for requested model.", Fault::ContextTooLong),
        ("validationException", "The request is odd.", Fault::StreamCut),
        ("aNewException", "x", Fault::ServerError),
    ] {
        let bad = seen(&text(), Some((name, said))).end.unwrap_err();
        assert_eq!(bad.fault, fault, "{name} {said}: {}", bad.message);
        // Whether or not a finish came before.
        let mut finished = text();
        finished.push(stop("end_turn"));
        assert!(seen(&finished, Some((name, said))).end.is_err(), "{name}");
    }
    let before = seen(&[], Some(("validationException", "The request is odd."))).end.unwrap_err();
    assert_eq!(before.fault, Fault::InvalidRequest);
}

#[test]
fn a_damaged_frame_is_a_bad_body_and_a_missing_end_a_cut() {
    let mut bytes = frames(&[delta(0, json!({ "text": "half" })), stop("end_turn")], None);
    let good = run(Kind::Bedrock, [bytes.as_slice()]);
    assert_eq!(good.end.unwrap().usage, None);
    bytes[30] ^= 1;
    assert_eq!(run(Kind::Bedrock, [bytes.as_slice()]).end.unwrap_err().fault, Fault::BadBody);
    let cut = seen(&[delta(0, json!({ "text": "half" }))], None).end.unwrap_err();
    assert_eq!(cut.fault, Fault::StreamCut);
}

#[test]
fn thoughts_go_back_to_their_own_model_as_they_came_and_to_no_other() {
    let thoughts = json!([
        { "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } },
        { "reasoningContent": { "redactedContent": "c2VjcmV0" } },
    ]);
    let tool = json!({ "toolUse": { "toolUseId": "t1", "name": "f", "input": {} } });
    let content = [thoughts[0].clone(), thoughts[1].clone(), tool];
    let got = answer(json!(content), "tool_use");
    assert_eq!(got.reasoning_content.as_deref(), Some("hm"));
    let kept = got.provider_data.unwrap();
    let sent = |model_id: &str| {
        let data = json!({ "kind": "bedrock", "model": model_id, "blocks": kept["blocks"] });
        let call = json!({ "id": "t1", "function": { "name": "f", "arguments": "{}" } });
        history(json!([
            { "role": "user", "content": "x" },
            { "role": "assistant", "tool_calls": [call], "provider_data": data },
            { "role": "tool", "tool_call_id": "t1", "content": "1" }]))
    };
    let own = sent("m");
    assert_eq!(own["messages"][1]["content"][0], thoughts[0], "{own}");
    assert_eq!(own["messages"][1]["content"][1], thoughts[1], "{own}");
    let foreign = sent("another");
    assert!(foreign["messages"][1]["content"][0].get("toolUse").is_some(), "{foreign}");
}
