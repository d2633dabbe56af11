//! Calls to a bare TCP server on loopback that says exactly what each test wants.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use futures_util::{FutureExt, StreamExt};

use super::super::fixtures::{self, KEY};
use super::super::{CallResult, Step};
use super::*;
use crate::config;
use crate::domain::time::{Mono, Wall};
use crate::protocol::chat::ChatRequest;

mod broken;
mod endings;
mod keys;
mod learned;
mod packed;
mod reach;
mod secrets;
mod signed;
mod streams;
mod vertex;

const LIMIT: usize = 64 * 1024;

const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi."},"finish_reason":"stop"}]}"#;

/// A listener and the base URL that leads to it.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("http://{address}"))
}

/// Reads one whole request, head and body.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let seen = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = seen.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return seen;
            }
        }
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the client closed the connection within a request");
        text.extend_from_slice(&piece[..read]);
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Answers one request on one connection, then closes it; gives the request.
async fn answer_once(text: String) -> (JoinHandle<String>, String) {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        request
    });
    (server, base)
}

fn model(kind: Kind, base: &str) -> Arc<Model> {
    Arc::new(fixtures::model(fixtures::provider(kind, base)))
}

fn clock() -> TimeSource {
    Rc::new(|| Now { mono: Mono(Duration::from_secs(1)), wall: Wall(1_795_132_800_000) })
}

fn http(models: &[Arc<Model>]) -> Http {
    Http::new(models, LIMIT, clock()).unwrap()
}

fn request() -> ChatRequest {
    fixtures::request(json!({"messages": [{"role": "user", "content": "Hi"}]}))
}

async fn call(http: &Http, model: &Model) -> CallResult {
    let request = request();
    end(http.call(fixtures::call(model, &request))).await
}

/// Follows a call to its end.
async fn end(mut steps: Steps<'_>) -> CallResult {
    loop {
        if let Some(Step::End(outcome)) = steps.next().await {
            return outcome;
        }
    }
}

/// A model whose provider is never asked for a stream.
fn unstreamed(kind: Kind, base: &str) -> Arc<Model> {
    let provider = config::ProviderConfig { streams: false, ..fixtures::provider(kind, base) };
    Arc::new(fixtures::model(provider))
}

/// The failure of a single call that is answered with this text.
async fn failure_of(text: String) -> Failure {
    let (server, base) = answer_once(text).await;
    let model = model(Kind::OpenAi, &base);
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    server.await.unwrap();
    failure
}

