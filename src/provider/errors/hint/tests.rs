//! Waits in all forms that providers ask for them.

use super::*;

const NOW: Wall = Wall(1_795_132_800_000);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn hints(pairs: &[(&'static str, &str)]) -> Vec<Hint> {
    of_headers(&headers(pairs))
}

fn after(value: &str) -> Option<Duration> {
    asked(&hints(&[("retry-after", value)]), Some(NOW))
}

#[test]
fn seconds_decimals_and_dates_are_understood() {
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert_eq!(after(" 0.25 "), Some(Duration::from_millis(250)));
    assert_eq!(after("Fri, 20 Nov 2026 00:00:30 GMT"), Some(Duration::from_secs(30)));
}

#[test]
fn milliseconds_win_over_seconds() {
    for name in ["retry-after-ms", "x-retry-after-ms", "x-ms-retry-after-ms"] {
        let both = hints(&[("retry-after", "7"), (name, "1500")]);
        assert_eq!(asked(&both, Some(NOW)), Some(Duration::from_millis(1500)));
        let unit = hints(&[("retry-after", "7"), (name, "1500ms")]);
        assert_eq!(asked(&unit, Some(NOW)), Some(Duration::from_millis(1500)));
        let nonsense = hints(&[("retry-after", "7"), (name, "soon")]);
        assert_eq!(asked(&nonsense, Some(NOW)), Some(Duration::from_secs(7)));
    }
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
        ("Please wait 2 minutes and 5 seconds", 125_000),
        ("Try again in 1 hour, 5 minutes.", 3_900_000),
        ("Your limit resets at 2026-11-20T00:00:45Z.", 45_000),
        ("Blocked until 2026-11-20 00:01:00 UTC, then retry", 60_000),
        ("Retry after Fri, 20 Nov 2026 00:00:30 GMT", 30_000),
    ] {
        assert_eq!(from_text(text, Some(NOW)), Some(Duration::from_millis(millis)), "{text}");
    }
    for text in ["try again in a moment", "try again later", "retry after 0s", "20s", ""] {
        assert_eq!(from_text(text, Some(NOW)), None, "{text}");
    }
}

#[test]
fn the_reset_of_a_limit_counts_when_nothing_of_it_remains() {
    let used_up = |reset: &str| {
        let pair = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", reset)];
        from_limits(&hints(&pair), Some(NOW))
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for reset in ["45s", "45", "1795132845", "1795132845000", "2026-11-20T00:00:45Z", "0m45s"] {
        assert_eq!(used_up(reset), seconds(45), "{reset}");
    }
    assert_eq!(used_up("soon"), None);
    let per_minute =
        [("x-ratelimit-remaining-tokens-minute", "0"), ("x-ratelimit-reset-tokens-minute", "11.5")];
    let told = from_limits(&hints(&per_minute), Some(NOW));
    assert_eq!(told, Some(Duration::from_millis(11_500)));
    let both = [
        ("anthropic-ratelimit-requests-remaining", "3"),
        ("anthropic-ratelimit-requests-reset", "2026-11-20T01:00:00Z"),
        ("anthropic-ratelimit-output-tokens-remaining", "0"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-11-20T00:00:09Z"),
    ];
    assert_eq!(from_limits(&hints(&both), Some(NOW)), seconds(9));
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
fn a_wait_is_read_in_every_form() {
    for (value, millis) in [
        ("50s", 50_000),
        ("1m30s", 90_000),
        ("2 seconds", 2_000),
        ("\"2 seconds\"", 2_000),
        ("'3'", 3_000),
        ("1500ms", 1_500),
        ("1 Minute", 60_000),
        ("PT30S", 30_000),
        ("PT1M30S", 90_000),
        ("00:01:30", 90_000),
        ("1:30", 90_000),
        ("1795132845", 45_000),
        ("1795132845.5", 45_500),
        ("1795132845000", 45_000),
        ("2026-11-20T00:00:45Z", 45_000),
        ("2026-11-20T01:00:45+01:00", 45_000),
        ("2026-11-20T00:00:45.250Z", 45_250),
        ("2026-11-20T00:00:45", 45_000),
        ("2026-11-20 00:00:45", 45_000),
        ("Friday, 20-Nov-26 00:00:30 GMT", 30_000),
    ] {
        assert_eq!(after(value), Some(Duration::from_millis(millis)), "{value}");
    }
    for past in ["1795132700", "1795132700000", "2026-11-19T23:00:00Z", "0s", "PT0S", "00:00"] {
        assert_eq!(after(past), None, "{past}");
    }
    let clockless = hints(&[("retry-after", "1795132845")]);
    assert_eq!(asked(&clockless, None), None, "nobody says what time it is");
}

#[test]
fn a_field_of_the_body_may_say_how_long_to_wait() {
    let rows = [
        ("retry_after", serde_json::json!(3), Some(3000)),
        ("retryAfter", serde_json::json!("2.5"), Some(2500)),
        ("Retry-After", serde_json::json!("7s"), Some(7000)),
        ("Retry-After", serde_json::json!(["7"]), Some(7000)),
        ("retry_after_ms", serde_json::json!(1200), Some(1200)),
        ("retryAfterMillis", serde_json::json!("1200"), Some(1200)),
        ("retry_in_seconds", serde_json::json!(4), Some(4000)),
        ("retry_after_minutes", serde_json::json!(2), Some(120_000)),
        ("reset_at", serde_json::json!("2026-11-20T00:00:45Z"), Some(45_000)),
        ("resets_at", serde_json::json!(1_795_132_845), Some(45_000)),
        ("cooldown", serde_json::json!("5s"), Some(5000)),
        ("retry_after", serde_json::json!(null), None),
        ("retries", serde_json::json!(3), None),
    ];
    for (name, value, wanted) in rows {
        let hints = Vec::from_iter(Hint::of_field(name, &value));
        assert_eq!(asked(&hints, Some(NOW)), wanted.map(Duration::from_millis), "{name} {value}");
    }
}

#[test]
fn limits_are_read_in_the_forms_of_gateways() {
    for (pairs, seconds) in [
        (&[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1795132845000")][..], Some(45)),
        (&[("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "1795132845000")], None),
        (&[("x-ratelimit-reset", "45")], Some(45)),
        (&[("x-ratelimit-reset-requests", "9s"), ("x-ratelimit-reset-tokens", "45s")], Some(9)),
        (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "45")], Some(45)),
        (&[("ratelimit", "limit=9, remaining=0, reset=45")], Some(45)),
        (&[("ratelimit", "\"default\";r=0;t=45")], Some(45)),
        (&[("ratelimit", "limit=9, remaining=3, reset=45")], None),
        (&[("x-ratelimit-limit", "9")], None),
    ] {
        let hints: Vec<Hint> =
            pairs.iter().filter_map(|(name, value)| Hint::new(name, value)).collect();
        let wanted = seconds.map(Duration::from_secs);
        assert_eq!(from_limits(&hints, Some(NOW)), wanted, "{pairs:?}");
    }
}

#[test]
fn should_retry_is_true_false_or_nothing() {
    assert_eq!(should_retry(&headers(&[("x-should-retry", "true")])), Some(true));
    assert_eq!(should_retry(&headers(&[("x-should-retry", "false")])), Some(false));
    assert_eq!(should_retry(&headers(&[("x-should-retry", "maybe")])), None);
    assert_eq!(should_retry(&headers(&[])), None);
}
