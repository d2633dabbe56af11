//! What one call is billed, also when it broke or was given up.
//!
//! Usage comes with a stream's end. Until then a call costs its prompt and what was heard of its
//! answer, estimated. One rule for everybody: callers, hedges, copies and probes.

use super::fault::Fault;
use super::price::{Nano, Price, Usage, estimated_tokens};

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The amount; `None` without a price.
    pub amount: Option<Nano>,
    /// What the primary would have cost for the same tokens; `None` where nobody compares.
    pub primary: Option<Nano>,
    /// Whether the tokens are an estimate.
    pub estimated: bool,
}

/// What was heard of an answer before its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Whether any content came, be it reasoning.
    pub any: bool,
    /// Bytes of its text.
    pub bytes: usize,
}

/// What calls of one request to one model are billed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tariff {
    pub price: Option<Price>,
    /// The primary's price, to compare with.
    pub primary: Option<Price>,
    /// Whether it is the primary that is called.
    pub is_primary: bool,
    /// Whether the provider's word is taken for what a call cost.
    pub trusts_cost: bool,
    /// Most tokens of an answer that were asked for.
    pub max_tokens: u32,
    /// Length of the request.
    pub request_bytes: usize,
}

/// How many times the answer that was asked for is still believed. Some servers take a limit for
/// a wish, and count in tokens of their own.
const BELIEVED_TIMES: u64 = 4;

impl Tariff {
    /// What so many tokens cost, or what the provider says, where that counts.
    pub(crate) fn cost(&self, usage: &Usage, estimated: bool) -> Cost {
        let told = usage.told_cost.filter(|_| self.trusts_cost);
        let as_primary = told.filter(|_| self.is_primary);
        Cost {
            amount: told.or(self.price.map(|price| price.of(usage))),
            primary: self.primary.map(|price| as_primary.unwrap_or(price.of(usage))),
            estimated: estimated && told.is_none(),
        }
    }

    /// An estimate for a call that has answered so many bytes.
    pub(crate) fn estimate(&self, answered_bytes: usize) -> Usage {
        Usage {
            input_tokens: estimated_tokens(self.request_bytes),
            output_tokens: estimated_tokens(answered_bytes),
            ..Usage::default()
        }
    }

    /// The bill of an answer of so many bytes, for which the provider `told` what it consumed or
    /// did not. Zero is no number of tokens that an answer or its prompt can have.
    pub(crate) fn answered(&self, told: Option<Usage>, bytes: usize) -> (Usage, Cost) {
        let estimate = self.estimate(bytes);
        let usage = match told {
            Some(told) if self.believes(&told) => Usage {
                input_tokens: or_estimate(told.input_tokens, estimate.input_tokens),
                output_tokens: or_estimate(told.output_tokens, estimate.output_tokens),
                ..told
            },
            told => Usage { told_cost: told.and_then(|told| told.told_cost), ..estimate },
        };
        (usage, self.cost(&usage, told != Some(usage)))
    }

    /// Whether an answer that was asked for can have taken so much.
    fn believes(&self, told: &Usage) -> bool {
        let most = BELIEVED_TIMES * u64::from(self.max_tokens);
        told.output_tokens <= most.saturating_add(told.reasoning_tokens)
    }

    /// The bill of a call that failed. What a stream told before it broke is at most a part; one of
    /// which nothing was heard is taken at its word.
    pub(crate) fn failed(
        &self,
        fault: Fault,
        told: Option<Usage>,
        heard: Heard,
    ) -> (Option<Usage>, Cost) {
        let estimate = self.estimate(heard.bytes);
        let told = told.filter(|told| self.believes(told));
        // An answer that was not accepted came to its end.
        let broke = fault != Fault::Rejected;
        let (usage, estimated) = match told {
            Some(told) if broke && told.output_tokens < estimate.output_tokens => {
                (Some(Usage { output_tokens: estimate.output_tokens, ..told }), true)
            }
            Some(told) => (Some(told), false),
            None => (heard.any.then_some(estimate), heard.any),
        };
        (usage, usage.map(|usage| self.cost(&usage, estimated)).unwrap_or_default())
    }
}

