//! Keys and messages stay where they belong: planted canaries must not show in any log, error,
//! reply or file.
//!
//! Keys are planted where they live (the key itself, headers, query parameters) and come back in
//! what providers say. Prompts and answers may be in replies, and nowhere else.

use std::fs;
use std::path::Path;

use fallbackd::sim::{Background, Behaviour};
use serde_json::{Value, json};

use super::harness::{Daemon, Setup, chat, chat_with, fallbackd, openai};

const IN_KEY: &str = "canary-key-4f1d9b7a2c";
const IN_HEADER: &str = "canary-header-83e5c0d1";
const IN_QUERY: &str = "canary-query-5ad7710e";
const IN_FILE: &str = "canary-file-c20b64f8";
const IN_PROMPT: &str = "canary-prompt-9e0f13bb";
const IN_ANSWER: &str = "canary-answer-77d2ae41";
const KEYS: [&str; 4] = [IN_KEY, IN_HEADER, IN_QUERY, IN_FILE];
const CONTENT: [&str; 2] = [IN_PROMPT, IN_ANSWER];

fn provider(name: &str, base_url: &str, key: &str) -> String {
    format!(
        "[providers.{name}]\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key = {key}\n\
         headers = {{ \"x-canary\" = \"{IN_HEADER}\" }}\nquery = {{ \"token\" = \"{IN_QUERY}\" }}\n"
    )
}

/// `m` and `other` answer as scripted, `gone` is at a port that refuses, `filed` has a key file.
fn setup(sim: &Background) -> Setup {
    let gone = openai();
    gone.down().unwrap();
    let refused = gone.base_url();
    drop(gone);
    let setup = Setup::new()
        .env("CANARY", IN_KEY)
        .toml(&provider("here", &sim.base_url(), "{ env = \"CANARY\" }"))
        .toml(&provider("nowhere", &refused, "{ env = \"CANARY\" }"))
        .toml(&provider("filed", &sim.base_url(), "{ file = \"secret.key\" }"))
        .env("FALLBACKD_LOG", "trace")
        .toml("[retry]\nmax = 0\n[breaker]\nfailures = 0\nfailure_rate = 0.0\n");
    fs::write(setup.folder().join("secret.key"), IN_FILE).unwrap();
    setup
        .model("gone", "nowhere", "")
        .model("m", "here", "")
        .model("other", "here", "")
        .model("filed", "filed", "")
}

/// An error of a provider that repeats all it was given. What somebody has to see to keeps its reason
/// in the log, less what it quotes of the request; an answer cannot be told from a reason there.
fn parrot(status: u16, key: &str) -> Behaviour {
    let answer = if matches!(status, 401 | 403 | 404) { "" } else { IN_ANSWER };
    let given = [key, IN_HEADER, IN_QUERY, IN_PROMPT, answer];
    let all = format!("{} {}", given.join(" "), given.join("\\n"));
    let error =
        json!({ "error": { "message": all, "type": all, "code": key, "param": IN_HEADER } });
    let headers = vec![("x-request-id".to_owned(), key.to_owned())];
    Behaviour::Raw { status, headers, body: error.to_string() }
}

fn behaviours(key: &str) -> Vec<Behaviour> {
    let mut all: Vec<Behaviour> =
        [400, 401, 403, 404, 413, 422, 429, 500, 503, 529].map(|status| parrot(status, key)).into();
    let raw = |body: String| Behaviour::Raw { status: 200, headers: Vec::new(), body };
    all.extend([
        Behaviour::EchoKey,
        Behaviour::NotJson,
        Behaviour::TruncatedBody,
        Behaviour::ResetBeforeHeaders,
        Behaviour::error_in_200(),
        raw(format!("{{\"error\":{{\"message\":\"{key} {IN_HEADER} {IN_QUERY}\"}}}}")),
        raw(format!("{key} {IN_HEADER} {IN_QUERY} {IN_PROMPT}")),
        raw(format!("{{\"choices\":\"{key}{IN_QUERY}\"}}")),
        Behaviour::Say(format!("all is well {IN_ANSWER}")),
    ]);
    all
}

