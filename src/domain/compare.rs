//! How far two answers to one request agree, in numbers: is the backup a fit stand-in?
//!
//! No number here says that an answer is good. Together, over many requests, they say whether a
//! backup answers in the same form, at the same length and in similar words. Texts are looked at up
//! to a limit, so that a comparison costs little however long they are.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Bytes of a text that are looked at for its words.
pub(crate) const MOST: usize = 16 * 1024;

/// What is remembered of a text.
#[derive(Clone, PartialEq)]
pub(crate) struct Text {
    start: String,
    chars: usize,
    json: bool,
}

/// How far two texts agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Agreement {
    /// Whether both are JSON objects or arrays, or neither is.
    pub(crate) same_json: bool,
    /// Length of the second by the length of the first, in characters; `None` if the first is empty.
    pub(crate) length_ratio: Option<f64>,
    /// Share of the words they have in common, whatever their order and case, 0 to 1.
    pub(crate) similarity: f64,
}

impl Text {
    /// What is remembered of `text`.
    pub(crate) fn of(text: &str) -> Text {
        let end = text.floor_char_boundary(MOST);
        let trimmed = text.trim_start();
        let looks = trimmed.starts_with('{') || trimmed.starts_with('[');
        Text {
            start: text[..end].to_owned(),
            chars: text.chars().count(),
            json: looks && serde_json::from_str::<IgnoredAny>(text).is_ok(),
        }
    }

    /// How far another text agrees with this one.
    pub(crate) fn compare(&self, other: &Text) -> Agreement {
        let ratio = other.chars as f64 / self.chars as f64;
        Agreement {
            same_json: self.json == other.json,
            length_ratio: (self.chars > 0).then_some(ratio),
            similarity: similarity(&self.start, &other.start),
        }
    }
}

/// Words in common, counted twice, by all words: 1 for the same words, 0 for none in common.
fn similarity(a: &str, b: &str) -> f64 {
    let mut words: HashMap<String, i64> = HashMap::new();
    let (mut all, mut common) = (0u64, 0u64);
    for word in normalised(a) {
        *words.entry(word).or_default() += 1;
        all += 1;
    }
    for word in normalised(b) {
        all += 1;
        if let Some(left) = words.get_mut(&word).filter(|left| **left > 0) {
            *left -= 1;
            common += 1;
        }
    }
    if all == 0 { 1.0 } else { 2.0 * common as f64 / all as f64 }
}

fn normalised(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(a: &str, b: &str) -> Agreement {
        Text::of(a).compare(&Text::of(b))
    }

    #[test]
    fn case_and_marks_make_no_difference_and_other_words_do() {
        assert_eq!(compare("Yes, it is.", "yes it IS").similarity, 1.0);
        assert_eq!(compare("one two three four", "one two five six").similarity, 0.5);
        assert_eq!(compare("a a b", "a c d").similarity, 2.0 / 6.0);
        assert_eq!(compare("", "").similarity, 1.0);
        assert_eq!(compare("", "word").similarity, 0.0);
    }

    #[test]
    fn json_agrees_when_both_are_or_neither_is() {
        assert!(compare("{\"a\":1}", " [2]").same_json);
        assert!(compare("plain", "{broken").same_json);
        assert!(!compare("{\"a\":1}", "{\"a\":").same_json);
        assert!(compare("17", "seventeen").same_json, "a number alone is text");
    }

    #[test]
    fn lengths_are_those_of_the_whole_texts() {
        let long = "word ".repeat(10_000);
        assert_eq!(compare("word word ", &long).length_ratio, Some(5_000.0));
        assert_eq!(compare("", "x").length_ratio, None);
    }

    proptest! {
        #[test]
        fn texts_agree_with_themselves_and_as_much_with_each_other(a in ".{0,80}", b in ".{0,80}") {
            prop_assert_eq!(compare(&a, &a).similarity, 1.0);
            let (there, back) = (compare(&a, &b), compare(&b, &a));
            prop_assert!((there.similarity - back.similarity).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&there.similarity));
        }
    }
}
