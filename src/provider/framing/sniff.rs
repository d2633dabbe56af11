//! What a body is, told by its first bytes: labels are often wrong, and some servers send none.

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Framing {
    /// As events, one after the other.
    Events,
    /// When all of it is there.
    Whole,
}

/// Where an event may begin. A comment is nothing but its colon.
const MARKS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b""];

/// What begins with these bytes. `None` when more of them are needed to tell, which is never the
/// case for what looks like neither: it is whole, and whoever reads it says what is wrong with it.
pub(in crate::provider) fn framing(head: &[u8]) -> Option<Framing> {
    let text = skip_blank(head);
    if text.is_empty() {
        return None;
    }
    let mut is_open = false;
    for mark in MARKS {
        match text.strip_prefix(mark) {
            Some([]) => is_open = true,
            Some(rest) if matches!(rest[0], b':' | b'\n' | b'\r') => return Some(Framing::Events),
            _ => is_open |= mark.starts_with(text),
        }
    }
    (!is_open).then_some(Framing::Whole)
}

/// The bytes behind white space and a byte order mark, whole or cut.
pub(in crate::provider) fn skip_blank(head: &[u8]) -> &[u8] {
    let text = head.trim_ascii_start();
    match text {
        [0xef] | [0xef, 0xbb] => &[],
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.trim_ascii_start(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_like_an_event_is_one() {
        let events: [&[u8]; 9] = [
            b"data: {}",
            b"data:{}",
            b"data\n",
            b"event: ping\n",
            b"id: 7\n",
            b"retry: 10\n",
            b": waiting\n",
            b"\n\r\n  data: x",
            b"\xef\xbb\xbfdata: x",
        ];
        for head in events {
            assert_eq!(framing(head), Some(Framing::Events), "{}", head.escape_ascii());
        }
        let whole: [&[u8]; 9] = [
            b"overloaded",
            b"{",
            b"[{",
            b"<html>",
            b"database is down",
            b"idle",
            b"eventually: never",
            b"\xef\xbb\xbf {\"a\":1}",
            b"\xff\xfe",
        ];
        for head in whole {
            assert_eq!(framing(head), Some(Framing::Whole), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn too_few_bytes_tell_nothing() {
        let unclear: [&[u8]; 8] = [b"", b" \n", b"d", b"dat", b"data", b"i", b"retr", b"\xef\xbb"];
        for head in unclear {
            assert_eq!(framing(head), None, "{}", head.escape_ascii());
        }
    }
}
