//! Keys that are refused, replaced, printed by commands and read from files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::*;
use crate::config::Key;
use crate::sim::{Behaviour, Simulator};

/// A second key that must never show anywhere either.
const OTHER: &str = "Planted-Other_9876543210";

fn fixed(key: &str) -> Key {
    Key::Fixed(SecretString::from(key))
}

fn filed(path: &Path) -> Key {
    let key = std::fs::read_to_string(path).unwrap();
    Key::File { path: path.to_owned(), key: SecretString::from(key.trim()) }
}

fn printed(script: &Path, refresh: u64) -> Key {
    let argv = vec![script.to_str().unwrap().to_owned(), "an argument".to_owned()];
    Key::Command { argv, refresh: Duration::from_secs(refresh) }
}

/// A model of a provider with these keys.
fn with_keys(base: &str, keys: Vec<Key>) -> Arc<Model> {
    let provider = config::ProviderConfig { keys, ..fixtures::provider(Kind::OpenAi, base) };
    Arc::new(Model {
        breaker: crate::domain::breaker::Rules {
            blocked_for: Duration::from_secs(900),
            ..fixtures::model(fixtures::provider(Kind::OpenAi, base)).breaker
        },
        ..fixtures::model(provider)
    })
}

fn sim() -> Simulator {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    sim.require_key(KEY);
    sim
}

/// The keys of the calls that arrived, in their order.
fn used(sim: &Simulator) -> Vec<String> {
    let bearer = |seen: &crate::sim::Seen| seen.header("authorization").unwrap().to_owned();
    sim.calls().iter().map(bearer).map(|value| value.replace("Bearer ", "")).collect()
}

/// A folder with a command that counts its runs and does what `script` says.
struct Command {
    folder: tempfile::TempDir,
}

impl Command {
    fn new(script: &str) -> Command {
        let command = Command { folder: tempfile::tempdir().unwrap() };
        command.become_script(script);
        command
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn become_script(&self, script: &str) {
        let runs = self.folder.path().join("runs");
        let text = format!("#!/bin/sh\necho run >> {}\n{script}\n", runs.display());
        // In one step: a script that is being written cannot be run.
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    fn runs(&self) -> usize {
        let runs = std::fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default();
        runs.lines().count()
    }
}

#[tokio::test]
async fn a_refused_key_is_left_alone_and_the_call_goes_on_with_the_next() {
    let sim = sim();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
    let http = http(&[Arc::clone(&model)]);
    for _ in 0..3 {
        assert!(call(&http, &model).await.is_ok());
    }
    assert_eq!(used(&sim), [OTHER, KEY, KEY, KEY]);
}

#[tokio::test]
async fn good_keys_are_used_in_turn_by_all_models_of_a_provider() {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    let one = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
    let two = Arc::new(Model { name: "two".into(), ..(*one).clone() });
    let http = http(&[Arc::clone(&one), Arc::clone(&two)]);
    for model in [&one, &two, &one, &two] {
        assert!(call(&http, model).await.is_ok());
    }
    assert_eq!(used(&sim), [OTHER, KEY, OTHER, KEY]);
}

#[tokio::test]
async fn only_when_every_key_is_refused_does_the_call_fail() {
    let sim = sim();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed("another-wrong-key")]);
    let http = http(&[Arc::clone(&model)]);
    assert_eq!(call(&http, &model).await.err().unwrap().fault, Fault::Auth);
    assert_eq!(used(&sim).len(), 2);
    // Afterwards one of them is tried: somebody has to find out that it works again.
    assert_eq!(call(&http, &model).await.err().unwrap().fault, Fault::Auth);
    assert_eq!(used(&sim).len(), 3);
    sim.require_key(OTHER);
    while call(&http, &model).await.is_err() {
        assert!(used(&sim).len() < 6, "the key that works again is never tried");
    }
}

#[tokio::test]
async fn quota_and_rate_limits_are_the_keys_and_not_the_models() {
    for behaviour in [Behaviour::quota(), Behaviour::rate_limited(Some("30"))] {
        let sim = Simulator::start(Kind::OpenAi).unwrap();
        let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
        let http = http(&[Arc::clone(&model)]);
        sim.push(behaviour);
        assert!(call(&http, &model).await.is_ok());
        assert!(call(&http, &model).await.is_ok());
        assert_eq!(used(&sim), [OTHER, KEY, KEY]);
    }
}

/// A refusal that does not say what it is about.
fn bare(status: u16) -> Behaviour {
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    Behaviour::Raw { status, headers, body: "<html><title>Forbidden</title></html>".to_owned() }
}

