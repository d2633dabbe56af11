//! Whatever a server refuses with, the backup answers, and one refusal takes the model from nobody
//! unless the server's own code leaves no doubt.

use fallbackd::config::Kind;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Setup, raw, sim};

/// Codes that name a key, a quota or a model beyond doubt.
const CERTAIN: [&str; 4] =
    ["invalid_api_key", "insufficient_quota", "model_not_found", "model_decommissioned"];

/// Codes that are given for all kinds of reasons, or say nothing.
const VAGUE: [&str; 4] = ["invalid_request_error", "error", "BadRequest", ""];

const BLOCKING: [&str; 4] = ["auth", "quota_exhausted", "model_not_found", "bad_endpoint"];

const CASES: u32 = 160;

#[derive(Clone, Debug)]
struct Refusal {
    status: u16,
    body: String,
    certain: bool,
}

fn shape(shape: usize, code: &str, text: &str) -> String {
    let error = json!({ "message": text, "type": code, "code": code, "param": null });
    let body = match shape {
        0 => json!({ "error": error }),
        1 => json!({ "error": text, "code": code }),
        2 => json!([{ "error": error }]),
        3 => json!({ "object": "error", "message": text, "type": code }),
        4 => json!({ "errors": [error] }),
        5 => json!({ "error": { "message": "Provider returned error",
            "metadata": { "raw": json!({ "error": error }).to_string() } } }),
        6 => return format!("data: {}\n\n", json!({ "error": error })),
        _ => json!({ "type": "error", "error": error, "request_id": "req_1" }),
    };
    body.to_string()
}

fn bare(text: &str) -> impl Strategy<Value = String> + use<> {
    prop_oneof![
        Just(String::new()),
        Just(text.to_owned()),
        Just(format!("<!DOCTYPE html><html><title>{text}</title></html>")),
        Just(json!({ "detail": text }).to_string()),
        Just(json!({ "detail": [{ "loc": ["body", "x"], "msg": text }] }).to_string()),
        Just("{\"error\":".to_owned()),
        Just("null".to_owned()),
        Just("[[[[{}]]]]".to_owned()),
    ]
}

fn refusals() -> impl Strategy<Value = Refusal> {
    let text = prop_oneof![
        "[a-z ]{0,40}",
        Just("invalid api key".to_owned()),
        Just("the model does not exist".to_owned()),
        Just("insufficient balance".to_owned()),
        Just("flagged by our content filter".to_owned()),
        Just("prompt is too long".to_owned()),
        Just("tools are not supported".to_owned()),
    ];
    (400_u16..500, text).prop_flat_map(|(status, text)| {
        let certain = (prop::sample::select(&CERTAIN[..]), 0_usize..8).prop_map({
            let text = text.clone();
            move |(code, form)| shape(form, code, &text)
        });
        let vague = (prop::sample::select(&VAGUE[..]), 0_usize..8).prop_map({
            let text = text.clone();
            move |(code, form)| shape(form, code, &text)
        });
        prop_oneof![
            certain.prop_map(move |body| Refusal { status, body, certain: true }),
            vague.prop_map(move |body| Refusal { status, body, certain: false }),
            bare(&text).prop_map(move |body| Refusal { status, body, certain: false }),
        ]
    })
}

#[test]
fn the_backup_answers_and_the_circuit_stays_closed_whatever_a_server_refuses_with() {
    let (server, good) = (sim(Kind::OpenAi), sim(Kind::OpenAi));
    let mut setup = Setup::new();
    setup.provider("server", &server).provider("good", &good).model("backup", "good", "");
    for case in 0..CASES {
        setup.model(&format!("m{case}"), "server", "");
    }
    let daemon = setup.start();
    let case = std::cell::Cell::new(0);
    let config = Config {
        cases: CASES,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&refusals(), |refusal| {
        let name = format!("m{}", case.replace(case.get() + 1));
        prop_assert_eq!(&daemon.hello(&[&name])["ok"], &Value::from(true));
        server.set_for(&name, raw(refusal.status, &refusal.body));
        let reply = daemon.ask(&json!({ "models": [name, "backup"], "on_refusal": "fallback",
            "messages": [{ "role": "user", "content": "hello" }] }));
        prop_assert_eq!(&reply["model_used"], "backup", "{}", reply);
        let fault = reply["attempts"][0]["error_type"].as_str().unwrap_or_default();
        let state = daemon.health(&name)["breaker"]["state"].clone();
        // A 402 is about money whatever else it says.
        let may_open = (refusal.certain || refusal.status == 402) && BLOCKING.contains(&fault);
        prop_assert!(state == "closed" || may_open, "{}: {}", state, reply);
        Ok(())
    });
    if let Err(why) = checked {
        panic!("{why}");
    }
}
