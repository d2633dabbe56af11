//! A machine that runs out of things: the daemon goes on serving, and says what is wrong.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{
    Client, Setup, chat, code, eventually, fallbackd, openai, skipped, wait_calls,
};

#[test]
fn clients_beyond_the_last_descriptor_wait_and_are_served_later() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    daemon.ask_ok(&chat(1, "p"));
    let pid = daemon.pid().to_string();
    let limited = Command::new("prlimit").args(["--nofile=48:48", "--pid", &pid]).status();
    if !limited.is_ok_and(|status| status.success()) {
        let test = "clients_beyond_the_last_descriptor_wait_and_are_served_later";
        return skipped(test, "no prlimit");
    }
    let mut clients: Vec<Client> = (0..100).map(|_| daemon.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(&json!({ "id": at, "op": "ping" }));
    }
    eventually("the daemon has none left", || {
        daemon.stderr().contains("cannot accept a connection").then_some(())
    });
    // Each that leaves makes room for one that waits.
    for (at, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.recv()["id"], at);
    }
    eventually("calls work again", || {
        let reply = daemon.ask(&chat(1, "p"));
        (reply["ok"] == true).then_some(())
    });
    let breaker = &daemon.health_of("m")["breaker"];
    assert_eq!(breaker["state"], "closed", "our own lack is nobody else's failure: {breaker}");
}

#[test]
fn clients_for_whom_no_descriptor_comes_free_are_told_so() {
    let daemon = Setup::of(&openai(), &["m"]).start();
    let mut first = daemon.client();
    let pid = daemon.pid().to_string();
    let limited = Command::new("prlimit").args(["--nofile=48:48", "--pid", &pid]).status();
    if !limited.is_ok_and(|status| status.success()) {
        return skipped("clients_for_whom_no_descriptor_comes_free_are_told_so", "no prlimit");
    }
    let mut clients: Vec<Client> = (0..50).map(|_| daemon.client()).collect();
    let mut last = clients.pop().unwrap();
    let told = last.recv();
    assert_eq!(code(&told), "overloaded");
    assert!(told["error"]["message"].as_str().unwrap().contains("descriptors"), "{told}");
    last.expect_end();
    assert_eq!(first.ask(&json!({ "op": "ping" }))["ok"], true, "who is in stays in");
    drop(clients);
    daemon.ask_ok(&json!({ "op": "ping" }));
}

#[test]
fn a_standard_error_that_nobody_reads_any_more_stops_nobody() {
    let sim = openai();
    sim.set_for("a", Behaviour::auth());
    let setup = Setup::of(&sim, &["a", "b"]);
    setup.write();
    let mut child = Killed(fallbackd(&setup).stderr(Stdio::piped()).spawn().unwrap());
    let mut stderr = child.0.stderr.take().unwrap();
    stderr.read_exact(&mut [0]).unwrap();
    drop(stderr);
    let mut client = eventually("the daemon serves", || {
        let connected = std::os::unix::net::UnixStream::connect(setup.socket());
        connected.is_ok().then(|| Client::connect(&setup.socket()))
    });
    // The circuit that opens here would be told on standard error.
    let reply = client.ask_ok(&chat(1, "p"));
    assert_eq!(reply["model_used"], "b");
    client.ask_ok(&chat(2, "p"));
}

/// A process that ends with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_usable_state_folder_it_serves_and_says_so() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]);
    fs::write(setup.folder().join("state"), "a file where a folder should be").unwrap();
    let daemon = setup.start();
    daemon.ask_ok(&chat(1, "p"));
    let recorder = daemon.ask_ok(&json!({ "op": "health" }))["recorder"].clone();
    assert_eq!(recorder["store"], "absent", "{recorder}");
    assert!(recorder["store_error"].is_string(), "{recorder}");
    assert!(daemon.stderr().contains("state"), "nothing was said");
    assert_eq!(daemon.wait_logged("request", 1).len(), 1);
}

#[test]
fn a_damaged_database_is_put_aside_and_the_daemon_starts_afresh() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    daemon.ask_ok(&chat(1, "p"));
    let ended = daemon.terminate();
    let state = ended.setup.folder().join("state");
    let damaged = spoil(&state);
    assert!(damaged > 0, "no file of the database was found");
    let daemon = ended.restart();
    daemon.ask_ok(&chat(2, "p"));
    let recorder = daemon.ask_ok(&json!({ "op": "health" }))["recorder"].clone();
    assert_eq!(recorder["store"], "ok", "{recorder}");
    let aside = &recorder["store_put_aside"];
    assert!(aside.is_string() || daemon.health_of("m")["total_calls"] == 2, "{recorder}");
    assert_ne!(daemon.health_of("m")["total_calls"], Value::Null);
}

/// Overwrites every file below a folder with nonsense of the same length.
fn spoil(folder: &std::path::Path) -> usize {
    let mut spoiled = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoiled += spoil(&path);
        } else {
            let length = fs::metadata(&path).unwrap().len() as usize;
            fs::write(&path, b"\xa5\x5a\x00\xff".repeat(length / 4 + 1)).unwrap();
            spoiled += 1;
        }
    }
    spoiled
}

#[test]
fn a_provider_that_is_gone_and_comes_back_is_found_again() {
    let sim = openai();
    let rules = "[retry]\nmax = 0\n[breaker]\nopen_for = \"1s\"\nfailures = 1\n";
    let daemon = Setup::of(&sim, &["m"]).toml(rules).start();
    daemon.ask_ok(&chat(1, "p"));
    sim.down().unwrap();
    assert_eq!(daemon.ask(&chat(2, "p"))["ok"], false);
    sim.up().unwrap();
    eventually("it answers again", || (daemon.ask(&chat(3, "p"))["ok"] == true).then_some(()));
    wait_calls(&sim, 2);
    assert_eq!(daemon.health_of("m")["breaker"]["state"], "closed");
}
