//! Calls that get no HTTP answer at all.

use std::net::SocketAddr;

use fallbackd::config::Kind;
use fallbackd::sim::Behaviour;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::harness::{KEY, KINDS, Setup, failures, receive, send, sim};

/// An address that refuses connections, and what keeps others from listening there.
fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn a_provider_that_is_not_running_is_a_connect_failure() {
    let (_taken, closed) = closed_port();
    for kind in KINDS {
        let good = sim(Kind::OpenAi);
        let mut setup = Setup::new();
        setup.provider_at("bad", kind, &format!("http://{closed}")).provider("good", &good);
        setup.model("off", "bad", "").model("backup", "good", "");
        let daemon = setup.start();
        let reply = daemon.hello(&["off", "backup"]);
        assert_eq!(failures(&reply), vec![("connect".to_owned(), Value::Null); 2]);
        assert_eq!(reply["model_used"], "backup");
        assert_eq!(daemon.health("off")["breaker"]["consecutive_failures"], 2);
    }
}

#[test]
fn two_providers_out_of_reach_at_once_are_no_fault_of_theirs() {
    let (_taken, closed) = closed_port();
    let mut setup = Setup::new();
    let address = format!("http://{closed}");
    setup.provider_at("p", Kind::OpenAi, &address).provider_at("q", Kind::Google, &address);
    setup.model("a", "p", "").model("b", "q", "");
    let daemon = setup.start();
    for _ in 0..6 {
        let reply = daemon.hello(&["a", "b"]);
        assert_eq!(failures(&reply).last().unwrap().0, "no_network", "{reply}");
    }
    for model in ["a", "b"] {
        assert_eq!(daemon.health(model)["breaker"]["state"], "closed");
    }
}

#[test]
fn speaking_tls_to_a_server_that_does_not_is_a_tls_failure() {
    for kind in KINDS {
        let (plain, good) = (sim(kind), sim(Kind::OpenAi));
        let mut setup = Setup::new();
        let address = plain.base_url().replace("http://", "https://");
        setup.provider_at("bad", kind, &address).provider("good", &good);
        setup.model("m", "bad", "").model("backup", "good", "");
        let daemon = setup.start();
        let reply = daemon.hello(&["m", "backup"]);
        assert_eq!(failures(&reply), [("tls".to_owned(), Value::Null)]);
        assert_eq!(reply["model_used"], "backup");
        assert_eq!(daemon.health("m")["breaker"]["consecutive_failures"], 1);
    }
}

#[test]
fn a_reset_is_repeated_once_and_counts() {
    for kind in KINDS {
        let (bad, good) = (sim(kind), sim(Kind::OpenAi));
        let mut setup = Setup::new();
        setup.provider("bad", &bad).provider("good", &good);
        setup.model("m", "bad", "").model("backup", "good", "");
        let daemon = setup.start();
        bad.set(Behaviour::ResetBeforeHeaders);
        let reply = daemon.hello(&["m", "backup"]);
        assert_eq!(failures(&reply), vec![("reset".to_owned(), Value::Null); 2]);
        assert_eq!(daemon.health("m")["breaker"]["consecutive_failures"], 2);
        bad.well();
        assert_eq!(daemon.hello(&["m"])["ok"], true);
        bad.push(Behaviour::ResetBeforeHeaders);
        let reply = daemon.hello(&["m"]);
        assert_eq!(failures(&reply), [], "a pooled connection may have been closed meanwhile");
        assert_eq!(reply["ok"], true);
    }
}

#[test]
fn a_provider_that_never_answers_is_a_timeout_and_its_connection_is_closed() {
    // Streams are given up for want of a first token, whole answers for want of the answer.
    let never = "upstream_stream = \"never\"";
    let ways = [("", "first_token", "first_token_timeout"), (never, "attempt", "timeout")];
    for (kind, (settings, limit, fault)) in
        KINDS.into_iter().flat_map(|kind| ways.map(|way| (kind, way)))
    {
        let (bad, good) = (sim(kind), sim(Kind::OpenAi));
        bad.set(Behaviour::Hang);
        let mut setup = Setup::new();
        setup.provider("good", &good).provider("bad", &bad).with(settings);
        let limits = format!("timeouts = {{ {limit} = \"200ms\" }}");
        setup.model("m", "bad", &limits).model("backup", "good", "");
        let daemon = setup.start();
        let reply = daemon.hello(&["m", "backup"]);
        assert_eq!(failures(&reply), [(fault.to_owned(), Value::Null)]);
        assert_eq!(reply["model_used"], "backup");
        bad.block_on(bad.wait_cancelled(1));
    }
}

#[test]
fn an_answer_above_the_limit_is_a_bad_body() {
    let (bad, good) = (sim(Kind::OpenAi), sim(Kind::OpenAi));
    bad.set(Behaviour::HugeBody(17 << 20));
    let mut setup = Setup::new();
    setup.provider("bad", &bad).provider("good", &good);
    setup.model("m", "bad", "").model("backup", "good", "");
    let reply = setup.start().hello(&["m", "backup"]);
    assert_eq!(failures(&reply), [("bad_body".to_owned(), json!(200))]);
}

#[test]
fn a_cancelled_request_closes_its_upstream_connection_and_harms_nobody() {
    let bad = sim(Kind::Anthropic);
    bad.set(Behaviour::Hang);
    let mut setup = Setup::new();
    setup.provider("bad", &bad).model("m", "bad", "");
    let daemon = setup.start();
    let mut connection = daemon.connect();
    let hello = json!({ "id": 1, "messages": [{ "role": "user", "content": "hello" }] });
    send(&mut connection, &hello);
    bad.block_on(bad.wait_calls(1));
    send(&mut connection, &json!({ "id": 2, "op": "cancel", "target": 1 }));
    let (first, second) = (receive(&mut connection), receive(&mut connection));
    let cancelled = if first["id"] == 1 { first } else { second };
    assert_eq!(cancelled["error"]["code"], "cancelled");
    assert_eq!(cancelled["attempts"][0]["outcome"], "cancelled");
    bad.block_on(bad.wait_cancelled(1));
    let health = daemon.health("m");
    assert_eq!((&health["success_rate"], &health["in_flight"]), (&json!(1.0), &json!(0)));
}

#[test]
fn an_echoed_key_is_shown_to_nobody() {
    for kind in KINDS {
        let bad = sim(kind);
        bad.set(Behaviour::EchoKey);
        let mut setup = Setup::new();
        setup.provider("bad", &bad).model("m", "bad", "");
        let daemon = setup.start();
        let reply = daemon.hello(&["m"]);
        assert_eq!(failures(&reply)[0].0, "auth");
        assert!(
            !reply.to_string().contains(KEY) && reply.to_string().contains("Incorrect API key")
        );
        assert!(!daemon.health("m").to_string().contains(KEY));
        assert!(!daemon.log().contains(KEY));
    }
}
