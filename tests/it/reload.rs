//! Reading the configuration again: whole or not at all, and nothing that stays is forgotten.

use std::process::{Command, Output};

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{
    Daemon, NO_RETRY, Setup, chat_with, code, eventually, exit_code, fallbackd, openai, wait_calls,
};

fn reload(daemon: &Daemon) -> Value {
    daemon.ask(&json!({ "id": 1, "op": "reload" }))
}

/// Changes the configuration file of a running daemon.
fn edit(daemon: &Daemon, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(daemon.setup.config()).unwrap();
    std::fs::write(daemon.setup.config(), change(text)).unwrap();
}

fn fallbackctl(daemon: &Daemon, verb: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackctl"));
    command.arg("--socket").arg(daemon.socket()).arg(verb).output().unwrap()
}

#[test]
fn a_model_that_stays_keeps_its_circuit_and_window_under_new_settings() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).start();
    sim.set_for("a", Behaviour::server_error());
    (0..3).for_each(|_| drop(daemon.ask(&chat_with(&["a"], "p"))));
    let before = daemon.health_of("a");
    assert_eq!(before["breaker"]["state"], "open");
    edit(&daemon, |text| {
        let text = text.replace("[models.b]", "[models.c]").replace("\"b\"", "\"c\"");
        text.replace("model_id = \"a\"", "model_id = \"a\"\nmax_in_flight = 7")
    });
    let reply = reload(&daemon);
    assert_eq!(reply["models"], json!({ "kept": 1, "added": ["c"], "removed": ["b"] }), "{reply}");
    let after = daemon.health_of("a");
    assert_eq!(after["breaker"], before["breaker"]);
    assert_eq!(after["total_calls"], before["total_calls"]);
    assert_eq!(code(&daemon.ask(&chat_with(&["b"], "p"))), "unknown_model");
    assert_eq!(daemon.ask_ok(&chat_with(&["c"], "p"))["model_used"], "c");
    let told = daemon.wait_logged("config", 1);
    assert_eq!((&told[0]["success"], &told[0]["added"]), (&json!(true), &json!(["c"])));
}

#[test]
fn a_removed_model_finishes_its_running_calls() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    sim.set_for("b", Behaviour::Held);
    let mut client = daemon.client();
    client.send(&chat_with(&["b"], "still there?"));
    wait_calls(&sim, 1);
    edit(&daemon, |text| text.replace("[models.b]", "[models.c]"));
    assert_eq!(reload(&daemon)["ok"], true);
    sim.release();
    assert_eq!(client.recv()["content"], "[b] still there?");
}

#[test]
fn a_bad_file_changes_nothing_and_comes_back_as_the_mistakes_of_check() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).start();
    edit(&daemon, |text| text.replace("[models.a]", "[models.z]\nprize = 3") + "\nx = [\"y\"]\n");
    let reply = reload(&daemon);
    assert_eq!(reply["ok"], false, "{reply}");
    let mistakes: Vec<&str> =
        reply["error"]["mistakes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    let checked = fallbackd(&daemon.setup).arg("--check").output().unwrap();
    let report = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(exit_code(&Output { stdout: Vec::new(), ..checked }), 78);
    mistakes.iter().for_each(|mistake| assert!(report.contains(mistake), "{mistake}\n{report}"));
    assert_eq!(daemon.ask_ok(&chat_with(&["a"], "p"))["model_used"], "a");
    let typed = fallbackctl(&daemon, "reload");
    assert_eq!(exit_code(&typed), 78);
    let told = String::from_utf8(typed.stderr).unwrap();
    mistakes.iter().for_each(|mistake| assert!(told.contains(mistake), "{mistake}\n{told}"));
}

#[test]
fn a_hangup_signal_reloads_too() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).start();
    edit(&daemon, |text| text.replace("[models.a]", "[models.z]"));
    daemon.signal("HUP");
    daemon.wait_logged("config", 1);
    assert_eq!(daemon.ask_ok(&chat_with(&["z"], "p"))["model_used"], "z");
}

#[test]
fn a_new_key_ends_an_opening_that_waited_for_a_person() {
    let sim = openai();
    sim.require_key("good-key-of-the-tests");
    let setup = Setup::new().toml(NO_RETRY);
    let key = setup.folder().join("key");
    std::fs::write(&key, "revoked-key-of-the-tests").unwrap();
    let url = sim.base_url();
    let daemon = setup
        .toml(&format!(
            "[providers.local]\nkind = \"openai\"\nbase_url = \"{url}\"\napi_key = {{ file = {key:?} }}"
        ))
        .model("a", "local", "")
        .start();
    daemon.ask(&chat_with(&["a"], "p"));
    let blocked = daemon.health_of("a")["breaker"].clone();
    assert_eq!((&blocked["state"], &blocked["reason"]), (&json!("open"), &json!("auth")));
    assert_eq!(reload(&daemon)["ok"], true);
    assert_eq!(daemon.health_of("a")["breaker"], blocked, "nothing was put right");
    std::fs::write(&key, "good-key-of-the-tests").unwrap();
    assert_eq!(reload(&daemon)["ok"], true);
    eventually("the model answers", || {
        let reply = daemon.ask(&chat_with(&["a"], "p"));
        (reply["ok"] == true).then_some(())
    });
}

#[test]
fn what_waits_for_a_restart_is_named() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).start();
    edit(&daemon, |text| text.replace("/log/health.jsonl", "/log/other.jsonl"));
    let reply = reload(&daemon);
    assert_eq!(reply["needs_restart"], json!(["daemon.health_log"]), "{reply}");
    let typed = String::from_utf8(fallbackctl(&daemon, "reload").stdout).unwrap();
    assert!(typed.contains("1 models kept") || typed.contains("kept their state"), "{typed}");
}

#[test]
fn how_much_of_the_log_is_kept_changes_too() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).toml("[log]\nmax_size = \"64MiB\"\nkeep = 8\n").start();
    edit(&daemon, |text| text.replace("\"64MiB\"", "\"64KiB\"").replace("keep = 8", "keep = 2"));
    assert_eq!(reload(&daemon)["ok"], true);
    let rotated = |number: u32| {
        let mut path = daemon.setup.log().into_os_string();
        path.push(format!(".{number}"));
        std::path::PathBuf::from(path)
    };
    let mut client = daemon.client();
    eventually("two rotated files", || {
        (0..50).for_each(|_| drop(client.ask_ok(&chat_with(&["a"], "p"))));
        rotated(2).exists().then_some(())
    });
    (0..300).for_each(|_| drop(client.ask_ok(&chat_with(&["a"], "p"))));
    assert!(!rotated(3).exists());
}

#[test]
fn a_file_that_blocks_holds_up_its_reload_and_nobody_else() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).start();
    let pipe = daemon.setup.config().with_file_name("answer.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    edit(&daemon, |text| {
        format!(
            "{text}\n[chains.t]\nmodels = [\"a\"]\naccept = {{ json_schema = \"answer.json\" }}"
        )
    });
    let mut waiting = daemon.client();
    waiting.send(&json!({ "id": 1, "op": "reload" }));
    assert_eq!(daemon.ask_ok(&chat_with(&["a"], "p"))["model_used"], "a");
    // The other end is opened only now, so the reload did wait.
    std::fs::write(&pipe, "{}").unwrap();
    assert_eq!(waiting.recv()["ok"], true);
}
