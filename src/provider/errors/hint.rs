//! How long a provider asks to be left alone, in whichever form it says so.
//!
//! Forms, the most exact first: `retry-after-ms`, `retry-after` in seconds (decimals allowed), as a
//! duration or as a time, fields of the error body, Gemini's `RetryInfo` among them, the reset of a limit
//! of which nothing remains (as headers, or as headers that a gateway passes on in its body), and what
//! the text for people says. Zero, negative, infinite and past values are no hints. How long a hint is
//! honoured at most is not decided here.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::domain::time::Wall;

/// Longest wait that is told apart from longer ones, in seconds; a duration cannot hold any number.
const LONGEST: f64 = 1e10;

/// Beginnings of names of fields and headers that say how long to wait, or until when.
const NAMES: [&str; 13] = [
    "retryafter",
    "retryin",
    "retrydelay",
    "retryat",
    "resetin",
    "resetsin",
    "resetafter",
    "resetat",
    "resetsat",
    "resettime",
    "waittime",
    "waitseconds",
    "cooldown",
];

/// A header, or a field of an error body, as far as it may say how long to wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hint {
    /// In small letters, as headers are.
    name: String,
    value: String,
}

impl Hint {
    /// What is told under a name; `None` for what is no hint.
    pub(crate) fn new(name: &str, value: &str) -> Option<Hint> {
        let name = name.to_ascii_lowercase();
        let is_hint = unit_of(&name).is_some() || is_limit(&name);
        is_hint.then(|| Hint { name, value: value.trim().trim_matches(['"', '\'']).to_owned() })
    }

    /// The same of a field, whose value may be a number, or alone in a list.
    pub(crate) fn of_field(name: &str, value: &Value) -> Option<Hint> {
        match value {
            Value::String(text) => Hint::new(name, text),
            Value::Number(number) => Hint::new(name, &number.to_string()),
            Value::Array(list) => Hint::of_field(name, list.first().filter(|it| !it.is_array())?),
            _ => None,
        }
    }

    fn wait(&self, now: Option<Wall>) -> Option<Duration> {
        let unit = unit_of(&self.name)?;
        match self.value.parse::<f64>() {
            Ok(number) if unit != 1.0 => positive(number * unit),
            _ => until(&self.value, now),
        }
    }
}

/// What the headers of an answer tell.
pub(crate) fn of_headers(headers: &HeaderMap) -> Vec<Hint> {
    let texts =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    texts.filter_map(|(name, value)| Hint::new(name, value)).collect()
}

/// The wait that is asked for in so many words, those in milliseconds first. Times need to know what
/// time it is.
pub(crate) fn asked(hints: &[Hint], now: Option<Wall>) -> Option<Duration> {
    let exact = hints.iter().filter(|hint| unit_of(&hint.name) == Some(0.001));
    exact.chain(hints).find_map(|hint| hint.wait(now))
}

/// When every limit that is used up is whole again. Others say nothing about this failure. A limit
/// is a pair of headers, one with what remains and one with its reset, whatever is counted; where
/// nobody tells what remains, the first reset is the least to wait.
pub(crate) fn from_limits(hints: &[Hint], now: Option<Wall>) -> Option<Duration> {
    let together = hints.iter().filter(|hint| hint.name.ends_with("ratelimit"));
    let together = together.filter_map(|hint| {
        let left = part(&hint.value, &["remaining", "r"])?.parse::<f64>().ok()?;
        until(part(&hint.value, &["reset", "t"])?, now).filter(|_| left <= 0.0)
    });
    let used_up = resets(hints).filter(|hint| left_of(hint, hints).is_some_and(|left| left <= 0.0));
    let whole_again = used_up.filter_map(|hint| until(&hint.value, now)).chain(together).max();
    if whole_again.is_some() || hints.iter().any(|hint| hint.name.contains("remaining")) {
        return whole_again;
    }
    resets(hints).filter_map(|hint| until(&hint.value, now)).min()
}

fn resets(hints: &[Hint]) -> impl Iterator<Item = &Hint> {
    hints.iter().filter(|hint| is_limit(&hint.name) && hint.name.contains("reset"))
}

/// What remains of the limit that this is the reset of.
fn left_of(reset: &Hint, hints: &[Hint]) -> Option<f64> {
    let name = reset.name.replace("reset", "remaining");
    hints.iter().find(|hint| hint.name == name)?.value.parse().ok()
}

/// A part of a header that says several things: `limit=9, remaining=0, reset=50`, or `r=0;t=50`.
fn part<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    let parts = text.split([',', ';']).filter_map(|part| part.trim().split_once('='));
    { parts }.find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim())
}

/// Whether a header belongs to a limit.
fn is_limit(name: &str) -> bool {
    ["ratelimit", "rate-limit", "rate_limit"].iter().any(|word| name.contains(word))
        && (name.contains("reset") || name.contains("remaining") || name.ends_with("ratelimit"))
}

/// How many seconds a number under this name counts; `None` for a name that is no hint.
fn unit_of(name: &str) -> Option<f64> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let is_hint = NAMES.iter().any(|hint| plain.contains(hint)) && !is_limit(name);
    is_hint.then(|| match () {
        () if ["ms", "millis", "milliseconds"].iter().any(|end| plain.ends_with(end)) => 0.001,
        () if plain.ends_with("minutes") => 60.0,
        () => 1.0,
    })
}

