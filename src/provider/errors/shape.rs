//! Reads the body of a failed answer, whoever wrote it.
//!
//! Providers, the servers that imitate them and the gateways before them all have their own
//! shapes: an object under `error` with codes that are strings, numbers or null; a bare string;
//! the same in a list; flat objects; `detail` and `errors`; the reason of another provider within
//! a text; events; web pages; nothing at all. This file takes out what is there, the outermost
//! text first and the innermost code first, and gives no meaning to it: that is
//! [`super::classify`].

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::hint::{self, Hint};
use super::page::{is_html, title};
use super::topic::{Topic, Words};
use crate::domain::time::Wall;
use crate::provider::framing::mend;

/// Deepest nesting that is looked into; a text that holds JSON counts as one level.
const DEEPEST: usize = 6;

/// Most texts that are kept. More explain nothing.
const MOST_TEXTS: usize = 8;

/// Keys whose text is a code, the most exact first.
const CODES: [&str; 6] = ["error_code", "errorCode", "code", "status", "type", "__type"];

/// Keys whose text is for people.
const TEXTS: [&str; 13] = [
    "message",
    "Message",
    "msg",
    "error",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
    "detail",
    "description",
    "title",
    "raw",
    "originalMessage",
];

/// Keys under which more may be said. What stands under others may be the prompt.
const NESTED: [&str; 16] = [
    "error",
    "errors",
    "message",
    "msg",
    "detail",
    "details",
    "innererror",
    "inner_error",
    "metadata",
    "headers",
    "raw",
    "cause",
    "base_resp",
    "fieldViolations",
    "body",
    "response",
];

/// Keys that name the field of the request that an error is about.
const FIELDS: [&str; 4] = ["param", "parameter", "loc", "field"];

/// Codes that say only that there is an error.
const EMPTY_CODES: [&str; 6] = ["error", "errors", "none", "null", "unknown", "failed"];

/// Codes for rights and for things that are not there, which providers also give to refused prompts
/// and to features that one model lacks.
const BROAD_CODES: [&str; 9] = [
    "permission_error",
    "permission_denied",
    "not_found_error",
    "not_found",
    "access_denied",
    "accessdenied",
    "accessdeniedexception",
    "forbidden",
    "unauthorized",
];

/// What an error body says.
#[derive(Clone, Default)]
pub(crate) struct ErrorDetails {
    /// Whether it is JSON that says something about an error at all.
    pub(crate) is_api_error: bool,
    /// A code that is a number and may be an HTTP status.
    pub(crate) number: Option<u16>,
    /// Codes, types and reasons, the most exact first.
    codes: Vec<String>,
    /// Texts for people, the outermost first.
    texts: Vec<String>,
    /// The delay in Google's `RetryInfo`.
    retry_delay: Option<Duration>,
    /// Fields that may say how long to wait, and headers that a gateway passes on.
    hints: Vec<Hint>,
    /// OpenRouter names the input that moderation flagged.
    pub(crate) moderated: bool,
    /// It is a web page.
    pub(crate) html: bool,
    /// Google's `QuotaFailure` names a quota per day.
    pub(crate) per_day: bool,
    /// Names of the fields that the error is about.
    fields: Vec<String>,
}

impl ErrorDetails {
    /// Whether any code is this word, in any case.
    pub(crate) fn says(&self, word: &str) -> bool {
        self.codes.iter().any(|own| own.eq_ignore_ascii_case(word))
    }

    /// Whether a code of its own names this topic. Some codes are given for all kinds of reasons;
    /// with these the text must name it, too.
    pub(crate) fn names(&self, topic: Topic) -> bool {
        let (broad, exact): (Vec<_>, Vec<_>) = self.codes.iter().partition(|code| is_broad(code));
        let names = |code: &&String| Words::of(std::slice::from_ref(*code)).are_about(topic);
        exact.iter().any(names) || (!broad.is_empty() && self.texts().are_about(topic))
    }

    /// The most exact code there is, for logs.
    pub(crate) fn best_code(&self) -> Option<&str> {
        self.codes.first().map(String::as_str)
    }