/// Lets everything go wrong that can, and gives all that a client was told.
fn everything(daemon: &Daemon, sim: &Background) -> Vec<String> {
    let mut watcher = daemon.client();
    watcher.ask_ok(&json!({ "op": "events" }));
    let mut client = daemon.client();
    let mut told = Vec::new();
    for (model, key) in [("m", IN_KEY), ("other", IN_KEY), ("filed", IN_FILE)] {
        for behaviour in behaviours(key) {
            sim.set(behaviour);
            told.push(client.ask(&chat_with(&["gone", model], IN_PROMPT)).to_string());
            // A pause or a block that this brought must not hide the next one.
            for order in ["closed", "auto"] {
                client.ask_ok(&json!({ "op": "breaker", "model": model, "set": order }));
            }
        }
    }
    sim.set(Behaviour::Say(IN_ANSWER.to_owned()));
    told.push(client.ask(&chat(1, IN_PROMPT)).to_string());
    for op in ["health", "chains", "ping"] {
        told.push(client.ask_ok(&json!({ "op": op })).to_string());
    }
    loop {
        let line = watcher.line();
        let last = line.contains("\"event\":\"request\"") && line.contains("\"task\":\"default\"");
        told.push(format!("EVENT {line}"));
        if last {
            return told;
        }
    }
}

fn shows(text: &str, canaries: &[&str]) -> Option<String> {
    let found = canaries.iter().find(|canary| text.contains(**canary))?;
    let at = text.find(found)?;
    let around = text.char_indices().filter(|(place, _)| place.abs_diff(at) < 200);
    Some(around.map(|(_, char)| char).collect())
}

/// Every file below a folder, as text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            all.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    all
}

#[test]
fn no_canary_shows_wherever_somebody_could_look() {
    let sim = openai();
    let daemon = setup(&sim).start();
    let told = everything(&daemon, &sim);
    let carried = |seen: &fallbackd::sim::Seen| {
        seen.path.contains(IN_QUERY) && seen.header("x-canary") == Some(IN_HEADER)
    };
    assert!(sim.calls().iter().all(carried), "the canaries were not even sent");
    for line in &told {
        assert_eq!(shows(line, &KEYS), None, "a key in what a client was told");
        if line.starts_with("EVENT") {
            assert_eq!(shows(line, &CONTENT), None, "content in an event");
        }
    }
    let answered: Vec<&String> = told.iter().filter(|line| line.contains(IN_ANSWER)).collect();
    assert!(!answered.is_empty(), "the answer itself did arrive");

    let folder = daemon.setup.folder().to_owned();
    let ended = daemon.terminate();
    assert!(!ended.stderr().is_empty());
    let own =
        [ended.setup.config(), folder.join("secret.key")].map(|path| path.display().to_string());
    for (path, text) in files(&folder) {
        if !own.contains(&path) {
            assert_eq!(shows(&text, &KEYS), None, "a key in {path}");
            assert_eq!(shows(&text, &CONTENT), None, "content in {path}");
        }
    }
}

#[test]
fn checking_a_configuration_shows_no_key() {
    let sim = openai();
    let good = setup(&sim);
    good.write();
    let wrong = setup(&sim).toml(&format!(
        "[providers.wrong]\nkind = \"openai\"\nbase_url = \"https://user:{IN_KEY}@localhost/v1\"\n\
         api_key = \"{IN_KEY}\"\nheaders = {{ \"x y\" = \"{IN_HEADER}\" }}\n\
         query = {{ token = [\"{IN_QUERY}\"] }}\n"
    ));
    wrong.write();
    for (setup, valid) in [(&good, true), (&wrong, false)] {
        let checked = fallbackd(setup).arg("--check").output().unwrap();
        let started = if valid { None } else { Some(fallbackd(setup).output().unwrap()) };
        for output in [Some(checked), started].into_iter().flatten() {
            assert_eq!(output.status.success(), valid);
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(shows(&text, &KEYS), None, "{text}");
        }
    }
}

#[test]
fn the_text_of_a_providers_error_is_cut_and_cleaned() {
    let sim = openai();
    let text = format!("\u{1b}[31mbroken\u{7}\n{}", "long ".repeat(200));
    let body = json!({ "error": { "message": text, "type": "server_error" } });
    let raw = Behaviour::Raw { status: 500, headers: Vec::new(), body: body.to_string() };
    sim.set(raw);
    let daemon = Setup::of(&sim, &["m"]).toml("[retry]\nmax = 0\n").start();
    let reply = daemon.ask(&chat(1, "p"));
    let Value::String(message) = &reply["attempts"][0]["message"] else { panic!("{reply}") };
    assert!(message.contains("broken") && message.chars().count() <= 301, "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}