fn or_estimate(told: u64, estimate: u64) -> u64 {
    if told == 0 { estimate } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price {
        input: Nano(1000),
        output: Nano(2000),
        cached: Nano(1000),
        cache_write: Nano(1000),
    };

    const TARIFF: Tariff = Tariff {
        price: Some(PRICE),
        primary: None,
        is_primary: false,
        trusts_cost: false,
        max_tokens: 50,
        request_bytes: 400,
    };

    fn told(output_tokens: u64) -> Option<Usage> {
        Some(Usage { input_tokens: 90, output_tokens, ..Usage::default() })
    }

    #[test]
    fn a_call_of_which_nothing_was_heard_or_told_is_free() {
        let (usage, cost) = TARIFF.failed(Fault::Timeout, None, Heard::default());
        assert_eq!((usage, cost), (None, Cost::default()));
    }

    #[test]
    fn a_broken_stream_costs_at_least_what_was_heard_of_it() {
        let heard = Heard { any: true, bytes: 40 };
        for (told, output, estimated) in
            [(None, 10, true), (told(3), 10, true), (told(30), 30, false)]
        {
            let (usage, cost) = TARIFF.failed(Fault::StreamCut, told, heard);
            assert_eq!((usage.unwrap().output_tokens, cost.estimated), (output, estimated));
        }
        let (usage, cost) = TARIFF.failed(Fault::Rejected, told(3), heard);
        assert_eq!(
            (usage.unwrap().output_tokens, cost.estimated),
            (3, false),
            "it came to its end"
        );
    }

    #[test]
    fn an_answer_without_usage_is_estimated_and_says_so() {
        let (usage, cost) = TARIFF.answered(None, 40);
        assert_eq!((usage.input_tokens, usage.output_tokens), (100, 10));
        assert_eq!((cost.amount, cost.estimated), (Some(Nano(120)), true));
        assert!(!TARIFF.answered(told(1), 40).1.estimated);
    }

    #[test]
    fn zeros_and_more_than_was_asked_for_are_not_believed() {
        for (input, output, reasoning, told) in [
            (90, 10, 0, true),
            (90, 200, 0, true),
            (90, 201, 0, false),
            (90, 700, 500, true),
            (90, 701, 500, false),
            (0, 10, 0, false),
            (90, 0, 0, false),
            (0, 0, 0, false),
        ] {
            let usage = Usage {
                input_tokens: input,
                output_tokens: output,
                reasoning_tokens: reasoning,
                ..Usage::default()
            };
            let (billed, cost) = TARIFF.answered(Some(usage), 40);
            assert_eq!((billed == usage, !cost.estimated), (told, told), "{usage:?}");
            assert!(billed.input_tokens >= 90 && billed.output_tokens >= 10, "{billed:?}");
        }
        let nothing_said = Usage { input_tokens: 90, ..Usage::default() };
        assert!(!TARIFF.answered(Some(nothing_said), 0).1.estimated, "a refusal has no text");
    }

    #[test]
    fn the_providers_own_price_counts_only_where_it_is_trusted() {
        let told = Usage { told_cost: Some(Nano(77)), ..told(10).unwrap() };
        assert_eq!(TARIFF.answered(Some(told), 40).1.amount, Some(Nano(110)));
        let trusting = Tariff { trusts_cost: true, primary: Some(PRICE), ..TARIFF };
        let cost = trusting.answered(Some(told), 40).1;
        assert_eq!((cost.amount, cost.primary), (Some(Nano(77)), Some(Nano(110))));
        let own = Tariff { is_primary: true, ..trusting }.answered(Some(told), 40).1;
        assert_eq!((own.amount, own.primary), (Some(Nano(77)), Some(Nano(77))));
        let bare = Usage { told_cost: Some(Nano(77)), ..Usage::default() };
        let unpriced = Tariff { price: None, ..trusting }.answered(Some(bare), 40);
        assert_eq!((unpriced.1.amount, unpriced.1.estimated), (Some(Nano(77)), false));
        assert_eq!(unpriced.0.output_tokens, 10, "tokens are estimated all the same");
        assert!(trusting.answered(None, 40).1.estimated);
    }
}
