//! Lone surrogates in JSON text, which no Rust string can hold.
//!
//! Programs whose strings are UTF-16 write half of a character when they cut a text in the middle
//! of it: `"\ud83d"` is what Python's and JavaScript's own writers give for it. Readers of JSON in
//! Rust refuse it, or pass it on unseen where they keep the text raw. Every half becomes U+FFFD,
//! as it does in all other decoders; whole pairs stay. So does the length of the text, and with it
//! every column that a later error tells.

use memchr::memchr2;

/// An escape: a backslash, `u` and four hexadecimal digits.
const ESCAPE: usize = 6;

/// The JSON text with U+FFFD in place of each half of a surrogate pair that stands alone, as an
/// escape or as three bytes; `None` if there is none. The text may be broken in other ways, and
/// stays so. Takes one pass, and no memory unless there is something to mend.
pub fn mend(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = memchr2(b'\\', 0xed, &json[at..]) {
        at += found;
        let rest = &json[at..];
        let (length, replacement): (usize, &[u8]) = match rest {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => (3, "\u{fffd}".as_bytes()),
            [0xed, ..] => (1, b""),
            _ => match escaped(rest) {
                Some(0xd800..=0xdbff) if is_low(escaped(&rest[ESCAPE..])) => (2 * ESCAPE, b""),
                Some(0xd800..=0xdfff) => (ESCAPE, br"\ufffd"),
                // Two bytes at least: the second may be a backslash itself.
                _ => (2, b""),
            },
        };
        if !replacement.is_empty() {
            let mended = mended.get_or_insert_with(|| json.to_vec());
            mended[at..at + length].copy_from_slice(replacement);
        }
        at = json.len().min(at + length);
    }
    mended
}

/// The number in an escape that begins here.
fn escaped(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.first_chunk::<4>()?;
    let number =
        digits.iter().try_fold(0, |sum, &byte| Some(sum * 16 + char::from(byte).to_digit(16)?))?;
    u16::try_from(number).ok()
}

fn is_low(unit: Option<u16>) -> bool {
    unit.is_some_and(|unit| (0xdc00..=0xdfff).contains(&unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mended(json: &str) -> Option<String> {
        mend(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn halves_become_the_replacement_character_and_pairs_stay() {
        for (given, text) in [
            (r#""a \ud83d b""#, "a \u{fffd} b"),
            (r#""\uDE00""#, "\u{fffd}"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\n\ud83d\u0041""#, "\u{fffd}\n\u{fffd}A"),
            (r#""\\\ud83d\\""#, "\\\u{fffd}\\"),
        ] {
            let json = mended(given).unwrap_or_else(|| panic!("{given} was not mended"));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text, "{given}");
            assert_eq!(json.len(), given.len());
        }
        assert_eq!(mend(b"\"x\xed\xa0\xbd\"").unwrap(), "\"x\u{fffd}\"".as_bytes());
    }

    #[test]
    fn what_has_no_half_is_left_alone() {
        for given in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00e9 \n""#, "\"힣한\"", "", "\\"]
        {
            assert_eq!(mended(given), None, "{given}");
        }
        for given in [r"\u", r"\ud83", r"\ud83g", r"\u+123"] {
            assert_eq!(mended(given), None, "{given}");
        }
    }

    proptest! {
        #[test]
        fn whatever_units_a_string_has_the_mended_one_is_what_a_lossy_decoder_says(
            units in prop::collection::vec(
                prop_oneof![Just(0x5c_u16), 0x20_u16..0x80, 0xd7f0_u16..0xe010], 0..12,
            ),
        ) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{escaped}\"");
            let read = mended(&json).unwrap_or_else(|| json.clone());
            let text: String = serde_json::from_str(&read).unwrap();
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(mended) = mend(&bytes) {
                prop_assert_eq!(mended.len(), bytes.len());
                prop_assert!(mend(&mended).is_none());
            }
        }
    }
}
