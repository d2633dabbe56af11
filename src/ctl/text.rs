//! Texts and numbers made fit for a person at a terminal.
//!
//! A model's answer may hold escape sequences, by accident or by somebody's design: they could
//! recolour, retitle or rewrite the screen. So nothing that came over the socket reaches a
//! terminal before `clean` has seen it.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::protocol::calendar::zoned;

/// The text without escape sequences and without control characters other than newline and tab,
/// nor those that reorder what is written: a command shown backwards is not the one that is copied.
pub(super) fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\n' | '\t' => kept.push(next),
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            _ if next.is_control() => {}
            _ => kept.push(next),
        }
    }
    kept
}

/// The same on one line, for cells of a table.
pub(super) fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Behind an ESC: a control sequence, a string such as a window title, or a short escape.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => skip_control_sequence(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        Some(' '..='/') => skip_intermediates(rest),
        _ => {}
    }
}

/// Up to and including its final byte, `@` to `~`; a newline ends a broken one and is kept out.
fn skip_control_sequence(rest: &mut std::str::Chars<'_>) {
    for next in rest.by_ref() {
        if matches!(next, '@'..='~' | '\n') {
            return;
        }
    }
}

/// Up to and including its terminator: BEL, ESC \ or ST. One that never ends is dropped up to
/// the end of its line, so that it cannot swallow a whole answer.
fn skip_string(rest: &mut std::str::Chars<'_>) {
    while let Some(next) = rest.next() {
        match next {
            '\u{7}' | '\u{9c}' | '\n' => return,
            '\u{1b}' => {
                rest.next();
                return;
            }
            _ => {}
        }
    }
}

fn skip_intermediates(rest: &mut std::str::Chars<'_>) {
    for next in rest.by_ref() {
        if !matches!(next, ' '..='/') {
            return;
        }
    }
}

/// A latency: `812 ms`, `2.4 s`, `1m 10s`.
pub(super) fn span(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        10_000..60_000 => format!("{} s", millis / 1_000),
        _ => {
            // Two units are enough: nobody plans by the seconds of a day.
            let seconds = millis / 1_000;
            let grain = if seconds >= 86_400 {
                3_600
            } else if seconds >= 3_600 {
                60
            } else {
                1
            };
            humantime::format_duration(Duration::from_secs(seconds - seconds % grain)).to_string()
        }
    }
}

/// A share as a percentage, cut and not rounded: 100 % means all of them.
pub(super) fn percent(share: f64) -> String {
    let tenths = (share * 1_000.0 + 1e-6).floor() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}

/// An amount of money; calls cost fractions of a cent, so six places are kept.
pub(super) fn dollars(amount: f64) -> String {
    format!("${amount:.6}")
}

/// What something cost, marked where that is an estimate.
pub(crate) fn cost(amount: Nano, estimated: bool) -> String {
    let about = if estimated { "~" } else { "" };
    format!("{about}{}", dollars(amount.dollars()))
}

/// A reply or an event, fit for a terminal before it becomes a type: every text on one line and
/// clean. Two keep their lines: `content`, which may go into a file byte by byte, and `mistakes`,
/// each of which is a little page. Whoever shows those cleans them.
pub(super) fn tidy(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(one_line(&text)),
        Value::Array(list) => list.into_iter().map(tidy).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (one_line(&key), tidy_member(&key, value))).collect()
        }
        other => other,
    }
}

fn tidy_member(key: &str, value: Value) -> Value {
    if matches!(key, "content" | "mistakes") { value } else { tidy(value) }
}

/// A moment in a reply, on the wall clock.
pub(super) use crate::protocol::calendar::moment;

/// A moment as a person reads it: the time of day, and the date when it is another day.
pub(super) fn clock_time(at: Wall, now: Wall, zone: &TimeZone) -> String {
    let (at, now) = (zoned(at, zone), zoned(now, zone));
    if at.date() == now.date() {
        at.strftime("%H:%M:%S").to_string()
    } else {
        at.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// A duration a person typed, as the daemon takes it.
pub(super) fn duration(typed: &str) -> Result<Duration, String> {
    let parsed = match typed.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(typed).ok(),
    };
    parsed.filter(|wait| !wait.is_zero()).ok_or_else(|| {
        "expected a duration above zero, such as 30s, 10m or a number of seconds".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_every_kind_disappear_and_the_text_stays() {
        let rows = [
            ("plain ünïcode\n\ttext 🦀", "plain ünïcode\n\ttext 🦀"),
            ("a\u{1b}[1;31mred\u{1b}[0m b", "ared b"),
            ("a\u{202a}b\u{202e}c\u{2066}d\u{2069}e \u{200f}עברית", "abcde \u{200f}עברית"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\b", "alinkb"),
            ("a\u{9b}31mb\u{9d}0;t\u{9c}c", "abc"),
            ("a\u{1b}(Bb\u{1b}cd", "abd"),
            ("a\rb\u{8}c\u{0}d\u{7f}", "abcd"),
            ("a\u{1b}[", "a"),
            ("a\u{1b}", "a"),
            ("a\u{1b}]never ends\nnext line", "anext line"),
        ];
        for (given, wanted) in rows {
            assert_eq!(clean(given), wanted, "{given:?}");
        }
    }

    #[test]
    fn spans_are_as_exact_as_a_reader_needs() {
        let rows = [
            (7, "7 ms"),
            (2_480, "2.4 s"),
            (12_999, "12 s"),
            (70_500, "1m 10s"),
            (3_725_000, "1h 2m"),
            (90_061_000, "1day 1h"),
        ];
        for (given, wanted) in rows {
            assert_eq!(span(given), wanted);
        }
    }

    #[test]
    fn a_hundred_percent_means_all_of_them() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.9999), "99.9 %");
        assert_eq!(percent(0.29), "29 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn a_moment_of_another_day_carries_its_date() {
        let now = moment("2026-11-20T10:00:00.000Z").unwrap();
        let today = moment("2026-11-20T10:05:00Z").unwrap();
        let tomorrow = moment("2026-11-21T00:00:01Z").unwrap();
        assert_eq!(clock_time(today, now, &TimeZone::UTC), "10:05:00");
        assert_eq!(clock_time(tomorrow, now, &TimeZone::UTC), "2026-11-21 00:00:01");
        assert_eq!(moment("soon"), None);
    }

    #[test]
    fn durations_are_words_or_seconds_above_zero() {
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["0", "0s", "-1", "soon", "", "inf", "NaN"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
