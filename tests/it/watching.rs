//! `fallbackctl tail` and `health --watch`: a person who looks on while things happen.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use fallbackd::sim::Behaviour;
use serde_json::Value;

use super::harness::{Daemon, NO_RETRY, Setup, chat, chat_with, code, eventually, openai, skipped};

fn ctl(daemon: &Daemon, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackctl"));
    command.env_clear().env("FALLBACKD_SOCKET", daemon.socket()).stdin(Stdio::null()).args(words);
    command
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A command that goes on, and the file it writes to.
struct Looking {
    child: Child,
    path: PathBuf,
}

impl Looking {
    fn on(daemon: &Daemon, words: &[&str]) -> Looking {
        let path = daemon.setup.folder().join(format!("{}.out", words.join("_")));
        let child = ctl(daemon, words).stdout(File::create(&path).unwrap()).spawn().unwrap();
        Looking { child, path }
    }

    /// The lines it has shown so far.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The request ids of shown lines, in order.
fn shown(looking: &Looking) -> Vec<String> {
    let id = |line: String| {
        let value: Value = serde_json::from_str(&line).unwrap();
        value["log"]["request_id"].as_str().unwrap().to_owned()
    };
    looking.lines().into_iter().map(id).collect()
}

/// The request ids in the log and in all files it was rotated to, in order.
fn logged(daemon: &Daemon) -> (usize, Vec<String>) {
    let log = daemon.setup.log();
    let files = fs::read_dir(log.parent().unwrap()).unwrap().count();
    let rotated = (1..files).rev().map(|n| log.with_extension(format!("jsonl.{n}")));
    let text: String =
        rotated.chain([log.clone()]).map(|path| fs::read_to_string(path).unwrap()).collect();
    let ids = text.lines().filter_map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["event"] == "request").then(|| event["request_id"].as_str().unwrap().to_owned())
    });
    (files - 1, ids.collect())
}

#[test]
fn tail_shows_every_request_once_and_in_order_across_many_rotations() {
    let sim = openai();
    let log = "[log]\nmax_size = \"4KiB\"\nkeep = 500\n";
    let daemon = Setup::of(&sim, &["m"]).toml(log).start();
    let mut client = daemon.client();
    // A request that fails at once is the cheapest there is.
    let mut ask = |requests: usize| {
        for _ in 0..requests {
            assert_eq!(code(&client.ask(&chat_with(&["nobody"], "p"))), "unknown_model");
        }
    };
    ask(200);
    let past = Looking::on(&daemon, &["tail", "--json", "--since", "1h", "--event", "request"]);
    let present = Looking::on(&daemon, &["tail", "--json", "request"]);
    eventually("tail reads the log", || (!past.lines().is_empty()).then_some(()));
    eventually("tail hears the socket", || {
        daemon.ask(&chat_with(&["nobody"], "p"));
        (!present.lines().is_empty()).then_some(())
    });
    ask(400);
    let last = daemon.ask_ok(&chat(1, "the last one"))["request_id"].as_str().unwrap().to_owned();
    let until_the_last = |looking: &Looking| {
        eventually("the last request", || Some(shown(looking)).filter(|ids| ids.contains(&last)))
    };
    let (past, present) = (until_the_last(&past), until_the_last(&present));
    let (rotations, logged) = logged(&daemon);
    assert!(rotations >= 20, "{rotations} rotations show little");
    assert_eq!(past, logged);
    assert!(present.len() > 400, "{}", present.len());
    assert_eq!(present, logged[logged.len() - present.len()..]);
}

#[test]
fn tail_since_outlives_a_restart_and_needs_no_daemon() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let first = daemon.ask_ok(&chat(1, "p"))["request_id"].clone();
    let looking = Looking::on(&daemon, &["tail", "--json", "--since", "1h", "request"]);
    eventually("the first request", || Some(shown(&looking)).filter(|ids| ids.len() == 1));
    let daemon = daemon.kill().restart();
    let second = daemon.ask_ok(&chat(2, "p"))["request_id"].clone();
    let ids = eventually("both", || Some(shown(&looking)).filter(|ids| ids.len() == 2));
    assert_eq!((&first, &second), (&ids[0].clone().into(), &ids[1].clone().into()));

    let ended = daemon.terminate();
    let output = Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
        .env_clear()
        .arg("--config")
        .arg(ended.setup.config())
        .env("TEST_KEY", "k")
        .args(["tail", "--since", "1h", "--no-follow", "--event", "request,stop"])
        .output()
        .unwrap();
    assert_eq!(out(&output).lines().count(), 3, "{}", out(&output));
    assert!(out(&output).ends_with(", 0 requests unanswered\n"), "{}", out(&output));
}

