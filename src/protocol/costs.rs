//! What a stretch of time cost, as it travels: in the answer to `costs`, in weekly reports, and to
//! those who draw it (`report`, `fallbackctl`).
//!
//! Amounts are numbers of dollars in JSON with nine places at most, so whoever adds them up gets
//! whole nano-dollars back first ([`SumsView::exact`]). Nothing here asks the ledger.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ledger::Sums;
use crate::domain::price::Nano;

/// What was paid in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Costs {
    /// Its name, if it is a week: `2026-W47`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub week: Option<String>,
    /// Whose days these are, such as `Europe/Paris`.
    pub timezone: String,
    /// Its first moment, RFC 3339; `null` for everything that is kept.
    pub from: Option<String>,
    /// The first moment after it.
    pub to: Option<String>,
    /// The moment of the answer, RFC 3339.
    pub as_of: String,
    /// The only task it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The sums over all rows.
    pub totals: SumsView,
    /// One per task, primary and model.
    pub rows: Vec<CostRowView>,
    /// One per day, from the first with a call to the last.
    pub days: Vec<DayView>,
    /// When circuits were not closed, by their beginning.
    pub outages: Vec<OutageView>,
    /// Why something may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// With `shadow` in the question: one per model and backup that was compared with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparisons: Option<Vec<PairView>>,
}

/// What was paid for one task, primary and model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct CostRowView {
    /// The task that requests named.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// The model that was called.
    pub model: Arc<str>,
    /// Sums over the calls of this row.
    #[serde(flatten)]
    pub sums: SumsView,
}

/// What was paid on one day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct DayView {
    /// Its date, such as `2026-11-20`.
    pub date: String,
    /// Its first moment, RFC 3339.
    pub from: String,
    /// Sums over the calls of this day.
    #[serde(flatten)]
    pub sums: SumsView,
    /// What they consist of; in reports only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<CostRowView>,
}

/// A circuit that was open, or half-open, until it closed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct OutageView {
    /// The model whose circuit was open.
    pub model: Arc<str>,
    /// Since when, RFC 3339; may be before the stretch.
    pub from: String,
    /// When it closed; `null` if it had not then.
    pub to: Option<String>,
    /// Why its circuit opened, in words.
    pub reason: String,
}

/// What comparisons say about one model's fitness to stand in for another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PairView {
    /// The model that answered callers.
    pub model_used: Arc<str>,
    /// The model that got copies of their requests.
    pub backup: Arc<str>,
    /// Number of copies that were made.
    pub copies: u64,
    /// Of these, how many gave no answer; they are in none of the numbers below.
    pub failed: u64,
    /// The answers of the callers.
    pub live: SideView,
    /// The answers of the copies.
    pub shadow: SideView,
    /// Share of pairs that ended for the same reason.
    pub same_finish: Option<f64>,
    /// Share of pairs of which both answers were JSON, or neither.
    pub same_json: Option<f64>,
    /// Mean length of the copy's answer by that of the caller's.
    pub length_ratio: Option<f64>,
    /// Mean share of words in common.
    pub similarity: Option<f64>,
}

/// Means over the answers of one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SideView {
    /// Mean latency in milliseconds.
    pub avg_latency_ms: Option<f64>,
    /// Of the tokens of an answer.
    pub avg_output_tokens: Option<f64>,
    /// Of the cost of a call.
    pub avg_cost_usd: Option<f64>,
}