    /// Whether it is about a field of one of these names, or speaks of it.
    pub(crate) fn mentions(&self, names: &[&str]) -> bool {
        let own = self.fields.iter().chain(&self.texts);
        let is_part = |c: char| !c.is_alphanumeric() && c != '_';
        own.flat_map(|text| text.split(is_part))
            .any(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name)))
    }

    /// Whether it names this field of the request as the one that it is about.
    pub(crate) fn names_field(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field == name)
    }

    /// Whether any of its texts has one of these signs.
    pub(crate) fn texts_have(&self, signs: &[&str]) -> bool {
        self.texts.iter().any(|text| signs.iter().any(|sign| text.contains(sign)))
    }

    /// The texts for people, the outermost first.
    pub(crate) fn each_text(&self) -> impl Iterator<Item = &String> {
        self.texts.iter()
    }

    /// How long it asks to wait, in fields of its own.
    pub(crate) fn asked(&self, now: Option<Wall>) -> Option<Duration> {
        self.retry_delay.or_else(|| hint::asked(&self.hints, now))
    }

    /// When the limits are whole again that it tells of.
    pub(crate) fn limits(&self, now: Option<Wall>) -> Option<Duration> {
        hint::from_limits(&self.hints, now)
    }

    /// All codes in one, for [`Words::are_about`]: no phrase reaches from one into the next.
    pub(crate) fn codes(&self) -> Words {
        Words::of(&self.codes)
    }

    /// All texts in one, likewise. A web page says nothing that can be relied on.
    pub(crate) fn texts(&self) -> Words {
        Words::of(self.reliable_texts())
    }

    /// The same without what may be the caller's own: see [`Words::of_reasons`].
    pub(crate) fn reasons(&self) -> Words {
        Words::of_reasons(self.reliable_texts())
    }

    fn reliable_texts(&self) -> &[String] {
        if self.html { &[] } else { &self.texts }
    }

    /// The text for people: the outermost, and what those within add to it.
    pub(crate) fn message(&self) -> Option<String> {
        let mut told: Vec<&str> = Vec::new();
        for text in self.texts.iter().map(String::as_str) {
            if !told.iter().any(|before| before.contains(text)) {
                told.push(text);
            }
        }
        (!told.is_empty()).then(|| told.join(": "))
    }

    /// Takes a name that stands beside the body, as the most exact code.
    pub(crate) fn add_name(&mut self, name: &str) {
        if let Some(name) = exception(name) {
            self.codes.retain(|code| *code != name);
            self.codes.insert(0, name);
            self.is_api_error = true;
        }
    }

    fn add_text(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() && self.texts.len() < MOST_TEXTS {
            self.texts.push(text.to_owned());
        }
    }
}

impl fmt::Debug for ErrorDetails {
    // Providers echo prompts and keys.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ErrorDetails({} codes, {} texts)", self.codes.len(), self.texts.len())
    }
}

/// Reads a whole body.
pub(crate) fn read(body: &[u8]) -> ErrorDetails {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => from_value(&value),
        Err(_) => match mend::words(body) {
            Some(mended) => read(&mended),
            None => from_text(&String::from_utf8_lossy(body)),
        },
    }
}

/// Reads an error found within an answer: the value of its `error`.
pub(crate) fn from_error(error: &Value) -> ErrorDetails {
    let mut found = ErrorDetails { is_api_error: true, ..ErrorDetails::default() };
    look(&mut found, error, 0);
    found
}

fn from_value(value: &Value) -> ErrorDetails {
    let mut found = ErrorDetails::default();
    look(&mut found, value, 0);
    let object = match value {
        Value::Array(list) => list.first().and_then(Value::as_object),
        value => value.as_object(),
    };
    // A bare `{"detail":"Not Found"}` is what a web framework says about a wrong address.
    found.is_api_error = object.is_some_and(|object| {
        ["error", "errors", "message", "Message", "msg", "base_resp", "__type"]
            .into_iter()
            .any(|key| object.get(key).is_some_and(|value| !value.is_null()))
            || object.get("code").is_some_and(Value::is_string)
    });
    found
}

/// Takes out what a value says, and what is within it.
fn look(found: &mut ErrorDetails, value: &Value, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Object(object) => look_into(found, object, depth),
        Value::Array(list) => {
            let before = found.texts.len();
            list.iter().for_each(|one| look(found, one, depth + 1));
            let said = found.texts.split_off(before);
            found.add_text(&said.join("; "));
        }
        Value::String(text) => look_at_text(found, text, depth),
        _ => {}
    }
}

