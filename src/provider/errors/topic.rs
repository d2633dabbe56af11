//! What an error is about, in whatever words its writer found.
//!
//! A kind of error has words that must come together ("prompt" with "too long", "balance" with
//! "insufficient"), and they stay when sentences change. The [`table`] says which. Codes are
//! read in the same way, `model_decommissioned` and `DataInspectionFailed` alike. Rows that stand
//! first win, since words of the later ones turn up in the sentences of the earlier ones.

mod table;

use std::fmt;

use table::TABLE;

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Policy,
    /// What the model wrote is malformed, says its own provider.
    Glitch,
    /// Too many requests or tokens for now.
    Rate,
    /// The prompt is longer than the model takes.
    Context,
    /// No money, no quota.
    Money,
    /// The wrong key, or no right to be here.
    Key,
    /// The model itself is unknown, gone, or not for this account.
    Model,
    /// The request is larger than the provider takes.
    Size,
    /// The provider has too much to do.
    Busy,
    /// Something in the request that this model does not take.
    Feature,
}

/// One way to speak of a topic: a phrase out of every group of `all`, and none of `none`. A phrase
/// begins where a word begins and may end within one: ` exceed` is in "exceeds".
struct Wording {
    topic: Topic,
    all: &'static [&'static [&'static str]],
    none: &'static [&'static str],
}

/// What these words are about: the first row that they fit.
pub(crate) fn of(words: &Words) -> Option<Topic> {
    TABLE.iter().find(|row| words.fit(row)).map(|row| row.topic)
}

/// A text as the table reads it: small letters and digits, one space before, between and after its
/// words. What stands in one word with a change of case or with `_` is several.
pub(crate) struct Words(String);

impl Words {
    /// All of these, with a word between them that no phrase has.
    pub(crate) fn of(texts: &[String]) -> Words {
        let mut out = String::from(" ");
        for text in texts {
            add(&mut out, text);
            out.push_str("| ");
        }
        Words(out)
    }

    /// The same without names in quotation marks, paths, addresses and echoed inputs.
    pub(crate) fn of_reasons(texts: &[String]) -> Words {
        let texts: Vec<String> = texts.iter().map(|text| without_names(text)).collect();
        Words::of(&texts)
    }

    /// Whether this phrase stands in it; see [`Wording`].
    pub(crate) fn say(&self, phrase: &str) -> bool {
        memchr::memmem::find(self.0.as_bytes(), phrase.as_bytes()).is_some()
    }

    /// Whether they are about this topic.
    pub(crate) fn are_about(&self, topic: Topic) -> bool {
        TABLE.iter().any(|row| row.topic == topic && self.fit(row))
    }

    fn fit(&self, row: &Wording) -> bool {
        row.all.iter().all(|group| group.iter().any(|phrase| self.say(phrase)))
            && !row.none.iter().any(|phrase| self.say(phrase))
    }
}

/// What some servers put before the input that they echo.
const ECHOES: [&str; 3] = ["'input':", "\"input\":", "input_value="];

/// A text without what names something: words in quotation marks, paths, addresses, echoed inputs.
fn without_names(text: &str) -> String {
    let end = ECHOES.iter().filter_map(|echo| text.find(echo)).min().unwrap_or(text.len());
    let kept = text[..end].split_whitespace().filter(|word| !is_name(word));
    kept.collect::<Vec<_>>().join(" ")
}

fn is_name(word: &str) -> bool {
    const MARKS: [char; 3] = ['\'', '"', '`'];
    let bare = word.trim_matches(|c: char| ",.;:()".contains(c));
    let is_quoted = MARKS.iter().any(|&mark| {
        bare.len() > 2 && bare.starts_with(mark) && bare[1..].trim_end_matches('s').ends_with(mark)
    });
    let is_path = bare.matches('.').count() >= 2 || (bare.contains('[') && bare.ends_with(']'));
    is_quoted || is_path || bare.contains("://")
}

/// Adds the words of a text, with a space behind each.
fn add(out: &mut String, text: &str) {
    let mut before = ' ';
    let mut chars = text.chars().filter(|c| !matches!(c, '\'' | '’')).peekable();
    while let Some(c) = chars.next() {
        let ends_word = c.is_uppercase()
            && (before.is_lowercase()
                || (before.is_uppercase() && chars.peek().is_some_and(|c| c.is_lowercase())));
        if (ends_word || !c.is_alphanumeric()) && !out.ends_with(' ') {
            out.push(' ');
        }
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        }
        before = c;
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
}

impl fmt::Debug for Words {
    // Providers echo prompts.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Words({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests;
