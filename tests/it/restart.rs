//! A restart in the middle of an outage: what was known is still known.
//!
//! Both ways of ending are tried, the clean one and the kill. Before a kill the tests wait until
//! the database says that it holds what happened: up to a second of counts may be lost by one.

use fallbackd::sim::{Background, Behaviour};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::harness::{Daemon, NO_RETRY, Setup, chat, chat_with, eventually, openai};

fn health(daemon: &Daemon) -> Value {
    daemon.ask_ok(&json!({ "op": "health" }))
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("no moment: {value}")).parse().unwrap()
}

fn apart_ms(one: &Value, other: &Value) -> i64 {
    (moment(one).as_millisecond() - moment(other).as_millisecond()).abs()
}

/// `a` with an open circuit, `b` degraded, `c` fine.
fn outage(sim: &Background) -> Daemon {
    let setup = Setup::of(sim, &["a", "b", "c"]).toml(NO_RETRY);
    let tough = "[models.b.breaker]\nfailures = 0\nfailure_rate = 0.0\n";
    let daemon = setup.toml(tough).start();
    let mut client = daemon.client();
    (0..2).for_each(|_| drop(client.ask_ok(&chat_with(&["b"], "p"))));
    sim.set_for("a", Behaviour::server_error());
    sim.set_for("b", Behaviour::server_error());
    for model in ["a", "b"] {
        (0..3).for_each(|_| drop(client.ask(&chat_with(&[model], "p"))));
    }
    let reply = client.ask_ok(&chat("c answers", "p"));
    assert_eq!(reply["model_used"], "c", "{reply}");
    daemon
}

/// Waits until two checkpoints have been made since now: the second holds all of what was.
fn settle(daemon: &Daemon) {
    let last = || health(daemon)["recorder"]["last_checkpoint"].clone();
    for _ in 0..2 {
        let before = last();
        daemon.ask_ok(&chat_with(&["c"], "tick"));
        eventually("a checkpoint", || (last() != before).then_some(()));
    }
}

/// What must be the same before and after.
fn compare(before: &Value, daemon: &Daemon, sim: &Background) {
    let after = health(daemon);
    let (old, new) = (&before["models"], &after["models"]);
    for model in ["a", "b"] {
        for field in ["total_calls", "success_rate", "degraded", "avg_latency_ms"] {
            assert_eq!(old[model][field], new[model][field], "{field} of {model}");
        }
    }
    let (was, is) = (&old["a"]["breaker"], &new["a"]["breaker"]);
    assert_eq!((&is["state"], &is["reason"]), (&json!("open"), &was["reason"]));
    let retry_at = (&was["retry_at"], &is["retry_at"]);
    assert!(apart_ms(retry_at.0, retry_at.1) <= 1000, "{retry_at:?}");
    assert_eq!(new["b"]["degraded"], true);

    let chain = &daemon.ask_ok(&json!({ "op": "chains" }))["chains"]["default"];
    let order: Vec<&Value> =
        chain["order"].as_array().unwrap().iter().map(|place| &place["model"]).collect();
    assert_eq!(order, ["c", "b"], "the degraded one is last: {chain}");
    assert_eq!(chain["left_out"][0]["model"], "a");

    let calls = sim.calls_for("a").len();
    let reply = daemon.ask_ok(&chat(1, "p"));
    assert_eq!(reply["model_used"], "c");
    assert_eq!(reply["attempts"][0]["reason"], "circuit_open", "{reply}");
    assert_eq!(sim.calls_for("a").len(), calls, "an open circuit stays open");
}

#[test]
fn an_outage_goes_on_after_a_clean_restart() {
    let sim = openai();
    let daemon = outage(&sim);
    let before = health(&daemon);
    assert_eq!(before["models"]["a"]["breaker"]["state"], "open", "{before}");
    let ended = daemon.terminate();
    assert!(ended.status.success());
    let daemon = ended.restart();
    let restored = daemon.logged("start").last().unwrap()["restored"].clone();
    assert_eq!(restored, 3);
    compare(&before, &daemon, &sim);
}

#[test]
fn an_outage_goes_on_after_a_kill() {
    let sim = openai();
    let daemon = outage(&sim);
    settle(&daemon);
    let before = health(&daemon);
    compare(&before, &daemon.kill().restart(), &sim);
}

