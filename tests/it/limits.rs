//! The limits of the socket: who meets one is told, and everybody else goes on.
//!
//! Each test makes its limit small, so that reaching it is cheap. The two limits that are times
//! have a file of their own.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use fallbackd::sim::Behaviour;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::harness::{Client, Daemon, Setup, chat, code, eventually, openai, wait_calls};

/// A connection that has a place for sure: those before it may still be on their way out.
fn connected(daemon: &Daemon) -> Client {
    eventually("a free place", || {
        let mut client = daemon.client();
        let reply = client.try_ask(&json!({ "op": "ping" }));
        reply.filter(|reply| reply["ok"] == true).map(|_| client)
    })
}

fn message(reply: &Value) -> &str {
    reply["error"]["message"].as_str().unwrap_or_default()
}

#[test]
fn one_connection_too_many_is_told_and_closed_while_the_others_go_on() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).toml("[limits]\nconnections = 3\n").start();
    let mut served: Vec<Client> = (0..3).map(|_| connected(&daemon)).collect();
    for _ in 0..10 {
        let mut one_too_many = daemon.client();
        let reply = one_too_many.recv();
        assert_eq!((code(&reply), &reply["id"]), ("overloaded", &Value::Null));
        assert!(message(&reply).contains("limits.connections"), "{reply}");
        one_too_many.expect_end();
    }
    for client in &mut served {
        client.ask_ok(&chat(1, "still here"));
    }
    drop(served.pop());
    connected(&daemon).ask_ok(&chat(1, "in its place"));
}

#[test]
fn the_limit_on_requests_of_everybody_refuses_the_next_one_only() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).toml("[limits]\nin_flight = 2\n").start();
    let (mut first, mut second) = (daemon.client(), daemon.client());
    first.send(&chat(1, "one"));
    second.send(&chat(1, "two"));
    wait_calls(&sim, 2);
    let refused = daemon.ask(&chat("third", "three"));
    assert_eq!((code(&refused), &refused["id"]), ("overloaded", &json!("third")));
    assert!(message(&refused).contains("limits.in_flight"), "{refused}");
    daemon.ask_ok(&json!({ "op": "health" }));
    sim.well();
    sim.release();
    assert_eq!(first.recv()["ok"], true);
    assert_eq!(second.recv()["ok"], true);
    daemon.ask_ok(&chat("third", "three"));
}

#[test]
fn the_limit_on_bytes_refuses_what_does_not_fit_and_nothing_else() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let limits = "[limits]\nline_bytes = \"40KiB\"\nrequest_bytes_total = \"64KiB\"\n";
    let daemon = Setup::of(&sim, &["m"]).toml(limits).start();
    let large = "x".repeat(30 * 1024);
    let mut client = daemon.client();
    client.send(&chat(1, &large));
    client.send(&chat(2, &large));
    wait_calls(&sim, 2);
    let mut other = daemon.client();
    let refused = other.ask(&chat(3, &large));
    assert_eq!(code(&refused), "overloaded");
    assert!(message(&refused).contains("request_bytes_total"), "{refused}");
    other.send(&chat(4, "small"));
    wait_calls(&sim, 3);
    sim.well();
    sim.release();
    assert_eq!(other.recv()["id"], 4);
    (0..2).for_each(|_| assert_eq!(client.recv()["ok"], true));
    other.ask_ok(&chat(5, &large));
}

#[test]
fn lines_that_are_still_arriving_count_as_bytes_too() {
    let sim = openai();
    let limits = "[limits]\nline_bytes = \"40KiB\"\nrequest_bytes_total = \"64KiB\"\n";
    let daemon = Setup::of(&sim, &["m"]).toml(limits).start();
    let mut clients = [daemon.client(), daemon.client()];
    clients.iter_mut().for_each(|client| client.send_bytes(&[b' '; 36 * 1024]));
    // Whoever comes second meets the limit; the first is not disturbed.
    let refused = first_to_hear(&mut clients);
    let reply = clients[refused].recv();
    assert_eq!(code(&reply), "overloaded");
    assert!(message(&reply).contains("request_bytes_total"), "{reply}");
    for client in &mut clients {
        client.send_bytes(b"\n");
        client.ask_ok(&chat(1, "the line alone is lost"));
    }
}

/// Which client is sent something first.
fn first_to_hear(clients: &mut [Client; 2]) -> usize {
    let streams: Vec<&UnixStream> = clients.iter_mut().map(|client| &*client.stream()).collect();
    let mut polled: Vec<PollFd<'_>> =
        streams.iter().map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN)).collect();
    poll(&mut polled, PollTimeout::from(60_000u16)).unwrap();
    polled.iter().position(|polled| polled.any() == Some(true)).expect("nobody was refused")
}

#[test]
fn the_limit_of_one_user_names_the_user() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).toml("[limits]\nrequests_per_uid = 1\n").start();
    let mut client = daemon.client();
    client.send(&chat(1, "p"));
    wait_calls(&sim, 1);
    let refused = daemon.ask(&chat(2, "p"));
    assert_eq!(code(&refused), "overloaded");
    assert!(message(&refused).contains("limits.requests_per_uid"), "{refused}");
    sim.release();
    assert_eq!(client.recv()["ok"], true);
    sim.well();
    daemon.ask_ok(&chat(2, "p"));
}

#[test]
fn a_line_of_nine_mebibytes_is_skipped_and_the_connection_goes_on() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let mut other = daemon.client();
    let mut line = chat("huge", &"x".repeat(9 << 20)).to_string().into_bytes();
    line.push(b'\n');
    let (first, second) = line.split_at(5 << 20);
    client.send_bytes(first);
    other.ask_ok(&chat(1, "undisturbed"));
    client.send_bytes(second);
    let reply = client.recv();
    assert_eq!((code(&reply), &reply["id"]), ("line_too_long", &Value::Null));
    assert!(message(&reply).contains("limits.line_bytes"), "{reply}");
    assert_eq!(client.ask_ok(&chat(2, "goes on"))["content"], "[m] goes on");
    assert_eq!(sim.counts().calls, 2);
}

#[test]
fn a_line_of_nearly_eight_mebibytes_is_served() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let reply = daemon.ask_ok(&chat(1, &"x".repeat((8 << 20) - 200)));
    assert_eq!(reply["model_used"], "m");
}

#[test]
fn an_answer_above_the_limit_counts_as_a_failed_call() {
    let sim = openai();
    sim.set_for("big", Behaviour::HugeBody(2 << 20));
    let limits = "[limits]\nresponse_bytes = \"1MiB\"\n[retry]\nmax = 0\n";
    let daemon = Setup::of(&sim, &["big", "m"]).toml(limits).start();
    let reply = daemon.ask_ok(&chat(1, "p"));
    assert_eq!(reply["model_used"], "m");
    assert_eq!(reply["attempts"][0]["error_type"], "bad_body", "{reply}");
}
