//! What of a provider's text may be shown to people, and what of its code may be logged.
//!
//! Error texts are hostile: providers echo keys, headers and parts of prompts. Control characters
//! go first, so that none can hide a key from the search; then everything that is a key or looks
//! like one; the cut to length comes last, so that no half of a key survives at the edge.
//! Masking too much is harmless here, masking too little is not.
//!
//! Nothing here decides what a failure means, and nothing here is ever used on answers.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::rc::Rc;

use secrecy::{ExposeSecret, SecretString};

/// Longest text shown to a caller, in characters.
const MAX_CHARS: usize = 300;

/// Longest text looked at, in bytes; what follows is not shown, so it need not be searched.
const MAX_LOOK: usize = 16 * 1024;

/// Shortest secret, in bytes, that is looked for as a whole.
const MIN_SECRET: usize = 6;

/// Shortest word of a secret, in bytes, that is looked for by itself.
const MIN_WORD: usize = 8;

/// What stands in place of something secret.
const MASK: &str = "[hidden]";

/// Beginnings of the keys of well-known providers.
const PREFIXES: [&str; 12] = [
    "sk-",
    "sk_",
    "pk-",
    "rk-",
    "aiza",
    "xai-",
    "gsk_",
    "hf_",
    "ghp_",
    "github_pat_",
    "ya29.",
    "eyj",
];

/// Words whose value is secret when `=` or `:` follows.
const SECRET_NAMES: [&str; 7] =
    ["key", "token", "secret", "password", "authorization", "signature", "credential"];

/// Most generations of keys that are remembered: more than a week of new ones every hour.
const MOST_GENERATIONS: usize = 256;

/// The secrets of one provider, to be found again in what it sends back.
#[derive(Default)]
pub(crate) struct Secrets {
    fixed: Vec<SecretString>,
    changing: Rc<Generations>,
}

/// Keys that change while the daemon runs: the present ones, and those before them.
#[derive(Default)]
pub(crate) struct Generations(RefCell<VecDeque<SecretString>>);

impl Generations {
    /// Takes note of a key before it is used.
    pub(crate) fn note(&self, key: &SecretString) {
        let mut all = self.0.borrow_mut();
        if all.iter().any(|one| one.expose_secret() == key.expose_secret()) {
            return;
        }
        if all.len() == MOST_GENERATIONS {
            all.pop_front();
        }
        all.push_back(key.clone());
    }
}

impl Secrets {
    /// Takes the secrets to look for, and their words: of `Bearer KEY` a provider may echo only
    /// the key. Very short ones are left alone, they would mask ordinary words.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Secrets {
        let mut fixed = Vec::new();
        for secret in secrets {
            let whole = secret.expose_secret();
            let words = whole.split_whitespace().filter(|word| word.len() >= MIN_WORD);
            fixed.extend(words.map(SecretString::from));
            if whole.len() >= MIN_SECRET {
                fixed.push(secret.clone());
            }
        }
        Secrets { fixed, changing: Rc::default() }
    }

    /// The same, with keys that may change.
    pub(crate) fn with(mut self, changing: Rc<Generations>) -> Secrets {
        self.changing = changing;
        self
    }

    /// The text for a caller: one line of at most [`MAX_CHARS`] characters without secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut line = one_line(look_at(text));
        let changing = self.changing.0.borrow();
        let texts = self.fixed.iter().chain(changing.iter()).map(ExposeSecret::expose_secret);
        let mut texts: Vec<&str> = texts.filter(|text| text.len() >= MIN_SECRET).collect();
        // The longest first, so that a secret within another one leaves no rest behind.
        texts.sort_by_key(|text| Reverse(text.len()));
        for secret in texts {
            line = line.replace(secret, MASK);
        }
        cut(&mask_words(&line))
    }

    /// The code for logs: of `[a-z0-9_.-]{1,64}` and nothing that looks like a key, else nothing.
    pub(crate) fn code(&self, code: &str) -> Option<String> {
        let lower = code.to_ascii_lowercase();
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        let fits = (1..=64).contains(&lower.len()) && lower.bytes().all(plain);
        (fits && self.clean(code) == code && self.clean(&lower) == lower).then_some(lower)
    }
}

/// The part of the text that is looked at. A word at its end may be half a key and is left out.
fn look_at(text: &str) -> &str {
    if text.len() <= MAX_LOOK {
        return text;
    }
    let head = &text[..text.floor_char_boundary(MAX_LOOK)];
    head.rfind(char::is_whitespace).map_or("", |end| &head[..end])
}

/// Line ends become spaces; other control and invisible formatting characters go.
fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => Some(' '),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => None,
        '\u{2060}'..='\u{206f}' | '\u{feff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    };
    text.chars().filter_map(shown).collect()
}

fn cut(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_CHARS) {
        None => text.to_owned(),
        Some(_) => {
            let mut short: String = text.chars().take(MAX_CHARS - 1).collect();
            short.push('…');
            short
        }
    }
}

/// Masks each word that looks like a key, and the value after a word that announces one.
fn mask_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut announced = false;
    let mut is_address = false;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        push_word(&mut out, word, announced, is_address);
        let gap_end = after.find(is_key_char).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_end);
        out.push_str(gap);
        is_address = gap.ends_with(':') && next.starts_with("//");
        announced = announces(word, gap) || (announced && word.is_empty());
        rest = next;
    }
    out
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '.' | '~' | '%' | '*')
}

/// Whether the word says that what follows it is secret.
fn announces(word: &str, gap: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let scheme = matches!(lower.as_str(), "bearer" | "basic") && gap.trim().is_empty();
    let assigned = gap.contains('=') || gap.contains(':');
    scheme || (assigned && SECRET_NAMES.iter().any(|name| lower.ends_with(name)))
}

fn push_word(out: &mut String, word: &str, announced: bool, is_address: bool) {
    let scheme = matches!(word.to_ascii_lowercase().as_str(), "bearer" | "basic");
    if scheme || word.is_empty() {
        out.push_str(word);
    } else if announced || looks_random(word, is_address) {
        out.push_str(MASK);
    } else if let Some(start) = prefix(word) {
        out.push_str(&word[..start]);
        out.push_str(MASK);
    } else {
        out.push_str(word);
    }
}

/// Where in the word a well-known kind of key begins, when something key-like follows.
fn prefix(word: &str) -> Option<usize> {
    let lower = word.to_ascii_lowercase();
    let begins = |at: usize| at == 0 || !lower.as_bytes()[at - 1].is_ascii_alphanumeric();
    let found = |prefix: &str| {
        lower
            .match_indices(prefix)
            .map(|(at, _)| at)
            .find(|&at| begins(at) && lower.len() - at >= prefix.len() + 4)
    };
    PREFIXES.iter().filter_map(|prefix| found(prefix)).min()
}

/// Long, and of letters and digits mixed as no name of a model or page is. An address is long as a
/// whole, so only its parts can tell.
fn looks_random(word: &str, is_address: bool) -> bool {
    let mixed = |part: &str| {
        part.bytes().any(|b| b.is_ascii_digit()) && part.bytes().any(|b| b.is_ascii_alphabetic())
    };
    let part = |part: &str| part.len() >= 20 && mixed(part);
    let cases = word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_uppercase());
    word.split(['/', '.', '-', '_', '%']).any(part)
        || (!is_address && word.len() >= 32 && mixed(word) && cases)
}

#[cfg(test)]
mod tests;