#[test]
fn a_circuit_that_opened_a_moment_before_a_kill_is_still_open() {
    let sim = openai();
    sim.set_for("a", Behaviour::auth());
    let daemon = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).start();
    daemon.ask_ok(&chat(1, "p"));
    let was = daemon.health_of("a")["breaker"].clone();
    // A transition is made durable at once; here "at once" may take one checkpoint.
    eventually("a checkpoint", || {
        (!health(&daemon)["recorder"]["last_checkpoint"].is_null()).then_some(())
    });
    let daemon = daemon.kill().restart();
    let is = daemon.health_of("a")["breaker"].clone();
    assert_eq!((&is["state"], &is["reason"]), (&json!("open"), &was["reason"]));
    assert!(apart_ms(&is["retry_at"], &was["retry_at"]) <= 1000, "{was} {is}");
}

#[test]
fn orders_by_hand_survive_with_their_expiry() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b", "c"]).start();
    let mut client = daemon.client();
    client.ask_ok(&json!({ "op": "breaker", "model": "a", "set": "open", "for": "10m" }));
    client.ask_ok(&json!({ "op": "breaker", "model": "b", "set": "closed" }));
    let before = health(&daemon)["models"].clone();
    settle(&daemon);
    let mut daemon = daemon.kill().restart();
    for _ in 0..2 {
        let after = health(&daemon)["models"].clone();
        let forced = |models: &Value, name: &str| models[name]["breaker"]["override"].clone();
        assert_eq!(forced(&after, "a")["set"], "open");
        let until = (&forced(&before, "a")["until"], &forced(&after, "a")["until"]);
        assert!(apart_ms(until.0, until.1) <= 1000, "{until:?}");
        assert_eq!(forced(&after, "b"), json!({ "set": "closed", "until": null }));
        assert_eq!(forced(&after, "c"), Value::Null);
        assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "b");
        daemon = daemon.terminate().restart();
    }
}

#[test]
fn an_order_that_ran_out_while_nobody_ran_is_gone() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    daemon.ask_ok(&json!({ "op": "breaker", "model": "a", "set": "open", "for": "1s" }));
    let until = moment(&daemon.health_of("a")["breaker"]["override"]["until"]);
    let ended = daemon.terminate();
    eventually("its time is over", || (file_time(ended.setup.folder()) > until).then_some(()));
    let daemon = ended.restart();
    assert_eq!(daemon.health_of("a")["breaker"]["override"], Value::Null);
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "a");
}

/// The wall clock, as the file system sees it.
fn file_time(folder: &std::path::Path) -> Timestamp {
    let file = folder.join("clock");
    std::fs::write(&file, "tick").unwrap();
    Timestamp::try_from(std::fs::metadata(file).unwrap().modified().unwrap()).unwrap()
}

#[test]
fn a_model_with_another_identity_starts_without_the_past_of_its_name() {
    let sim = openai();
    sim.set_for("a", Behaviour::server_error());
    let daemon = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).start();
    (0..3).for_each(|id| drop(daemon.ask_ok(&chat(id, "p"))));
    assert_eq!(daemon.health_of("a")["breaker"]["state"], "open");
    let ended = daemon.terminate();
    let text = std::fs::read_to_string(ended.setup.config()).unwrap();
    std::fs::write(ended.setup.config(), text.replace("model_id = \"a\"", "model_id = \"a2\""))
        .unwrap();
    let daemon = ended.restart();
    let health = daemon.health_of("a");
    assert_eq!(
        (&health["breaker"]["state"], &health["total_calls"]),
        (&json!("closed"), &json!(0))
    );
    assert_eq!(daemon.health_of("b")["total_calls"], 3);
}

#[test]
fn timestamps_and_lines_go_on_where_the_log_ended() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    daemon.ask_ok(&chat(1, "p"));
    daemon.wait_logged("request", 1);
    let daemon = daemon.kill().restart();
    daemon.ask_ok(&chat(2, "p"));
    let ended = daemon.terminate();
    let log = super::health_log::read(&ended.setup.log());
    let events: Vec<&str> = log.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let wanted = ["checkpoint", "start", "call", "request", "start", "call", "request", "stop"];
    assert_eq!(events, wanted);
}