#[tokio::test]
async fn a_doubtful_refusal_sets_the_key_aside_that_was_used_and_no_other() {
    for status in [401, 403] {
        let sim = Simulator::start(Kind::OpenAi).unwrap();
        let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY), fixed("key-three")]);
        let http = http(&[Arc::clone(&model)]);
        sim.push(bare(status));
        for _ in 0..3 {
            assert!(call(&http, &model).await.is_ok());
        }
        assert_eq!(used(&sim), [OTHER, KEY, "key-three", KEY], "{status}");
    }
}

#[tokio::test]
async fn a_request_that_every_key_is_refused_with_in_doubt_sets_none_aside() {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
    let http = http(&[Arc::clone(&model)]);
    for _ in 0..2 {
        sim.push(bare(403));
    }
    let failure = call(&http, &model).await.err().unwrap();
    assert_eq!((failure.fault, failure.certain), (Fault::Auth, false));
    for _ in 0..2 {
        assert!(call(&http, &model).await.is_ok());
    }
    assert_eq!(used(&sim), [OTHER, KEY, KEY, OTHER]);
    // A key that is certainly refused beside one in doubt is left alone all the same.
    sim.forget_calls();
    sim.push(bare(403));
    sim.push(Behaviour::auth());
    assert!(call(&http, &model).await.is_err());
    let (first, second) = (used(&sim)[0].clone(), used(&sim)[1].clone());
    sim.forget_calls();
    for _ in 0..2 {
        assert!(call(&http, &model).await.is_ok());
    }
    assert_eq!(used(&sim), [first.clone(), first]);
    assert!(!used(&sim).contains(&second));
}

#[tokio::test]
async fn what_a_callers_own_additions_are_refused_for_is_no_matter_of_the_keys() {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
    let http = http(&[Arc::clone(&model)]);
    let request = fixtures::request(json!({"messages": [{"role": "user", "content": "Hi"}],
        "extra": {"openai": {"user": "u"}}}));
    for _ in 0..2 {
        sim.push(Behaviour::auth());
    }
    assert!(end(http.call(fixtures::call(&model, &request))).await.is_err());
    for _ in 0..2 {
        assert!(call(&http, &model).await.is_ok());
    }
    assert_eq!(used(&sim), [OTHER, KEY, KEY, OTHER]);
}

#[tokio::test]
async fn a_stream_that_begins_with_a_refused_key_goes_on_with_the_next() {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
    let http = http(&[Arc::clone(&model)]);
    let error = json!({"error": {"code": 402, "message": "Insufficient credits"}});
    let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    sim.push(Behaviour::Raw { status: 200, headers, body: format!("data: {error}\n\n") });
    assert!(call(&http, &model).await.is_ok());
    assert!(call(&http, &model).await.is_ok());
    assert_eq!(used(&sim), [OTHER, KEY, KEY]);
}

#[tokio::test]
async fn keys_that_are_all_limited_or_refused_ask_for_the_shortest_wait() {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY), fixed("key-three")]);
    let http = http(&[Arc::clone(&model)]);
    sim.push(Behaviour::rate_limited(Some("40")));
    sim.push(Behaviour::rate_limited(Some("20")));
    sim.push(Behaviour::auth());
    let failure = call(&http, &model).await.err().unwrap();
    assert_eq!(failure.fault, Fault::RateLimited);
    let wait = failure.retry_after.unwrap();
    assert!((Duration::from_secs(19)..=Duration::from_secs(20)).contains(&wait), "{wait:?}");
}

#[tokio::test]
async fn a_failure_that_is_not_about_the_key_tries_no_other() {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
    let http = http(&[Arc::clone(&model)]);
    for (behaviour, fault) in [
        (Behaviour::server_error(), Fault::ServerError),
        (Behaviour::invalid_request(), Fault::InvalidRequest),
        (Behaviour::model_not_found(), Fault::ModelNotFound),
    ] {
        sim.forget_calls();
        sim.push(behaviour);
        assert_eq!(call(&http, &model).await.err().unwrap().fault, fault);
        assert_eq!(used(&sim).len(), 1);
    }
}

#[tokio::test]
async fn what_is_known_of_keys_outlives_a_reload_that_leaves_them() {
    let sim = sim();
    let model = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY)]);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_ok());
    http.update(&[Arc::clone(&model)], LIMIT).unwrap();
    assert!(call(&http, &model).await.is_ok());
    let other = with_keys(&sim.base_url(), vec![fixed(OTHER), fixed(KEY), fixed("third")]);
    http.update(&[Arc::clone(&other)], LIMIT).unwrap();
    assert!(call(&http, &other).await.is_ok());
    assert_eq!(used(&sim), [OTHER, KEY, KEY, OTHER, KEY]);
}

