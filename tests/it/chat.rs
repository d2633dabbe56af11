//! A request's own wishes, from the line to the provider and back.
//!
//! Routing has tests of its own; these show that what a client writes reaches the provider in all
//! three formats, and that the reply has everything it promises.

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour};
use serde_json::{Value, json};

use super::harness::{NO_RETRY, Setup, chat, chat_with, code, openai, wait_cancelled};

fn with(fields: Value) -> Value {
    let mut request = chat(1, "p");
    for (name, value) in fields.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

/// What was tried, as `model outcome reason-or-error`.
fn tried(reply: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attempts = reply["attempts"].as_array().unwrap().iter();
    let told = attempts.map(|attempt| {
        let why = word(&attempt["reason"]) + &word(&attempt["error_type"]);
        format!("{} {} {why}", word(&attempt["model"]), word(&attempt["outcome"]))
    });
    told.map(|text| text.trim_end().to_owned()).collect()
}

#[test]
fn a_request_falls_back_across_all_three_wire_formats() {
    let first = openai();
    let second = Background::start(Kind::Anthropic).unwrap();
    let third = Background::start(Kind::Google).unwrap();
    let price = "cost_per_1k_input = 0.5\ncost_per_1k_output = 1.0\n";
    let setup = Setup::new().provider("o", &first).provider("a", &second).provider("g", &third);
    let setup =
        setup.model("gpt", "o", price).model("claude", "a", price).model("gemini", "g", price);
    let daemon = setup.toml(NO_RETRY).start();

    assert_eq!(daemon.ask_ok(&chat(1, "p"))["content"], "[gpt] p");
    first.set(Behaviour::overloaded());
    let reply = daemon.ask_ok(&chat(2, "p"));
    assert_eq!(reply["content"], "[claude] p");
    assert_eq!(tried(&reply), ["gpt failed overloaded", "claude answered"]);
    second.set(Behaviour::server_error());
    let reply = daemon.ask_ok(&chat(3, "p"));
    assert_eq!(reply["content"], "[gemini] p");
    let wanted = json!({ "id": 3, "ok": true, "finish_reason": "stop", "tool_calls": null,
        "model_used": "gemini", "provider": "g", "model_id": "gemini", "task": "default",
        "primary": "gpt", "fallback_count": 2, "used_fallback": true, "cost_estimated": false });
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&reply[field], value, "{field} of {reply}");
    }
    for field in ["latency_ms", "cost_usd", "request_cost_usd", "primary_cost_usd"] {
        assert!(reply[field].is_number(), "{field} of {reply}");
    }
    assert!(reply["usage"]["output_tokens"].as_u64() > Some(0), "{reply}");

    third.set(Behaviour::Error(fallbackd::sim::ProviderError::new(
        fallbackd::sim::Meaning::Overloaded,
    )));
    let reply = daemon.ask(&chat(4, "p"));
    assert_eq!(code(&reply), "all_models_failed");
    assert_eq!(reply["attempts"].as_array().unwrap().len(), 3, "{reply}");
}

#[test]
fn the_models_of_a_request_are_its_chain() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b", "c"]).start();
    let reply = daemon.ask_ok(&chat_with(&["c", "a"], "p"));
    assert_eq!((&reply["model_used"], &reply["primary"]), (&json!("c"), &json!("c")));
    let reply = daemon.ask(&chat_with(&["c", "nobody"], "p"));
    assert_eq!(code(&reply), "unknown_model");
    assert!(reply["error"]["message"].as_str().unwrap().contains("nobody"), "{reply}");
}

#[test]
fn a_task_without_a_chain_uses_the_default_or_is_rejected() {
    let sim = openai();
    for (rule, rejected) in [("default", false), ("reject", true)] {
        let section = format!("[request]\nunknown_task = \"{rule}\"\n");
        let setup = Setup::of(&sim, &["a", "b"]).toml(&section);
        let daemon = setup.chain("code", &["a"]).chain("default", &["b"]).start();
        assert_eq!(daemon.ask_ok(&with(json!({ "task": "code" })))["model_used"], "a");
        assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "b");
        let reply = daemon.ask(&with(json!({ "task": "weather" })));
        assert_eq!(code(&reply), if rejected { "unknown_task" } else { "" }, "{reply}");
        if !rejected {
            assert_eq!((&reply["task"], &reply["model_used"]), (&json!("default"), &json!("b")));
        }
    }
}

