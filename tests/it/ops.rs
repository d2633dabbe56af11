//! The operations beside `chat`: what they show, and who may use them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{
    Daemon, NO_RETRY, Setup, chat, chat_with, code, eventually, openai, skipped, wait_calls,
};

fn fail(daemon: &Daemon, model: &str, times: usize) {
    for _ in 0..times {
        let reply = daemon.ask(&chat_with(&[model], "p"));
        assert_eq!(reply["ok"], false, "{reply}");
    }
}

/// Whether a moment like `2026-11-20T10:00:00.000Z` is written where one belongs.
fn is_moment(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z'))
}

#[test]
fn ping_tells_who_answers() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let first = client.ask_ok(&json!({ "id": "p", "op": "ping" }));
    assert_eq!(first["id"], "p");
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&first["protocol"], &first["pid"]), (&json!(1), &json!(daemon.pid())));
    let uptime = |reply: &Value| reply["uptime_ms"].as_u64().unwrap();
    let second = client.ask_ok(&json!({ "op": "ping" }));
    assert!(uptime(&second) >= uptime(&first));
}

#[test]
fn health_has_always_counted_what_was_just_answered() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    for calls in 1..=100 {
        client.ask_ok(&chat(calls, "p"));
        let health = client.ask_ok(&json!({ "op": "health" }));
        assert_eq!(health["models"]["m"]["total_calls"], calls);
    }
}

#[test]
fn health_shows_every_field_of_every_model() {
    let sim = openai();
    sim.set_for("bad", Behaviour::overloaded());
    let daemon = Setup::of(&sim, &["bad", "good", "fresh"]).toml(NO_RETRY).start();
    let reply = daemon.ask_ok(&chat_with(&["bad", "good"], "p"));
    assert_eq!(reply["model_used"], "good");
    let models = &daemon.ask_ok(&json!({ "op": "health" }))["models"];

    let bad = &models["bad"];
    assert_eq!((&bad["success_rate"], &bad["total_calls"]), (&json!(0.0), &json!(1)));
    assert_eq!((&bad["avg_latency_ms"], &bad["p50_ms"]), (&Value::Null, &Value::Null));
    let last = &bad["last_error"];
    assert_eq!((&last["error_type"], &last["status"]), (&json!("overloaded"), &json!(503)));
    assert!(is_moment(&last["at"]), "{last}");
    let breaker = &bad["breaker"];
    assert_eq!(
        (&breaker["state"], &breaker["consecutive_failures"]),
        (&json!("closed"), &json!(1))
    );

    let good = &models["good"];
    assert_eq!((&good["success_rate"], &good["total_calls"]), (&json!(1.0), &json!(1)));
    assert!(good["avg_latency_ms"].is_number() && good["p95_ms"].is_number(), "{good}");
    assert_eq!((&good["degraded"], &good["in_flight"]), (&json!(false), &json!(0)));
    assert!(is_moment(&good["breaker"]["since"]), "{good}");

    let fresh = &models["fresh"];
    assert_eq!((&fresh["success_rate"], &fresh["total_calls"]), (&json!(1.0), &json!(0)));
    assert_eq!((&fresh["last_error"], &fresh["avg_latency_ms"]), (&Value::Null, &Value::Null));
}

#[test]
fn health_can_look_back_over_another_window() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.ask_ok(&chat(1, "p"));
    let hour = client.ask_ok(&json!({ "op": "health", "window": "1h" }));
    assert_eq!(hour["models"]["m"]["total_calls"], 1);
    assert_eq!(hour["window_ms"], 3_600_000);
    // Time buckets are 10 s wide; a call has left a window of 1 s at the latest after both.
    eventually("the call has left the last second", || {
        let second = client.ask_ok(&json!({ "op": "health", "window": "1s" }));
        (second["models"]["m"]["total_calls"] == 0).then_some(())
    });
    let all = client.ask_ok(&json!({ "op": "health" }));
    assert_eq!(all["models"]["m"]["total_calls"], 1);
}

#[test]
fn health_shows_calls_under_way_and_how_the_recorder_is_doing() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send(&chat(1, "p"));
    wait_calls(&sim, 1);
    assert_eq!(daemon.health_of("m")["in_flight"], 1);
    sim.release();
    client.recv();
    assert_eq!(daemon.health_of("m")["in_flight"], 0);
    let recorder = &daemon.ask_ok(&json!({ "op": "health" }))["recorder"];
    assert_eq!((&recorder["store"], &recorder["dropped"]), (&json!("ok"), &json!(0)));
    assert_eq!(recorder["log_error"], Value::Null);
}

#[test]
fn chains_show_the_configured_order_and_the_one_of_this_moment() {
    let sim = openai();
    sim.set_for("a", Behaviour::server_error());
    let setup = Setup::of(&sim, &["a", "b", "c"]).toml(NO_RETRY);
    let daemon = setup.chain("code", &["a", "b"]).chain("default", &["c", "a"]).start();
    fail(&daemon, "a", 3);
    let chains = &daemon.ask_ok(&json!({ "op": "chains" }))["chains"];
    assert_eq!(chains["code"]["configured"], json!(["a", "b"]));
    assert_eq!(chains["code"]["order"], json!([{ "model": "b", "reason": "healthy" }]));
    let left_out = &chains["code"]["left_out"][0];
    assert_eq!((&left_out["model"], &left_out["reason"]), (&json!("a"), &json!("circuit_open")));
    assert!(left_out["retry_in_ms"].as_u64().unwrap() > 200_000, "{left_out}");
    assert_eq!(chains["default"]["configured"], json!(["c", "a"]));
}

