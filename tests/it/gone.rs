//! Callers who leave, and requests that are called off: the connection to the provider closes.
//!
//! Nobody pays for an answer that nobody will read. The simulator says when it sees its caller
//! hang up, so these tests wait for exactly that.

use std::time::Duration;

use fallbackd::sim::Behaviour;
use serde_json::json;

use super::harness::{Setup, chat, code, eventually, openai, wait_calls, wait_cancelled};

#[test]
fn a_client_that_closed_both_sides_takes_its_upstream_calls_with_it() {
    let sim = openai();
    sim.set(Behaviour::Hang);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    (0..3).for_each(|id| client.send(&chat(id, "p")));
    wait_calls(&sim, 3);
    drop(client);
    wait_cancelled(&sim, 3);
    eventually("nothing is in flight", || (daemon.health_of("m")["in_flight"] == 0).then_some(()));

    let health = daemon.health_of("m");
    assert_eq!(health["success_rate"], 1.0, "a caller who left says nothing about the model");
    assert_eq!(health["breaker"]["consecutive_failures"], 0);
    let requests = daemon.wait_logged("request", 3);
    assert!(requests.iter().all(|line| line["error"] == "cancelled"), "{requests:?}");
}

#[test]
fn a_client_that_ends_its_writing_first_and_leaves_later_is_noticed_too() {
    let sim = openai();
    sim.set(Behaviour::Hang);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send(&chat(1, "p"));
    client.end_writing();
    wait_calls(&sim, 1);
    // Three looks at a client that is half closed; it must not be taken for one that has left.
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(sim.counts().cancelled, 0);
    drop(client);
    wait_cancelled(&sim, 1);
}

#[test]
fn a_client_whose_connection_is_not_read_is_noticed_when_it_leaves() {
    let sim = openai();
    sim.set(Behaviour::Hang);
    let limits = "[limits]\nrequests_per_connection = 2\n";
    let daemon = Setup::of(&sim, &["m"]).toml(limits).start();
    let mut client = daemon.client();
    (0..5).for_each(|id| client.send(&chat(id, "p")));
    wait_calls(&sim, 2);
    drop(client);
    wait_cancelled(&sim, 2);
    assert_eq!(sim.counts().calls, 2, "what was never read is never called");
}

#[test]
fn leaving_one_connection_does_not_touch_the_requests_of_another() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let (mut stays, mut leaves) = (daemon.client(), daemon.client());
    stays.send(&chat(1, "stays"));
    leaves.send(&chat(1, "leaves"));
    wait_calls(&sim, 2);
    drop(leaves);
    wait_cancelled(&sim, 1);
    sim.release();
    assert_eq!(stays.recv()["content"], "[m] stays");
    assert_eq!(sim.counts().cancelled, 1);
}

#[test]
fn a_cancelled_request_says_so_with_what_was_tried_and_hangs_up_upstream() {
    let sim = openai();
    sim.set_for("a", Behaviour::server_error());
    sim.set_for("b", Behaviour::Hang);
    let daemon = Setup::of(&sim, &["a", "b"]).toml("[retry]\nmax = 0\nbase = \"1ms\"\n").start();
    let mut client = daemon.client();
    client.send(&chat(7, "p"));
    wait_calls(&sim, 2);
    client.send(&json!({ "id": 8, "op": "cancel", "target": 7 }));
    let (first, second) = (client.recv(), client.recv());
    let (order, request) = if first["id"] == 8 { (first, second) } else { (second, first) };
    assert_eq!((&order["ok"], &order["cancelled"]), (&json!(true), &json!(true)));
    assert_eq!((&request["id"], code(&request)), (&json!(7), "cancelled"));
    let attempts = request["attempts"].as_array().unwrap();
    let tried: Vec<_> =
        attempts.iter().map(|attempt| (&attempt["model"], &attempt["outcome"])).collect();
    assert_eq!(
        tried,
        [(&json!("a"), &json!("failed")), (&json!("b"), &json!("cancelled"))],
        "{request}"
    );
    wait_cancelled(&sim, 1);

    let order = client.ask_ok(&json!({ "op": "cancel", "target": 7 }));
    assert_eq!(order["cancelled"], false, "it is not outstanding any more");
}

#[test]
fn only_requests_of_the_same_connection_can_be_cancelled() {
    let sim = openai();
    sim.set(Behaviour::Held);
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut owner = daemon.client();
    owner.send(&chat(1, "mine"));
    wait_calls(&sim, 1);
    let order = daemon.ask_ok(&json!({ "op": "cancel", "target": 1 }));
    assert_eq!(order["cancelled"], false);
    sim.release();
    assert_eq!(owner.recv()["content"], "[m] mine");
}

#[test]
fn a_request_that_waits_to_be_repeated_can_be_cancelled() {
    let sim = openai();
    sim.set(Behaviour::server_error());
    let slow = "[retry]\nmax = 5\nbase = \"1h\"\ncap = \"1h\"\n";
    let daemon = Setup::of(&sim, &["m"]).toml(slow).start();
    let mut client = daemon.client();
    client.send(&json!({ "id": 1, "timeout": "2h",
        "messages": [{ "role": "user", "content": "p" }] }));
    wait_calls(&sim, 1);
    daemon.wait_logged("call", 1);
    client.send(&json!({ "id": 2, "op": "cancel", "target": 1 }));
    let replies = [client.recv(), client.recv()];
    assert!(replies.iter().any(|reply| code(reply) == "cancelled"), "{replies:?}");
}
