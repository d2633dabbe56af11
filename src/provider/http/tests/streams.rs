//! Streams over a real connection: what is asked for, when they are given up, who is told what.

use super::*;
use crate::provider::Step as Heard;

pub(super) const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

const MS: Duration = Duration::from_millis(1);

pub(super) fn text(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

pub(super) const FINISH: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

pub(super) const DONE: &str = "data: [DONE]\n\n";

/// What a server does after it has read the request.
enum Step {
    Say(String),
    Wait(Duration),
    /// Keeps the connection open until the client leaves.
    Hold,
}

use Step::{Hold, Say, Wait};

fn say(text: impl Into<String>) -> Step {
    Say(text.into())
}

/// Plays the steps on one connection; gives the request and how long the client stayed in `Hold`.
async fn play(steps: Vec<Step>) -> (JoinHandle<(String, Duration)>, String) {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        let mut held = Duration::ZERO;
        for step in steps {
            match step {
                Say(text) => {
                    // A client that left is no news here.
                    let _ = stream.write_all(text.as_bytes()).await;
                }
                Wait(time) => tokio::time::sleep(time).await,
                Hold => {
                    let since = tokio::time::Instant::now();
                    let _ = stream.read(&mut [0; 16]).await;
                    held = since.elapsed();
                }
            }
        }
        (request, held)
    });
    (server, base)
}

struct Told {
    outcome: CallResult,
    pieces: Vec<Heard>,
    took: Duration,
    request: String,
}

impl Told {
    fn text(&self) -> String {
        let texts = self.pieces.iter().map(|piece| match piece {
            Heard::Text(text) => text.as_str(),
            Heard::Life | Heard::End(_) => "",
        });
        texts.collect()
    }

    fn fault(&self) -> Fault {
        self.outcome.as_ref().err().unwrap().fault
    }
}

/// A call with these limits in milliseconds, and all its steps.
async fn streamed(steps: Vec<Step>, [first, idle, complete, whole]: [u32; 4]) -> Told {
    let (server, base) = play(steps).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    let request = request();
    let mut call = fixtures::call(&model, &request);
    call.limits = crate::domain::pace::Limits {
        first: first * MS,
        idle: idle * MS,
        complete: complete * MS,
        whole: whole * MS,
    };
    let since = tokio::time::Instant::now();
    let mut steps = http.call(call);
    let mut pieces = Vec::new();
    let outcome = loop {
        match steps.next().await.expect("an end") {
            Heard::End(outcome) => break outcome,
            piece => pieces.push(piece),
        }
    };
    assert!(steps.next().await.is_none(), "an end is the last");
    drop(steps);
    let took = since.elapsed();
    drop(http);
    Told { outcome, pieces, took, request: server.await.unwrap().0 }
}

const GENEROUS: [u32; 4] = [5_000, 5_000, 5_000, 5_000];

