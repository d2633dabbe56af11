//! The simulated providers over real sockets: shapes, faults, the journal and the switch.
//!
//! The client is a bare socket, so that nothing between hides what was really sent.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Background, Behaviour, Simulator};
use crate::config::Kind;

mod streams;

const KINDS: [Kind; 4] = Kind::ALL;

/// The headers of a key, for every kind.
const PLANTED: &str = "authorization: Bearer k-planted\r\nx-goog-api-key: k-planted\r\n";

struct Got {
    status: u16,
    head: String,
    body: String,
    /// The same, where it is no text.
    raw: Vec<u8>,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// A good request to this kind of provider.
fn question(kind: Kind, model: &str) -> (String, Value) {
    match kind {
        Kind::OpenAi => (
            "/v1/chat/completions".to_owned(),
            json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] }),
        ),
        Kind::Anthropic => (
            "/v1/messages".to_owned(),
            json!({ "model": model, "max_tokens": 100,
                    "messages": [{ "role": "user", "content": "hello" }] }),
        ),
        Kind::Google => (
            format!("/v1beta/models/{model}:generateContent"),
            json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] }),
        ),
        Kind::Bedrock => (
            format!("/model/{model}/converse"),
            json!({ "messages": [{ "role": "user", "content": [{ "text": "hello" }] }] }),
        ),
    }
}

