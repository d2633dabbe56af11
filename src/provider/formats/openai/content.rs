//! The content of an answer: a text, in all forms that imitators of OpenAI give it.
//!
//! Besides a string: null, parts of which text counts and thoughts stand apart, one part alone; and
//! where a server has taken JSON for JSON, what the text should hold, which is written as text again.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Content, as text and thoughts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) thoughts: String,
    /// There are parts that are not text.
    pub(super) has_other: bool,
}

impl Text {
    fn of(text: impl Into<String>) -> Text {
        Text { text: text.into(), ..Text::default() }
    }

    fn of_parts(parts: Vec<Value>) -> Text {
        if !parts.is_empty() && !parts.iter().any(is_part) {
            return Text::of(Value::Array(parts).to_string());
        }
        let mut said = Text::default();
        parts.iter().for_each(|part| said.add(part));
        said
    }

    fn add(&mut self, part: &Value) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
        match part.get("text").or(Some(part)).and_then(text_of) {
            Some(text) if kind.ends_with("text") => self.text.push_str(&text),
            Some(text) if is_thought(kind) => self.thoughts.push_str(&text),
            _ => {
                self.has_other = true;
                let within = part.get("thinking").filter(|_| is_thought(kind));
                within.iter().for_each(|inner| add_texts(inner, &mut self.thoughts));
            }
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Text, D::Error> {
        input.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, or something that can be written as one")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text::of(text))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Text, E> {
        Ok(Text::of(truth.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
        Ok(Text::of(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
        Ok(Text::of(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text, E> {
        Ok(Text::of(Value::from(number).to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            parts.push(part);
        }
        Ok(Text::of_parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            fields.insert(name, value);
        }
        let value = Value::Object(fields);
        Ok(match () {
            () if is_text_part(&value) => Text::of_parts(vec![value]),
            () if value == Value::Object(Map::new()) => Text::default(),
            () => Text::of(value.to_string()),
        })
    }
}

/// Whether an element of a list is a part, and not a piece of JSON that the model wrote.
fn is_part(value: &Value) -> bool {
    value.is_string()
        || value.is_null()
        || ["type", "text"].iter().any(|name| value.get(*name).is_some_and(Value::is_string))
        || is_text_part(value)
}

/// Whether an object is a part with text or thoughts.
fn is_text_part(value: &Value) -> bool {
    let kind = value.get("type").map_or(Some("text"), Value::as_str).unwrap_or_default();
    let has_text = value.get("text").and_then(text_of).is_some();
    (has_text && kind.ends_with("text")) || is_thought(kind)
}

/// The text of a part, which some wrap once more.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        value => value.get("value").and_then(Value::as_str).map(str::to_owned),
    }
}

fn is_thought(kind: &str) -> bool {
    kind.starts_with("reasoning") || kind.starts_with("thinking")
}

/// The texts of a string or of a list of parts.
fn add_texts(value: &Value, into: &mut String) {
    let parts = value.as_array().into_iter().flatten();
    let texts = parts.filter_map(|part| part.get("text")).chain(Some(value));
    texts.filter_map(Value::as_str).for_each(|text| into.push_str(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_a_text_in_whatever_form_it_comes() {
        for (json, text, thoughts) in [
            (r#""Hi""#, "Hi", ""),
            ("null", "", ""),
            ("42", "42", ""),
            ("-7", "-7", ""),
            ("0.5", "0.5", ""),
            ("true", "true", ""),
            ("false", "false", ""),
            ("{}", "", ""),
            ("[]", "", ""),
            (r#"{"answer":42}"#, r#"{"answer":42}"#, ""),
            (r#"{"type":"invoice","total":5}"#, r#"{"type":"invoice","total":5}"#, ""),
            (r#"{"type":"text","text":"Hi"}"#, "Hi", ""),
            (r#"{"text":"Hi"}"#, "Hi", ""),
            (r#"{"type":"thinking","thinking":"hm"}"#, "", "hm"),
            (r#"[{"type":"text","text":"H"},{"type":"text","text":"i"}]"#, "Hi", ""),
            (r#"[{"type":"text","text":{"value":"Hi","annotations":[]}}]"#, "Hi", ""),
            (r#"[{"type":"text","text":42}]"#, "42", ""),
            (r#"["H","i"]"#, "Hi", ""),
            (
                r#"[{"type":"reasoning","text":"hm"},{"type":"output_text","text":"Hi"}]"#,
                "Hi",
                "hm",
            ),
            ("[1,2]", "[1,2]", ""),
            (r#"[{"name":"a"},{"name":"b"}]"#, r#"[{"name":"a"},{"name":"b"}]"#, ""),
        ] {
            let read: Text = serde_json::from_str(json).unwrap();
            assert_eq!((&*read.text, &*read.thoughts), (text, thoughts), "{json}");
        }
        let image: Text = serde_json::from_str(r#"[{"type":"image_url","image_url":{}}]"#).unwrap();
        assert_eq!(image, Text { has_other: true, ..Text::default() });
    }
}
