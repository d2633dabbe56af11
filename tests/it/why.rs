//! The story of one request: asked of the real daemon, told by the real command.

use std::process::Command;

use fallbackd::sim::Behaviour;
use serde_json::json;

use super::harness::{NO_RETRY, Setup, chat, code, eventually, openai};

#[test]
fn a_request_is_found_with_its_order_its_calls_and_its_costs() {
    let sim = openai();
    let price = "cost_per_1k_input = 0.003\ncost_per_1k_output = 0.015";
    let setup = Setup::new().provider("local", &sim).toml(NO_RETRY);
    let setup = setup.model("a", "local", price).model("b", "local", price);
    let daemon = setup.start();
    sim.set_for("a", Behaviour::overloaded());
    daemon.ask_ok(&chat(1, "another one"));
    let reply = daemon.ask_ok(&chat(2, "the one"));
    let id = reply["request_id"].as_str().unwrap();
    let story = daemon.ask_ok(&json!({ "op": "why", "request_id": id }));
    let (request, calls) = (&story["request"], story["calls"].as_array().unwrap());
    assert_eq!(request["request_id"], id);
    assert_eq!(request["order"], json!([{ "model": "a" }, { "model": "b" }]));
    assert_eq!(request["request_cost_usd"], reply["request_cost_usd"]);
    let told: Vec<_> = calls.iter().map(|call| (&call["model_name"], &call["success"])).collect();
    assert_eq!(told, [(&json!("a"), &json!(false)), (&json!("b"), &json!(true))]);
    let typed = Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
        .arg("--socket")
        .arg(daemon.socket())
        .args(["why", id])
        .output()
        .unwrap();
    let typed = String::from_utf8(typed.stdout).unwrap();
    assert!(typed.contains("to be tried: a, then b"), "{typed}");
    assert!(typed.contains("overloaded 503") && typed.contains("answered by b"), "{typed}");
}

#[test]
fn a_request_in_a_rotated_file_is_found_until_that_is_gone() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).toml("[log]\nmax_size = \"64KiB\"\nkeep = 1\n").start();
    let first = daemon.ask_ok(&chat(1, "p"))["request_id"].clone();
    let ask = || daemon.ask(&json!({ "op": "why", "request_id": first }));
    let mut client = daemon.client();
    let mut rotated = daemon.setup.log().into_os_string();
    rotated.push(".1");
    eventually("a rotated file", || {
        (0..50).for_each(|_| drop(client.ask_ok(&chat(2, "p"))));
        std::path::Path::new(&rotated).exists().then_some(())
    });
    assert_eq!(ask()["request"]["request_id"], first);
    eventually("the file is gone", || {
        (0..100).for_each(|_| drop(client.ask_ok(&chat(2, "p"))));
        (code(&ask()) == "bad_request").then_some(())
    });
}

#[test]
fn what_is_no_name_of_a_request_is_a_mistake() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).start();
    for id in ["", "yesterday", "../../etc/passwd", "01M7W9TJWBQC5AZC8MQKY1RQDG"] {
        let reply = daemon.ask(&json!({ "op": "why", "request_id": id }));
        assert_eq!(code(&reply), "bad_request", "{id}: {reply}");
    }
}
