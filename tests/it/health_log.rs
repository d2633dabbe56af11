//! The health log as a file: whole lines, one for each call and each request, in order of time,
//! and `tail -F` sees them all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{NO_RETRY, Setup, chat, eventually, openai};

/// Every line of a log that nobody writes any more, which must all be whole.
pub(crate) fn read(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn named<'a>(log: &'a [Value], event: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn a_busy_outage_leaves_one_line_for_every_call_and_every_request() {
    let sim = openai();
    sim.set_for("a", Behaviour::overloaded());
    let flaky = [Behaviour::server_error(), Behaviour::Ok, Behaviour::rate_limited(Some("1"))];
    flaky.iter().cycle().take(30).for_each(|behaviour| sim.push_for("b", behaviour.clone()));
    let daemon = Setup::of(&sim, &["a", "b", "c"]).toml(NO_RETRY).start();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut client = daemon.client();
                (0..10).for_each(|id| drop(client.ask_ok(&chat(id, "p"))));
            });
        }
    });
    let ended = daemon.terminate();
    let log = read(&ended.setup.log());
    let (calls, requests) = (named(&log, "call"), named(&log, "request"));
    assert_eq!(requests.len(), 200);
    assert_eq!(calls.len() as u64, sim.counts().calls);

    let mut by_request = BTreeMap::new();
    for call in &calls {
        *by_request.entry(call["request_id"].as_str().unwrap()).or_insert(0) += 1;
    }
    for request in &requests {
        let calls = by_request.remove(request["request_id"].as_str().unwrap());
        assert_eq!(request["calls"], json!(calls.unwrap_or(0)), "{request}");
    }
    assert!(by_request.is_empty(), "calls without a request: {by_request:?}");

    let stamps: Vec<&str> = log.iter().map(|line| line["timestamp"].as_str().unwrap()).collect();
    assert!(stamps.is_sorted(), "time went backwards");
    assert!(stamps.iter().all(|stamp| stamp.len() == 24 && stamp.ends_with('Z')));
    assert!(!named(&log, "breaker").is_empty() && !named(&log, "order").is_empty());
    assert_eq!(
        (log[0]["event"].as_str(), log[1]["event"].as_str()),
        (Some("checkpoint"), Some("start"))
    );
    assert_eq!(log.last().unwrap()["event"], "stop");
}

#[test]
fn the_lines_of_a_fallback_tell_what_happened() {
    let sim = openai();
    sim.set_for("a", Behaviour::auth());
    let price = "cost_per_1k_input = 1.0\ncost_per_1k_output = 2.0\n";
    let daemon = Setup::new()
        .provider("local", &sim)
        .model("a", "local", price)
        .model("b", "local", price)
        .chain("code", &["a", "b"])
        .start();
    let mut request = chat(1, "four");
    request["task"] = json!("code");
    let reply = daemon.ask_ok(&request);
    let ended = daemon.terminate();
    let log = read(&ended.setup.log());
    let (calls, requests) = (named(&log, "call"), named(&log, "request"));
    let has = |line: &Value, wanted: Value| {
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(&line[field], value, "{field} of {line}");
        }
    };
    let id = &reply["request_id"];
    has(
        calls[0],
        json!({ "model_name": "a", "success": false, "error_type": "auth", "status": 401,
            "verdict": "failure", "counted": true, "request_id": id, "task": "code", "primary": "a",
            "kind": "live", "input_tokens": null, "output_tokens": null }),
    );
    has(
        calls[1],
        json!({ "model_name": "b", "success": true, "error_type": null, "verdict": "success",
            "counted": true, "request_id": id, "input_tokens": reply["usage"]["input_tokens"],
            "output_tokens": reply["usage"]["output_tokens"], "cost_usd": reply["cost_usd"],
            "cost_estimated": false }),
    );
    assert!(calls.iter().all(|call| call["latency_ms"].is_u64()));
    has(
        requests[0],
        json!({ "request_id": id, "task": "code", "success": true, "primary": "a",
            "model_used": "b", "fallback_count": 1, "calls": 2,
            "request_cost_usd": reply["request_cost_usd"] }),
    );
    has(named(&log, "breaker")[0], json!({ "model_name": "a", "from": "closed", "to": "open" }));
}

