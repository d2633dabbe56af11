//! Bodies that come compressed, labelled or not.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut into = GzEncoder::new(Vec::new(), Compression::best());
    into.write_all(body).unwrap();
    into.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut into = ZlibEncoder::new(Vec::new(), Compression::best());
    into.write_all(body).unwrap();
    into.finish().unwrap()
}

/// Without a header, in a form that begins with a printable byte.
fn deflated(body: &[u8]) -> Vec<u8> {
    let blank: &[u8] = if body.starts_with(b"{") { b" " } else { b"" };
    let mut into = DeflateEncoder::new(Vec::new(), Compression::best());
    into.write_all(&[blank, body].concat()).unwrap();
    let bytes = into.finish().unwrap();
    assert!(bytes[0].is_ascii_graphic(), "{}", bytes.escape_ascii());
    bytes
}

fn head(status: &str, headers: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n").into_bytes()
}

/// The outcome of a call that is answered with these packets.
async fn answered(packets: Vec<Vec<u8>>, streams: bool) -> CallResult {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        for packet in packets {
            // A client that has heard enough may have left.
            let _ = stream.write_all(&packet).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let model = if streams { model(Kind::OpenAi, &base) } else { unstreamed(Kind::OpenAi, &base) };
    let outcome = call(&http(&[Arc::clone(&model)]), &model).await;
    server.await.unwrap();
    outcome
}

const EVENTS: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi.\"}}]}\n\n\
                      data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                      data: [DONE]\n\n";

#[tokio::test]
async fn answers_are_unpacked_whatever_their_labels_say() {
    for (kind, body) in [
        ("content-type: application/json\r\n", ANSWER),
        ("content-type: text/event-stream\r\n", EVENTS),
        ("", ANSWER),
        ("", EVENTS),
    ] {
        for (packed, label) in [
            (gzip(body.as_bytes()), "content-encoding: gzip\r\n"),
            (gzip(body.as_bytes()), "content-encoding: x-gzip\r\n"),
            (gzip(body.as_bytes()), ""),
            (gzip(&gzip(body.as_bytes())), "content-encoding: gzip, gzip\r\n"),
            (gzip(&gzip(body.as_bytes())), "content-encoding: gzip\r\n"),
            (zlib(body.as_bytes()), "content-encoding: deflate\r\n"),
            (zlib(body.as_bytes()), ""),
            (deflated(body.as_bytes()), "content-encoding: deflate\r\n"),
            (body.as_bytes().to_vec(), "content-encoding: gzip\r\n"),
            (body.as_bytes().to_vec(), "content-encoding: deflate\r\n"),
        ] {
            is_read(&packed, &format!("{kind}{label}")).await;
        }
    }
}

/// A body with these headers is an answer in one packet and in several, asked for whole or as a stream.
async fn is_read(body: &[u8], headers: &str) {
    let start = head("200 OK", headers, body.len());
    let (one, two) = body.split_at(1);
    for packets in [vec![[&start, body].concat()], vec![start.clone(), one.to_vec(), two.to_vec()]]
    {
        for streams in [true, false] {
            let answer = answered(packets.clone(), streams).await;
            let text = answer.map(|answer| answer.content).map_err(|failure| failure.message);
            assert_eq!(text, Ok(Some("Hi.".to_owned())), "{headers}{streams}");
        }
    }
}

#[tokio::test]
async fn a_packed_stream_is_told_as_it_comes() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    let mut packets = Vec::new();
    for event in EVENTS.split_inclusive("\n\n") {
        packer.write_all(event.as_bytes()).unwrap();
        packer.flush().unwrap();
        packets.push(std::mem::take(packer.get_mut()));
    }
    // The end of the packing never comes; the answer has been finished.
    packets.insert(0, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec());
    assert_eq!(answered(packets.clone(), true).await.ok().unwrap().content.as_deref(), Some("Hi."));
    packets.truncate(2);
    let cut = answered(packets, true).await.err().unwrap();
    assert_eq!(cut.fault, Fault::StreamCut);
}

#[tokio::test]
async fn an_error_is_unpacked_and_understood() {
    let body = gzip(br#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#);
    let start = head("429 Too Many", "content-encoding: gzip\r\n", body.len());
    let failure = answered(vec![[start, body].concat()], true).await.err().unwrap();
    assert_eq!(failure.fault, Fault::RateLimited);
    assert!(failure.message.contains("slow down"), "{}", failure.message);
}

#[tokio::test]
async fn a_body_that_unpacks_to_too_much_is_refused() {
    let spaces = " ".repeat(50 * 1024 * 1024);
    let event = format!("data: {spaces}\n\n");
    let text = "x".repeat(LIMIT * 4);
    let answer = ANSWER.replace("Hi.", &text);
    let deltas = EVENTS.replace("Hi.", &text);
    for (kind, body) in [
        ("application/json", &spaces),
        ("application/json", &answer),
        ("text/event-stream", &event),
        ("text/event-stream", &deltas),
    ] {
        let packed = gzip(body.as_bytes());
        assert!(packed.len() < LIMIT, "{}", packed.len());
        let start = head("200 OK", &format!("content-type: {kind}\r\n"), packed.len());
        let failure = answered(vec![[start, packed].concat()], true).await.err().unwrap();
        assert_eq!(failure.fault, Fault::BadBody);
        assert!(failure.message.contains("limits.response_bytes"), "{}", failure.message);
    }
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_a_bad_body() {
    let packed = gzip(ANSWER.as_bytes());
    let mut broken = packed.clone();
    broken[12] ^= 0xff;
    broken[20] ^= 0xff;
    for body in [broken, packed[..packed.len() / 2].to_vec(), b"\x1f\x8b".to_vec()] {
        let start = head("200 OK", "content-type: application/json\r\n", body.len());
        let failure = answered(vec![[start, body].concat()], false).await.err().unwrap();
        assert_eq!((failure.fault, failure.status), (Fault::BadBody, Some(200)));
    }
}
