//! Keys and ways of the real daemon: a list of keys, commands, files, proxies of the environment.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fallbackd::sim::Background;
use serde_json::json;

use super::harness::{KEY, NO_RETRY, Setup, chat_with, fallbackd, openai};

fn provider(sim: &Background, more: &str) -> String {
    let url = sim.base_url();
    format!("[providers.p]\nkind = \"openai\"\nbase_url = \"{url}\"\n{more}\n{NO_RETRY}")
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_refused_key_of_a_list_is_no_failure_of_its_model() {
    let sim = openai();
    sim.require_key(KEY);
    let keys = "api_key = [{ env = \"WRONG\" }, { env = \"ABSENT\" }, { file = \"right.key\" }]";
    let setup = Setup::new().env("WRONG", "canary-wrong-key-1").toml(&provider(&sim, keys));
    fs::write(setup.folder().join("right.key"), KEY).unwrap();
    fs::set_permissions(setup.folder().join("right.key"), fs::Permissions::from_mode(0o600))
        .unwrap();
    let setup = setup.model("a", "p", "").model("b", "p", "");
    setup.write();
    let checked = fallbackd(&setup).arg("--check").output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(
        checked.status.success() && said.contains("ABSENT is not set; the other keys are used")
    );
    assert!(said.contains("1 warning") && !said.contains("cannot be called"), "{said}");
    let daemon = setup.start();
    for model in ["a", "b", "a"] {
        let reply = daemon.ask_ok(&chat_with(&[model], "p"));
        assert_eq!(reply["attempts"].as_array().unwrap().len(), 1, "{reply}");
    }
    assert_eq!(sim.calls().len(), 4, "the wrong key was tried once");
    let health = daemon.health_of("a");
    assert_eq!(
        (&health["breaker"]["state"], &health["success_rate"]),
        (&json!("closed"), &json!(1.0))
    );
    sim.require_key("nobody-has-this");
    let reply = daemon.ask(&chat_with(&["a"], "p"));
    assert_eq!(reply["attempts"][0]["error_type"], "auth", "{reply}");
}

#[test]
fn a_command_prints_the_key_before_the_first_call_and_check_does_not_run_it() {
    let sim = openai();
    sim.require_key(KEY);
    let keys = "api_key = { command = [\"./token\", \"--for\", \"tests\"], refresh = \"40m\" }";
    let setup = Setup::new().toml(&provider(&sim, keys)).model("a", "p", "");
    let runs = setup.folder().join("runs");
    script(
        &setup.folder().join("token"),
        &format!("echo \"$@\" >> {}; echo {KEY}", runs.display()),
    );
    setup.write();
    let checked = fallbackd(&setup).arg("--check").output().unwrap();
    assert!(checked.status.success() && !runs.exists(), "a check runs nothing");
    let daemon = setup.start();
    assert_eq!(daemon.ask_ok(&chat_with(&["a"], "p"))["model_used"], "a");
    assert_eq!(daemon.ask_ok(&json!({ "op": "reload" }))["models"]["kept"], 1);
    assert_eq!(daemon.ask_ok(&chat_with(&["a"], "p"))["model_used"], "a");
    assert_eq!(fs::read_to_string(runs).unwrap(), "--for tests\n");
}

#[test]
fn a_command_that_fails_shows_no_secret_anywhere() {
    let sim = openai();
    let keys = "api_key = { command = [\"./token\"] }";
    let setup = Setup::new().env("FALLBACKD_LOG", "trace").toml(&provider(&sim, keys));
    let canary = "canary-0123456789abcdef-planted";
    let setup = setup.model("a", "p", "");
    let complaint = format!("echo {canary}; echo 'cannot log in, password={canary}' >&2; exit 7");
    script(&setup.folder().join("token"), &complaint);
    let daemon = setup.start();
    let reply = daemon.ask(&chat_with(&["a"], "p"));
    let said = reply["attempts"][0]["message"].as_str().unwrap();
    assert!(said.contains("provider p") && said.contains("exit status: 7"), "{said}");
    assert!(said.contains("cannot log in"), "{said}");
    for text in [reply.to_string(), daemon.stderr(), format!("{:?}", daemon.log())] {
        assert!(!text.contains("planted"), "{text}");
    }
}

/// A proxy that answers everything itself, and remembers the first lines of what it was asked.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut piece = [0; 8192];
            let read = stream.read(&mut piece).unwrap_or(0);
            let text = String::from_utf8_lossy(&piece[..read]).into_owned();
            lines.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
            let refused = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(refused.as_bytes());
        }
    });
    (port, seen)
}

#[test]
fn the_environment_names_a_proxy_only_for_those_who_ask_for_it() {
    let sim = openai();
    let (port, seen) = proxy();
    let outside = "base_url = \"https://api.example.test/v1\"\nkind = \"openai\"\n\
                   api_key = { env = \"TEST_KEY\" }\n";
    let local = sim.base_url();
    let daemon = Setup::new()
        .env("https_proxy", &format!("http://canary-user:canary-word@127.0.0.1:{port}"))
        .env("HTTP_PROXY", &format!("127.0.0.1:{port}"))
        .env("NO_PROXY", "localhost, 127.0.0.0/8")
        .env("FALLBACKD_LOG", "trace")
        .toml(NO_RETRY)
        .toml(&format!("[providers.env]\n{outside}proxy = \"env\""))
        .toml(&format!(
            "[providers.excepted]\nkind = \"openai\"\nbase_url = \"{local}\"\nproxy = \"env\""
        ))
        .toml(&format!("[providers.direct]\nkind = \"openai\"\nbase_url = \"{local}\""))
        .model("through", "env", "")
        .model("excepted", "excepted", "")
        .model("direct", "direct", "")
        .start();
    sim.need_no_key();
    for model in ["excepted", "direct"] {
        assert_eq!(daemon.ask_ok(&chat_with(&[model], "p"))["model_used"], model);
    }
    assert!(seen.lock().unwrap().is_empty(), "nobody else goes through the proxy");
    let reply = daemon.ask(&chat_with(&["through"], "p"));
    let attempt = &reply["attempts"][0];
    assert_eq!(attempt["error_type"], "connect", "{reply}");
    let said = attempt["message"].as_str().unwrap();
    assert!(said.contains(&format!("through proxy 127.0.0.1:{port}")), "{said}");
    assert_eq!(*seen.lock().unwrap(), ["CONNECT api.example.test:443 HTTP/1.1"]);
    for text in [reply.to_string(), daemon.stderr(), format!("{:?}", daemon.log())] {
        assert!(!text.contains("canary"), "{text}");
    }
}
