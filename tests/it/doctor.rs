//! `fallbackctl doctor`: a healthy daemon is healthy, and each thing that is broken is named.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use fallbackd::sim::Behaviour;
use serde_json::Value;

use super::harness::{Daemon, KEY, NO_RETRY, Setup, chat, openai};

/// The doctor's exit code and its findings, by check: those that are not ok.
struct Visit {
    code: Option<i32>,
    findings: Vec<Value>,
    text: String,
}

impl Visit {
    fn to(setup: &Setup) -> Visit {
        let doctor = |words: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
                .env_clear()
                .env("TEST_KEY", KEY)
                .arg("--config")
                .arg(setup.config())
                .arg("doctor")
                .args(words)
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        let (code, json) = doctor(&["--json"]);
        let (again, text) = doctor(&[]);
        assert_eq!(code, again);
        assert!(!json.contains(KEY) && !text.contains(KEY), "a key in the output");
        let report: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["ok"], code == Some(0));
        Visit { code, findings: report["findings"].as_array().unwrap().clone(), text }
    }

    fn states(&self, check: &str) -> Vec<&str> {
        let of = |found: &&Value| found["check"] == check;
        self.findings.iter().filter(of).map(|found| found["state"].as_str().unwrap()).collect()
    }

    /// The one finding of a check that is not as it should be; it says what to do.
    fn trouble(&self, check: &str) -> String {
        let bad = |found: &&Value| {
            found["check"] == check && (found["state"] == "wrong" || found["state"] == "warning")
        };
        let found: Vec<&Value> = self.findings.iter().filter(bad).collect();
        assert_eq!(found.len(), 1, "{check}: {:?}", self.findings);
        assert!(found[0]["todo"].as_str().is_some_and(|todo| !todo.is_empty()));
        found[0]["finding"].as_str().unwrap().to_owned()
    }
}

fn healthy() -> (fallbackd::sim::Background, Daemon) {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).start();
    (sim, daemon)
}

#[test]
fn nothing_is_wrong_with_a_healthy_daemon_and_nobody_is_called_for_it() {
    let (sim, daemon) = healthy();
    let visit = Visit::to(&daemon.setup);
    assert_eq!(visit.code, Some(0), "{}", visit.text);
    for check in ["socket", "config", "daemon", "keys", "circuits", "recorder", "log", "network"] {
        assert_eq!(visit.states(check), ["ok"], "{check}: {}", visit.text);
    }
    assert_eq!(visit.states("disk"), ["ok"; 2]);
    assert!(!visit.states("unit").is_empty() && !visit.states("clock").is_empty());
    assert!(visit.text.contains("nothing is wrong"), "{}", visit.text);
    let billed = sim.calls().into_iter().filter(|call| !call.body.is_null());
    assert_eq!(billed.count(), 0, "a look is no call");
}

#[test]
fn an_ended_daemon_leaves_a_socket_that_is_named_as_left_over() {
    let (_sim, daemon) = healthy();
    let ended = daemon.kill();
    let visit = Visit::to(&ended.setup);
    assert_eq!(visit.code, Some(1));
    assert!(visit.trouble("socket").contains("left over"), "{}", visit.text);
    assert_eq!(visit.states("daemon"), ["skipped"]);
    fs::remove_file(ended.setup.socket()).unwrap();
    assert!(Visit::to(&ended.setup).trouble("socket").contains("no daemon runs there"));
}

#[test]
fn open_circuits_missing_keys_and_dead_addresses_are_named() {
    let sim = openai();
    sim.set_for("a", Behaviour::auth());
    // A port that nobody listens on any more.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keyless = format!(
        "[providers.gone]\nkind = \"openai\"\nbase_url = \"http://{dead}/v1\"\n\
         api_key = {{ env = \"NO_SUCH_KEY\" }}"
    );
    let setup = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).toml(&keyless);
    let daemon = setup.model("c", "gone", "").start();
    daemon.ask_ok(&chat(1, "p"));
    fs::set_permissions(daemon.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let visit = Visit::to(&daemon.setup);
    assert_eq!(visit.code, Some(1), "{}", visit.text);
    assert!(visit.trouble("circuits").starts_with("a: open"), "{}", visit.text);
    assert!(visit.trouble("keys").contains("NO_SUCH_KEY"), "{}", visit.text);
    assert!(visit.trouble("network").contains("cannot connect"), "{}", visit.text);
    assert!(visit.trouble("socket").contains("everybody"), "{}", visit.text);
}

#[test]
fn every_mistake_of_the_configuration_is_a_finding_with_its_place() {
    let (_sim, daemon) = healthy();
    let text = fs::read_to_string(daemon.setup.config()).unwrap();
    fs::write(daemon.setup.config(), text + "[retyr]\nmax = 1\n[health]\nwindow = \"soon\"\n")
        .unwrap();
    let visit = Visit::to(&daemon.setup);
    assert_eq!(visit.code, Some(1));
    assert_eq!(visit.states("config"), ["wrong", "wrong"], "{}", visit.text);
    assert!(visit.text.contains("retyr") && visit.text.contains("fallbackd.toml:"));
    assert_eq!(visit.states("network"), ["skipped"], "and what cannot be looked at is said");
}
