//! Many clients, many requests each: every one is answered, with its own answer.
//!
//! Also how lines may look at their edges, and the clients that leave early on purpose, as `socat`
//! does at the end of its input.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{Client, Setup, chat, code, openai, skipped, wait_calls};

/// What the simulated model `m` answers to a prompt.
fn echo(prompt: &str) -> String {
    format!("[m] {prompt}")
}

fn take(client: &mut Client, count: usize) -> BTreeMap<u64, Value> {
    let replies = (0..count).map(|_| client.recv());
    replies.map(|reply| (reply["id"].as_u64().unwrap(), reply)).collect()
}

#[test]
fn replies_come_as_they_finish_and_are_matched_by_id() {
    let sim = openai();
    sim.push(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send(&chat("slow", "first"));
    wait_calls(&sim, 1);
    for id in 0..10 {
        assert_eq!(client.ask_ok(&chat(id, &format!("p{id}")))["content"], echo(&format!("p{id}")));
    }
    sim.release();
    let last = client.recv();
    assert_eq!((&last["id"], &last["content"]), (&json!("slow"), &json!(echo("first"))));
}

#[test]
fn two_hundred_requests_at_once_on_one_connection_are_all_answered() {
    let sim = openai();
    sim.set(Behaviour::Ok.after(Duration::from_millis(20)));
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let lines: String = (0..200).map(|id| format!("{}\n", chat(id, &format!("p{id}")))).collect();
    client.send_bytes(lines.as_bytes());
    let replies = take(&mut client, 200);
    assert_eq!(replies.len(), 200, "some id came twice");
    for (id, reply) in replies {
        assert_eq!(reply["content"], echo(&format!("p{id}")));
    }
    assert_eq!(sim.counts().calls, 200);
}

#[test]
fn a_connection_with_too_much_outstanding_is_not_read_until_something_is_answered() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let lines: String = (0..65).map(|id| format!("{}\n", chat(id, "p"))).collect();
    client.send_bytes(lines.as_bytes());
    client.send(&json!({ "id": 99, "op": "ping" }));
    wait_calls(&sim, 64);
    // Another connection is served meanwhile, so the daemon had every chance to take the 65th.
    assert_eq!(daemon.health_of("m")["in_flight"], 64);
    assert_eq!(sim.counts().calls, 64);
    sim.well();
    sim.release();
    assert_eq!(take(&mut client, 66).len(), 66);
}

#[test]
fn five_hundred_connections_at_once_get_their_own_answers_and_leave_no_memory_behind() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let round = |name: &str| {
        let mut clients: Vec<Client> = (0..500).map(|_| daemon.client()).collect();
        for (at, client) in clients.iter_mut().enumerate() {
            client.send(&chat(at, &format!("{name} {at}")));
        }
        for (at, client) in clients.iter_mut().enumerate() {
            let reply = client.recv();
            assert_eq!(reply["content"], echo(&format!("{name} {at}")), "{reply}");
            assert_eq!(reply["id"], at);
        }
    };
    let before = daemon.resident_kib();
    round("first");
    let after_one = daemon.resident_kib();
    (0..4).for_each(|_| round("again"));
    let after_five = daemon.resident_kib();
    let memory = format!("resident KiB: {before} before, {after_one} after, {after_five} again");
    assert!(after_one < before + 64 * 1024, "{memory}");
    assert!(after_five < after_one + 16 * 1024, "the same load takes more and more: {memory}");
}

#[test]
fn a_client_that_only_ended_its_writing_gets_its_answers_and_then_the_end() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    for id in 0..3 {
        client.send(&chat(id, &format!("p{id}")));
    }
    client.end_writing();
    wait_calls(&sim, 3);
    sim.release();
    let replies = take(&mut client, 3);
    assert!(replies.values().all(|reply| reply["ok"] == true), "{replies:?}");
    client.expect_end();
    assert_eq!(sim.counts().cancelled, 0);
}

#[test]
fn the_end_of_input_ends_the_last_line() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send_bytes(chat(1, "no newline").to_string().as_bytes());
    client.end_writing();
    assert_eq!(client.recv()["content"], echo("no newline"));
    client.expect_end();
}

#[test]
fn blank_lines_and_carriage_returns_are_tolerated() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send_bytes(b"\n\r\n   \n\t\r\n");
    client.send_bytes(format!("{}\r\n\r\n", chat(1, "one")).as_bytes());
    assert_eq!(client.recv()["content"], echo("one"));
    assert_eq!(client.ask_ok(&chat(2, "two"))["id"], 2, "no blank line was answered");
}

#[test]
fn lines_may_arrive_in_any_pieces() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let text = format!("{}\n{}\n", chat(1, "één"), chat(2, "twee"));
    for piece in text.as_bytes().chunks(3) {
        client.send_bytes(piece);
    }
    assert_eq!(take(&mut client, 2).len(), 2);
}

#[test]
fn an_outstanding_id_may_not_be_used_again_but_null_may() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send(&chat("same", "first"));
    wait_calls(&sim, 1);
    let refused = client.ask(&chat("same", "second"));
    assert_eq!((code(&refused), &refused["id"]), ("bad_request", &json!("same")));
    // The same id on another connection is another request.
    let mut other = daemon.client();
    other.send(&chat("same", "other"));
    client.send(&chat(Value::Null, "n"));
    client.send(&chat(Value::Null, "n"));
    wait_calls(&sim, 4);
    sim.well();
    sim.release();
    let ids: BTreeSet<String> = (0..3).map(|_| client.recv()["id"].to_string()).collect();
    assert_eq!(ids, BTreeSet::from(["\"same\"".to_owned(), "null".to_owned()]));
    assert_eq!(other.recv()["content"], echo("other"));
    assert_eq!(client.ask_ok(&chat("same", "free again"))["content"], echo("free again"));
}

#[test]
fn ids_come_back_as_they_were_sent() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let long = "i".repeat(128);
    for id in [json!("a \"quoted\" id"), json!(-7), json!(i64::MAX), json!(long), json!("ü")] {
        assert_eq!(client.ask_ok(&chat(id.clone(), "p"))["id"], id);
    }
    let refused = client.ask(&chat("i".repeat(129), "p"));
    assert_eq!(code(&refused), "bad_request");
    assert_eq!(code(&client.ask(&chat(1.5, "p"))), "bad_request");
}

#[test]
fn plain_socat_gets_its_answer() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let address = format!("UNIX-CONNECT:{}", daemon.socket().display());
    let socat = Command::new("socat")
        .args(["-t", "600", "-", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut socat) = socat else {
        return skipped("plain_socat_gets_its_answer", "socat is not installed");
    };
    // Its input ends long before the answer is there.
    writeln!(socat.stdin.take().unwrap(), "{}", chat(1, "through socat")).unwrap();
    wait_calls(&sim, 1);
    sim.release();
    let output = socat.wait_with_output().unwrap();
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["content"], echo("through socat"));
}
