//! The front on TCP: only for programs of this machine that know the token.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::{Daemon, Setup, openai};
use crate::wire::{Reply, Web};

const TOKEN: &str = "token-of-the-tests-0123456789abcdef";

/// A port that nobody uses at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn listening(setup: Setup, more: &str) -> (Daemon, u16) {
    let port = free_port();
    let section = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{more}\n");
    (setup.env("HTTP_TOKEN", TOKEN).toml(&section).start(), port)
}

fn body() -> String {
    json!({"model": "a", "messages": [{"role": "user", "content": "hi"}]}).to_string()
}

fn ask(port: u16, headers: &[(&str, &str)]) -> Reply {
    let host = format!("localhost:{port}");
    let mut all = vec![("host", host.as_str()), ("content-type", "application/json")];
    for (name, value) in headers {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    let mut web = Web::at(port);
    web.send("POST /v1/chat/completions", &all, &body());
    web.reply()
}

#[test]
fn whoever_shows_the_token_in_either_header_is_answered_and_nobody_else() {
    let sim = openai();
    let (daemon, port) = listening(Setup::of(&sim, &["a"]), "token = { env = \"HTTP_TOKEN\" }");
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(ask(port, &[("authorization", &bearer)]).status, 200);
    assert_eq!(ask(port, &[("x-api-key", TOKEN)]).status, 200);
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", TOKEN)],
        vec![("x-api-key", "")],
        vec![("x-api-key", &TOKEN[1..])],
    ] {
        let reply = ask(port, &headers);
        assert_eq!(reply.status, 401, "{headers:?}");
        assert_eq!(reply.json()["error"]["type"], "authentication_error");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
    }
    assert_eq!(sim.counts().calls, 2);
    let mut web = Web::at(port);
    web.send("GET /health", &[("host", &format!("127.0.0.1:{port}"))], "");
    assert_eq!(web.reply().status, 200, "whether it lives is no secret");
    let told = format!("{}{}", daemon.stderr(), fs::read_to_string(daemon.setup.log()).unwrap());
    assert!(!told.contains(TOKEN) && !told.contains("wrong"));
    assert!(sim.calls().iter().all(|call| !format!("{call:?}").contains(TOKEN)));
}

#[test]
fn web_pages_and_names_of_elsewhere_are_refused() {
    let sim = openai();
    let (_daemon, port) = listening(Setup::of(&sim, &["a"]), "token = { env = \"HTTP_TOKEN\" }");
    let rows: [(&str, &str, u16); 8] = [
        ("host", "evil.example:80", 403),
        ("host", "127.0.0.1", 403),
        ("host", "localhost.evil.example:1", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
    ];
    for (name, value, status) in rows {
        let reply = ask(port, &[("x-api-key", TOKEN), (name, value)]);
        assert_eq!(reply.status, status, "{name}: {value}");
        assert!(reply.header("access-control-allow-origin").is_none());
    }
    let mut web = Web::at(port);
    let host = format!("127.0.0.1:{port}");
    web.send("OPTIONS /v1/chat/completions", &[("host", &host), ("x-api-key", TOKEN)], "");
    assert_eq!(web.reply().status, 403);
    assert_eq!(ask(port, &[("x-api-key", TOKEN), ("sec-fetch-site", "none")]).status, 200);
    assert_eq!(sim.counts().calls, 1);
}

#[test]
fn a_token_is_made_kept_and_told_to_who_may_read_it() {
    let sim = openai();
    let (daemon, port) = listening(Setup::of(&sim, &["a"]), "");
    let env = |daemon: &Daemon| -> Value {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
            .args(["env", "--json", "--config"])
            .arg(daemon.setup.config())
            .env("FALLBACKD_SOCKET", daemon.socket())
            .env("TEST_KEY", "x")
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let told = env(&daemon);
    assert_eq!(told["OPENAI_BASE_URL"], format!("http://127.0.0.1:{port}/v1"));
    assert_eq!(told["ANTHROPIC_BASE_URL"], format!("http://127.0.0.1:{port}"));
    let token = told["OPENAI_API_KEY"].as_str().unwrap();
    assert_eq!(told["ANTHROPIC_AUTH_TOKEN"], token);
    assert_eq!(token.len(), 64);
    assert_eq!(ask(port, &[("x-api-key", token)]).status, 200);
    assert!(!daemon.stderr().contains(token));
    let again = daemon.terminate().restart();
    assert_eq!(env(&again), told, "programs keep working over a restart");
}

#[test]
fn without_an_address_env_says_what_to_add() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["a"]).start();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
        .args(["env", "--config"])
        .arg(daemon.setup.config())
        .env("FALLBACKD_SOCKET", daemon.socket())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("listen = \"127.0.0.1:4141\""), "{told}");
}
