//! Text that is nearly JSON in UTF-8 made so: byte order marks, bytes that are no UTF-8, halves of
//! characters, and words of other languages for values that JSON has not.

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

/// The same JSON text in JSON's words: `NaN`, `-Infinity` and `None` are null, `True` is true. `None`
/// where no such word stands outside of its strings.
pub(in crate::provider) fn words(json: &[u8]) -> Option<Vec<u8>> {
    let (mut mended, mut kept, mut at) = (Vec::new(), 0, 0);
    let mut expects_value = false;
    while let Some(&byte) = json.get(at) {
        let end = token(json, at);
        if let Some(meant) = meant(&json[at..end]).filter(|_| expects_value) {
            mended.extend_from_slice(&json[kept..at]);
            mended.extend_from_slice(meant);
            kept = end;
        }
        if !byte.is_ascii_whitespace() {
            expects_value = matches!(byte, b':' | b',' | b'[');
        }
        at = end;
    }
    (kept > 0).then(|| [&mended, &json[kept..]].concat())
}

/// Where the string, the word or the number that begins here ends; anything else is one byte.
fn token(json: &[u8], at: usize) -> usize {
    let rest = &json[at + 1..];
    let length = match json[at] {
        b'"' => end_of_string(rest),
        b'-' | b'+' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            rest.iter().take_while(|&&byte| is_part(byte)).count()
        }
        _ => 0,
    };
    at + 1 + length
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b'_')
}

/// How much of a string is left behind its first mark.
fn end_of_string(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = rest.iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(rest.len(), |end| end + 1)
}

/// What a word that is none of JSON's stands for there.
fn meant(word: &[u8]) -> Option<&'static [u8]> {
    let bare = word.strip_prefix(b"-").or(word.strip_prefix(b"+")).unwrap_or(word);
    let meant: &[u8] = match bare.to_ascii_lowercase().as_slice() {
        b"nan" | b"infinity" | b"inf" | b"none" | b"nil" | b"null" | b"undefined" => b"null",
        b"true" => b"true",
        b"false" => b"false",
        _ => return None,
    };
    (word != meant).then_some(meant)
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
    fn words_of_other_languages_are_json_outside_of_strings_only() {
        for (given, expected) in [
            (r#"{"a":NaN}"#, Some(r#"{"a":null}"#)),
            (r#"{"a": -Infinity , "b":[Infinity,1]}"#, Some(r#"{"a": null , "b":[null,1]}"#)),
            (r#"[nan,-inf,+Inf,-NaN]"#, Some("[null,null,null,null]")),
            (r#"{"a":None,"b":True,"c":False}"#, Some(r#"{"a":null,"b":true,"c":false}"#)),
            (r#"{"a":undefined,"b":nil}"#, Some(r#"{"a":null,"b":null}"#)),
            (r#"{"a":"NaN","b":"\":NaN","c":NaN}"#, Some(r#"{"a":"NaN","b":"\":NaN","c":null}"#)),
            (r#"{"a":"\\","b":NaN}"#, Some(r#"{"a":"\\","b":null}"#)),
            (r#"{"a":"x: NaN, [NaN]"}"#, None),
            (r#"{"a":1e-5,"b":-0.5,"c":null,"d":true}"#, None),
            (r#"{"a":nano,"b":NaNs}"#, None),
            ("None", None),
            (r#"{"a":"half, NaN"#, None),
            ("", None),
        ] {
            let mended = words(given.as_bytes()).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(mended.as_deref(), expected, "{given}");
            assert_eq!(mended.and_then(|text| words(text.as_bytes())), None, "{given}");
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
