//! Responses on the daemon's own socket.

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour, Fate, Flow};
use serde_json::{Value, json};

use crate::harness::{Daemon, NO_RETRY, Setup, openai};
use crate::wire::{Reply, Web};

const PATH: &str = "/v1/responses";

/// Sixty tokens.
fn text() -> String {
    "abc ".repeat(60).trim_end().to_owned()
}

/// One model at each of two providers of different kinds.
fn pair() -> (Background, Background, Setup) {
    let (first, second) = (openai(), Background::start(Kind::Anthropic).unwrap());
    let setup = Setup::new()
        .provider("one", &first)
        .provider("two", &second)
        .toml(NO_RETRY)
        .model("a", "one", "")
        .model("b", "two", "")
        .chain("default", &["a", "b"])
        .chain("other", &["b"]);
    (first, second, setup)
}

fn post(daemon: &Daemon, body: &Value) -> Reply {
    Web::on(&daemon.socket()).post(PATH, body)
}

/// The events of a stream: each has its name twice, and the next number.
fn events(reply: &Reply) -> Vec<Value> {
    let mut events = Vec::new();
    for block in reply.body.split_terminator("\n\n") {
        let (name, data) = block.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event["type"], name.strip_prefix("event: ").unwrap());
        assert_eq!(event["sequence_number"], events.len());
        events.push(event);
    }
    events
}

fn told(events: &[Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    deltas.filter_map(|event| event["delta"].as_str()).collect()
}

#[test]
fn an_outage_of_the_primary_is_a_header_and_nothing_else() {
    let (first, _second, setup) = pair();
    let daemon = setup.start();
    let body = json!({"model": "default", "input": "hi", "instructions": "short", "user": "u"});
    let reply = post(&daemon, &body);
    assert_eq!(reply.json()["output"][0]["content"][0]["text"], "[a] hi");
    assert_eq!(reply.json()["id"], format!("resp_{}", reply.header("x-request-id").unwrap()));
    let sent = first.calls()[0].body.clone();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "short"}));
    assert!(sent.get("max_tokens").is_none() && sent.get("temperature").is_none(), "{sent}");
    first.set(Behaviour::overloaded());
    let reply = post(&daemon, &body);
    assert_eq!(reply.json()["output"][0]["content"][0]["text"], "[b] hi");
    assert_eq!(reply.header("x-fallbackd-attempts"), Some("a=overloaded;b=answered"));
    assert_eq!(reply.header("x-fallbackd-dropped"), Some("user"));
}

#[test]
fn a_stream_ends_with_the_whole_object() {
    let (first, second, setup) = pair();
    for sim in [&first, &second] {
        sim.set(Flow { text: Some(text()), ..Flow::default() }.into());
    }
    let daemon = setup.start();
    for model in ["default", "other"] {
        let reply = post(&daemon, &json!({"model": model, "input": "hi", "stream": true}));
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let events = events(&reply);
        let last = events.last().unwrap();
        assert_eq!((&last["type"], reply.whole), (&json!("response.completed"), true));
        assert_eq!(told(&events), text());
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], text());
        assert!(last["response"]["usage"]["total_tokens"].as_u64().unwrap() > 0);
        assert!(!reply.body.contains("[DONE]"));
    }
}

#[test]
fn calls_go_there_and_back_at_every_kind_of_provider() {
    let (_first, _second, setup) = pair();
    let daemon = setup.start();
    let tools = json!([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]);
    for model in ["default", "other"] {
        let question = json!({"role": "user", "content": "hi"});
        let asked = json!({"model": model, "input": [question], "tools": tools,
            "tool_choice": {"type": "function", "name": "weather"}, "stream": true});
        let events = events(&post(&daemon, &asked));
        let call = events.last().unwrap()["response"]["output"][0].clone();
        assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("weather")));
        let result = json!({"type": "function_call_output", "call_id": call["call_id"],
            "output": "sunny"});
        let again = json!({"model": model, "input": [question, call, result], "tools": tools});
        let answer = post(&daemon, &again).json();
        let text = answer["output"][0]["content"][0]["text"].as_str().unwrap();
        assert!(text.ends_with("sunny"), "{answer}");
    }
}

#[test]
fn a_stream_that_breaks_goes_on_or_fails_and_never_ends_cleanly() {
    for (backup, goes_on) in [(text(), true), ("something else".to_owned(), false)] {
        let (first, second, setup) = pair();
        first.set(Flow::fated(text(), 20, Fate::Breaks).into());
        second.set(Behaviour::Say(backup));
        let daemon = setup.start();
        let reply = post(&daemon, &json!({"model": "default", "input": "hi", "stream": true}));
        let events = events(&reply);
        let last = events.last().unwrap();
        assert_eq!((reply.status, reply.whole), (200, goes_on));
        if goes_on {
            assert_eq!(last["type"], "response.completed");
            assert_eq!(told(&events), text());
        } else {
            assert_eq!(last["type"], "response.failed");
            assert_eq!(last["response"]["error"]["code"], "server_error");
            assert!(!reply.body.contains(".done\""), "{}", reply.body);
        }
    }
}

#[test]
fn before_the_first_word_every_failure_is_a_status() {
    let (first, _second, setup) = pair();
    let daemon = setup.chain("alone", &["a"]).start();
    first.set(Behaviour::rate_limited(Some("2")));
    for stream in [false, true] {
        let reply = post(&daemon, &json!({"model": "alone", "input": "hi", "stream": stream}));
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
        assert_eq!(reply.json()["error"]["type"], "server_error");
    }
    let reply = post(&daemon, &json!({"model": "default", "input": "hi", "conversation": "c"}));
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("conversation")));
    let reply = Web::on(&daemon.socket()).get("/v1/responses/resp_1");
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!("not_found")));
}

#[test]
fn where_hosted_tools_are_refused_other_fields_are_still_left_out() {
    let (_first, _second, setup) = pair();
    let daemon = setup.toml("[http]\nhosted_tools = \"refuse\"\n").start();
    let body = json!({"model": "default", "input": "hi", "metadata": {"a": "b"}});
    assert_eq!(post(&daemon, &body).header("x-fallbackd-dropped"), Some("metadata"));
    let body = json!({"model": "default", "input": "hi", "tools": [{"type": "web_search"}]});
    let reply = post(&daemon, &body);
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("tools.web_search")));
}
