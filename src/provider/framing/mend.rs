//! Text that is nearly JSON in UTF-8 made so: byte order marks, bytes that are no UTF-8, and halves of
//! characters.

use std::borrow::Cow;

use super::sniff;
use crate::protocol::surrogate;

/// Half a character as an escape.
const ESCAPE: usize = 6;

/// The same text as UTF-8 without a byte order mark, and with U+FFFD for what is no character.
pub(in crate::provider) fn text(data: &[u8]) -> Cow<'_, [u8]> {
    let data = sniff::skip_blank(data);
    let whole = surrogate::mend(data).map_or(Cow::Borrowed(data), Cow::Owned);
    match std::str::from_utf8(&whole) {
        Ok(_) => whole,
        Err(_) => Cow::Owned(String::from_utf8_lossy(&whole).into_owned().into_bytes()),
    }
}

/// Whether a string of this JSON text ends with the first half of a character, whose second half may
/// be at the beginning of a string in the next one.
pub(in crate::provider) fn ends_in_half(json: &[u8]) -> bool {
    first_half(json).is_some()
}

/// Brings the two halves of a character together in the second text; true if there were two.
pub(in crate::provider) fn join(first: &mut Vec<u8>, second: &mut Vec<u8>) -> bool {
    let (Some(high), Some(low)) = (first_half(first), second_half(second)) else { return false };
    let half: Vec<u8> = first.drain(high..high + ESCAPE).collect();
    second.splice(low..low, half);
    true
}

/// Where the half before the end of a string is.
fn first_half(json: &[u8]) -> Option<usize> {
    escapes(json).find(|&at| {
        let is_first =
            matches!(json[at + 2..at + 4], [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B']);
        is_first && json.get(at + ESCAPE) == Some(&b'"')
    })
}

/// Where the half behind the beginning of a string is.
fn second_half(json: &[u8]) -> Option<usize> {
    escapes(json).find(|&at| {
        let is_second = matches!(json[at + 2..at + 4], [b'd' | b'D', b'c'..=b'f' | b'C'..=b'F']);
        is_second && at.checked_sub(1).map(|before| json[before]) == Some(b'"')
    })
}

/// Where escapes of halves may begin: a backslash that is not escaped itself, `u`, four digits.
fn escapes(json: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memmem::find_iter(json, b"\\u").filter(|&at| {
        let backslashes = json[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
        let digits = json.get(at + 2..at + ESCAPE);
        backslashes % 2 == 0 && digits.is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_character_becomes_the_replacement_character() {
        let given: [(&[u8], &str); 6] = [
            (b"{\"a\":1}", "{\"a\":1}"),
            (b"\xef\xbb\xbf{\"a\":1}", "{\"a\":1}"),
            (b"\n \xef\xbb\xbf {}", "{}"),
            (b"{\"a\":\"x\xffy\"}", "{\"a\":\"x\u{fffd}y\"}"),
            (b"{\"a\":\"x\xf0\x9f\x91\"}", "{\"a\":\"x\u{fffd}\"}"),
            (br#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
        ];
        for (data, expected) in given {
            assert_eq!(String::from_utf8_lossy(&text(data)), expected);
            assert!(std::str::from_utf8(&text(data)).is_ok());
        }
    }

    #[test]
    fn halves_come_together_where_one_string_ends_and_another_begins() {
        let (mut one, mut two) = (br#"{"a":"x\ud83d"}"#.to_vec(), br#"{"a":"\udc4by"}"#.to_vec());
        assert!(ends_in_half(&one) && join(&mut one, &mut two));
        assert_eq!(one, br#"{"a":"x"}"#);
        assert_eq!(two, br#"{"a":"\ud83d\udc4by"}"#);
        assert!(!ends_in_half(&one));
    }

    #[test]
    fn what_is_whole_or_stands_elsewhere_is_no_half() {
        for whole in
            [r#"{"a":"\ud83d\udc4b"}"#, r#"{"a":"\\ud83d"}"#, r#"{"a":"\ud83d!"}"#, r#""\ud8"#]
        {
            assert!(!ends_in_half(whole.as_bytes()), "{whole}");
        }
        let (mut one, mut two) = (br#""\ud83d""#.to_vec(), br#""x\udc4b""#.to_vec());
        assert!(!join(&mut one, &mut two));
    }
}
