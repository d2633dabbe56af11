//! Copies of requests, through the whole daemon: what they leave behind, and what outlives a kill.

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{Daemon, Setup, chat, eventually, openai};

/// Two models, the backup of which is dear.
const PRICED: &str = "cost_per_1k_input = 1.0\ncost_per_1k_output = 1.0";

fn setup(sim: &fallbackd::sim::Background, shadow: &str) -> Setup {
    let setup = Setup::new().provider("local", sim).model("a", "local", "");
    setup.model("b", "local", PRICED).toml(&format!("[shadow]\nrate = 1.0\n{shadow}\n"))
}

fn ask(daemon: &Daemon) {
    let mut request = chat(1, "A river?");
    request["max_tokens"] = json!(10);
    assert_eq!(daemon.ask_ok(&request)["model_used"], "a");
}

fn totals(daemon: &Daemon) -> Value {
    daemon.ask_ok(&json!({ "op": "costs" }))["totals"].clone()
}

#[test]
fn what_was_spent_today_is_known_after_a_kill_and_so_is_what_was_proven() {
    let sim = openai();
    let daemon = setup(&sim, "daily_budget_usd = 0.15").start();
    eventually("the budget is spent", || {
        let copies = || totals(&daemon)["shadow_calls"].as_u64().unwrap();
        let before = copies();
        (0..10).for_each(|_| ask(&daemon));
        (before > 0 && copies() == before).then_some(())
    });
    let spent = totals(&daemon)["shadow_usd"].as_f64().unwrap();
    assert!((0.1..=0.15).contains(&spent), "a copy is expected to cost about 0.035: {spent}");
    let (before, proof) = (totals(&daemon), daemon.health_of("b")["evidence"].clone());
    let copies = before["shadow_calls"].as_u64().unwrap();
    assert_eq!(sim.calls_for("b").len() as u64, copies);
    assert_eq!((&proof["proven_by"], &proof["shadow"]), (&json!("shadow"), &json!(copies)));
    let daemon = daemon.kill().restart();
    (0..20).for_each(|_| ask(&daemon));
    let after = daemon.health_of("b");
    assert_eq!(
        (&after["ready"], &after["evidence"]["shadow"], &after["evidence"]["proven_by"]),
        (&json!(true), &json!(copies), &json!("shadow"))
    );
    assert_eq!(totals(&daemon)["shadow_usd"], before["shadow_usd"]);
    daemon.terminate();
    assert_eq!(sim.calls_for("b").len() as u64, copies, "a restart is no new day");
}

#[test]
fn an_outage_ends_as_soon_as_the_model_works_again() {
    let sim = openai();
    sim.set_for("a", Behaviour::server_error());
    let rules = "[retry]\nmax = 0\n[breaker]\nfailures = 1\nprobe_every = \"20ms\"\n";
    let daemon = Setup::of(&sim, &["a", "b"]).toml(rules).start();
    let who = || daemon.ask_ok(&chat(1, "p"))["model_used"].clone();
    assert_eq!(who(), "b");
    eventually("a probe", || {
        assert_eq!(who(), "b");
        (sim.calls_for("a").len() > 2).then_some(())
    });
    sim.set_for("a", Behaviour::default());
    eventually("callers are back", || (who() == "a").then_some(()));
    let calls = daemon.logged("call");
    let live = calls.iter().filter(|line| line["model_name"] == "a" && line["kind"] == "live");
    let failed = live.filter(|line| line["success"] == false).count();
    assert_eq!(failed, 1, "the one that opened the circuit");
    assert!(totals(&daemon)["probe_calls"].as_u64().unwrap() >= 2);
}

#[test]
fn comparisons_are_summed_up_per_pair() {
    let sim = openai();
    let daemon = setup(&sim, "compare = true").start();
    let pair = eventually("a comparison", || {
        ask(&daemon);
        let reply = daemon.ask_ok(&json!({ "op": "costs", "shadow": true }));
        reply["comparisons"].as_array().unwrap().first().cloned()
    });
    assert_eq!((&pair["model_used"], &pair["backup"]), (&json!("a"), &json!("b")));
    assert_eq!((&pair["failed"], &pair["same_finish"]), (&json!(0), &json!(1.0)));
    assert!(pair["shadow"]["avg_cost_usd"].as_f64().unwrap() > 0.0, "{pair}");
    let text = std::fs::read_to_string(daemon.setup.log()).unwrap();
    assert!(!text.contains("river"), "no word of an answer");
}
