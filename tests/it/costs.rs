//! What the ledger is asked through the whole daemon: who is blamed, what is believed, and what lies
//! in the stretch that was asked for.

use fallbackd::sim::{Background, Behaviour};
use serde_json::{Value, json};

use super::harness::{Daemon, Setup, chat, code, openai, wait_calls};

const PRICED: &str = "cost_per_1k_input = 1.0\ncost_per_1k_output = 1.0";

fn daemon(sim: &Background) -> Daemon {
    let setup = Setup::new().provider("local", sim).toml("[retry]\nmax = 0\nbase = \"1ms\"\n");
    let setup =
        ["a", "b", "c"].iter().fold(setup, |setup, name| setup.model(name, "local", PRICED));
    let setup = setup.toml("[chains.code]\nmodels = [\"a\", \"b\"]\naccept = { json = true }\n");
    setup.chain("plain", &["a"]).chain("other", &["c"]).start()
}

fn of_task(task: &str) -> Value {
    let mut request = chat(1, "A river?");
    request["task"] = task.into();
    request
}

fn costs(daemon: &Daemon, more: &Value) -> Value {
    let mut line = json!({ "op": "costs" });
    for (key, value) in more.as_object().unwrap() {
        line[key] = value.clone();
    }
    daemon.ask_ok(&line)
}

#[test]
fn calls_given_up_or_not_accepted_cost_money_and_are_blamed_on_nobody() {
    let sim = openai();
    let daemon = daemon(&sim);
    assert_eq!(code(&daemon.ask(&of_task("code"))), "all_models_failed");
    let told = costs(&daemon, &json!({}));
    let totals = &told["totals"];
    assert_eq!((&totals["failed_calls"], &totals["excused_calls"]), (&json!(2), &json!(2)));
    assert!(totals["failed_usd"].as_f64().unwrap() > 0.0, "{totals}");
    assert_eq!(totals["excused_usd"], totals["failed_usd"]);

    sim.set(Behaviour::Hang);
    let mut client = daemon.client();
    client.send(&of_task("plain"));
    wait_calls(&sim, 3);
    drop(client);
    daemon.wait_logged("request", 2);
    let totals = costs(&daemon, &json!({}))["totals"].clone();
    assert_eq!((&totals["failed_calls"], &totals["excused_calls"]), (&json!(3), &json!(3)));

    sim.set(Behaviour::server_error());
    assert_eq!(code(&daemon.ask(&of_task("plain"))), "all_models_failed");
    let totals = costs(&daemon, &json!({}))["totals"].clone();
    assert_eq!((&totals["failed_calls"], &totals["excused_calls"]), (&json!(4), &json!(3)));
}

#[test]
fn usage_that_no_call_can_have_is_estimated() {
    let sim = openai();
    let daemon = daemon(&sim);
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "Nile"},
        "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4_611_686_018_427_387_904_u64, "completion_tokens": 1}});
    sim.set(Behaviour::Raw {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
        body: format!("data: {chunk}\n\ndata: [DONE]\n\n"),
    });
    let reply = daemon.ask_ok(&of_task("plain"));
    assert_eq!((&reply["content"], &reply["cost_estimated"]), (&json!("Nile"), &json!(true)));
    let totals = costs(&daemon, &json!({}))["totals"].clone();
    assert_eq!(totals["estimated_calls"], 1);
    assert!(totals["paid_usd"].as_f64().unwrap() < 1.0, "{totals}");
}

#[test]
fn outages_are_those_of_the_stretch_and_the_task_that_were_asked_for() {
    let sim = openai();
    let daemon = daemon(&sim);
    daemon.ask_ok(&of_task("plain"));
    sim.set_for("c", Behaviour::server_error());
    (0..3).for_each(|_| assert_eq!(code(&daemon.ask(&of_task("other"))), "all_models_failed"));
    assert_eq!(daemon.health_of("c")["breaker"]["state"], "open");
    let outages = |more: &Value| costs(&daemon, more)["outages"].as_array().unwrap().len();
    assert_eq!(outages(&json!({})), 1);
    assert_eq!(outages(&json!({"week": "2199-W01"})), 0, "nobody knows of a week to come");
    assert_eq!(outages(&json!({"task": "other"})), 1);
    assert_eq!(outages(&json!({"task": "plain"})), 0, "that task never called it");
}

#[test]
fn a_stretch_that_ends_before_it_begins_is_refused() {
    let sim = openai();
    let daemon = daemon(&sim);
    let reply = daemon.ask(&json!({ "op": "costs", "from": "2026-11-20", "to": "2026-11-19" }));
    assert_eq!(code(&reply), "bad_request");
    let why = reply["error"]["message"].as_str().unwrap();
    assert!(why.contains("`to`: expected a day or a moment after `from`"), "{why}");
}
