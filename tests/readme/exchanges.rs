//! The lines of the protocol that the pages show, sent to a real daemon.
//!
//! A block holds one or more requests and what they are answered. The requests go out over one
//! connection, in the order of the page, to a daemon whose primary model is overloaded. Every
//! documented answer must be among the real ones: the same members, the same values, except for
//! times, names and counts that differ from run to run, of which only the type must be the same.

use serde_json::Value;

use crate::fixture::Fixture;
use crate::page::blocks;
use crate::shape;

/// Members whose values differ from run to run.
const DIFFERS: [&str; 23] = [
    "identity",
    "proven_ago_ms",
    "proven_at",
    "first_token_ms",
    "bucket",
    "at",
    "avg_latency_ms",
    "last_checkpoint",
    "latency_ms",
    "lines",
    "log",
    "p50_ms",
    "p95_ms",
    "peer_uid",
    "pid",
    "request_id",
    "retry_after_ms",
    "retry_at",
    "retry_in_ms",
    "since",
    "timestamp",
    "until",
    "uptime_ms",
];

/// Where a real value is not what the page says; `None` if it is.
fn differs(page: &Value, real: &Value, at: &str) -> Option<String> {
    let here = |what: String| Some(format!("{at}: {what}"));
    let name = at.rsplit('.').next().unwrap_or_default();
    match (page, real) {
        (Value::Object(page), Value::Object(real)) => {
            if let Some(key) = page.keys().find(|key| !real.contains_key(*key)) {
                return here(format!("there is no `{key}`"));
            }
            if let Some(key) = real.keys().find(|key| !page.contains_key(*key)) {
                return here(format!("the page lacks `{key}`"));
            }
            page.iter().find_map(|(key, value)| differs(value, &real[key], &format!("{at}.{key}")))
        }
        (Value::Array(page), Value::Array(real)) if page.len() == real.len() => {
            page.iter().zip(real).find_map(|(page, real)| differs(page, real, at))
        }
        // Written at most every half second, so it may or may not have been.
        _ if name == "last_checkpoint" => None,
        _ if DIFFERS.contains(&name) => {
            let same = std::mem::discriminant(page) == std::mem::discriminant(real);
            if same { None } else { here(format!("{real}, not {page}")) }
        }
        _ if page == real => None,
        _ => here(format!("{real}, not {page}")),
    }
}

/// Values of a block, in order.
fn values(block: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(block).into_iter::<Value>();
    values.map(|value| value.unwrap_or_else(|error| panic!("{error} in\n{block}"))).collect()
}

/// Whether it is something a client would send.
fn is_request(value: &Value) -> bool {
    value.get("messages").is_some() || value.get("op").is_some()
}

/// Sends the requests and reads until every documented answer has come. A watcher may also be told
/// of what was written to the log a moment before.
fn try_block(fixture: &Fixture, requests: &[String], mut answers: Vec<Value>) -> Option<String> {
    const FURTHER: usize = 20;
    let mut connection = fixture.connect(requests);
    let mut differences = Vec::new();
    for _ in 0..answers.len() + FURTHER {
        let line = connection.next().and_then(Result::ok);
        let Some(line) = line else {
            differences.push("no more answers".to_owned());
            break;
        };
        let real = values(&line).remove(0);
        let found = answers.iter().position(|answer| differs(answer, &real, "").is_none());
        match found {
            Some(at) => drop(answers.remove(at)),
            None => {
                let why = answers.iter().filter_map(|answer| differs(answer, &real, ""));
                differences.extend(why.chain([real.to_string()]));
            }
        }
        let is_reply = real.get("log").is_none();
        if answers.is_empty() {
            return None;
        }
        if found.is_none() && is_reply {
            break;
        }
    }
    Some(format!("{}\n{}", requests.join("\n"), differences.join("\n")))
}

/// What of a page's blocks is not true.
fn try_page(page: &str) -> (Fixture, Vec<String>) {
    let fixture = Fixture::start();
    fixture.break_primary();
    let mut wrong = Vec::new();
    for block in blocks(page, "exchange") {
        let (requests, answers): (Vec<_>, Vec<_>) =
            values(&block).into_iter().partition(is_request);
        let requests: Vec<String> = requests.iter().map(Value::to_string).collect();
        wrong.extend(try_block(&fixture, &requests, answers));
    }
    (fixture, wrong)
}

#[test]
fn every_exchange_of_the_protocol_page_is_true() {
    let (_stage, wrong) = try_page("docs/protocol.md");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn every_exchange_of_the_readme_and_its_line_of_the_log_are_true() {
    let (fixture, mut wrong) = try_page("README.md");
    for line in blocks("README.md", "log").iter().flat_map(|block| values(block)) {
        let agrees = |log: &str| {
            log.lines().flat_map(values).any(|real| differs(&line, &real, "").is_none())
        };
        if !fixture.wait_for_log(agrees) {
            wrong.push(format!("the log has no line like {line}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn every_exchange_and_line_of_the_log_is_what_the_schema_describes() {
    let mut wrong = Vec::new();
    for page in ["docs/protocol.md", "README.md"] {
        for value in blocks(page, "exchange").iter().flat_map(|block| values(block)) {
            let line = value.to_string();
            wrong.extend(match is_request(&value) {
                true => shape::disagreement(line.as_bytes()),
                false => shape::misshapen(&line),
            });
        }
        for event in blocks(page, "log").iter().flat_map(|block| values(block)) {
            wrong.extend(shape::misshapen(&format!("{{\"log\":{event}}}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_page_that_says_something_else_is_found() {
    let real = values(r#"{"id":7,"ok":true,"latency_ms":12,"attempts":[{"model":"a"}]}"#).remove(0);
    let rows = [
        (r#"{"id":7,"ok":true,"latency_ms":99,"attempts":[{"model":"a"}]}"#, true),
        (r#"{"id":7,"ok":true,"latency_ms":"9","attempts":[{"model":"a"}]}"#, false),
        (r#"{"id":8,"ok":true,"latency_ms":12,"attempts":[{"model":"a"}]}"#, false),
        (r#"{"id":7,"ok":true,"latency_ms":12,"attempts":[]}"#, false),
        (r#"{"id":7,"ok":true,"latency_ms":12}"#, false),
        (r#"{"id":7,"ok":true,"latency_ms":12,"attempts":[{"model":"a"}],"more":1}"#, false),
    ];
    for (page, agrees) in rows {
        assert_eq!(differs(&values(page)[0], &real, "").is_none(), agrees, "{page}");
    }
}
