//! Chat Completions on the daemon's own socket.

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour, Fate, Flow};
use serde_json::{Value, json};

use crate::harness::{Daemon, NO_RETRY, Setup, openai, wait_cancelled};
use crate::wire::Web;

const PATH: &str = "/v1/chat/completions";

fn hi(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// One model at each of two providers of different kinds.
fn pair() -> (Background, Background, Setup) {
    let (first, second) = (openai(), Background::start(Kind::Anthropic).unwrap());
    let setup = Setup::new()
        .provider("one", &first)
        .provider("two", &second)
        .toml(NO_RETRY)
        .model("a", "one", "cost_per_1k_input = 1\ncost_per_1k_output = 1\n")
        .model("b", "two", "")
        .chain("default", &["a", "b"])
        .chain("code", &["b", "a"]);
    (first, second, setup)
}

fn web(daemon: &Daemon) -> Web {
    Web::on(&daemon.socket())
}

#[test]
fn one_connection_asks_again_and_again_and_lines_go_on_beside_it() {
    let (_first, _second, setup) = pair();
    let daemon = setup.start();
    let mut web = web(&daemon);
    for _ in 0..3 {
        let reply = web.post(PATH, &hi("default"));
        assert_eq!((reply.status, reply.text()), (200, "[a] hi".to_owned()));
    }
    assert_eq!(
        daemon.ask_ok(&json!({"messages": [{"role": "user", "content": "x"}]}))["content"],
        "[a] x"
    );
}

#[test]
fn an_answer_says_who_gave_it_after_whom_and_for_how_much() {
    let (first, _second, setup) = pair();
    let daemon = setup.start();
    let reply = web(&daemon).post(PATH, &with(hi("default"), json!({"user": "u"})));
    let expected = [
        ("x-fallbackd-task", "default"),
        ("x-fallbackd-model", "a"),
        ("x-fallbackd-provider", "one"),
        ("x-fallbackd-primary", "a"),
        ("x-fallbackd-fallback-count", "0"),
        ("x-fallbackd-attempts", "a=answered"),
    ];
    for (name, value) in expected {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert!(
        reply.header("x-fallbackd-cost-usd").is_some()
            && reply.header("x-fallbackd-latency-ms").is_some()
    );
    assert_eq!(reply.header("x-fallbackd-dropped"), None, "its own kind is given all");
    let id = reply.header("x-request-id").unwrap();
    assert_eq!(reply.header("request-id"), Some(id));
    assert_eq!(daemon.logged("request")[0]["request_id"], id);
    assert_eq!(first.calls()[0].body["user"], "u");
    first.set(Behaviour::overloaded());
    let reply = web(&daemon).post(PATH, &with(hi("default"), json!({"user": "u"})));
    assert_eq!(reply.header("x-fallbackd-attempts"), Some("a=overloaded;b=answered"));
    assert_eq!(reply.header("x-fallbackd-dropped"), Some("user"));
    assert_eq!(reply.json()["model"], "b");
}

#[test]
fn a_stream_has_role_text_finish_usage_and_end() {
    let (first, _second, setup) = pair();
    first.set(Flow { text: Some("one two three".to_owned()), ..Flow::default() }.into());
    let daemon = setup.start();
    let asked = with(hi("a"), json!({"stream": true, "stream_options": {"include_usage": true}}));
    let reply = web(&daemon).post(PATH, &asked);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    assert_eq!(reply.header("x-fallbackd-model"), Some("a"));
    assert!(reply.is_done(), "{}", reply.body);
    let events = reply.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(reply.text(), "one two three");
    let finishes = events.iter().filter(|event| event["choices"][0]["finish_reason"] == "stop");
    assert_eq!(finishes.count(), 1);
    let last = events.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert!(last["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
    let plain = web(&daemon).post(PATH, &with(hi("a"), json!({"stream": true})));
    assert!(plain.is_done() && !plain.body.contains("usage"));
}

#[test]
fn tools_go_there_and_back() {
    let (_first, _second, setup) = pair();
    let daemon = setup.start();
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let required = json!({"tools": tools, "tool_choice": "required"});
    for model in ["a", "b"] {
        let reply = web(&daemon).post(PATH, &with(hi(model), required.clone())).json();
        let choice = &reply["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{reply}");
        let call = choice["message"]["tool_calls"][0].clone();
        assert_eq!(call["function"]["name"], "weather");
        let streamed = with(with(hi(model), required.clone()), json!({"stream": true}));
        let reply = web(&daemon).post(PATH, &streamed);
        let told = reply
            .events()
            .into_iter()
            .find_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0).cloned());
        let told = told.unwrap();
        assert_eq!((&told["index"], &told["type"]), (&json!(0), &json!("function")));
        let history = json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
        ]);
        let second = json!({"model": model, "messages": history, "tools": tools});
        let reply = web(&daemon).post(PATH, &second);
        assert_eq!(
            (reply.status, &reply.json()["choices"][0]["finish_reason"]),
            (200, &json!("stop"))
        );
    }
}

