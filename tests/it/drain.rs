//! The end: what runs is answered, what comes too late is told, and nothing is left behind.

use std::time::Duration;

use fallbackd::sim::{Background, Behaviour};
use serde_json::json;

use super::harness::{
    Client, Daemon, Setup, Stopwatch, chat, code, eventually, openai, wait_calls,
};
use super::health_log;

/// A daemon with one request under way, and its client.
fn busy(sim: &Background, lines: &str) -> (Daemon, Client) {
    sim.set(Behaviour::Held);
    let daemon = Setup::of(sim, &["m"]).daemon(lines).start();
    let mut client = daemon.client();
    client.send(&chat("running", "p"));
    wait_calls(sim, 1);
    (daemon, client)
}

/// Waits until the daemon has begun to end: nobody new is let in.
fn wait_draining(daemon: &Daemon) {
    eventually("the daemon takes nobody in", || {
        std::os::unix::net::UnixStream::connect(daemon.socket()).err().map(drop)
    });
}

#[test]
fn a_running_request_is_answered_before_the_end() {
    for signal in ["TERM", "INT"] {
        let sim = openai();
        let (daemon, mut client) = busy(&sim, "");
        daemon.signal(signal);
        wait_draining(&daemon);
        sim.release();
        let reply = client.recv();
        assert_eq!((&reply["id"], &reply["content"]), (&json!("running"), &json!("[m] p")));
        client.expect_end();
        let ended = daemon.wait();
        assert_eq!(ended.status.code(), Some(0));
        assert!(!ended.setup.socket().exists());
        let log = health_log::read(&ended.setup.log());
        let stop = log.last().unwrap();
        assert_eq!(stop["event"], "stop");
        assert_eq!(
            (&stop["reason"], &stop["unanswered"]),
            (&json!(format!("SIG{signal}")), &json!(0))
        );
        assert!(log.iter().any(|line| line["event"] == "request" && line["success"] == true));
    }
}

#[test]
fn a_new_request_during_the_end_is_told_so() {
    let sim = openai();
    let (daemon, mut client) = busy(&sim, "");
    daemon.signal("TERM");
    wait_draining(&daemon);
    let refused = client.ask(&chat("late", "p"));
    assert_eq!((code(&refused), &refused["id"]), ("shutting_down", &json!("late")));
    assert_eq!(client.ask_ok(&json!({ "id": "p", "op": "ping" }))["id"], "p");
    sim.release();
    assert_eq!(client.recv()["id"], "running");
    assert_eq!(daemon.wait().status.code(), Some(0));
    assert_eq!(sim.counts().calls, 1);
}

#[test]
fn a_second_signal_ends_at_once() {
    let sim = openai();
    let (daemon, mut client) = busy(&sim, "drain_timeout = \"1h\"");
    daemon.signal("TERM");
    wait_draining(&daemon);
    daemon.signal("TERM");
    let reply = client.recv();
    assert_eq!((code(&reply), &reply["id"]), ("shutting_down", &json!("running")));
    let ended = daemon.wait();
    assert_eq!(ended.status.code(), Some(0));
    let log = health_log::read(&ended.setup.log());
    assert_eq!(log.last().unwrap()["unanswered"], 1);
}

#[test]
fn what_is_not_answered_within_the_limit_is_told_so() {
    let sim = openai();
    let (daemon, mut client) = busy(&sim, "drain_timeout = \"1s\"");
    let watch = Stopwatch::start();
    daemon.signal("TERM");
    let reply = client.recv();
    assert!(watch.elapsed() >= Duration::from_millis(990), "after {:?}", watch.elapsed());
    assert_eq!(code(&reply), "shutting_down");
    assert_eq!(daemon.wait().status.code(), Some(0));
}

#[test]
fn every_unanswered_request_has_its_line_in_the_log() {
    let sim = openai();
    let (daemon, mut client) = busy(&sim, "drain_timeout = \"1s\"");
    client.send(&chat(2, "p"));
    wait_calls(&sim, 2);
    daemon.signal("TERM");
    (0..2).for_each(|_| assert_eq!(code(&client.recv()), "shutting_down"));
    let ended = daemon.wait();
    let log = health_log::read(&ended.setup.log());
    let requests: Vec<_> = log.iter().filter(|line| line["event"] == "request").collect();
    assert_eq!(requests.len(), 2, "{log:?}");
    let told = |line: &serde_json::Value| line["error"] == "shutting_down";
    assert!(requests.into_iter().all(told), "the log says what the clients were told: {log:?}");
}

#[test]
fn idle_clients_and_watchers_do_not_delay_the_end() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut idle: Vec<Client> = (0..20).map(|_| daemon.client()).collect();
    idle[0].ask_ok(&json!({ "op": "events" }));
    idle[1].send_bytes(b"{\"id\":");
    let watch = Stopwatch::start();
    assert_eq!(daemon.terminate().status.code(), Some(0));
    assert!(watch.elapsed() < Duration::from_secs(15), "after {:?}", watch.elapsed());
    idle[2].expect_end();
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_the_daemon() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send_bytes(&b"x\n".repeat(20_000));
    daemon.ask_ok(&chat(1, "p"));
    let watch = Stopwatch::start();
    assert_eq!(daemon.terminate().status.code(), Some(0));
    assert!(watch.elapsed() < Duration::from_secs(15), "after {:?}", watch.elapsed());
}
