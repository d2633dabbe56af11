//! Data that hold more, or less, than one JSON text: what some servers glue together.

use serde_json::value::RawValue;

/// A part of glued data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum GluedPart<'a> {
    /// One JSON object, or another value.
    Json(&'a [u8]),
    /// The end mark, `[DONE]`.
    Done,
}

/// Glued data taken apart.
pub(in crate::provider) struct Parts<'a> {
    pub(in crate::provider) all: Vec<GluedPart<'a>>,
    /// Where it cannot be read any more.
    pub(in crate::provider) rest: &'a [u8],
}

const DONE: &[u8] = b"[DONE]";

/// Takes data apart into its JSON texts and end marks. Names of fields within the data, and the
/// brackets and commas of a list, of which the end may be missing, only hold them together.
pub(in crate::provider) fn split(data: &[u8]) -> Parts<'_> {
    let (mut all, mut rest) = (Vec::new(), data.trim_ascii_start());
    while let Some(&head) = rest.first() {
        let after = if let Some(after) = rest.strip_prefix(DONE) {
            all.push(GluedPart::Done);
            after
        } else if let Some(after) = rest.strip_prefix(b"data:") {
            after
        } else if matches!(head, b'[' | b',' | b']') {
            &rest[1..]
        } else {
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
            let Some(Ok(value)) = values.next() else { break };
            all.push(GluedPart::Json(value.get().as_bytes()));
            &rest[values.byte_offset()..]
        };
        rest = after.trim_ascii_start();
    }
    Parts { all, rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts, and what is left.
    fn parts(data: &str) -> String {
        let parts = split(data.as_bytes());
        let words = parts.all.iter().map(|part| match part {
            GluedPart::Json(json) => String::from_utf8_lossy(json).into_owned(),
            GluedPart::Done => "done".to_owned(),
        });
        let words: Vec<String> = words.collect();
        format!("{} | {}", words.join(" "), String::from_utf8_lossy(parts.rest))
    }

    #[test]
    fn glued_texts_are_told_apart() {
        for (data, expected) in [
            (r#"{"a":1}[DONE]"#, r#"{"a":1} done | "#),
            (r#"{"a":1} [DONE]"#, r#"{"a":1} done | "#),
            (r#"{"a":1}data: [DONE]"#, r#"{"a":1} done | "#),
            (r#"{"a":1}{"b":2}"#, r#"{"a":1} {"b":2} | "#),
            ("{\"a\":1}\n{\"b\":2}\r\n", r#"{"a":1} {"b":2} | "#),
            (r#"data: {"a":1}"#, r#"{"a":1} | "#),
            (r#"data: data:{"a":"}{"}"#, r#"{"a":"}{"} | "#),
            ("[{\"a\":1},\n{\"b\":[2]}]", r#"{"a":1} {"b":[2]} | "#),
            ("[{\"a\":1}\n,{\"b\":2}", r#"{"a":1} {"b":2} | "#),
            (r#"{"a":1}{"b":"#, r#"{"a":1} | {"b":"#),
            ("overloaded", " | overloaded"),
            ("<html>", " | <html>"),
            ("", " | "),
        ] {
            assert_eq!(parts(data), expected, "{data}");
        }
    }
}
