//! What all formats' streams have in common: any cut of the bytes gives the same answer, and nothing
//! that comes from a network makes a reader panic.
//!
//! A million random chunkings per format take about a minute of CPU time each without optimisation,
//! so the usual run makes fewer; `FALLBACKD_CHUNKINGS=1000000` sets the number.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::fixtures::any_json;
use super::super::formats;
use super::super::framing::eventstream::message;
use super::super::pieces::MOST_CALLS;
use super::*;
use crate::config::Kind;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};
use crate::protocol::chat::ToolCall;

mod samples;

const LIMIT: usize = 64 * 1024;

const KINDS: [Kind; 4] = Kind::ALL;

/// What became of a stream, in a form that can be compared and printed.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Seen {
    /// All text that was told on the way.
    pub(in super::super) told: String,
    /// Whether content that is not text was told.
    pub(in super::super) life: bool,
    pub(in super::super) end: Result<Good, Bad>,
}

#[derive(Debug, PartialEq)]
pub(in super::super) struct Good {
    pub(in super::super) content: Option<String>,
    /// Id, name and arguments.
    pub(in super::super) calls: Vec<[String; 3]>,
    pub(in super::super) thoughts: Option<String>,
    /// What goes back, by names.
    pub(in super::super) kept: Value,
    pub(in super::super) finish: Finish,
    pub(in super::super) usage: Option<Usage>,
}

#[derive(Debug, PartialEq)]
pub(in super::super) struct Bad {
    pub(in super::super) fault: Fault,
    pub(in super::super) message: String,
    pub(in super::super) usage: Option<Usage>,
}

/// Runs a stream that comes in these pieces.
pub(in crate::provider) fn run<'a>(kind: Kind, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut stream = Stream::new(formats::of(kind), LIMIT, &Rc::default());
    let (mut told, mut life) = (String::new(), false);
    let mut listen = |stream: &mut Stream| {
        let news = stream.gathered.news();
        assert!(news.text.as_ref().is_none_or(|text| !text.is_empty()));
        told.push_str(news.text.as_deref().unwrap_or_default());
        life |= news.life;
    };
    let mut fed = Ok(());
    for piece in pieces {
        fed = stream.feed(piece);
        listen(&mut stream);
        if fed.is_err() {
            break;
        }
    }
    let fed = fed.and_then(|()| stream.close());
    listen(&mut stream);
    let end = match fed.and_then(|()| stream.outcome()) {
        Ok(answer) => {
            assert_eq!(told, answer.content.as_deref().unwrap_or_default());
            Ok(good(answer))
        }
        Err(Failure { fault, message, usage, .. }) => {
            Err(Bad { fault, message, usage: usage.map(|usage| *usage) })
        }
    };
    Seen { told, life, end }
}

fn good(answer: Answer) -> Good {
    let call = |call: ToolCall| {
        // Ids that were made up differ every time.
        let made_up = call.id.starts_with("call_") && call.id.len() == 25;
        let id = if made_up { "made up".to_owned() } else { call.id };
        [id, call.function.name, call.function.arguments]
    };
    Good {
        content: answer.content,
        calls: answer.tool_calls.into_iter().map(call).collect(),
        thoughts: answer.reasoning_content,
        kept: answer.provider_data.map_or(Value::Null, without_random_ids),
        finish: answer.finish,
        usage: answer.usage,
    }
}

/// The same with the values of calls alone: ids may be made up.
fn without_random_ids(mut kept: Map<String, Value>) -> Value {
    if let Some(Value::Object(calls)) = kept.get("calls").cloned() {
        kept.insert("calls".to_owned(), calls.into_iter().map(|(_, value)| value).collect());
    }
    Value::Object(kept)
}

pub(in crate::provider) fn whole(kind: Kind, text: &str) -> Seen {
    run(kind, [text.as_bytes()])
}

/// The bytes cut at random; every seed cuts otherwise.
fn chunked(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut random = fastrand::Rng::with_seed(seed);
    let most = [1, 2, 5, 17, 80, 400][random.usize(..6)];
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(random.usize(1..=most).min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

fn chunkings() -> u64 {
    std::env::var("FALLBACKD_CHUNKINGS").ok().map_or(20_000, |number| number.parse().unwrap())
}

fn chunk_all(kind: Kind) {
    let samples = samples::of(kind);
    let expected: Vec<Seen> = samples.iter().map(|sample| run(kind, [&sample[..]])).collect();
    for (seed, turn) in (0..chunkings()).zip((0..samples.len()).cycle()) {
        let seen = run(kind, chunked(&samples[turn], seed));
        assert_eq!(seen, expected[turn], "sample {turn}, seed {seed}");
    }
}

#[test]
fn any_chunking_of_an_openai_stream_gives_the_same_answer() {
    chunk_all(Kind::OpenAi);
}

#[test]
fn any_chunking_of_an_anthropic_stream_gives_the_same_answer() {
    chunk_all(Kind::Anthropic);
}

#[test]
fn any_chunking_of_a_google_stream_gives_the_same_answer() {
    chunk_all(Kind::Google);
}

#[test]
fn any_chunking_of_a_bedrock_stream_gives_the_same_answer() {
    chunk_all(Kind::Bedrock);
}

/// Puts wrong bytes into a sample, takes some out, doubles some.
fn mutated(sample: &[u8], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = sample.to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..bytes.len().max(1));
        let to = (at + random.usize(..40)).min(bytes.len());
        match random.u8(..4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let twice = bytes[at..to].to_vec();
                bytes.splice(at..at, twice);
            }
            _ if at < bytes.len() => bytes[at] = random.u8(..),
            _ => {}
        }
    }
    bytes
}

