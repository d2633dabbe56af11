//! Tokens and money.
//!
//! Money is counted in whole nano-dollars, so that sums over millions of calls are exact; a
//! floating-point dollar exists only at the edges, where people write and read it.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// What a provider says a call consumed. Cached and reasoning tokens are part of the two sums.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Usage {
    /// All prompt tokens, cached ones included.
    pub(crate) input_tokens: u64,
    /// All completion tokens, reasoning included.
    pub(crate) output_tokens: u64,
    /// Prompt tokens that were read from the provider's cache.
    pub(crate) cached_tokens: u64,
    /// Completion tokens spent on reasoning.
    pub(crate) reasoning_tokens: u64,
    /// Prompt tokens that were written into the provider's cache. Like what follows, this is for
    /// the bill and no part of a reply; dialects that have a place for it tell it.
    #[serde(skip)]
    pub(crate) cache_write_tokens: u64,
    /// Those of them that are kept for an hour, which is dearer than for minutes.
    #[serde(skip)]
    pub(crate) long_write_tokens: u64,
    /// What the provider says the call cost.
    #[serde(skip)]
    pub(crate) told_cost: Option<Nano>,
}

/// Most tokens of one call that are believed, in each direction. The longest contexts take some ten
/// million; what says more than a hundred times that is no count, and one such number would stay in
/// the sums of a year, spend a day's budget, and pin what it is added to at its greatest value.
pub(crate) const MOST_TOKENS: u64 = 1_000_000_000;

impl Usage {
    /// The same, if a call can have consumed it; otherwise its consumption is unknown.
    pub(crate) fn believed(self) -> Option<Usage> {
        let Usage { input_tokens, output_tokens, cached_tokens, reasoning_tokens, .. } = self;
        let counts = [input_tokens, output_tokens, cached_tokens, reasoning_tokens];
        counts.iter().all(|&count| count <= MOST_TOKENS).then_some(self)
    }
}

/// An amount of money in nano-dollars (10⁻⁹ US$), written in JSON as a number of dollars.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(into = "f64", try_from = "f64")]
#[schemars(extend("minimum" = 0, "maximum" = 9_007_199.254_740_992_f64))]
pub struct Nano(pub u64);

/// Prices in nano-dollars per 1,000 tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Per 1,000 prompt tokens.
    pub(crate) input: Nano,
    /// Per 1,000 completion tokens.
    pub(crate) output: Nano,
    /// Per 1,000 prompt tokens read from the cache; the input price when not configured.
    pub(crate) cached: Nano,
    /// Per 1,000 prompt tokens written into the cache for minutes; for an hour it is 8/5 of that.
    pub(crate) cache_write: Nano,
}

impl Nano {
    /// The nearest whole amount to `dollars`; `None` for negative, infinite or absurd numbers.
    pub(crate) fn from_dollars(dollars: f64) -> Option<Nano> {
        let nano = (dollars * 1e9).round();
        // 2^53 nano-dollars are nine million dollars; beyond it an f64 is no longer exact.
        (0.0..=9.007_199_254_740_992e15).contains(&nano).then_some(Nano(nano as u64))
    }

    /// The amount in dollars, for people and JSON.
    pub(crate) fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl From<Nano> for f64 {
    fn from(amount: Nano) -> f64 {
        amount.dollars()
    }
}

impl TryFrom<f64> for Nano {
    type Error = String;
    fn try_from(dollars: f64) -> Result<Nano, String> {
        Nano::from_dollars(dollars).ok_or_else(|| format!("{dollars} is not an amount of money"))
    }
}

impl Add for Nano {
    type Output = Nano;
    fn add(self, other: Nano) -> Nano {
        Nano(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nano {
    fn add_assign(&mut self, other: Nano) {
        *self = *self + other;
    }
}

impl Sum for Nano {
    fn sum<I: Iterator<Item = Nano>>(amounts: I) -> Nano {
        amounts.fold(Nano(0), Add::add)
    }
}

impl Price {
    /// What `usage` costs, rounded once, half up, to a whole nano-dollar.
    pub(crate) fn of(&self, usage: &Usage) -> Nano {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens - cached);
        let fresh = usage.input_tokens - cached - written;
        let long = usage.long_write_tokens.min(written);
        let fifths = 5 * u128::from(written - long) + 8 * u128::from(long);
        let thousandths = u128::from(fresh) * u128::from(self.input.0)
            + u128::from(cached) * u128::from(self.cached.0)
            + u128::from(usage.output_tokens) * u128::from(self.output.0);
        let all = 5 * thousandths + fifths * u128::from(self.cache_write.0);
        Nano(u64::try_from((all + 2_500) / 5_000).unwrap_or(u64::MAX))
    }
}

/// A rough number of tokens for `bytes` of English prompt text: four bytes each, rounded up.
/// Used only where a provider gave no usage and for price ceilings before a call.
pub(crate) fn estimated_tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(input: f64, output: f64, cached: f64) -> Price {
        let nano = |dollars| Nano::from_dollars(dollars).unwrap();
        let [input, output, cached] = [input, output, cached].map(nano);
        Price { input, output, cached, cache_write: input }
    }

    #[test]
    fn costs_are_exact_to_the_nano_dollar() {
        let usage = Usage { input_tokens: 21, output_tokens: 60, ..Usage::default() };
        assert_eq!(price(0.003, 0.015, 0.003).of(&usage), Nano(963_000));
        assert_eq!(serde_json::to_string(&Nano(963_000)).unwrap(), "0.000963");
    }

    #[test]
    fn cached_tokens_have_their_own_price_and_never_exceed_the_prompt() {
        let usage = Usage { input_tokens: 1000, cached_tokens: 400, ..Usage::default() };
        assert_eq!(price(0.002, 0.0, 0.001).of(&usage), Nano(1_200_000 + 400_000));
        let lying = Usage { input_tokens: 10, cached_tokens: 400, ..Usage::default() };
        assert_eq!(price(0.002, 0.0, 0.001).of(&lying), Nano(10_000));
    }

    #[test]
    fn what_is_written_into_a_cache_has_its_own_price_and_that_of_an_hour_another() {
        let price = Price { cache_write: Nano(3_750_000), ..price(0.003, 0.015, 0.0003) };
        let mut usage = Usage { input_tokens: 1000, cache_write_tokens: 400, ..Usage::default() };
        assert_eq!(price.of(&usage), Nano(1_800_000 + 1_500_000));
        usage.long_write_tokens = 400;
        assert_eq!(price.of(&usage), Nano(1_800_000 + 2_400_000), "twice the input price");
        usage.cached_tokens = 900;
        assert_eq!(price.of(&usage), Nano(270_000 + 600_000), "nothing is counted twice");
    }

    #[test]
    fn nonsense_is_no_amount() {
        for nonsense in [-0.001, f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(Nano::from_dollars(nonsense), None);
        }
    }
}
