//! `events`: the health log through the socket, as it is written.

use std::collections::BTreeSet;

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{Client, Daemon, NO_RETRY, Setup, chat, chat_with, code, eventually, openai};

fn watch(daemon: &Daemon, types: Value) -> Client {
    let mut client = daemon.client();
    let reply = client.ask_ok(&json!({ "id": "w", "op": "events", "types": types }));
    assert_eq!(reply, json!({ "id": "w", "ok": true }));
    client
}

/// The next event of the health log.
fn event(client: &mut Client) -> Value {
    let line = client.recv();
    assert!(line["log"].is_object(), "{line}");
    line["log"].clone()
}

#[test]
fn events_are_the_very_lines_of_the_health_log() {
    let sim = openai();
    sim.set_for("a", Behaviour::server_error());
    let daemon = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).start();
    let mut watcher = watch(&daemon, json!([]));
    (0..4).for_each(|id| drop(daemon.ask_ok(&chat(id, "p"))));
    // Four requests, three calls of `a` and four of `b`, the circuit of `a`, and the new order.
    daemon.wait_logged("request", 4);
    let text = std::fs::read_to_string(daemon.setup.log()).unwrap();
    let in_file: BTreeSet<&str> = text.lines().collect();
    let mut seen = BTreeSet::new();
    let mut requests = 0;
    while requests < 4 {
        let line = watcher.line();
        let inner = line.strip_prefix("{\"log\":").and_then(|line| line.strip_suffix('}')).unwrap();
        assert!(in_file.contains(inner), "not in the file: {inner}");
        let log: Value = serde_json::from_str(inner).unwrap();
        requests += usize::from(log["event"] == "request");
        if log["event"] == "start" {
            // Serving and being logged are not one moment; this may come or not.
            continue;
        }
        seen.insert(log["event"].as_str().unwrap().to_owned());
    }
    let wanted = ["breaker", "call", "order", "request"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(wanted));
}

#[test]
fn only_the_types_that_were_asked_for_come() {
    let sim = openai();
    sim.set_for("a", Behaviour::auth());
    let daemon = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).start();
    let mut watcher = watch(&daemon, json!(["breaker", "request"]));
    daemon.ask_ok(&chat(1, "p"));
    let (first, second) = (event(&mut watcher), event(&mut watcher));
    assert_eq!((&first["event"], &first["to"]), (&json!("breaker"), &json!("open")));
    assert_eq!((&second["event"], &second["success"]), (&json!("request"), &json!(true)));
}

#[test]
fn a_watching_connection_still_answers_requests() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = watch(&daemon, json!(["call"]));
    client.send(&chat(1, "p"));
    let lines = [client.recv(), client.recv()];
    let logs = lines.iter().filter(|line| line["log"]["event"] == "call").count();
    let replies = lines.iter().filter(|line| line["content"] == "[m] p").count();
    assert_eq!((logs, replies), (1, 1), "{lines:?}");
    assert_eq!(client.ask(&json!({ "id": 5, "op": "ping" }))["id"], 5);
}

#[test]
fn a_watcher_that_ended_its_writing_goes_on_watching_until_it_leaves() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).toml("[limits]\nconnections = 3\n").start();
    for round in 0..10 {
        // The places of those who left are free again, or this would soon be refused.
        let mut watcher = eventually("a free place", || {
            let mut client = daemon.client();
            let order = json!({ "op": "events", "types": ["call"] });
            client.try_ask(&order).filter(|reply| reply["ok"] == true).map(|_| client)
        });
        watcher.end_writing();
        let asked = eventually("a free place", || {
            daemon.client().try_ask(&chat(round, "p")).filter(|reply| reply["ok"] == true)
        });
        assert_eq!(event(&mut watcher)["request_id"], asked["request_id"]);
    }
}

#[test]
fn the_last_events_reach_a_watcher_before_the_end() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut watcher = watch(&daemon, json!(["call", "request"]));
    daemon.ask_ok(&chat(1, "p"));
    assert_eq!(event(&mut watcher)["event"], "call");
    assert_eq!(event(&mut watcher)["event"], "request");
    assert!(daemon.terminate().status.success());
    watcher.expect_end();
}

#[test]
fn a_watcher_that_lags_is_told_how_many_events_it_lost() {
    const REQUESTS: u64 = 20_000;
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut watcher = watch(&daemon, json!(["request"]));
    let mut client = daemon.client();
    // Requests that fail at once are the cheapest events there are.
    let line = format!("{}\n", chat_with(&["nobody"], "p")).repeat(500);
    for _ in 0..REQUESTS / 500 {
        client.send_bytes(line.as_bytes());
        for _ in 0..500 {
            assert_eq!(code(&client.recv()), "unknown_model");
        }
    }
    let (mut events, mut lost) = (0, 0);
    while events + lost < REQUESTS {
        let line = watcher.recv();
        match line["log_lost"].as_u64() {
            Some(more) => lost += more,
            None => events += u64::from(line["log"]["event"] == "request"),
        }
    }
    assert!(lost > 0, "nothing was lost, so nothing was shown");
    assert_eq!(events + lost, REQUESTS);
    daemon.ask_ok(&chat(1, "p"));
    assert_eq!(event(&mut watcher)["success"], true, "it goes on with what comes next");
}