#[test]
fn a_request_that_failed_has_its_line_with_the_error() {
    let sim = openai();
    sim.set(Behaviour::invalid_request());
    let daemon = Setup::of(&sim, &["m"]).start();
    let reply = daemon.ask(&chat(1, "p"));
    assert_eq!(reply["error"]["code"], "invalid_request");
    let line = daemon.wait_logged("request", 1).remove(0);
    assert_eq!((&line["success"], &line["error"]), (&json!(false), &json!("invalid_request")));
    assert_eq!(line["request_id"], reply["request_id"]);
}

/// `tail -F` on a log, into a file.
struct Tail {
    child: Child,
    out: PathBuf,
}

impl Tail {
    fn follow(log: &Path, out: PathBuf) -> Tail {
        let child = Command::new("tail")
            .args(["-n", "+1", "-F"])
            .arg(log)
            .stdout(File::create(&out).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Tail { child, out }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_follows_the_log_across_rotations_without_missing_a_line() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).toml("[log]\nmax_size = \"4KiB\"\nkeep = 20\n").start();
    let log = daemon.setup.log();
    let tail = Tail::follow(&log, daemon.setup.folder().join("tail.out"));
    let rotated = |number: usize| PathBuf::from(format!("{}.{number}", log.display()));
    let mut client = daemon.client();
    let mut ids = Vec::new();
    while !rotated(3).exists() {
        let reply = client.ask_ok(&chat(1, "p"));
        let id = reply["request_id"].as_str().unwrap().to_owned();
        // Both its lines; a reader that is two files behind would lose one, whoever writes them.
        let seen = || tail.text().matches(&id).count() == 2;
        eventually("tail shows the lines of a request", || seen().then_some(()));
        ids.push(id);
    }
    let files: String = (1..=3)
        .rev()
        .map(rotated)
        .chain([log.clone()])
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    assert_eq!(tail.text(), files);
    assert!(ids.iter().all(|id| files.matches(id).count() == 2));
    for number in 1..=3 {
        let lines = read(&rotated(number));
        assert_eq!(lines[0]["event"], "checkpoint", "each file begins with its name");
        assert!(fs::metadata(rotated(number)).unwrap().len() <= 4096);
    }
}

#[test]
fn only_as_many_old_files_are_kept_as_configured() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).toml("[log]\nmax_size = \"1KiB\"\nkeep = 2\n").start();
    let mut client = daemon.client();
    for id in 0..40 {
        client.ask_ok(&chat(id, "p"));
    }
    let ended = daemon.terminate();
    let folder = ended.setup.log().parent().unwrap().to_owned();
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["health.jsonl", "health.jsonl.1", "health.jsonl.2"]);
}

#[test]
fn a_log_that_somebody_deleted_or_moved_is_begun_again() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let log = daemon.setup.log();
    daemon.ask_ok(&chat(1, "p"));
    daemon.wait_logged("request", 1);
    fs::remove_file(&log).unwrap();
    daemon.ask_ok(&chat(2, "p"));
    daemon.wait_logged("request", 1);
    fs::rename(&log, log.with_extension("moved")).unwrap();
    daemon.ask_ok(&chat(3, "p"));
    assert_eq!(daemon.wait_logged("request", 1).len(), 1);
    assert_eq!(daemon.log()[0]["event"], "checkpoint");
}

#[test]
fn a_log_that_cannot_be_written_is_counted_and_stops_nobody() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]);
    fs::create_dir_all(setup.log()).unwrap();
    let daemon = setup.start();
    for id in 0..3 {
        daemon.ask_ok(&chat(id, "p"));
    }
    eventually("the loss is counted", || {
        let health = daemon.ask_ok(&json!({ "op": "health" }));
        let recorder = &health["recorder"];
        let told = recorder["log_error"].is_string();
        (told && recorder["dropped"].as_u64() >= Some(6)).then_some(())
    });
    assert_eq!(daemon.health_of("m")["total_calls"], 3);
}