/// A wait as a duration (`6m0s`, `"2 seconds"`, `PT30S`, `00:01:30`) or in seconds; or a time, in seconds or
/// milliseconds since 1970, of RFC 3339, or as HTTP writes it.
fn until(text: &str, now: Option<Wall>) -> Option<Duration> {
    let text = text.trim().trim_matches(['"', '\'']).trim();
    match text.parse::<f64>() {
        Ok(millis) if millis > 1e11 => since_1970(millis, now),
        Ok(seconds) if seconds > 1e9 => since_1970(seconds * 1000.0, now),
        Ok(seconds) => positive(seconds),
        Err(_) => match time(text) {
            Some(millis) => since_1970(millis, now),
            None => clock(text).or_else(|| {
                let lower = text.to_ascii_lowercase();
                duration(lower.strip_prefix("pt").unwrap_or(&lower))
            }),
        },
    }
}

fn since_1970(millis: f64, now: Option<Wall>) -> Option<Duration> {
    positive((millis - now?.0 as f64) / 1000.0)
}

/// A time in milliseconds since 1970. One without a zone is taken for UTC.
fn time(text: &str) -> Option<f64> {
    if let Ok(date) = httpdate::parse_http_date(text) {
        let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        return Some(since.as_secs_f64() * 1000.0);
    }
    let zoned = text.strip_suffix(" UTC").unwrap_or(text);
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = zoned.parse::<jiff::civil::DateTime>().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(time.as_millisecond() as f64)
}

/// Hours, minutes and seconds with colons between.
fn clock(text: &str) -> Option<Duration> {
    let parts: Option<Vec<f64>> = text.split(':').map(|part| part.parse().ok()).collect();
    match parts?[..] {
        [minutes, seconds] => positive(minutes * 60.0 + seconds),
        [hours, minutes, seconds] => positive((hours * 60.0 + minutes) * 60.0 + seconds),
        _ => None,
    }
}

/// Words behind which a text for people says how long to wait.
const ANNOUNCED: [&str; 14] = [
    "again in ",
    "again after ",
    "retry in ",
    "retry after ",
    "retry after: ",
    "retry-after: ",
    "retry_after: ",
    "request after ",
    "requests after ",
    "available in ",
    "reset in ",
    "resets in ",
    "wait ",
    "within the next ",
];

/// Words behind which it says until when.
const UNTIL: [&str; 7] =
    ["again at ", "again after ", "retry at ", "retry after ", "reset at ", "resets at ", "until "];

/// What a text for people says: "try again in 20s", "retry after 30 seconds", "in 1m30.5s", "resets at
/// 2026-11-20T00:00:45Z".
pub(crate) fn from_text(text: &str, now: Option<Wall>) -> Option<Duration> {
    // Small letters of ASCII stand where the others stood.
    let lower = text.to_ascii_lowercase();
    let times = UNTIL.iter().flat_map(|phrase| behind(&lower, phrase));
    let times = times.filter_map(|at| time_at(&text[at..]));
    if let Some(wait) = { times }.find_map(|millis| since_1970(millis, now)) {
        return Some(wait);
    }
    ANNOUNCED.iter().flat_map(|phrase| behind(&lower, phrase)).find_map(|at| {
        let fillers = ["for ", "about ", "approximately ", "at least ", "another "];
        duration(fillers.iter().fold(&lower[at..], |told, filler| told.trim_start_matches(filler)))
    })
}

/// Where this phrase ends in a text, each time.
fn behind<'a>(text: &'a str, phrase: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(phrase).map(|(at, _)| at + phrase.len())
}

/// The time that a text begins with. As HTTP writes it, it has six words.
fn time_at(text: &str) -> Option<f64> {
    let words: Vec<&str> = text.split_whitespace().take(6).collect();
    (1..=words.len()).rev().find_map(|count| {
        let told = words[..count].join(" ");
        time(told.trim_end_matches(|c: char| !c.is_alphanumeric()))
    })
}

/// The duration that a text begins with. A number without a unit counts seconds.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds: Option<f64> = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        // The full stop behind a sentence is no part of its number.
        let number = rest[..digits].trim_end_matches('.');
        let Ok(number) = number.parse::<f64>() else { break };
        let after = rest[digits..].trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let Some(unit) = unit(&after[..letters], seconds.is_none()) else { break };
        seconds = Some(seconds.unwrap_or(0.0) + number * unit);
        rest = after[letters..].trim_start_matches([',', ' ']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    positive(seconds?)
}

/// How many seconds a unit has; only a number that stands alone may do without one.
fn unit(word: &str, alone: bool) -> Option<f64> {
    match word {
        "ms" | "millisecond" | "milliseconds" => Some(0.001),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1.0),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60.0),
        "h" | "hr" | "hour" | "hours" => Some(3600.0),
        "d" | "day" | "days" => Some(86_400.0),
        "" if alone => Some(1.0),
        _ => None,
    }
}

/// A protobuf duration such as `"59s"` or `"1.5s"`.
pub(crate) fn from_duration_text(text: &str) -> Option<Duration> {
    positive(text.trim().strip_suffix('s')?.parse().ok()?)
}

pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

fn positive(seconds: f64) -> Option<Duration> {
    let finite = Some(seconds).filter(|seconds| seconds.is_finite())?;
    let wait = Duration::try_from_secs_f64(finite.min(LONGEST)).ok()?;
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests;
