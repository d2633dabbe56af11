//! What people type: `fallbackctl` against the real daemon, and the daemon's own exit codes.
//!
//! How replies are shown is tested beside the command; here it is about the two programs
//! understanding each other.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{
    Daemon, NO_RETRY, Setup, eventually, exit_code, fallbackd, openai, wait_calls,
};

fn ctl(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackctl"));
    command.env_clear().env("FALLBACKD_SOCKET", socket).stdin(Stdio::null());
    command
}

fn run(daemon: &Daemon, words: &[&str]) -> Output {
    ctl(&daemon.socket()).args(words).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn notes(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json_of(daemon: &Daemon, words: &[&str]) -> Value {
    let output = run(daemon, words);
    assert_eq!(exit_code(&output), 0, "{words:?}: {}", notes(&output));
    assert_eq!(out(&output).lines().count(), 1);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn ask_prints_the_answer_whether_the_prompt_is_an_argument_or_input() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).chain("code", &["m"]).start();
    let output = run(&daemon, &["ask", "--task", "code", "--system", "Be short", "A river?"]);
    assert_eq!((exit_code(&output), out(&output).as_str()), (0, "[m] A river?\n"));
    let sent = sim.calls().remove(0).body;
    assert_eq!(sent["messages"][0], json!({ "role": "system", "content": "Be short" }));

    let mut child = ctl(&daemon.socket())
        .arg("ask")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all("Zürich?".as_bytes()).unwrap();
    assert_eq!(out(&child.wait_with_output().unwrap()), "[m] Zürich?\n");
}

#[test]
fn json_gives_the_reply_of_the_daemon_for_every_verb() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).chain("code", &["b", "a"]).start();
    let reply = json_of(&daemon, &["ask", "--json", "--model", "b", "A river?"]);
    assert_eq!((&reply["ok"], &reply["model_used"]), (&json!(true), &json!("b")));
    assert_eq!(json_of(&daemon, &["ping", "--json"])["pid"], daemon.pid());
    let health = json_of(&daemon, &["health", "--json", "--window", "1h"]);
    assert_eq!(health["models"]["b"]["total_calls"], 1);
    let chains = json_of(&daemon, &["chains", "--json"]);
    assert_eq!(chains["chains"]["code"]["configured"], json!(["b", "a"]));
    let set = json_of(&daemon, &["breaker", "--json", "a", "open", "--for", "10m"]);
    assert_eq!(set["breaker"]["override"]["set"], "open");
}

#[test]
fn tables_show_the_state_of_an_outage() {
    let sim = openai();
    sim.set_for("first", Behaviour::server_error());
    let daemon = Setup::of(&sim, &["first", "second"]).toml(NO_RETRY).start();
    for _ in 0..4 {
        let output = run(&daemon, &["ask", "-v", "A river?"]);
        assert_eq!(out(&output), "[second] A river?\n");
        assert!(notes(&output).contains("first"), "{}", notes(&output));
    }
    let health = out(&run(&daemon, &["health"]));
    assert!(health.contains("first") && health.contains("open"), "{health}");
    let chains = out(&run(&daemon, &["chains"]));
    assert!(chains.contains("default") && chains.contains("circuit"), "{chains}");
    let ping = out(&run(&daemon, &["ping"]));
    assert!(ping.contains(&daemon.pid().to_string()), "{ping}");
    for text in [health, chains, ping] {
        assert!(!text.contains('\u{1b}'), "colours only on a terminal: {text:?}");
    }
}

#[test]
fn breaker_sets_and_frees_a_circuit() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).start();
    assert_eq!(exit_code(&run(&daemon, &["breaker", "a", "open", "--for", "10m"])), 0);
    assert_eq!(out(&run(&daemon, &["ask", "p"])), "[b] p\n");
    assert_eq!(exit_code(&run(&daemon, &["breaker", "a", "auto"])), 0);
    assert_eq!(out(&run(&daemon, &["ask", "p"])), "[a] p\n");
}

