//! Claims about cutting bytes into lines.

use proptest::prelude::*;

use super::*;

fn feed(lines: &mut LineBuffer, bytes: &[u8]) -> Vec<Line> {
    lines.space().extend_from_slice(bytes);
    std::iter::from_fn(|| lines.next()).collect()
}

fn whole(text: &str) -> Line {
    Line::Whole(BytesMut::from(text))
}

#[test]
fn carriage_returns_and_blank_lines_are_tolerated() {
    let mut lines = LineBuffer::new(100);
    assert_eq!(feed(&mut lines, b"\n\r\n  \nab\r\ncd\n"), [whole("ab"), whole("cd")]);
    assert!(!lines.has_begun());
}

#[test]
fn a_line_may_have_exactly_the_longest_length() {
    let mut lines = LineBuffer::new(4);
    assert_eq!(
        feed(&mut lines, b"abcd\r\nabcde\nab\n"),
        [whole("abcd"), Line::TooLong, whole("ab")]
    );
}

#[test]
fn an_overlong_line_is_reported_once_and_not_kept() {
    let mut lines = LineBuffer::new(10);
    assert_eq!(feed(&mut lines, &[b'x'; 50]), [Line::TooLong]);
    for _ in 0..100 {
        assert_eq!(feed(&mut lines, &[b'x'; 50]), []);
        assert_eq!(lines.held(), 0);
    }
    assert_eq!(feed(&mut lines, b"xx\nok\n"), [whole("ok")]);
}

#[test]
fn the_end_of_input_ends_the_last_line() {
    let mut lines = LineBuffer::new(10);
    assert_eq!(feed(&mut lines, b"a\nbc"), [whole("a")]);
    assert_eq!(lines.last(), Some(whole("bc")));
    assert_eq!(lines.last(), None);
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_how_bytes_arrive(
        text in prop::collection::vec(prop::sample::select(b"ab\r\n ".to_vec()), 0..200),
        cuts in prop::collection::vec(1usize..20, 1..100),
    ) {
        let mut at_once = LineBuffer::new(12);
        let expected = feed(&mut at_once, &text);
        let mut pieces = LineBuffer::new(12);
        let (mut got, mut rest) = (Vec::new(), text.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            got.extend(feed(&mut pieces, piece));
            rest = after;
        }
        prop_assert_eq!(got, expected);
    }
}