#[tokio::test]
async fn a_key_file_is_read_again_when_its_key_is_refused() {
    let sim = sim();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "old-key-1\n").unwrap();
    sim.require_key("old-key-1");
    let model = with_keys(&sim.base_url(), vec![filed(&path)]);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_ok());
    sim.require_key(KEY);
    std::fs::write(&path, KEY).unwrap();
    assert!(call(&http, &model).await.is_ok(), "within the second, after a refusal");
    assert_eq!(used(&sim), ["old-key-1", "old-key-1", KEY]);
    // One that is away takes no key away.
    std::fs::remove_file(&path).unwrap();
    assert!(call(&http, &model).await.is_ok());
}

#[tokio::test]
async fn a_key_file_that_changes_is_used_without_a_refusal() {
    let sim = Simulator::start(Kind::OpenAi).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "old-key-1\n").unwrap();
    let model = with_keys(&sim.base_url(), vec![filed(&path)]);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_ok());
    std::fs::write(&path, "new-key-2\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(call(&http, &model).await.is_ok());
    assert_eq!(used(&sim), ["old-key-1", "new-key-2"]);
}

#[tokio::test]
async fn a_command_is_run_once_for_all_who_wait_for_its_key() {
    let sim = sim();
    let command = Command::new(&format!("sleep 0.3; echo {KEY}"));
    let model = with_keys(&sim.base_url(), vec![printed(&command.path(), 3000)]);
    let http = http(&[Arc::clone(&model)]);
    let (one, two, three) =
        tokio::join!(call(&http, &model), call(&http, &model), call(&http, &model));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(command.runs(), 1);
    // A reload that leaves the command leaves its key.
    http.update(&[Arc::clone(&model)], LIMIT).unwrap();
    assert!(call(&http, &model).await.is_ok());
    assert_eq!(command.runs(), 1);
}

#[tokio::test]
async fn a_printed_key_that_is_refused_is_printed_anew_and_the_call_repeated() {
    let sim = sim();
    let command = Command::new("echo token-that-ends-1");
    sim.require_key("token-that-ends-1");
    let model = with_keys(&sim.base_url(), vec![printed(&command.path(), 3000)]);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_ok());
    tokio::time::sleep(Duration::from_millis(5100)).await;
    sim.require_key(KEY);
    command.become_script(&format!("echo {KEY}"));
    assert!(call(&http, &model).await.is_ok());
    assert_eq!((command.runs(), sim.calls().len()), (2, 3));
    // The key before it is masked as well.
    let body = json!({"error": {"message": "no token-that-ends-1", "code": "x"}}).to_string();
    sim.push(Behaviour::Raw { status: 400, headers: Vec::new(), body });
    assert_eq!(call(&http, &model).await.err().unwrap().message, "no [hidden]");
}

#[tokio::test]
async fn a_command_is_not_run_again_and_again_for_a_key_that_is_refused() {
    let sim = sim();
    let command = Command::new("echo wrong-token-1");
    let model = with_keys(&sim.base_url(), vec![printed(&command.path(), 3000)]);
    let http = http(&[Arc::clone(&model)]);
    for _ in 0..5 {
        assert_eq!(call(&http, &model).await.err().unwrap().fault, Fault::Auth);
    }
    assert_eq!((command.runs(), sim.calls().len()), (1, 5));
}

#[tokio::test]
async fn a_command_that_fails_is_an_auth_failure_that_says_what_to_do() {
    let sim = sim();
    let command = Command::new(&format!("echo 'no login: token={KEY}' >&2; exit 4"));
    let model = with_keys(&sim.base_url(), vec![printed(&command.path(), 3000)]);
    let http = http(&[Arc::clone(&model)]);
    let failure = call(&http, &model).await.err().unwrap();
    assert_eq!((failure.fault, failure.status), (Fault::Auth, None));
    let said = &failure.message;
    assert!(said.contains("openai-test") && said.contains("command token failed"), "{said}");
    assert!(said.contains("exit status: 4") && !said.contains(KEY), "{said}");
    assert!(call(&http, &model).await.is_err());
    assert_eq!((command.runs(), sim.calls().len()), (1, 0));
}

#[tokio::test]
async fn a_key_beside_a_command_that_fails_carries_the_calls() {
    let sim = sim();
    let command = Command::new("exit 1");
    let keys = vec![printed(&command.path(), 3000), fixed(KEY)];
    let model = with_keys(&sim.base_url(), keys);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_ok());
    assert_eq!(used(&sim), [KEY]);
}
