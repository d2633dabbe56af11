//! Bytes that no honest program sends: refused with the right status, and nobody else notices.

use fallbackd::sim::Flow;
use serde_json::json;

use crate::harness::{Daemon, Setup, eventually, openai};
use crate::wire::Web;

fn daemon(limits: &str) -> Daemon {
    // Nobody asks a model here, so it need not be there.
    let sim = openai();
    Setup::of(&sim, &["a"]).toml(limits).start()
}

fn still_serves(daemon: &Daemon) {
    assert_eq!(Web::on(&daemon.socket()).get("/health").status, 200);
    daemon.ask_ok(&json!({"op": "ping"}));
}

#[test]
fn requests_with_two_meanings_are_refused_and_their_connection_closed() {
    let daemon = daemon("");
    let chunked = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n";
    let rows = [
        (400, format!("{chunked}content-length: 4\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n")),
        (400, format!("{chunked}\r\nzz\r\n")),
        (400, "GET /health HTTP/1.1\nhost: x\n\n".to_owned()),
        (400, "GET http://x/health HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
        (400, "GET /health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".to_owned()),
        (400, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx".to_owned()),
        (431, format!("GET /health HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(120))),
        (431, format!("GET /health HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "b".repeat(40_000))),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (501, "BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
    ];
    for (status, bytes) in rows {
        let mut web = Web::on(&daemon.socket());
        web.write(bytes.as_bytes());
        let reply = web.reply();
        assert_eq!(reply.status, status, "{}", &bytes[..bytes.len().min(120)]);
        assert!(reply.json()["error"]["message"].is_string());
        assert!(web.next().is_none(), "nothing more is read");
        still_serves(&daemon);
    }
}

#[test]
fn an_improper_request_is_answered_behind_those_before_it() {
    let daemon = daemon("");
    let mut web = Web::on(&daemon.socket());
    web.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /ready HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\n\n");
    let statuses = [web.reply().status, web.reply().status, web.reply().status];
    assert_eq!(statuses, [200, 200, 400]);
    assert!(web.next().is_none());
}

#[test]
fn an_upgrade_is_not_taken_up() {
    let daemon = daemon("");
    let mut web = Web::on(&daemon.socket());
    web.send("GET /v1/realtime", &[("connection", "upgrade"), ("upgrade", "websocket")], "");
    assert_eq!(web.reply().status, 404);
}

#[test]
fn heads_and_bodies_that_do_not_end_are_given_up() {
    let daemon = daemon("[limits]\nline_timeout = \"300ms\"\n");
    for begun in [
        "GET /health HT",
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let mut web = Web::on(&daemon.socket());
        web.write(begun.as_bytes());
        assert_eq!(web.reply().status, 408, "{begun}");
        assert!(web.next().is_none());
    }
    still_serves(&daemon);
}

#[test]
fn a_body_that_is_too_long_is_refused_by_its_head_already() {
    let daemon = daemon("[http]\nbody_bytes = \"1KiB\"\n");
    let mut web = Web::on(&daemon.socket());
    web.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 4000\r\n\r\n");
    let reply = web.reply();
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].clone()),
        (413, json!("request_too_large"))
    );
    let mut web = Web::on(&daemon.socket());
    web.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    web.write(format!("800\r\n{}\r\n", "x".repeat(0x800)).as_bytes());
    assert_eq!(web.reply().status, 413);
}

#[test]
fn expected_bodies_are_waited_for() {
    let daemon = daemon("");
    let mut web = Web::on(&daemon.socket());
    web.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    assert_eq!(web.reply().status, 100);
    web.write(b"{}");
    assert_eq!(web.reply().status, 400);
}

#[test]
fn a_program_that_reads_nothing_is_dropped_and_its_place_given_back() {
    let sim = openai();
    let text = Some("x".repeat(4 << 20));
    sim.set(Flow { text, plain: true, ..Flow::default() }.into());
    let daemon = Setup::of(&sim, &["a"])
        .toml("[limits]\nreader_timeout = \"300ms\"\nconnections = 2\n")
        .start();
    let body = json!({"model": "a", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let mut deaf = Web::on(&daemon.socket());
    deaf.send("POST /v1/chat/completions", &[], &body);
    crate::harness::wait_calls(&sim, 1);
    let _busy = daemon.client();
    let mut turned = Web::on(&daemon.socket());
    turned.send("GET /health", &[], "");
    let reply = turned.reply();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    eventually("the place is free again", || {
        let mut web = Web::on(&daemon.socket());
        web.send("GET /health", &[], "");
        web.next().filter(|reply| reply.status == 200)
    });
}