#[test]
fn tail_shows_calls_as_they_happen_until_the_daemon_ends() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let path = daemon.setup.folder().join("tail.out");
    let follow = |words: &[&str]| {
        ctl(&daemon.socket()).args(words).stdout(File::create(&path).unwrap()).spawn().unwrap()
    };
    let shown = || {
        eventually("tail shows a call", || {
            run(&daemon, &["ask", "p"]);
            Some(fs::read_to_string(&path).unwrap()).filter(|text| text.contains('\n'))
        })
    };
    let mut child = follow(&["tail", "--json", "call"]);
    let text = shown();
    child.kill().unwrap();
    child.wait().unwrap();
    let event: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&event["log"]["event"], &event["log"]["model_name"]),
        (&json!("call"), &json!("m"))
    );

    let mut child = follow(&["tail", "call"]);
    let text = shown();
    assert!(text.contains("call") && text.contains('m'), "{text}");
    daemon.terminate();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn exit_codes_say_whether_to_try_again() {
    let sim = openai();
    sim.set(Behaviour::server_error());
    let rules = "[breaker]\nfailures = 1\nwhen_all_open = \"fail\"\n";
    let daemon = Setup::of(&sim, &["m"]).toml(NO_RETRY).toml(rules).start();
    let failed = run(&daemon, &["ask", "p"]);
    assert_eq!(exit_code(&failed), 1, "all_models_failed: {}", notes(&failed));
    assert!(notes(&failed).contains("all_models_failed"));
    let later = run(&daemon, &["ask", "p"]);
    assert_eq!(exit_code(&later), 75, "no_model_available: {}", notes(&later));
    assert!(notes(&later).contains("try again in"), "{}", notes(&later));
    assert_eq!(exit_code(&run(&daemon, &["ask", "--json", "p"])), 75);
    assert_eq!(exit_code(&run(&daemon, &["breaker", "nobody", "open"])), 1);
    assert_eq!(exit_code(&run(&daemon, &["ask", "--temperature", "9", "p"])), 2);
    assert_eq!(exit_code(&run(&daemon, &["tail", "weather"])), 2);

    let ended = daemon.terminate();
    let gone = ctl(&ended.setup.socket()).arg("ping").output().unwrap();
    assert_eq!(exit_code(&gone), 69);
    assert!(notes(&gone).contains("hint:"), "{}", notes(&gone));
}

#[test]
fn the_limits_of_the_daemon_are_a_reason_to_try_again() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).toml("[limits]\nin_flight = 1\n").start();
    let mut running =
        ctl(&daemon.socket()).args(["ask", "p"]).stdout(Stdio::null()).spawn().unwrap();
    wait_calls(&sim, 1);
    let refused = run(&daemon, &["ask", "p"]);
    assert_eq!(exit_code(&refused), 75, "{}", notes(&refused));
    sim.release();
    assert!(running.wait().unwrap().success());
}

#[test]
fn the_command_finds_the_socket_in_the_configuration() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let output = Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
        .env_clear()
        .arg("--config")
        .arg(daemon.setup.config())
        .args(["ask", "p"])
        .output()
        .unwrap();
    assert_eq!(out(&output), "[m] p\n", "{}", notes(&output));
}

#[test]
fn a_configuration_that_is_right_checks_with_0() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]);
    setup.write();
    let output = fallbackd(&setup).arg("--check").output().unwrap();
    assert_eq!(exit_code(&output), 0, "{}", out(&output));
    assert!(!setup.socket().exists() && !setup.log().exists(), "checking starts nothing");
}

#[test]
fn a_configuration_that_is_wrong_ends_with_78_and_every_mistake() {
    let sim = openai();
    let wrong = "[breaker]\nfailure_rate = 1.5\nfailuers = 3\n[retry]\nbase = \"soon\"\n";
    let setup = Setup::of(&sim, &["m"]).toml(wrong).chain("code", &["m", "nobody"]);
    setup.write();
    let checked = fallbackd(&setup).arg("--check").output().unwrap();
    let started = fallbackd(&setup).output().unwrap();
    for (output, text) in [(&checked, out(&checked)), (&started, notes(&started))] {
        assert_eq!(exit_code(output), 78, "{text}");
        for name in ["failure_rate", "failuers", "base", "nobody", "fallbackd.toml:"] {
            assert!(text.contains(name), "{name} is missing: {text}");
        }
    }
    let nowhere = Command::new(env!("CARGO_BIN_EXE_fallbackd"))
        .env_clear()
        .args(["--config", "/no/such/file.toml"])
        .output()
        .unwrap();
    assert_eq!(exit_code(&nowhere), 78, "{}", notes(&nowhere));
}

#[test]
fn without_a_usable_key_it_serves_and_says_what_is_missing() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]).env("TEST_KEY", "");
    let daemon = setup.start();
    let reply = daemon.ask(&super::harness::chat(1, "p"));
    assert_eq!(reply["error"]["code"], "no_model_available", "{reply}");
    assert_eq!(reply["error"]["retry_after_ms"], Value::Null);
    assert_eq!(reply["attempts"][0]["reason"], "misconfigured");
    assert!(daemon.health_of("m")["misconfigured"].as_str().unwrap().contains("TEST_KEY"));
    assert!(daemon.stderr().contains("TEST_KEY"), "no warning was given");
    assert_eq!(exit_code(&run(&daemon, &["ask", "p"])), 75);
}
