//! Framing: every line end, cut, comment and limit.

use proptest::prelude::*;

use super::*;

/// Name, data, bare.
type Seen = (String, String, bool);

fn seen(event: RawEvent<'_>) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(event.name), text(event.data), event.bare)
}

fn parse<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> Result<Vec<Seen>, TooLarge> {
    let mut parser = Parser::new(limit);
    let mut events = Vec::new();
    for mut piece in pieces {
        while let Some(event) = parser.next(&mut piece)? {
            events.push(seen(event));
        }
        assert!(piece.is_empty(), "all bytes are used");
    }
    while let Some(event) = parser.end()? {
        events.push(seen(event));
    }
    Ok(events)
}

fn data(text: &str) -> Vec<String> {
    let events = parse([text.as_bytes()], 1000).unwrap();
    events.into_iter().map(|(_, data, _)| data).collect()
}

#[test]
fn lines_end_with_lf_crlf_or_cr() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "data: a\n\ndata: b\n\n".replace('\n', end);
        assert_eq!(data(&text), ["a", "b"], "{end:?}");
    }
}

#[test]
fn several_data_lines_are_one_event() {
    assert_eq!(data("data: a\ndata:b\ndata:  c\ndata\n\n"), ["a\nb\n c\n"]);
}

#[test]
fn comments_other_fields_and_events_without_data_are_passed_over() {
    let text =
        ": OPENROUTER PROCESSING\n\nid: 1\nretry: 5\nfoo: bar\nfoo\nevent: ping\n\ndata: a\n:x\n\n";
    assert_eq!(parse([text.as_bytes()], 1000).unwrap(), [(String::new(), "a".to_owned(), false)]);
}

#[test]
fn the_name_of_an_event_is_kept_and_does_not_outlive_it() {
    let events = parse([b"event: error\ndata: a\n\ndata: b\n\n".as_slice()], 1000).unwrap();
    assert_eq!(events[0].0, "error");
    assert_eq!(events[1].0, "");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_field_and_only_there() {
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
}

#[test]
fn the_last_event_needs_no_blank_line_and_no_line_end() {
    assert_eq!(data("data: a\n\ndata: b\n"), ["a", "b"]);
    assert_eq!(data("data: a\n\ndata: b"), ["a", "b"]);
    assert_eq!(data(""), [""; 0]);
    assert_eq!(data("\n\n"), [""; 0]);
}

#[test]
fn json_without_a_field_is_an_event_of_its_own_kind() {
    let text = "[{\n  \"error\": {\n    \"code\": 503\n  }\n}\n]\n";
    let events = parse([text.as_bytes()], 1000).unwrap();
    assert_eq!(events, [(String::new(), text.trim_end().to_owned(), true)]);
}

#[test]
fn objects_on_lines_of_their_own_are_events_though_no_blank_line_is_between() {
    for text in [
        "data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]\n",
        "data:{\"a\":1}\r\ndata:{\"b\":2}\r\ndata:[DONE]",
        "data: {\"a\":1}\n: ping\ndata: {\"b\":2}\n\ndata: [DONE]",
        "{\"a\":1}\n{\"b\":2}\ndata: [DONE]\n",
    ] {
        assert_eq!(data(text), ["{\"a\":1}", "{\"b\":2}", "[DONE]"], "{text}");
    }
    let named = "event: a\ndata: {}\nevent: error\ndata: {}\n\ndata: {}\nevent: late\n\n";
    let names: Vec<String> =
        parse([named.as_bytes()], 1000).unwrap().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["a", "error", "late"]);
}

#[test]
fn json_that_goes_on_in_the_next_line_is_one_event() {
    for text in [
        "data: {\"a\":{\"b\":1}\ndata: ,\"c\":2}\n\n",
        "data: {\"a\":\ndata: {\"b\":1}}\n\n",
        "data: [{\"a\":1},\ndata: {\"b\":1}]\n\n",
        "{\"a\":\n{\"b\":1}\n}\n\n",
    ] {
        assert_eq!(data(text).len(), 1, "{text}");
    }
}

#[test]
fn a_bare_object_is_an_event_as_soon_as_its_line_ends() {
    let mut parser = Parser::new(100);
    let mut bytes = b"{\"a\":1}\n".as_slice();
    assert_eq!(parser.next(&mut bytes).unwrap().map(|event| event.bare), Some(true));
}

#[test]
fn a_line_an_event_and_bare_json_are_bounded() {
    let limit = 100;
    let long = "x".repeat(limit);
    for text in [
        format!("data: {long}"),
        format!("foo: {long}"),
        "data: 0123456789\n".repeat(20),
        format!("{{{}", "\n0123456789".repeat(20)),
    ] {
        assert_eq!(parse([text.as_bytes()], limit), Err(TooLarge), "{text}");
    }
    let many = "data: 0123456789\n\n".repeat(20);
    assert_eq!(parse([many.as_bytes()], limit).unwrap().len(), 20);
}

#[test]
fn an_endless_comment_costs_no_memory() {
    let mut parser = Parser::new(100);
    let mut colon = b":".as_slice();
    assert_eq!(parser.next(&mut colon), Ok(None));
    for _ in 0..1000 {
        let mut more = [b'x'; 1000].as_slice();
        assert_eq!(parser.next(&mut more), Ok(None));
    }
    assert!(parser.line.capacity() + parser.data.capacity() < 1000);
}

const WORDS: [&str; 15] = [
    "data",
    "data:",
    "data: ",
    "event: ",
    ":",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "{",
    "x",
    "é",
    "\u{feff}",
    "{}",
    "data: {}\n",
];

fn anything() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec());
    let part = prop_oneof![word, proptest::collection::vec(any::<u8>(), 0..3)];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn cutting_anywhere_changes_nothing(bytes in anything(), size in 1usize..9) {
        let whole = parse([bytes.as_slice()], 60);
        prop_assert_eq!(parse(bytes.chunks(size), 60), whole);
    }
}