#[test]
fn tail_filters_by_model_task_kind_and_outcome() {
    let sim = openai();
    sim.set_for("a", Behaviour::server_error());
    let setup = Setup::of(&sim, &["a", "b"]).toml(NO_RETRY).chain("code", &["a", "b"]);
    let daemon = setup.chain("chat", &["b"]).start();
    for task in ["code", "chat", "code"] {
        let mut request = chat(1, "p");
        request["task"] = task.into();
        daemon.ask_ok(&request);
    }
    let lines = |words: &[&str]| {
        let past = ["tail", "--since", "1h", "--no-follow"];
        let output = ctl(&daemon, &past).args(words).output().unwrap();
        out(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&["--event", "call"]).len(), 5);
    assert_eq!(lines(&["--event", "call", "--model", "a"]).len(), 2);
    assert_eq!(lines(&["--event", "call", "--task", "chat"]).len(), 1);
    assert_eq!(lines(&["--failed"]), lines(&["--event", "call", "--model", "a"]));
    assert!(lines(&["--failed"])[0].contains("a failed in"), "{:?}", lines(&["--failed"]));
    assert!(lines(&["--model", "nobody"]).is_empty());

    let none = daemon.setup.folder().join("none.jsonl");
    let missing = ctl(&daemon, &["tail", "--since", "1h", "--log"]).arg(&none).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.contains("none.jsonl") && said.contains("hint: "), "{said}");
}

#[test]
fn health_watch_shows_one_object_per_look_in_a_pipe_and_tables_without_json() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let objects = Looking::on(&daemon, &["health", "--json", "--watch", "0.05", "--window", "1h"]);
    let lines = eventually("three looks", || Some(objects.lines()).filter(|l| l.len() >= 3));
    for line in lines {
        let health: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(health["window_ms"], 3_600_000);
    }
    let tables = Looking::on(&daemon, &["health", "--watch", "0.05"]);
    eventually("three tables", || {
        let headings = tables.lines().iter().filter(|line| line.starts_with("MODEL")).count();
        (headings >= 3).then_some(())
    });
}

#[test]
fn health_watch_leaves_the_terminal_as_it_was() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let path = daemon.setup.folder().join("screen");
    let line = format!("exec {} health --watch 0.1", env!("CARGO_BIN_EXE_fallbackctl"));
    let script = Command::new("script")
        .args(["-qfec", &line, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("TERM", "xterm")
        .env("FALLBACKD_SOCKET", daemon.socket())
        .stdin(Stdio::piped())
        .stdout(File::create(&path).unwrap())
        .spawn();
    let Ok(mut script) = script else {
        return skipped("health_watch_leaves_the_terminal_as_it_was", "no `script` here");
    };
    let screen = || fs::read_to_string(&path).unwrap_or_default();
    eventually("three looks", || (screen().matches("\x1b[H\x1b[J").count() >= 3).then_some(()));
    let (socket, config) = (daemon.socket(), daemon.setup.config());
    let ended = daemon.terminate();
    eventually("its end is told", || screen().contains("waiting for it").then_some(()));
    assert!(!socket.exists() && config.exists());
    let daemon = ended.restart();
    let looks = screen().matches("MODEL").count();
    eventually("it is back", || (screen().matches("MODEL").count() > looks).then_some(()));
    script.stdin.take().unwrap().write_all(b"\x03").unwrap();
    let status = script.wait().unwrap();
    assert!(status.success(), "{status}: Ctrl-C is how one ends it: {:?}", screen());
    let all = screen();
    assert!(all.starts_with("\x1b[?1049h\x1b[?25l"), "{all:?}");
    assert!(all.trim_end().ends_with("\x1b[?25h\x1b[?1049l"), "{all:?}");
    drop(daemon);
}
