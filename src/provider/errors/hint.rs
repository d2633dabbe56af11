//! How long a provider asks to be left alone, in whichever form it says so.
//!
//! Forms, the most exact first: `retry-after-ms`, `retry-after` in seconds (decimals allowed),
//! `retry-after` as a date, and Gemini's `RetryInfo` within the error body. Zero, negative,
//! infinite and past values are no hints. How long a hint is honoured at most is not decided here.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::domain::time::Wall;

/// Longest wait that is told apart from longer ones, in seconds; a duration cannot hold any number.
const LONGEST: f64 = 1e10;

/// The wait that the headers of a failed answer ask for.
pub(crate) fn from_headers(headers: &HeaderMap, now: Wall) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    if let Some(wait) = millis.and_then(|millis| positive(millis / 1000.0)) {
        return Some(wait);
    }
    let after = text(RETRY_AFTER.as_str())?;
    match after.parse::<f64>() {
        Ok(seconds) => positive(seconds),
        Err(_) => until_date(after, now),
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
    fn protobuf_durations_are_understood() {
        assert_eq!(from_duration_text("59s"), Some(Duration::from_secs(59)));
        assert_eq!(from_duration_text("1.5s"), Some(Duration::from_millis(1500)));
        for text in ["0s", "-3s", "NaNs", "s", "59", ""] {
            assert_eq!(from_duration_text(text), None, "{text}");
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