#[test]
fn a_name_is_a_task_an_alias_a_model_or_unknown() {
    let (_first, _second, setup) = pair();
    let aliases = "[http]\naliases = { \"gpt-4o\" = \"code\", \"claude-*\" = \"code\" }\n";
    let daemon = setup.toml(aliases).start();
    let model = |name: &str| web(&daemon).post(PATH, &hi(name)).json()["model"].clone();
    for (name, answers) in [
        ("default", "a"),
        ("code", "b"),
        ("gpt-4o", "b"),
        ("claude-x-9", "b"),
        ("a", "a"),
        ("b", "b"),
    ] {
        assert_eq!(model(name), answers, "{name}");
    }
    let own =
        json!({"model": "a", "models": ["b"], "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(web(&daemon).post(PATH, &own).json()["model"], "b");
    let reply = web(&daemon).post(PATH, &hi("gpt-5"));
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].clone()),
        (404, json!("model_not_found"))
    );
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    let list = web(&daemon).get("/v1/models").json();
    let names: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(names, ["default", "code", "gpt-4o", "a", "b"]);
    assert_eq!(web(&daemon).get("/v1/models/claude-x").json()["id"], "claude-x");
    assert_eq!(web(&daemon).get("/v1/models/gpt-5").status, 404);
}

#[test]
fn an_unknown_name_is_the_default_chain_where_the_owner_wants_it_so() {
    let (_first, _second, setup) = pair();
    let daemon = setup.toml("[http]\nunknown_model = \"default\"\n").start();
    assert_eq!(web(&daemon).post(PATH, &hi("gpt-5")).json()["model"], "a");
}

#[test]
fn programs_that_leave_a_field_out_mean_it() {
    let (first, _second, setup) = pair();
    let daemon = setup.toml("[request]\nmax_tokens = 77\ntemperature = 0.7\n").start();
    web(&daemon).post(PATH, &hi("a"));
    daemon.ask_ok(&json!({"model": "a", "messages": [{"role": "user", "content": "hi"}]}));
    let [http, line] = [0, 1].map(|at| first.calls()[at].body.clone());
    assert!(http.get("max_tokens").is_none() && http.get("temperature").is_none(), "{http}");
    assert_eq!((&line["max_tokens"], &line["temperature"]), (&json!(77), &json!(0.7)));
}

#[test]
fn a_program_that_leaves_has_its_call_cancelled() {
    let (first, _second, setup) = pair();
    first.set(Behaviour::Hang);
    let daemon = setup.start();
    for stream in [false, true] {
        let mut gone = web(&daemon);
        gone.send(
            &format!("POST {PATH}"),
            &[],
            &with(hi("a"), json!({"stream": stream})).to_string(),
        );
        crate::harness::wait_calls(&first, u64::from(stream) + 1);
        drop(gone);
        wait_cancelled(&first, u64::from(stream) + 1);
    }
}

