//! Amounts of money as people read them, exact to the nano-dollar where it matters.
//!
//! Calls cost fractions of a cent, so no fixed number of places fits: a column shows as many as its
//! most exact amount needs, and never fewer than two. A row of sums has the same cells on the page of a
//! week and on the terminal.

use crate::protocol::costs::SumsView;

/// Nano-dollars in a dollar.
const DOLLAR: u64 = 1_000_000_000;

/// The places that all of these amounts need, 2 to 9.
pub fn places(amounts: impl IntoIterator<Item = i64>) -> usize {
    amounts.into_iter().map(places_of).fold(2, usize::max)
}

fn places_of(amount: i64) -> usize {
    format!("{:09}", amount.unsigned_abs() % DOLLAR).trim_end_matches('0').len()
}

/// An amount with so many places; what they cannot show is rounded, half away from zero.
pub fn dollars(nano: i64, places: usize) -> String {
    let unit = 10_u64.pow(9_u32.saturating_sub(u32::try_from(places).unwrap_or(9)));
    let rounded = nano.unsigned_abs().saturating_add(unit / 2) / unit * unit;
    let fraction = format!("{:09}", rounded % DOLLAR);
    let sign = if nano < 0 && rounded > 0 { "-" } else { "" };
    format!("{sign}${}.{}", grouped(rounded / DOLLAR), &fraction[..places.clamp(1, 9)])
}

/// The same, with all the places that it needs.
pub fn exact(nano: i64) -> String {
    dollars(nano, places([nano]))
}

/// An amount at a glance: to the cent, or three digits that say something where cents do not.
pub fn short(nano: i64) -> String {
    let digits = nano.unsigned_abs().checked_ilog10().map_or(0, |log| log as usize + 1);
    if digits == 0 || digits > 9 {
        return dollars(nano, 2);
    }
    let text = dollars(nano, (12 - digits).clamp(2, 9));
    let cents = text.find('.').map_or(text.len(), |point| (point + 3).min(text.len()));
    let (cents, rest) = text.split_at(cents);
    format!("{cents}{}", rest.trim_end_matches('0'))
}

/// The same with its sign, for what came on top or was saved.
pub fn signed(nano: i64, places: usize) -> String {
    let text = dollars(nano, places);
    if nano > 0 { format!("+{text}") } else { text }
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount of the ledger as one that may be negative.
pub fn nano(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// What stands above [`cells`] on the page.
pub const HEADING: [&str; 8] = [
    "Answers",
    "By fallback",
    "Failed",
    "Tokens in",
    "Tokens out",
    "Paid",
    "Primary would",
    "Difference",
];

/// What was paid, what the primary would have cost, and the difference, in nano-dollars.
pub fn amounts(sums: &SumsView) -> [i64; 3] {
    let sums = sums.exact();
    [nano(sums.paid), nano(sums.primary_would), sums.difference]
}

/// Answers, those of fallbacks, failed calls, tokens in and out, and the three [`amounts`] with
/// `places` after the point. A sum that holds an estimate has a `~` before it.
pub fn cells(sums: &SumsView, places: usize) -> [String; 8] {
    let guess = if sums.estimated_usd > 0.0 { "~" } else { "" };
    let [paid, would, difference] = amounts(sums);
    [
        grouped(sums.calls),
        grouped(sums.fallback_calls),
        grouped(sums.failed_calls),
        grouped(sums.input_tokens),
        grouped(sums.output_tokens),
        format!("{guess}{}", dollars(paid, places)),
        dollars(would, places),
        signed(difference, places),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_show_what_they_need_and_columns_what_all_need() {
        for (nano, text) in [
            (0, "$0.00"),
            (963_000, "$0.000963"),
            (-1, "-$0.000000001"),
            (1_234_567_500_000_000, "$1,234,567.50"),
        ] {
            assert_eq!(exact(nano), text);
        }
        assert_eq!(places([10_000_000, 963_000]), 6);
        assert_eq!(dollars(10_000_000, 6), "$0.010000");
        assert_eq!(places([]), 2);
    }

    #[test]
    fn at_a_glance_three_digits_are_enough() {
        for (nano, text) in [
            (0, "$0.00"),
            (14_733_041_492, "$14.73"),
            (60_155_002, "$0.0602"),
            (500_000_000, "$0.50"),
            (-1_234, "-$0.00000123"),
            (7, "$0.000000007"),
        ] {
            assert_eq!(short(nano), text);
        }
    }

    #[test]
    fn rounding_is_half_away_from_zero_and_leaves_no_negative_nothing() {
        assert_eq!(dollars(5_000_000, 2), "$0.01");
        assert_eq!(dollars(-4_999_999, 2), "$0.00");
        assert_eq!(dollars(999_999_999, 2), "$1.00");
        assert_eq!([signed(1_000_000_000, 2), signed(0, 2)], ["+$1.00", "$0.00"]);
    }
}