/// Sums over calls; amounts in US dollars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SumsView {
    /// Calls that gave an answer.
    pub calls: u64,
    /// Of these, calls of another model than the primary.
    pub fallback_calls: u64,
    /// Calls that gave none.
    pub failed_calls: u64,
    /// Of these, calls that do not count against a model: given up by the caller or by the request's
    /// own deadline, unfit for the model, or answered but not accepted by the chain.
    pub excused_calls: u64,
    /// Number of copies of requests.
    pub shadow_calls: u64,
    /// Probes in the background.
    pub probe_calls: u64,
    /// Calls beside others that were not the answer.
    pub hedge_calls: u64,
    /// Answers without a price: their cost is in no sum.
    pub unpriced_calls: u64,
    /// Calls whose tokens are an estimate.
    pub estimated_calls: u64,
    /// Prompt tokens of answered calls.
    pub input_tokens: u64,
    /// Completion tokens of answered calls.
    pub output_tokens: u64,
    /// US dollars paid for calls that answered.
    pub paid_usd: f64,
    /// What the primary would have cost for the same tokens.
    pub primary_would_usd: f64,
    /// Paid minus would-have-paid, where both are known.
    pub difference_usd: f64,
    /// Paid for copies of requests.
    pub shadow_usd: f64,
    /// Paid for probes in the background.
    pub probe_usd: f64,
    /// Paid for calls beside others that were not the answer.
    pub hedge_usd: f64,
    /// Paid for calls that gave no answer.
    pub failed_usd: f64,
    /// Of that, paid for calls that do not count against a model.
    pub excused_usd: f64,
    /// Of all that was paid, how much is an estimate.
    pub estimated_usd: f64,
}

impl From<&Sums> for SumsView {
    fn from(sums: &Sums) -> SumsView {
        SumsView {
            calls: sums.calls,
            fallback_calls: sums.fallback_calls,
            failed_calls: sums.failed_calls,
            excused_calls: sums.excused_calls,
            shadow_calls: sums.shadow_calls,
            probe_calls: sums.probe_calls,
            hedge_calls: sums.hedge_calls,
            unpriced_calls: sums.unpriced_calls,
            estimated_calls: sums.estimated_calls,
            input_tokens: sums.input_tokens,
            output_tokens: sums.output_tokens,
            paid_usd: dollars(sums.paid),
            primary_would_usd: dollars(sums.primary_would),
            difference_usd: sums.difference as f64 / 1e9,
            shadow_usd: dollars(sums.shadow),
            probe_usd: dollars(sums.probe),
            hedge_usd: dollars(sums.hedge),
            failed_usd: dollars(sums.failed),
            excused_usd: dollars(sums.excused),
            estimated_usd: dollars(sums.estimated),
        }
    }
}

fn dollars(nano: u64) -> f64 {
    Nano(nano).dollars()
}

fn nano(dollars: f64) -> u64 {
    Nano::from_dollars(dollars).unwrap_or_default().0
}

impl SumsView {
    /// The sums in whole nano-dollars; exact up to nine million dollars.
    pub fn exact(&self) -> Sums {
        let difference = nano(self.difference_usd.abs());
        let difference = i64::try_from(difference).unwrap_or(i64::MAX);
        Sums {
            calls: self.calls,
            fallback_calls: self.fallback_calls,
            failed_calls: self.failed_calls,
            excused_calls: self.excused_calls,
            shadow_calls: self.shadow_calls,
            probe_calls: self.probe_calls,
            hedge_calls: self.hedge_calls,
            unpriced_calls: self.unpriced_calls,
            estimated_calls: self.estimated_calls,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            paid: nano(self.paid_usd),
            primary_would: nano(self.primary_would_usd),
            difference: if self.difference_usd < 0.0 { -difference } else { difference },
            shadow: nano(self.shadow_usd),
            probe: nano(self.probe_usd),
            hedge: nano(self.hedge_usd),
            failed: nano(self.failed_usd),
            excused: nano(self.excused_usd),
            estimated: nano(self.estimated_usd),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_from_json_to_the_nano_dollar() {
        for amount in [0, 1, 963_000, 123_456_789_012_345, 9_007_199_254_740_991] {
            let sums = Sums {
                paid: amount,
                difference: -i64::try_from(amount).unwrap(),
                calls: 3,
                hedge: 7,
                failed: amount,
                excused: amount,
                ..Sums::default()
            };
            let row = CostRowView { sums: (&sums).into(), ..CostRowView::default() };
            let text = serde_json::to_string(&row).unwrap();
            let back: CostRowView = serde_json::from_str(&text).unwrap();
            assert_eq!(back.sums.exact(), sums, "{text}");
        }
    }
}