async fn send(sim: &Simulator, path: &str, body: &Value, key: &str) -> io::Result<TcpStream> {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {}\r\n{key}\
         anthropic-version: 2023-06-01\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(sim.address()).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

async fn fetch(sim: &Simulator, path: &str, body: &Value) -> io::Result<Got> {
    fetch_as(sim, path, body, PLANTED).await
}

async fn fetch_as(sim: &Simulator, path: &str, body: &Value, key: &str) -> io::Result<Got> {
    let mut bytes = Vec::new();
    send(sim, path, body, key).await?.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    let raw = without_chunks(head, &bytes[head.len() + 4..]);
    Ok(Got { status, head: head.to_owned(), body: body.to_owned(), raw })
}

/// A body as it was before it was sent in chunks, as far as it came.
fn without_chunks(head: &str, mut rest: &[u8]) -> Vec<u8> {
    if !head.contains("transfer-encoding: chunked") {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = String::from_utf8_lossy(&rest[..end]);
        let length = usize::from_str_radix(&length, 16).unwrap_or_default();
        rest = &rest[end + 2..];
        body.extend_from_slice(&rest[..length.min(rest.len())]);
        rest = rest.get(length + 2..).unwrap_or_default();
    }
    body
}

async fn ask(sim: &Simulator, model: &str) -> io::Result<Got> {
    let (path, body) = question(sim.kind(), model);
    fetch(sim, &path, &body).await
}

#[tokio::test]
async fn a_plain_answer_has_the_shape_of_its_provider() {
    let text = json!("[m] hello");
    for kind in KINDS {
        let sim = Simulator::start(kind).expect("a free port");
        let got = ask(&sim, "m").await.expect("an answer");
        assert_eq!(got.status, 200, "{}", got.body);
        let body = got.json();
        let (said, finish, tokens) = match kind {
            Kind::OpenAi => (
                "/choices/0/message/content",
                ("/choices/0/finish_reason", "stop"),
                ["/usage/prompt_tokens", "/usage/completion_tokens"],
            ),
            Kind::Anthropic => (
                "/content/0/text",
                ("/stop_reason", "end_turn"),
                ["/usage/input_tokens", "/usage/output_tokens"],
            ),
            Kind::Google => (
                "/candidates/0/content/parts/0/text",
                ("/candidates/0/finishReason", "STOP"),
                ["/usageMetadata/promptTokenCount", "/usageMetadata/candidatesTokenCount"],
            ),
            Kind::Bedrock => (
                "/output/message/content/0/text",
                ("/stopReason", "end_turn"),
                ["/usage/inputTokens", "/usage/outputTokens"],
            ),
        };
        assert_eq!(body.pointer(said), Some(&text));
        assert_eq!(body.pointer(finish.0), Some(&json!(finish.1)));
        assert_eq!(
            tokens.map(|place| body.pointer(place).cloned()),
            [Some(json!(2)), Some(json!(3))]
        );
        assert_eq!(got.head.contains("retry-after: 49"), kind == Kind::Anthropic);
    }
}

#[tokio::test]
async fn errors_come_in_the_providers_own_shape() {
    let cases = [
        (Behaviour::overloaded(), [503, 529, 503, 503]),
        (Behaviour::server_error(), [500, 500, 500, 500]),
        (Behaviour::rate_limited(Some("7")), [429, 429, 429, 429]),
        (Behaviour::quota(), [429, 429, 429, 400]),
        (Behaviour::auth(), [401, 401, 400, 403]),
        (Behaviour::model_not_found(), [404, 404, 404, 404]),
        (Behaviour::context_too_long(), [400, 400, 400, 400]),
        (Behaviour::content_policy(), [400, 400, 200, 400]),
        (Behaviour::status(418), [418, 418, 418, 418]),
    ];
    for (at, kind) in KINDS.into_iter().enumerate() {
        let sim = Simulator::start(kind).expect("a free port");
        for (behaviour, statuses) in &cases {
            sim.push(behaviour.clone());
            let got = ask(&sim, "m").await.expect("an error");
            assert_eq!(got.status, statuses[at], "{kind:?} {behaviour:?}");
            let place = if kind == Kind::Bedrock { "/message" } else { "/error/message" };
            let message = got.json().pointer(place).is_some();
            let named = got.head.contains("x-amzn-errortype: ");
            assert_eq!(named, kind == Kind::Bedrock, "{}", got.head);
            assert_eq!(message, got.status != 200, "{kind:?} {behaviour:?}");
            if *behaviour == Behaviour::rate_limited(Some("7")) {
                let header = got.head.contains("retry-after: 7");
                let body = got.body.contains("\"retryDelay\":\"7s\"");
                assert_eq!((header, body), (kind != Kind::Google, kind == Kind::Google));
            }
        }
        assert_eq!(ask(&sim, "m").await.expect("an answer").status, 200, "scripts are one-shot");
    }
}

#[tokio::test]
async fn what_is_said_for_one_model_leaves_the_others_alone() {
    let sim = Simulator::start(Kind::OpenAi).expect("a free port");
    sim.set_for("bad", Behaviour::server_error());
    sim.push_for("bad", Behaviour::Say("once".to_owned()));
    assert!(ask(&sim, "bad").await.expect("an answer").body.contains("once"));
    assert_eq!(ask(&sim, "bad").await.expect("an error").status, 500);
    assert_eq!(ask(&sim, "good").await.expect("an answer").status, 200);
    assert_eq!(sim.calls_for("bad").len(), 2);
    sim.well();
    assert_eq!(ask(&sim, "bad").await.expect("an answer").status, 200);
}

#[tokio::test]
async fn mistakes_in_a_request_are_refused_in_the_providers_words() {
    let cases = [
        (Kind::OpenAi, "/quality", json!(1), "Unknown parameter: 'quality'."),
        (Kind::OpenAi, "/messages", json!([]), "empty array"),
        (Kind::Anthropic, "/quality", json!(1), "quality: Extra inputs are not permitted"),
        (Kind::Anthropic, "/max_tokens", Value::Null, "max_tokens: Field required"),
        (Kind::Anthropic, "/messages", json!([]), "at least one message is required"),
        (Kind::Google, "/quality", json!(1), "Unknown name \\\"quality\\\""),
        (
            Kind::Google,
            "/contents",
            json!([{ "role": "system", "parts": [{ "text": "x" }] }]),
            "valid role",
        ),
        (Kind::Bedrock, "/quality", json!(1), "extraneous key [quality]"),
        (Kind::Bedrock, "/messages", json!([]), "The messages field is empty"),
        (
            Kind::Bedrock,
            "/messages",
            json!([{ "role": "user", "content": [{ "text": " " }] }]),
            "messages.0.content.0 is blank",
        ),
    ];
    for (kind, field, value, expected) in cases {
        let sim = Simulator::start(kind).expect("a free port");
        let (path, mut body) = question(kind, "m");
        body[&field[1..]] = value;
        let got = fetch(&sim, &path, &body).await.expect("an error");
        assert_eq!(got.status, 400);
        assert!(got.body.contains(expected), "{}", got.body);
    }
}

#[tokio::test]
async fn broken_replies_are_broken_the_way_they_say() {
    let sim = Simulator::start(Kind::OpenAi).expect("a free port");
    for reset in [Behaviour::ResetOnConnect, Behaviour::ResetBeforeHeaders] {
        sim.push(reset);
        let error = ask(&sim, "m").await.err().map(|error| error.kind());
        let gone = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        assert!(error.is_some_and(|kind| gone.contains(&kind)), "{error:?}");
    }
    sim.push(Behaviour::TruncatedBody);
    let got = ask(&sim, "m").await.expect("half an answer");
    assert!(got.body.starts_with("{\"id\"") && !got.body.ends_with('}'), "{}", got.body);

    sim.push(Behaviour::NotJson);
    let got = ask(&sim, "m").await.expect("a page");
    assert!(got.status == 200 && got.body.starts_with("<!doctype html>"));

    sim.push(Behaviour::HugeBody(1_000_000));
    assert!(ask(&sim, "m").await.expect("a long answer").body.len() > 1_000_000);

    sim.push(Behaviour::EchoKey);
    assert!(ask(&sim, "m").await.expect("an error").body.contains("k-planted"));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_and_its_secrets_stay_out_of_debug() {
    let sim = Simulator::start(Kind::Anthropic).expect("a free port");
    sim.set(Behaviour::Hang);
    let (path, body) = question(Kind::Anthropic, "m");
    let stream = send(&sim, &path, &body, PLANTED).await.expect("a connection");
    sim.wait_calls(1).await;
    assert!(!sim.calls()[0].cancelled);
    drop(stream);
    sim.wait_cancelled(1).await;
    let seen = &sim.calls()[0];
    assert!(seen.cancelled && seen.status.is_none());
    assert_eq!(seen.header("authorization"), Some("Bearer k-planted"));
    assert!(!format!("{seen:?} {sim:?}").contains("planted"));
}

#[test]
fn it_runs_inside_an_actor_system_and_needs_no_key_when_told() {
    actix::System::new().block_on(async {
        for kind in KINDS {
            let sim = Simulator::start(kind).expect("a free port");
            let (path, body) = question(kind, "m");
            let refused = fetch_as(&sim, &path, &body, "").await.expect("an error");
            let status = if matches!(kind, Kind::Google | Kind::Bedrock) { 403 } else { 401 };
            assert_eq!(refused.status, status, "{}", refused.body);
            sim.need_no_key();
            let got = fetch_as(&sim, &path, &body, "").await.expect("an answer");
            assert_eq!(got.status, 200, "{}", got.body);
        }
    });
}

#[tokio::test]
async fn a_held_call_is_answered_when_it_is_released() {
    let sim = Simulator::start(Kind::Google).expect("a free port");
    sim.push(Behaviour::Held);
    let (got, ()) = tokio::join!(ask(&sim, "m"), async {
        sim.wait_calls(1).await;
        assert_eq!(sim.calls()[0].status, None);
        sim.release();
    });
    assert_eq!(got.expect("an answer").status, 200);
}

#[test]
fn a_provider_in_its_own_thread_goes_down_and_comes_back_on_its_port() {
    let sim = Background::start(Kind::OpenAi).expect("a free port");
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build();
    here.expect("a runtime").block_on(async {
        let address = sim.address();
        sim.set(Behaviour::Hang);
        let (path, body) = question(Kind::OpenAi, "m");
        let mut open = send(&sim, &path, &body, PLANTED).await.expect("a connection");
        sim.wait_calls(1).await;
        sim.down().expect("the port is kept");
        assert!(open.read_to_end(&mut Vec::new()).await.is_err(), "open connections are reset");
        let refused = ask(&sim, "m").await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(sim.counts().cancelled, 0, "the provider left, not the client");
        sim.up().expect("the port is still ours");
        sim.set(Behaviour::delay(Duration::from_millis(1)));
        assert_eq!(ask(&sim, "m").await.expect("an answer").status, 200);
        assert_eq!(sim.address(), address);
    });
}
