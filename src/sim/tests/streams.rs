//! Streams as they are really sent.

use super::*;
use crate::sim::{Fate, Flow, Meaning};

const TEXT: &str = "one two three four";

/// A request for a stream.
fn streamed(kind: Kind) -> (String, Value) {
    let (path, mut body) = question(kind, "m");
    if kind == Kind::Google {
        return (path.replace(":generate", ":streamGenerate") + "?alt=sse", body);
    }
    if kind == Kind::Bedrock {
        return (path + "-stream", body);
    }
    body["stream"] = json!(true);
    (path, body)
}

async fn stream_of(kind: Kind, flow: Flow) -> Got {
    let sim = Simulator::start(kind).expect("a free port");
    sim.set(flow.into());
    let (path, body) = streamed(kind);
    fetch(&sim, &path, &body).await.expect("a reply")
}

/// The data of all events, as JSON where it is.
fn events(got: &Got) -> Vec<Value> {
    if got.head.contains("application/vnd.amazon.eventstream") {
        return framed(&got.raw);
    }
    let data = got.body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

/// The data of Amazon's frames. Those of an exception get an `error`, those of a frame that is
/// damaged are a text.
fn framed(mut rest: &[u8]) -> Vec<Value> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    let mut all = Vec::new();
    // The last one may be cut.
    while rest.len() >= 16 && number(&rest[..4]) as usize <= rest.len() {
        let (frame, more) = rest.split_at(number(&rest[..4]) as usize);
        rest = more;
        let end = frame.len() - 4;
        let headers = 12 + number(&frame[4..8]) as usize;
        let mut data: Value = serde_json::from_slice(&frame[headers..end]).unwrap_or_default();
        if frame[12..headers].windows(15).any(|part| part == b":exception-type") {
            data["error"] = json!(true);
        }
        let is_right = number(&frame[end..]) == crc32fast::hash(&frame[..end]);
        all.push(if is_right { data } else { json!("damaged") });
    }
    all
}

fn text(kind: Kind, events: &[Value]) -> String {
    let place = match kind {
        Kind::OpenAi => "/choices/0/delta/content",
        Kind::Anthropic => "/delta/text",
        Kind::Google => "/candidates/0/content/parts/0/text",
        Kind::Bedrock => "/delta/text",
    };
    events.iter().filter_map(|event| event.pointer(place)?.as_str()).collect()
}

fn saying() -> Flow {
    Flow { text: Some(TEXT.to_owned()), ..Flow::default() }
}

#[tokio::test]
async fn a_stream_says_in_pieces_what_a_whole_answer_says_and_ends_as_its_format_does() {
    for kind in KINDS {
        let got = stream_of(kind, saying()).await;
        let label = match kind {
            Kind::Bedrock => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        };
        assert!(got.head.contains(&format!("content-type: {label}")), "{}", got.head);
        let events = events(&got);
        assert_eq!(text(kind, &events), TEXT, "{kind:?}");
        let last = events.last().expect("an event");
        match kind {
            Kind::OpenAi => assert_eq!(last, "[DONE]"),
            Kind::Anthropic => assert_eq!(last["type"], "message_stop"),
            Kind::Google => assert_eq!(last["candidates"][0]["finishReason"], "STOP"),
            Kind::Bedrock => assert_eq!(last["usage"]["totalTokens"], 7),
        }
    }
}

#[tokio::test]
async fn usage_comes_last_and_from_openai_only_when_asked_for() {
    let sim = Simulator::start(Kind::OpenAi).expect("a free port");
    let (path, mut body) = streamed(Kind::OpenAi);
    let without = fetch(&sim, &path, &body).await.expect("a reply");
    assert!(!without.body.contains("prompt_tokens"));
    body["stream_options"] = json!({ "include_usage": true });
    let with = events(&fetch(&sim, &path, &body).await.expect("a reply"));
    let usage = &with[with.len() - 2];
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(5)));
}

#[tokio::test]
async fn a_fate_meets_a_stream_after_so_many_tokens() {
    for kind in KINDS {
        for fate in [Fate::Ends, Fate::Breaks, Fate::Fails(Meaning::Overloaded)] {
            let got = stream_of(kind, Flow::fated(TEXT, 2, fate)).await;
            let events = events(&got);
            assert_eq!(text(kind, &events), "one two ", "{kind:?} {fate:?}");
            let failed = events.last().is_some_and(|event| event.get("error").is_some());
            assert_eq!(failed, fate == Fate::Fails(Meaning::Overloaded), "{kind:?} {fate:?}");
        }
        let got = stream_of(kind, Flow::fated(TEXT, 2, Fate::Malformed)).await;
        assert_eq!(text(kind, &events(&got)), TEXT);
        assert!(events(&got).iter().any(Value::is_string), "a line that is not JSON");
    }
}

#[tokio::test(start_paused = true)]
async fn pings_come_before_a_late_token() {
    for kind in KINDS {
        let second = Duration::from_secs(1);
        let flow = Flow { first_after: 3 * second, pings: Some(second), ..saying() };
        let got = stream_of(kind, flow).await;
        let pings = ["keep-alive", "\"ping\"", "initial-response"]
            .map(|ping| got.body.matches(ping).count());
        let expected = match kind {
            Kind::Anthropic => [0, 3, 0],
            Kind::Bedrock => [0, 0, 2],
            _ => [2, 0, 0],
        };
        assert_eq!(pings, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn a_client_who_leaves_within_a_stream_is_noticed() {
    let sim = Simulator::start(Kind::OpenAi).expect("a free port");
    sim.set(Flow::fated(TEXT, 2, Fate::Stalls).into());
    let (path, body) = streamed(Kind::OpenAi);
    let mut client = send(&sim, &path, &body, PLANTED).await.expect("a connection");
    let mut piece = [0; 64];
    assert!(client.read(&mut piece).await.expect("the head") > 0);
    drop(client);
    sim.wait_cancelled(1).await;
}

#[tokio::test]
async fn who_asks_for_no_stream_gets_the_like_in_one_piece() {
    for kind in KINDS {
        let sim = Simulator::start(kind).expect("a free port");
        sim.set(saying().into());
        let whole = ask(&sim, "m").await.expect("a reply");
        assert!(whole.json().to_string().contains(TEXT));
        sim.set(Flow::fated(TEXT, 2, Fate::Fails(Meaning::Overloaded)).into());
        assert!(ask(&sim, "m").await.expect("a reply").status >= 500);
        sim.set(Flow::fated(TEXT, 2, Fate::Ends).into());
        let half = ask(&sim, "m").await.expect("a reply");
        assert!(serde_json::from_str::<Value>(&half.body).is_err(), "half a body");
    }
}