#[test]
fn health_and_readiness_say_so_without_names() {
    let (_first, _second, setup) = pair();
    let daemon = setup.start();
    for path in ["/", "/health", "/ready"] {
        let reply = web(&daemon).get(path);
        assert_eq!(reply.status, 200, "{path}");
    }
    for model in ["a", "b"] {
        daemon.ask_ok(&json!({"op": "breaker", "model": model, "set": "open"}));
    }
    let reply = web(&daemon).get("/ready");
    assert_eq!(reply.status, 503);
    assert!(!reply.body.contains('"') && web(&daemon).get("/health").status == 200);
    let reply = web(&daemon).post(PATH, &hi("default"));
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].clone()),
        (503, json!("no_model_available"))
    );
}

#[test]
fn a_deadline_of_the_programs_own_holds() {
    let (first, _second, setup) = pair();
    first.set(Behaviour::Hang);
    let daemon = setup.start();
    for (name, value) in [("x-fallbackd-timeout", "200ms"), ("x-stainless-timeout", "0.2")] {
        let mut web = web(&daemon);
        let body =
            json!({"models": ["a"], "messages": [{"role": "user", "content": "x"}]}).to_string();
        web.send(&format!("POST {PATH}"), &[(name, value)], &body);
        let reply = web.reply();
        assert_eq!((reply.status, reply.header("x-should-retry")), (504, Some("false")), "{name}");
    }
    let mut web = web(&daemon);
    web.send(&format!("POST {PATH}"), &[("x-fallbackd-timeout", "soon")], &hi("a").to_string());
    assert_eq!(web.reply().status, 400);
}

#[test]
fn a_tool_of_a_provider_is_left_out_and_named_or_refused_as_the_owner_wants() {
    let tools = json!({"tools": [{"type": "web_search"}]});
    let (_first, _second, setup) = pair();
    let reply = web(&setup.start()).post(PATH, &with(hi("a"), tools.clone()));
    assert_eq!(
        (reply.status, reply.header("x-fallbackd-dropped")),
        (200, Some("tools.web_search"))
    );
    let (_first, _second, setup) = pair();
    let daemon = setup.toml("[http]\nhosted_tools = \"refuse\"\n").start();
    assert_eq!(web(&daemon).post(PATH, &with(hi("a"), tools)).status, 400);
}

#[test]
fn a_stream_that_another_model_would_contradict_says_so_and_is_cut() {
    let (first, second, setup) = pair();
    first.set(Flow::fated("one two three four", 2, Fate::Breaks).into());
    second.set(Behaviour::Say("something else entirely".to_owned()));
    let daemon = setup.start();
    let reply = web(&daemon).post(PATH, &with(hi("default"), json!({"stream": true})));
    assert_eq!(reply.status, 200);
    assert!(!reply.whole && !reply.body.contains("[DONE]"), "{}", reply.body);
    let events = reply.events();
    assert_eq!(events.last().unwrap()["error"]["code"], "interrupted");
    assert!(events.iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
}

#[test]
fn a_daemon_that_ends_finishes_what_it_has_and_takes_nothing_new() {
    let (first, _second, setup) = pair();
    first.set(Behaviour::Held);
    let daemon = setup.start();
    let (mut idle, mut busy) = (web(&daemon), web(&daemon));
    assert_eq!(idle.get("/health").status, 200);
    busy.send(&format!("POST {PATH}"), &[], &hi("a").to_string());
    crate::harness::wait_calls(&first, 1);
    daemon.signal("TERM");
    assert!(idle.next().is_none(), "an idle connection is closed");
    first.release();
    let reply = busy.reply();
    assert_eq!((reply.status, reply.text()), (200, "[a] hi".to_owned()));
    assert!(busy.next().is_none());
}