#[tokio::test]
async fn a_stream_is_asked_for_with_its_usage_and_told_piece_by_piece() {
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n";
    let steps = vec![
        say(HEAD),
        say(text("Hel")),
        Wait(30 * MS),
        say(text("lo") + FINISH + usage + DONE),
        Hold,
    ];
    let told = streamed(steps, GENEROUS).await;
    assert_eq!(told.text(), "Hello");
    assert_eq!(told.pieces.len(), 2);
    let answer = told.outcome.ok().unwrap();
    assert_eq!(answer.content.as_deref(), Some("Hello"));
    assert_eq!(answer.usage.unwrap().input_tokens, 5);
    assert!(told.took < 900 * MS, "the end marker ends the call, not the connection");
    assert!(told.request.contains(r#""stream":true,"stream_options":{"include_usage":true}"#));
}

#[tokio::test]
async fn without_an_end_marker_a_finished_answer_is_waited_for_a_second_at_most() {
    let told = streamed(vec![say(HEAD), say(text("Hi") + FINISH), Hold], GENEROUS).await;
    assert_eq!(told.outcome.ok().unwrap().content.as_deref(), Some("Hi"));
    assert!(told.took >= 950 * MS && told.took < 3_000 * MS, "{:?}", told.took);
    let told = streamed(vec![say(HEAD), say(text("Hi") + FINISH)], GENEROUS).await;
    assert_eq!(told.outcome.ok().unwrap().content.as_deref(), Some("Hi"));
    assert!(told.took < 900 * MS);
}

#[tokio::test]
async fn content_that_is_late_ends_the_call_whatever_else_arrives() {
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    for noise in ["", ": ping\n\n", role, "event: ping\ndata: {}\n\n"] {
        let mut steps = vec![say(HEAD)];
        for _ in 0..20 {
            steps.extend([Wait(20 * MS), say(noise)]);
        }
        let told = streamed(steps, [150, 5_000, 5_000, 5_000]).await;
        assert_eq!(told.fault(), Fault::FirstTokenTimeout, "{noise}");
        assert!(told.took >= 150 * MS && told.took < 390 * MS, "{noise}: {:?}", told.took);
        assert_eq!(told.text(), "");
    }
    let silent = streamed(vec![Hold], [100, 5_000, 5_000, 5_000]).await;
    let failure = silent.outcome.err().unwrap();
    assert_eq!(failure.fault, Fault::FirstTokenTimeout);
    assert_eq!(failure.message, "no content from 127.0.0.1 within 100ms");
}

#[tokio::test]
async fn reasoning_and_tool_fragments_are_life_and_told_once() {
    let think = "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n";
    let tool = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1\"}}]}}]}\n\n";
    for life in [think, tool] {
        let mut steps = vec![say(HEAD)];
        for _ in 0..10 {
            steps.extend([Wait(40 * MS), say(life)]);
        }
        steps.push(say(FINISH));
        let told = streamed(steps, [200, 200, 5_000, 5_000]).await;
        assert!(told.took >= 400 * MS, "{:?}", told.took);
        assert!(matches!(told.pieces[..], [Heard::Life]), "{life}");
    }
}

#[tokio::test]
async fn a_stream_that_stops_delivering_is_stalled_although_it_pings() {
    let mut steps = vec![say(HEAD), say(text("half"))];
    for _ in 0..20 {
        steps.extend([Wait(20 * MS), say(": ping\n\n")]);
    }
    let told = streamed(steps, [5_000, 150, 5_000, 5_000]).await;
    assert_eq!((told.fault(), told.text().as_str()), (Fault::StreamStalled, "half"));
    assert!(told.took >= 150 * MS && told.took < 390 * MS, "{:?}", told.took);
}

#[tokio::test]
async fn a_stream_that_delivers_is_ended_by_nothing_but_the_deadline() {
    let steps = || {
        let mut steps = vec![say(HEAD)];
        for _ in 0..25 {
            steps.extend([Wait(20 * MS), say(text("x"))]);
        }
        steps.push(say(FINISH.to_owned() + DONE));
        steps
    };
    let told = streamed(steps(), [200, 200, 200, 60_000]).await;
    assert_eq!(told.outcome.as_ref().ok().unwrap().content, Some("x".repeat(25)));
    let told = streamed(steps(), [200, 200, 200, 250]).await;
    let failure = told.outcome.err().unwrap();
    assert_eq!(failure.fault, Fault::Timeout);
    assert_eq!(failure.message, "no complete answer from 127.0.0.1 within 250ms");
}

#[tokio::test]
async fn the_end_of_the_body_or_of_the_connection_without_a_finish_is_a_cut() {
    let chunked = HEAD.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
    let half = text("half");
    let body = format!("{:x}\r\n{half}\r\n", half.len());
    for steps in [
        vec![say(HEAD), say(half.clone())],
        vec![say(HEAD), say(half.clone() + DONE)],
        vec![say(HEAD), say(half.clone() + "data: {\"choices\":[{\"del")],
        vec![say(chunked.clone()), say(body.clone() + "0\r\n\r\n"), Hold],
        vec![say(chunked.clone()), say(body.clone())],
        vec![say(HEAD)],
    ] {
        let told = streamed(steps, GENEROUS).await;
        assert_eq!(told.fault(), Fault::StreamCut);
    }
}

#[tokio::test]
async fn a_line_that_is_not_json_is_a_bad_body_and_what_came_with_it_is_not_told() {
    let bad = "data: {\"choices\":[{\"del\n\n";
    let steps = vec![say(HEAD), say(text("told")), Wait(30 * MS), say(text("untold") + bad), Hold];
    let told = streamed(steps, GENEROUS).await;
    assert_eq!((told.fault(), told.text().as_str()), (Fault::BadBody, "told"));
}

#[tokio::test]
async fn an_answer_in_one_piece_is_told_in_one_piece_and_has_the_limit_of_one() {
    for kind in ["content-type: application/json\r\n", ""] {
        let (head, rest) = ANSWER.split_at(20);
        let start = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{kind}\r\n", ANSWER.len());
        let steps = vec![say(start), say(head), Wait(100 * MS), say(rest), Hold];
        let told = streamed(steps, [50, 50, 5_000, 5_000]).await;
        assert_eq!(told.outcome.as_ref().ok().unwrap().content.as_deref(), Some("Hi."), "{kind}");
        assert!(matches!(&told.pieces[..], [Heard::Text(text)] if text == "Hi."));
        let start = format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n{kind}\r\n{{");
        let told = streamed(vec![say(start), Hold], [5_000, 5_000, 100, 5_000]).await;
        assert_eq!(told.fault(), Fault::Timeout);
    }
}

#[tokio::test]
async fn an_upstream_is_read_no_faster_than_it_is_asked_and_that_is_no_silence() {
    let (server, base) = play(vec![
        say(HEAD),
        say(text("a")),
        Wait(20 * MS),
        say(text("b")),
        Wait(20 * MS),
        say(text("c") + FINISH + DONE),
        Hold,
    ])
    .await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    let request = request();
    let mut call = fixtures::call(&model, &request);
    call.limits.idle = 100 * MS;
    let mut steps = http.call(call);
    let mut heard = String::new();
    let outcome = loop {
        match steps.next().await.unwrap() {
            Heard::Text(text) => heard.push_str(&text),
            Heard::Life => {}
            Heard::End(outcome) => break outcome,
        }
        tokio::time::sleep(250 * MS).await;
    };
    assert_eq!(heard, "abc");
    assert_eq!(outcome.ok().unwrap().content.as_deref(), Some("abc"));
    drop(steps);
    drop(http);
    server.await.unwrap();
}

#[tokio::test]
async fn who_asks_for_the_next_step_after_the_deadline_hears_that_it_has_passed() {
    let steps = vec![say(HEAD), say(text("a")), Wait(20 * MS), say(text("b") + FINISH + DONE)];
    let (server, base) = play(steps).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    let request = request();
    let mut call = fixtures::call(&model, &request);
    call.limits.whole = 300 * MS;
    let mut steps = http.call(call);
    assert!(matches!(steps.next().await, Some(Heard::Text(_))));
    tokio::time::sleep(400 * MS).await;
    let Some(Heard::End(outcome)) = steps.next().await else { panic!("no end") };
    assert_eq!(outcome.err().map(|failure| failure.fault), Some(Fault::Timeout));
    server.await.unwrap();
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection_at_once() {
    let (server, base) = play(vec![say(HEAD), say(text("a")), Hold]).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    let request = request();
    let mut steps = http.call(fixtures::call(&model, &request));
    assert!(matches!(steps.next().await, Some(Heard::Text(_))));
    drop(steps);
    let dropped = tokio::time::Instant::now();
    server.await.unwrap();
    assert!(dropped.elapsed() < 100 * MS, "{:?}", dropped.elapsed());
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_stream() {
    let (listener, base) = listen().await;
    let body = text("Hi") + FINISH + DONE;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            read_request(&mut stream).await;
            let head = HEAD.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
            let all = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
            stream.write_all(all.as_bytes()).await.unwrap();
        }
    });
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    for _ in 0..3 {
        assert!(call(&http, &model).await.is_ok());
    }
    server.await.unwrap();
}

/// Answers requests on one connection each; gives the bodies.
pub(super) async fn answer_all(answers: Vec<String>) -> (JoinHandle<Vec<String>>, String) {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for text in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            requests.push(read_request(&mut stream).await);
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        requests
    });
    (server, base)
}
