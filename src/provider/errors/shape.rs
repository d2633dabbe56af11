//! Reads the body of a failed answer, whoever wrote it.
//!
//! Providers, the servers that imitate them and the proxies before them all have their own shapes:
//! an object under `error` with codes that are strings, numbers or null; a bare string; the same
//! in a list of one; flat objects; `detail` texts and lists; HTML; nothing at all. This file
//! takes out what is there and gives no meaning to it: that is [`super::classify`].

use std::time::Duration;

use serde_json::{Map, Value};

use super::hint;

/// What an error body says.
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    /// Whether it is JSON that says something about an error at all.
    pub(crate) is_api_error: bool,
    /// `code`, when it is a word.
    pub(crate) code: Option<String>,
    /// `code`, when it is a number that may be an HTTP status.
    pub(crate) number: Option<u16>,
    /// `type`, or Google's `status`.
    pub(crate) kind: Option<String>,
    /// More exact words: of `details`, of `innererror`, of nested metadata.
    pub(crate) reasons: Vec<String>,
    /// The text for people.
    pub(crate) message: Option<String>,
    pub(crate) retry_delay: Option<Duration>,
    /// OpenRouter names the input that moderation flagged.
    pub(crate) moderated: bool,
    /// It is a web page.
    pub(crate) html: bool,
    /// Google's `QuotaFailure` names a quota per day.
    pub(crate) per_day: bool,
}

impl ErrorBody {
    /// Whether code, type or any reason is this word, in any case.
    pub(crate) fn says(&self, word: &str) -> bool {
        self.words().any(|own| own.eq_ignore_ascii_case(word))
    }

    /// The most exact word there is, for logs.
    pub(crate) fn best_code(&self) -> Option<&str> {
        self.words().next()
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        let reasons = self.reasons.iter().map(String::as_str);
        reasons.chain(self.code.as_deref()).chain(self.kind.as_deref())
    }
}

/// Reads a whole body.
pub(crate) fn read(body: &[u8]) -> ErrorBody {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => from_value(&value),
        Err(_) => from_text(&String::from_utf8_lossy(body)),
    }
}

/// Reads an error found within an answer: the value of its `error`.
pub(crate) fn from_error(error: &Value) -> ErrorBody {
    let mut found = ErrorBody { is_api_error: true, ..ErrorBody::default() };
    match error {
        Value::Object(object) => from_object(&mut found, object),
        Value::String(text) => found.message = Some(text.clone()),
        _ => {}
    }
    found
}

fn from_value(value: &Value) -> ErrorBody {
    match value {
        Value::Array(list) => list.first().map(from_value).unwrap_or_default(),
        Value::Object(object) => match object.get("error") {
            Some(error) if !error.is_null() => from_error(error),
            _ => from_flat(object),
        },
        Value::String(text) => ErrorBody { message: Some(text.clone()), ..ErrorBody::default() },
        _ => ErrorBody::default(),
    }
}

/// No `error` inside: the object itself may be one, or carry a `detail`.
fn from_flat(object: &Map<String, Value>) -> ErrorBody {
    let mut found = ErrorBody::default();
    from_object(&mut found, object);
    if found.message.is_none() {
        found.message = object.get("detail").and_then(detail);
    }
    // A bare `{"detail":"Not Found"}` is what a web framework says about a wrong address.
    found.is_api_error = object.contains_key("message") || found.code.is_some();
    found
}

fn from_object(found: &mut ErrorBody, object: &Map<String, Value>) {
    match object.get("code") {
        Some(Value::String(word)) => match word.parse() {
            Ok(number) => found.number = Some(number),
            Err(_) => found.code = Some(word.clone()),
        },
        Some(Value::Number(number)) => {
            found.number = number.as_u64().and_then(|number| u16::try_from(number).ok());
        }
        _ => {}
    }
    found.kind = text(object, "status").or_else(|| text(object, "type"));
    found.message = text(object, "message");
    match object.get("details") {
        Some(Value::Array(details)) => details.iter().for_each(|part| google_detail(found, part)),
        Some(Value::Object(details)) => found.reasons.extend(text(details, "error_code")),
        _ => {}
    }
    if let Some(Value::Object(inner)) = object.get("innererror") {
        found.reasons.extend(text(inner, "code"));
    }
    if let Some(Value::Object(metadata)) = object.get("metadata") {
        found.moderated = metadata.contains_key("flagged_input");
    }
}

fn google_detail(found: &mut ErrorBody, part: &Value) {
    let Value::Object(part) = part else { return };
    found.reasons.extend(text(part, "reason"));
    if let Some(delay) = text(part, "retryDelay") {
        found.retry_delay = hint::from_duration_text(&delay);
    }
    let violations = part.get("violations").and_then(Value::as_array).into_iter().flatten();
    let daily = |violation: &Value| {
        violation.get("quotaId").and_then(Value::as_str).is_some_and(|id| id.contains("PerDay"))
    };
    found.per_day |= violations.into_iter().any(daily);
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn detail(detail: &Value) -> Option<String> {
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let parts: Vec<&str> =
                list.iter().filter_map(|part| part.get("msg").and_then(Value::as_str)).collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        }
        _ => None,
    }
}

/// Not JSON: a proxy's page or a bare line. Of a page only its title is of use.
fn from_text(body: &str) -> ErrorBody {
    let body = body.trim();
    let message = match (is_html(body), body.is_empty()) {
        (true, _) => Some(
            title(body).map_or("an HTML page".to_owned(), |title| format!("an HTML page: {title}")),
        ),
        (false, true) => None,
        (false, false) => Some(body.to_owned()),
    };
    ErrorBody { message, html: is_html(body), ..ErrorBody::default() }
}

/// Whether a text is a web page.
pub(crate) fn is_html(text: &str) -> bool {
    let head = text.trim_start().get(..14).unwrap_or(text.trim_start()).to_ascii_lowercase();
    head.starts_with("<!doctype html") || head.starts_with("<html") || head.starts_with("<head")
}

fn title(page: &str) -> Option<&str> {
    // Lower-casing ASCII only keeps every position, so they may be used on the original.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = lower[start..].find("</title>")? + start;
    let title = page[start..end].trim();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests;