#[test]
fn plan_answers_with_the_order_and_calls_nobody() {
    let sim = openai();
    let setup =
        Setup::of(&sim, &["a", "b"]).model("blind", "local", "supports = { images = false }");
    let daemon = setup.start();
    let image =
        json!([{ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }]);
    let plan = daemon.ask_ok(&json!({ "id": 1, "plan": true,
        "messages": [{ "role": "user", "content": image }] }));
    let order: Vec<&Value> =
        plan["order"].as_array().unwrap().iter().map(|place| &place["model"]).collect();
    assert_eq!(order, ["a", "b"], "{plan}");
    assert_eq!(plan["left_out"][0]["reason"], "incapable");
    assert_eq!(
        (&plan["id"], &plan["primary"], &plan["task"]),
        (&json!(1), &json!("a"), &json!("default"))
    );
    assert_eq!(sim.counts().calls, 0);
    assert!(daemon.logged("request").is_empty());
}

#[test]
fn an_order_by_hand_holds_until_it_is_taken_back() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    let mut client = daemon.client();
    let mut set = |order: Value| client.ask_ok(&order)["breaker"].clone();

    let forced = set(json!({ "op": "breaker", "model": "a", "set": "open" }));
    assert_eq!(forced["override"], json!({ "set": "open", "until": null }), "{forced}");
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "b");

    let forced = set(json!({ "op": "breaker", "model": "a", "set": "open", "for": "10m" }));
    assert!(is_moment(&forced["override"]["until"]), "{forced}");

    let free = set(json!({ "op": "breaker", "model": "a", "set": "auto" }));
    assert_eq!((&free["override"], &free["state"]), (&Value::Null, &json!("closed")));
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "a");
    assert_eq!(daemon.wait_logged("breaker", 3)[0]["override"], "open");
}

#[test]
fn a_circuit_forced_closed_lets_calls_through_whatever_they_bring() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).start();
    sim.set_for("a", Behaviour::server_error());
    daemon.ask_ok(&json!({ "op": "breaker", "model": "a", "set": "closed" }));
    // One more would make it degraded, and an order by hand says nothing about that.
    fail(&daemon, "a", 4);
    assert_eq!(sim.calls_for("a").len(), 4);
    sim.well();
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "a");
}

#[test]
fn an_order_with_a_time_ends_by_itself() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    daemon.ask_ok(&json!({ "op": "breaker", "model": "a", "set": "open", "for": "1s" }));
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["model_used"], "b");
    eventually("the order has ended", || {
        (daemon.ask_ok(&chat(1, "p"))["model_used"] == "a").then_some(())
    });
}

/// Sends one line as a user without any rights, through Python, and gives the reply.
fn as_nobody(daemon: &Daemon, line: &Value) -> Option<Output> {
    const SCRIPT: &str = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n\
        s.connect(sys.argv[1])\ns.sendall(sys.argv[2].encode() + b'\\n')\n\
        print(s.makefile().readline())";
    for folder in [daemon.setup.folder(), daemon.socket().parent().unwrap()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "/usr/bin/python3"])
        .args(["-c", SCRIPT])
        .arg(daemon.socket())
        .arg(line.to_string())
        .output();
    output.ok().filter(|output| output.status.success())
}

#[test]
fn only_those_who_may_can_set_circuits() {
    let test = "only_those_who_may_can_set_circuits";
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return skipped(test, "only root can become another user");
    }
    let sim = openai();
    let order = json!({ "id": 1, "op": "breaker", "model": "m", "set": "open" });
    let open_to_all = "socket_mode = \"0666\"\n";
    let rows = [
        ("", Some("forbidden")),
        ("admin_uids = [65534]", None),
        ("admin_gids = [65534]", None),
        ("admin_uids = [1]\nadmin_gids = [1]", Some("forbidden")),
    ];
    for (admins, refused) in rows {
        let daemon = Setup::of(&sim, &["m"]).daemon(&format!("{open_to_all}{admins}")).start();
        let Some(output) = as_nobody(&daemon, &order) else {
            return skipped(test, "no setpriv, or no /usr/bin/python3");
        };
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(code(&reply), refused.unwrap_or_default(), "{admins}: {reply}");
        let state = &daemon.health_of("m")["breaker"]["override"];
        assert_eq!(state.is_null(), refused.is_some(), "{admins}: {state}");
        assert!(daemon.stderr().contains("65534"), "the order is not told with its user");
        if refused.is_none() {
            assert_eq!(daemon.wait_logged("breaker", 1)[0]["peer_uid"], 65534);
        }
        let asked = as_nobody(&daemon, &json!({ "op": "health" })).unwrap();
        let reply: Value = serde_json::from_slice(&asked.stdout).unwrap();
        assert_eq!(reply["ok"], true, "everybody who may connect may look");
    }
}

#[test]
fn an_operation_that_does_not_exist_is_named_with_those_that_do() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    for op in ["reload", "why", "costs", "Chat", ""] {
        let reply = daemon.ask(&json!({ "id": 1, "op": op }));
        assert_eq!((code(&reply), &reply["id"]), ("unknown_op", &json!(1)), "{op}");
        assert!(reply["error"]["message"].as_str().unwrap().contains("breaker"), "{reply}");
    }
}
