//! One row of a table of costs: the same cells on the page of a week and on the terminal.

use super::money::{dollars, grouped, nano, signed};
use crate::protocol::costs::SumsView;

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
