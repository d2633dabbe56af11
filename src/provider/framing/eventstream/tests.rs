//! Messages as they come, whole, cut, damaged, and from another writer.

use super::*;

/// Name, data, and whether it is an exception.
type Told = (String, String, bool);

/// All events of a body that comes in pieces of this size, and how it ended.
fn read(bytes: &[u8], size: usize) -> (Vec<Told>, Result<(), FramingError>) {
    let (mut messages, mut all) = (Messages::new(1024), Vec::new());
    for mut piece in bytes.chunks(size) {
        loop {
            match messages.next(&mut piece) {
                Ok(Some(event)) => all.push(told(&event)),
                Ok(None) => break,
                Err(broken) => return (all, Err(broken)),
            }
        }
    }
    all.extend(messages.end().map(|event| told(&event)));
    (all, Ok(()))
}

fn told(event: &RawEvent<'_>) -> Told {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(event.name), text(event.data), event.failed)
}

fn event(name: &str, data: &str, failed: bool) -> Told {
    (name.to_owned(), data.to_owned(), failed)
}

/// A message with these headers as they are, its checksums right.
fn with_headers(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = (SHORTEST + headers.len() + payload.len()) as u32;
    let mut bytes = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn text_header(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![name.len() as u8];
    header.extend_from_slice(name.as_bytes());
    header.push(TEXT);
    header.extend_from_slice(&(value.len() as u16).to_be_bytes());
    header.extend_from_slice(value.as_bytes());
    header
}

/// Two messages as another implementation wrote them: empty, and with a header and a payload.
const FOREIGN: [&[u8]; 2] = [
    b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff",
    b"\x00\x00\x00\x3d\x00\x00\x00\x20\x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json\
      {'foo':'bar'}\x8d\x9c\x08\xb1",
];

#[test]
fn messages_of_another_implementation_are_read() {
    let (all, end) = read(&FOREIGN.concat(), 7);
    assert_eq!(all, [event("", "", false), event("", "{'foo':'bar'}", false)]);
    assert_eq!(end, Ok(()));
}

#[test]
fn events_and_exceptions_are_told_apart_however_the_bytes_are_cut() {
    let bytes = [
        message("event", "messageStart", r#"{"role":"assistant"}"#),
        message("exception", "throttlingException", r#"{"message":"slow"}"#),
    ]
    .concat();
    for size in 1..bytes.len() + 1 {
        let (all, end) = read(&bytes, size);
        let first = event("messageStart", r#"{"role":"assistant"}"#, false);
        let second = event("throttlingException", r#"{"message":"slow"}"#, true);
        assert_eq!((all, end), (vec![first, second], Ok(())), "{size}");
    }
}

#[test]
fn an_error_without_a_payload_says_its_words() {
    let headers = [
        text_header(":message-type", "error"),
        text_header(":error-code", "InternalError"),
        text_header(":error-message", "an \"inner\" error"),
    ];
    let (all, _) = read(&with_headers(&headers.concat(), b""), 9);
    assert_eq!(all, [event("InternalError", r#"{"message":"an \"inner\" error"}"#, true)]);
}

#[test]
fn headers_of_every_type_are_passed_over() {
    let mut headers = Vec::new();
    for (kind, length) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
        headers.extend_from_slice(&[1, b'x', kind]);
        headers.extend(std::iter::repeat_n(7_u8, length));
    }
    headers.extend_from_slice(&[1, b'x', 6, 0, 2, 7, 7]);
    headers.extend(text_header(":event-type", "metadata"));
    assert_eq!(read(&with_headers(&headers, b"{}"), 5).0, [event("metadata", "{}", false)]);
}

#[test]
fn a_damaged_message_ends_the_stream_and_is_never_handed_out() {
    let good = message("event", "messageStart", r#"{"role":"assistant"}"#);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let (all, end) = read(&[bad, good.clone()].concat(), 11);
        assert!(all.is_empty(), "byte {at}: {all:?}");
        assert!(end.is_err(), "byte {at}");
    }
}

#[test]
fn lengths_beyond_the_limit_or_each_other_are_refused() {
    assert_eq!(read(&message("event", "x", &"y".repeat(2000)), 64).1, Err(FramingError::TooLarge));
    for (total, headers) in [(15_u32, 0_u32), (40, 25), (0, 0)] {
        let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes.extend_from_slice(&[0; 40]);
        assert!(matches!(read(&bytes, 8).1, Err(FramingError::Frame(_))), "{total} {headers}");
    }
    let long_value = [1, b'x', TEXT, 0xff, 0xff];
    assert!(matches!(read(&with_headers(&long_value, b"{}"), 8).1, Err(FramingError::Frame(_))));
    assert!(matches!(
        read(&with_headers(&[1, b'x', 77, 0], b"{}"), 8).1,
        Err(FramingError::Frame(_))
    ));
}

#[test]
fn json_without_frames_is_handed_out_whole_at_the_end() {
    let body = br#"{"message":"too many requests"}"#;
    let mut messages = Messages::new(1024);
    for mut piece in body.chunks(4) {
        assert_eq!(messages.next(&mut piece), Ok(None));
    }
    let event = messages.end().unwrap();
    assert_eq!((event.data, event.bare), (&body[..], true));
    assert_eq!(messages.end(), None);
    assert_eq!(read(&[&b"{"[..], &[b' '; 2000]].concat(), 100).1, Err(FramingError::TooLarge));
}