#[test]
fn damaged_streams_end_the_same_however_they_are_cut_and_never_panic() {
    for seed in 0..chunkings() / 4 {
        for kind in KINDS {
            let samples = samples::of(kind);
            let bytes = mutated(&samples[seed as usize % samples.len()], seed);
            let expected = run(kind, [bytes.as_slice()]);
            assert_eq!(run(kind, chunked(&bytes, seed)), expected, "{kind:?} seed {seed}");
        }
    }
}

#[test]
fn every_prefix_of_a_good_stream_is_cut_or_complete_and_never_something_else() {
    for kind in KINDS {
        for sample in samples::of(kind) {
            let Ok(full) = run(kind, [&sample[..]]).end else { continue };
            for end in 0..sample.len() {
                match run(kind, [&sample[..end]]).end {
                    Ok(answer) => assert_eq!(
                        (&answer.content, &answer.calls, answer.finish),
                        (&full.content, &full.calls, full.finish),
                        "{kind:?} cut at {end}"
                    ),
                    Err(failure) => assert_eq!(failure.fault, Fault::StreamCut, "cut at {end}"),
                }
            }
        }
    }
}

#[test]
fn content_above_the_limit_ends_the_stream_with_its_usage_known_so_far() {
    let head =
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5}}}\n\n";
    let delta = format!(
        "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{}\"}}}}\n\n",
        "x".repeat(1000)
    );
    let seen = whole(Kind::Anthropic, &(head.to_owned() + &delta.repeat(100)));
    let failure = seen.end.unwrap_err();
    assert_eq!(failure.fault, Fault::BadBody);
    assert!(failure.message.contains("limits.response_bytes"), "{}", failure.message);
    assert_eq!(failure.usage.unwrap().input_tokens, 5);
}

#[test]
fn tool_calls_are_bounded_in_number_and_size() {
    let call = |index: usize, arguments: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":{index},\"function\":{{\"name\":\"f\",\"arguments\":\"{arguments}\"}}}}]}}}}]}}\n\n"
        )
    };
    let many: String = (0..=MOST_CALLS).map(|index| call(index, "")).collect();
    assert!(whole(Kind::OpenAi, &many).end.unwrap_err().message.contains("tools"));
    let large = call(0, &"x".repeat(1000)).repeat(100);
    assert!(whole(Kind::OpenAi, &large).end.unwrap_err().message.contains("response_bytes"));
}

proptest! {
    #[test]
    fn events_of_any_json_never_panic(values in proptest::collection::vec(any_json(), 1..4)) {
        let text: String = values.iter().map(|value| format!("data: {value}\n\n")).collect();
        for kind in KINDS {
            let expected = whole(kind, &text);
            prop_assert_eq!(run(kind, text.as_bytes().chunks(7)), expected);
        }
    }
}

#[test]
fn an_end_is_a_finish_only_where_that_was_agreed_and_only_of_a_whole_answer() {
    let call = |arguments: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":0,\"function\":\
             {{\"name\":\"f\",\"arguments\":\"{arguments}\"}}}}]}}}}]}}\n\n"
        )
    };
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n".to_owned();
    let done = "data: [DONE]\n\n";
    for (body, closes, good) in [
        (text.clone() + done, false, true),
        (text.clone(), true, true),
        (text.clone(), false, false),
        (call("{}") + done, false, true),
        (call("{\\\"a\\\":") + done, false, false),
        (done.to_owned(), true, false),
        (String::new(), true, false),
    ] {
        for agreed in [true, false] {
            let stream = Stream::new(formats::of(Kind::OpenAi), LIMIT, &Rc::default());
            let mut stream = stream.with_end_that_finishes(agreed);
            stream.feed(body.as_bytes()).ok().unwrap();
            if closes {
                stream.close().ok().unwrap();
            }
            assert_eq!(stream.outcome().is_ok(), good && agreed, "{body} {agreed}");
        }
    }
}

#[test]
fn thoughts_are_kept_within_the_bound_of_an_answer() {
    let thinks = |kind: Kind| {
        let text = "x".repeat(LIMIT / 8);
        match kind {
            Kind::OpenAi => json!({"choices": [{"delta": {"reasoning_content": text}}]}),
            Kind::Anthropic => json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "thinking_delta", "thinking": text}}),
            Kind::Google => json!({"candidates": [{"content": {"parts": [
                {"text": text, "thought": true}]}}]}),
            Kind::Bedrock => json!({"contentBlockIndex": 0,
                "delta": {"reasoningContent": {"text": text}}}),
        }
    };
    for kind in KINDS {
        let event = match kind {
            Kind::Bedrock => message("event", "contentBlockDelta", &thinks(kind).to_string()),
            _ => format!("data: {}\n\n", thinks(kind)).into_bytes(),
        };
        let mut stream = Stream::new(formats::of(kind), LIMIT, &Rc::default());
        let failure = stream.feed(&event.repeat(10)).unwrap_err();
        assert!(failure.message.contains("response_bytes"), "{kind:?}: {failure:?}");
    }
}
