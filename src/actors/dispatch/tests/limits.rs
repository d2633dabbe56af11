//! Who cannot serve a request, and who is full.

use serde_json::{Value, json};

use super::rig::{Rig, THREE, code, pass, play, tried};
use super::script::{fails, hangs, well};
use crate::domain::fault::Fault;

fn three_with(model: &str, line: &str) -> String {
    let id = format!("model_id = \"{model}\"");
    THREE.replace(&id, &format!("{id}\n{line}"))
}

fn long(bytes: usize) -> Value {
    json!({ "messages": [{ "role": "user", "content": "x".repeat(bytes) }] })
}

#[test]
fn models_known_to_lack_what_the_request_uses_are_left_out() {
    let image = json!([{ "type": "image_url", "image_url": { "url": "https://host/x.png" } }]);
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": { "type": "object" } } });
    let tool = json!([{ "type": "function", "function": { "name": "f" } }]);
    let rows = [
        ("tools = false", json!({ "tools": tool })),
        ("images = false", json!({ "messages": [{ "role": "user", "content": image }] })),
        ("json_schema = false", json!({ "response_format": schema })),
        ("prefill = false", json!({ "messages": [{ "role": "assistant", "content": "So" }] })),
    ];
    play(async || {
        for (lack, request) in rows.clone() {
            let text = three_with("a", &format!("supports = {{ {lack} }}"));
            let text =
                text.replace("model_id = \"b\"", "model_id = \"b\"\nsupports = { prefill = true }");
            let rig = Rig::new(&text);
            assert_eq!(tried(&rig.ask(request).await)[0], "a incapable", "{lack}");
            assert_eq!(tried(&rig.hello().await), ["a answered"], "{lack}");
        }
    });
}

#[test]
fn a_prompt_above_a_known_window_leaves_the_model_out() {
    play(async || {
        let rig = Rig::new(&three_with("a", "context_window = 1000"));
        assert_eq!(tried(&rig.ask(long(7000)).await), ["a incapable", "b answered"]);
        assert_eq!(tried(&rig.ask(long(5000)).await), ["a answered"]);
    });
}

#[test]
fn after_a_prompt_too_long_only_models_not_known_as_small_are_asked() {
    play(async || {
        for fault in [Fault::ContextTooLong, Fault::TooLarge] {
            let text = three_with("a", "context_window = 8000");
            let text = text.replace("model_id = \"b\"", "model_id = \"b\"\ncontext_window = 8000");
            let rig = Rig::new(&text);
            rig.script.always("a", fails(fault));
            let reply = rig.hello().await;
            let first = format!("a {fault}");
            assert_eq!(tried(&reply), [&*first, "b incapable", "c answered"]);
            assert_eq!(rig.health("a").await["success_rate"], 1.0);
            let reply = rig.ask(json!({ "models": ["a", "b"] })).await;
            assert_eq!(code(&reply), "context_too_long", "{fault}");
        }
    });
}

#[test]
fn a_prompt_too_long_for_all_is_told_so() {
    play(async || {
        let rig = Rig::new(THREE);
        for model in ["a", "b", "c"] {
            rig.script.always(model, fails(Fault::ContextTooLong));
        }
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "context_too_long");
        assert_eq!(rig.script.names(), ["a", "b", "c"], "unknown windows are tried");
        let rig = Rig::new(&three_with("a", "context_window = 100"));
        let reply = rig.ask(json!({ "models": ["a"], "messages": long(9000)["messages"] })).await;
        assert_eq!(code(&reply), "context_too_long");
        assert!(rig.script.made().is_empty());
    });
}