#[tokio::test]
async fn an_answer_is_read_and_the_request_is_well_formed() {
    let (server, base) = answer_once(response("200 OK", "", ANSWER)).await;
    let model = model(Kind::OpenAi, &format!("{base}/v1"));
    let answer = call(&http(&[Arc::clone(&model)]), &model).await.ok().unwrap();
    assert_eq!(answer.content.as_deref(), Some("Hi."));
    let sent = server.await.unwrap();
    assert!(sent.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{sent}");
    let lower = sent.to_ascii_lowercase();
    assert!(lower.contains("content-type: application/json\r\n"));
    assert!(lower.contains(&format!("authorization: bearer {}\r\n", KEY.to_ascii_lowercase())));
    assert!(lower.contains("user-agent: fallbackd/"));
    assert!(lower.contains("accept-encoding: identity\r\n"), "nothing else is asked for");
}

#[tokio::test]
async fn anthropic_and_google_have_their_own_paths_and_headers() {
    let claude = r#"{"content":[{"type":"text","text":"Hi."}],"stop_reason":"end_turn"}"#;
    let (server, base) = answer_once(response("200 OK", "", claude)).await;
    let anthropic = model(Kind::Anthropic, &base);
    assert!(call(&http(&[Arc::clone(&anthropic)]), &anthropic).await.is_ok());
    let sent = server.await.unwrap();
    assert!(sent.starts_with("POST /v1/messages HTTP/1.1\r\n"));
    assert!(sent.contains(&format!("x-api-key: {KEY}\r\n")));
    assert!(sent.contains("anthropic-version: 2023-06-01\r\n"));

    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hi."}]},"finishReason":"STOP"}]}"#;
    let (server, base) = answer_once(response("200 OK", "", gemini)).await;
    let google = model(Kind::Google, &format!("{base}/v1beta"));
    assert!(call(&http(&[Arc::clone(&google)]), &google).await.is_ok());
    let sent = server.await.unwrap();
    let path = "/v1beta/models/m-1:streamGenerateContent?alt=sse";
    assert!(sent.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{sent}");
    assert!(sent.contains(&format!("x-goog-api-key: {KEY}\r\n")));
}

#[tokio::test]
async fn configured_headers_and_query_are_sent_and_win() {
    let claude = r#"{"content":[{"type":"text","text":"Hi."}],"stop_reason":"end_turn"}"#;
    let (server, base) = answer_once(response("200 OK", "", claude)).await;
    let mut provider = fixtures::provider(Kind::Anthropic, &format!("{base}/proxy/v1"));
    provider.headers = vec![("anthropic-version".into(), "2026-10-21".to_owned().into())];
    provider.query = vec![("api-version".into(), "a b".to_owned().into())];
    let model = Arc::new(fixtures::model(provider));
    assert!(call(&http(&[Arc::clone(&model)]), &model).await.is_ok());
    let sent = server.await.unwrap();
    assert!(sent.starts_with("POST /proxy/v1/messages?api-version=a+b HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("anthropic-version: 2026-10-21\r\n") && !sent.contains("2023-06-01"));
}

#[tokio::test]
async fn a_503_gives_its_wait_and_its_reason() {
    let body =
        r#"{"error":{"message":"busy","type":"server_error","code":"server_is_overloaded"}}"#;
    let failure = failure_of(response("503 Service Unavailable", "retry-after: 7\r\n", body)).await;
    assert_eq!((failure.fault, failure.status), (Fault::Overloaded, Some(503)));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(failure.message, "busy");
    assert_eq!(failure.code.as_deref(), Some("server_is_overloaded"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (other, target) = listen().await;
    let failure =
        failure_of(response("307 Temporary Redirect", &format!("location: {target}\r\n"), ""))
            .await;
    assert_eq!(failure.fault, Fault::BadEndpoint);
    let reached = tokio::time::timeout(Duration::from_millis(20), other.accept()).await;
    assert!(reached.is_err(), "the redirect was followed");
}

#[tokio::test]
async fn settings_can_change_and_the_pool_stays() {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut paths = Vec::new();
        for _ in 0..2 {
            let request = read_request(&mut stream).await;
            paths.push(request.split(' ').nth(1).unwrap().to_owned());
            stream.write_all(response("200 OK", "", ANSWER).as_bytes()).await.unwrap();
        }
        paths
    });
    let first = model(Kind::OpenAi, &format!("{base}/v1"));
    let http = http(&[Arc::clone(&first)]);
    assert!(call(&http, &first).await.is_ok());
    let second = model(Kind::OpenAi, &format!("{base}/v2"));
    http.update(&[Arc::clone(&second)], LIMIT).unwrap();
    assert!(call(&http, &second).await.is_ok());
    assert_eq!(server.await.unwrap(), ["/v1/chat/completions", "/v2/chat/completions"]);
}

#[tokio::test]
async fn a_model_removed_or_changed_in_kind_is_passed_over() {
    let old = model(Kind::OpenAi, "http://127.0.0.1:1");
    let http = http(&[Arc::clone(&old)]);
    http.update(&[model(Kind::Google, "http://127.0.0.1:1")], LIMIT).unwrap();
    assert_eq!(call(&http, &old).await.err().unwrap().fault, Fault::UnsupportedParam);
    http.update(&[], LIMIT).unwrap();
    assert_eq!(call(&http, &old).await.err().unwrap().fault, Fault::UnsupportedParam);
}