fn look_into(found: &mut ErrorDetails, object: &Map<String, Value>, depth: usize) {
    for key in TEXTS {
        if let Some(text) = object.get(key).and_then(Value::as_str) {
            look_at_text(found, text, depth);
        }
    }
    for key in NESTED {
        if let Some(inner @ (Value::Object(_) | Value::Array(_))) = object.get(key) {
            look(found, inner, depth + 1);
        }
    }
    for key in ["code", "status", "status_code", "originalStatusCode"] {
        let number = object.get(key).and_then(number);
        found.number = found.number.or(number);
    }
    let codes = CODES.iter().chain(&["reason"]).filter_map(|key| code(object.get(*key)?));
    // After those from further inside, which are more exact.
    found.codes.extend(codes);
    for key in FIELDS {
        match object.get(key) {
            Some(Value::String(field)) => found.fields.push(field.clone()),
            Some(Value::Array(path)) => {
                found.fields.extend(path.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => {}
        }
    }
    found.hints.extend(object.iter().filter_map(|(name, value)| Hint::of_field(name, value)));
    look_for_google(found, object);
    found.moderated |= object.contains_key("flagged_input");
}

/// A text for people, which may hold the body that another server sent.
fn look_at_text(found: &mut ErrorDetails, text: &str, depth: usize) {
    let inner = json_within(text).filter(|_| depth < DEEPEST);
    let before = found.texts.len();
    if let Some(inner) = &inner {
        look(found, inner, depth + 1);
    }
    let is_all_json = inner.is_some() && text.trim_start().starts_with(['{', '[']);
    if !is_all_json || found.texts.len() == before {
        let mut inside = found.texts.split_off(before);
        found.add_text(text);
        inside.retain(|inner| !text.contains(inner.as_str()));
        found.texts.append(&mut inside);
    }
}

/// The JSON object within a text.
fn json_within(text: &str) -> Option<Value> {
    let (start, end) = (text.find('{')?, text.rfind('}')?);
    let object = text.get(start..=end)?;
    serde_json::from_str(object).ok()
}

fn number(value: &Value) -> Option<u16> {
    let number = match value {
        Value::String(word) => word.parse().ok()?,
        value => value.as_u64()?,
    };
    u16::try_from(number).ok().filter(|number| (100..1000).contains(number))
}

/// The name of an exception, which Amazon's services put between a namespace and an address.
fn exception(name: &str) -> Option<String> {
    let name = name.split(':').next()?.rsplit('#').next()?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn code(value: &Value) -> Option<String> {
    let word = value.as_str().map(str::trim)?;
    let word = word.rsplit_once('#').map_or(word, |(_, name)| name);
    let says_nothing = word.is_empty()
        || word.bytes().all(|byte| byte.is_ascii_digit())
        || EMPTY_CODES.iter().any(|empty| word.eq_ignore_ascii_case(empty));
    (!says_nothing).then(|| word.to_owned())
}

fn is_broad(code: &str) -> bool {
    BROAD_CODES.iter().any(|broad| code.eq_ignore_ascii_case(broad))
}

fn look_for_google(found: &mut ErrorDetails, object: &Map<String, Value>) {
    if let Some(delay) = object.get("retryDelay").and_then(Value::as_str) {
        found.retry_delay = hint::from_duration_text(delay);
    }
    let violations = object.get("violations").and_then(Value::as_array).into_iter().flatten();
    found.per_day |= violations
        .filter_map(|violation| violation.get("quotaId").and_then(Value::as_str))
        .any(|id| id.contains("PerDay"));
}

/// Not JSON: events, a proxy's page, or a bare line. Of a page only its title is of use.
fn from_text(body: &str) -> ErrorDetails {
    let body = body.trim();
    let mut found = ErrorDetails { html: is_html(body), ..ErrorDetails::default() };
    if found.html {
        let title = title(body).map(|title| format!("an HTML page: {title}"));
        found.add_text(&title.unwrap_or_else(|| "an HTML page".to_owned()));
        return found;
    }
    let events = body.lines().filter_map(|line| line.strip_prefix("data:"));
    let mut values = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    match values.next() {
        Some(value) => from_value(&value),
        None => {
            look_at_text(&mut found, body, 0);
            found
        }
    }
}

#[cfg(test)]
mod tests;
