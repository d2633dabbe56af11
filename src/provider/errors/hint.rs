//! How long a provider asks to be left alone, in whichever form it says so.
//!
//! Forms, the most exact first: `retry-after-ms`, `retry-after` in seconds (decimals allowed),
//! `retry-after` as a date, Gemini's `RetryInfo` within the error body, the reset of a limit of
//! which nothing remains, and what the text for people says. Zero, negative, infinite and past
//! values are no hints. How long a hint is honoured at most is not decided here.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use serde_json::Value;

use crate::domain::time::Wall;

/// Longest wait that is told apart from longer ones, in seconds; a duration cannot hold any number.
const LONGEST: f64 = 1e10;

/// The wait that the headers of a failed answer ask for.
pub(crate) fn from_headers(headers: &HeaderMap, now: Wall) -> Option<Duration> {
    let millis = text_of(headers, "retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    if let Some(wait) = millis.and_then(|millis| positive(millis / 1000.0)) {
        return Some(wait);
    }
    let after = text_of(headers, RETRY_AFTER.as_str())?;
    match after.parse::<f64>() {
        Ok(seconds) => positive(seconds),
        Err(_) => until_date(after, now),
    }
}

/// When every limit that is used up is whole again. Others say nothing about this failure. A limit
/// is a pair of headers, one with what remains and one with its reset, whatever is counted.
pub(crate) fn from_limits(headers: &HeaderMap, now: Wall) -> Option<Duration> {
    let resets = headers.keys().map(HeaderName::as_str).filter(|name| {
        name.contains("reset") && (name.contains("ratelimit") || name.contains("rate-limit"))
    });
    let used_up = resets.filter(|name| {
        text_of(headers, &name.replace("reset", "remaining"))
            .and_then(|left| left.parse::<f64>().ok())
            .is_some_and(|left| left <= 0.0)
    });
    used_up.filter_map(|name| until_reset(text_of(headers, name)?, now)).max()
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// A reset as a duration (`6m0s`), in seconds, as seconds or milliseconds since 1970, or as a time
/// of RFC 3339.
fn until_reset(text: &str, now: Wall) -> Option<Duration> {
    let since_1970 = |millis: f64| positive((millis - now.0 as f64) / 1000.0);
    match text.parse::<f64>() {
        Ok(millis) if millis > 1e11 => since_1970(millis),
        Ok(seconds) if seconds > 1e9 => since_1970(seconds * 1000.0),
        Ok(seconds) => positive(seconds),
        Err(_) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => since_1970(time.as_millisecond() as f64),
            Err(_) => duration(text),
        },
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

/// What a text for people says: "try again in 20s", "retry after 30 seconds", "in 1m30.5s".
pub(crate) fn from_text(text: &str) -> Option<Duration> {
    let lower = text.to_ascii_lowercase();
    ANNOUNCED.iter().find_map(|phrase| {
        lower.match_indices(phrase).find_map(|(at, _)| {
            let told = &lower[at + phrase.len()..];
            let fillers = ["for ", "about ", "approximately ", "at least ", "another "];
            duration(fillers.iter().fold(told, |told, filler| told.trim_start_matches(filler)))
        })
    })
}

/// A wait that a field of an error body names, in seconds unless its name says milliseconds.
pub(crate) fn from_field(name: &str, value: &Value) -> Option<Duration> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let unit = match plain.as_str() {
        "retryafter" | "retryafterseconds" | "retryaftersec" | "retryafters" | "retryin" => 1.0,
        "retryafterms" | "retryaftermilliseconds" | "retryinms" => 0.001,
        _ => return None,
    };
    match value {
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => positive(number * unit),
            Err(_) => duration(text.trim()),
        },
        value => positive(value.as_f64()? * unit),
    }
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
        rest = after[letters..].trim_start();
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

fn until_date(text: &str, now: Wall) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since_1970 = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let wait = since_1970.checked_sub(Duration::from_millis(now.0))?;
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_795_132_800_000);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn after(value: &str) -> Option<Duration> {
        from_headers(&headers(&[("retry-after", value)]), NOW)
    }

    #[test]
    fn seconds_decimals_and_dates_are_understood() {
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after(" 0.25 "), Some(Duration::from_millis(250)));
        assert_eq!(after("Fri, 20 Nov 2026 00:00:30 GMT"), Some(Duration::from_secs(30)));
    }

    #[test]
    fn milliseconds_win_over_seconds() {
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "1500")]);
        assert_eq!(from_headers(&both, NOW), Some(Duration::from_millis(1500)));
        let nonsense = headers(&[("retry-after", "7"), ("retry-after-ms", "soon")]);
        assert_eq!(from_headers(&nonsense, NOW), Some(Duration::from_secs(7)));
    }

    #[test]
    fn zero_negative_infinite_past_and_nonsense_are_no_hints() {
        for value in ["0", "-1", "NaN", "inf", "-inf", "1e400", "", "soon", "0.0"] {
            assert_eq!(after(value), None, "{value}");
        }
        assert_eq!(after("Thu, 19 Nov 2026 23:59:59 GMT"), None);
        assert_eq!(after("Fri, 20 Nov 2026 00:00:00 GMT"), None);
        assert_eq!(after("Thu, 01 Jan 1970 00:00:00 GMT"), None);
    }

    #[test]
    fn a_wait_beyond_all_bounds_is_still_a_long_one() {
        let year = Duration::from_secs(365 * 24 * 3600);
        for value in ["18446744073709551616", "1e300", "Fri, 01 Jan 9999 00:00:00 GMT"] {
            assert!(after(value).is_some_and(|wait| wait > year), "{value}");
        }
    }

    #[test]
    fn a_text_for_people_may_say_how_long_to_wait() {
        for (text, millis) in [
            ("Rate limit reached. Please try again in 20s. Visit x", 20_000),
            ("Please try again in 1m30.5s.", 90_500),
            ("try again in 450ms", 450),
            ("Please retry after 30 seconds.", 30_000),
            ("Please retry in 12.5s.", 12_500),
            ("Retry after 7", 7_000),
            ("please wait 2 minutes and ask again", 120_000),
            ("try again in 6m0s", 360_000),
            ("Please wait for approximately 5 seconds before you retry", 5_000),
            ("Retry after a while, or retry after: 3 s", 3_000),
            ("Retry your requests after 58 seconds.", 58_000),
            ("The limit resets in 1h 2m", 3_720_000),
        ] {
            assert_eq!(from_text(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["try again in a moment", "try again later", "retry after 0s", "20s", ""] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn the_reset_of_a_limit_counts_when_nothing_of_it_remains() {
        let used_up = |reset: &str| {
            let pair = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", reset)];
            from_limits(&headers(&pair), NOW)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for reset in ["45s", "45", "1795132845", "1795132845000", "2026-11-20T00:00:45Z", "0m45s"] {
            assert_eq!(used_up(reset), seconds(45), "{reset}");
        }
        assert_eq!(used_up("soon"), None);
        let per_minute = [
            ("x-ratelimit-remaining-tokens-minute", "0"),
            ("x-ratelimit-reset-tokens-minute", "11.5"),
        ];
        let told = from_limits(&headers(&per_minute), NOW);
        assert_eq!(told, Some(Duration::from_millis(11_500)));
        let both = [
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("anthropic-ratelimit-requests-reset", "2026-11-20T01:00:00Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-20T00:00:09Z"),
        ];
        assert_eq!(from_limits(&headers(&both), NOW), seconds(9));
    }

    #[test]
    fn protobuf_durations_are_understood() {
        assert_eq!(from_duration_text("59s"), Some(Duration::from_secs(59)));
        assert_eq!(from_duration_text("1.5s"), Some(Duration::from_millis(1500)));
        for text in ["0s", "-3s", "NaNs", "s", "59", ""] {
            assert_eq!(from_duration_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_field_of_the_body_may_say_how_long_to_wait() {
        let rows = [
            ("retry_after", serde_json::json!(3), Some(3000)),
            ("retryAfter", serde_json::json!("2.5"), Some(2500)),
            ("Retry-After", serde_json::json!("7s"), Some(7000)),
            ("retry_after_ms", serde_json::json!(1200), Some(1200)),
            ("retry_after", serde_json::json!(null), None),
            ("retries", serde_json::json!(3), None),
        ];
        for (name, value, wanted) in rows {
            assert_eq!(from_field(name, &value), wanted.map(Duration::from_millis), "{name}");
        }
    }

    #[test]
    fn should_retry_is_true_false_or_nothing() {
        assert_eq!(should_retry(&headers(&[("x-should-retry", "true")])), Some(true));
        assert_eq!(should_retry(&headers(&[("x-should-retry", "false")])), Some(false));
        assert_eq!(should_retry(&headers(&[("x-should-retry", "maybe")])), None);
        assert_eq!(should_retry(&headers(&[])), None);
    }
}