#[test]
fn a_model_at_its_calls_in_flight_is_passed_over() {
    play(async || {
        let rig = Rig::new(&three_with("a", "max_in_flight = 2"));
        rig.script.always("a", well().after(1000));
        let first = [rig.send(json!({})), rig.send(json!({}))];
        pass(0.5).await;
        assert_eq!(rig.health("a").await["in_flight"], 2);
        assert_eq!(tried(&rig.hello().await), ["a busy", "b answered"]);
        for asked in first {
            assert_eq!(asked.reply().await["model_used"], "a");
        }
        assert_eq!(rig.health("a").await["in_flight"], 0);
        assert_eq!(rig.hello().await["model_used"], "a");
        let three: Vec<_> = (0..3).map(|_| rig.send(json!({}))).collect();
        let mut used = Vec::new();
        for asked in three {
            used.push(asked.reply().await["model_used"].clone());
        }
        assert_eq!(used, ["a", "a", "b"], "admission decides, not the ranking before it");
    });
}

#[test]
fn calls_and_tokens_per_minute_are_kept() {
    play(async || {
        let rig = Rig::new(&three_with("a", "requests_per_minute = 2"));
        for _ in 0..2 {
            assert_eq!(rig.hello().await["model_used"], "a");
        }
        pass(30.0).await;
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a rate_limited", "b answered"]);
        assert_eq!(reply["attempts"][0]["retry_in_ms"], 30_000);
        pass(30.0).await;
        assert_eq!(rig.hello().await["model_used"], "a");

        let rig = Rig::new(&three_with("a", "tokens_per_minute = 2500"));
        // Each answer takes 1,100 tokens, and about 1,020 are reserved for the next.
        for _ in 0..2 {
            assert_eq!(rig.hello().await["model_used"], "a");
        }
        assert_eq!(tried(&rig.hello().await), ["a rate_limited", "b answered"]);
        pass(60.0).await;
        assert_eq!(rig.hello().await["model_used"], "a");
    });
}

#[test]
fn models_above_the_price_ceiling_are_left_out() {
    play(async || {
        let text = three_with("a", "cost_per_1k_input = 0.0\ncost_per_1k_output = 0.01");
        let rig = Rig::new(&text);
        let dear = json!({ "max_cost_usd": 0.009, "max_tokens": 1000 });
        assert_eq!(tried(&rig.ask(dear).await), ["a too_dear", "b answered"]);
        let enough = json!({ "max_cost_usd": 0.01, "max_tokens": 1000 });
        assert_eq!(tried(&rig.ask(enough).await), ["a answered"]);
        let alone = json!({ "max_cost_usd": 0.001, "models": ["a"] });
        let reply = rig.ask(alone).await;
        assert_eq!(code(&reply), "no_model_available");
        assert_eq!(reply["error"]["retry_after_ms"], json!(null));
        assert!(reply["error"].as_object().unwrap().contains_key("retry_after_ms"));
    });
}

#[test]
fn a_model_without_its_key_is_misconfigured_and_never_called() {
    play(async || {
        let keyless = "[providers.x]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/x\"\n\
                       api_key = { env = \"MISSING_KEY\" }\n";
        let text = THREE.replace("provider = \"p\"", "provider = \"x\"");
        let rig = Rig::new(&format!("{keyless}{text}"));
        assert_eq!(tried(&rig.hello().await), ["a misconfigured", "b answered"]);
        let reply = rig.ask(json!({ "models": ["a"] })).await;
        assert_eq!(code(&reply), "no_model_available");
        assert_eq!(reply["error"]["retry_after_ms"], json!(null));
    });
}

#[test]
fn without_any_model_the_daemon_says_so() {
    play(async || {
        let reply = Rig::new("").hello().await;
        assert_eq!(code(&reply), "no_model_available");
        assert_eq!(reply["attempts"], json!([]));
    });
}

#[test]
fn a_hanging_call_holds_its_place_and_gives_it_back() {
    play(async || {
        let rig = Rig::new(&three_with("a", "max_in_flight = 1"));
        rig.script.once("a", hangs());
        let hanging = rig.send(json!({ "timeout": "10s" }));
        pass(5.9).await;
        assert_eq!(tried(&rig.hello().await), ["a busy", "b answered"]);
        assert_eq!(tried(&hanging.reply().await), ["a timeout", "b answered"]);
        assert_eq!(rig.hello().await["model_used"], "a");
    });
}