#[test]
fn sampling_and_extra_reach_the_provider() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    let fields = json!({ "temperature": 1.5, "max_tokens": 77, "top_p": 0.5, "stop": ["END"],
        "seed": 7, "extra": { "openai": { "user": "u-1" }, "b": { "user": "u-2" } } });
    daemon.ask_ok(&with(fields.clone()));
    let mut other = with(fields);
    other["models"] = json!(["b"]);
    daemon.ask_ok(&other);
    let bodies: Vec<Value> = sim.calls().into_iter().map(|seen| seen.body).collect();
    for (body, user) in bodies.iter().zip(["u-1", "u-2"]) {
        let sent = ["temperature", "max_tokens", "top_p", "stop", "seed", "user"].map(|f| &body[f]);
        let wanted = [json!(1.5), json!(77), json!(0.5), json!(["END"]), json!(7), json!(user)];
        assert_eq!(sent, wanted.each_ref(), "{body}");
    }
}

#[test]
fn what_is_too_dear_is_left_out() {
    let sim = openai();
    let dear = "cost_per_1k_input = 50.0\ncost_per_1k_output = 50.0\n";
    let cheap = "cost_per_1k_input = 0.001\ncost_per_1k_output = 0.001\n";
    let setup = Setup::new().provider("local", &sim);
    let daemon = setup.model("dear", "local", dear).model("cheap", "local", cheap).start();
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "dear");
    let reply = daemon.ask_ok(&with(json!({ "max_cost_usd": 1 })));
    assert_eq!(tried(&reply), ["dear skipped too_dear", "cheap answered"]);
    let reply = daemon.ask(&with(json!({ "max_cost_usd": 0.0000001 })));
    assert_eq!(code(&reply), "no_model_available", "{reply}");
}

#[test]
fn a_refusal_is_the_answer_unless_another_model_is_asked_for() {
    let sim = openai();
    sim.set_for("a", Behaviour::content_policy());
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    let reply = daemon.ask(&chat(1, "p"));
    assert_eq!(code(&reply), "refused", "{reply}");
    let reply = daemon.ask_ok(&with(json!({ "on_refusal": "fallback" })));
    assert_eq!(reply["model_used"], "b");
    sim.set_for("a", Behaviour::blocked_200());
    let reply = daemon.ask_ok(&with(json!({ "on_refusal": "return" })));
    assert_eq!((&reply["finish_reason"], &reply["model_used"]), (&json!("refused"), &json!("a")));
    assert_eq!(daemon.health_of("a")["success_rate"], 1.0, "a refusal is no failure");
}

#[test]
fn a_deadline_ends_the_request_and_its_calls() {
    let sim = openai();
    sim.set(Behaviour::Hang);
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    let reply = daemon.ask(&with(json!({ "timeout": "1s" })));
    assert_eq!(code(&reply), "deadline_exceeded", "{reply}");
    assert_eq!(reply["attempts"].as_array().unwrap().len(), 2, "the backup had its share: {reply}");
    wait_cancelled(&sim, 2);
}

#[test]
fn tools_travel_there_and_back() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let reply = daemon.ask_ok(&with(json!({
        "tools": [{ "type": "function", "function": { "name": "weather", "parameters":
            { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } }],
        "tool_choice": "required",
    })));
    assert_eq!(reply["finish_reason"], "tool_calls", "{reply}");
    let call = &reply["tool_calls"][0];
    assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("weather")));
    let id = &call["id"];
    let reply = daemon.ask_ok(&json!({ "messages": [
        { "role": "user", "content": "p" },
        { "role": "assistant", "content": null, "tool_calls": [call] },
        { "role": "tool", "tool_call_id": id, "content": "sunny" },
    ] }));
    assert_eq!(reply["content"], "[m] sunny");
}
