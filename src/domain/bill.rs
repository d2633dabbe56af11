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
    /// Length of the request.
    pub request_bytes: usize,
}

impl Tariff {
    /// What so many tokens cost.
    pub(crate) fn cost(&self, usage: &Usage, estimated: bool) -> Cost {
        Cost {
            amount: self.price.map(|price| price.of(usage)),
            primary: self.primary.map(|price| price.of(usage)),
            estimated,
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
    /// did not.
    pub(crate) fn answered(&self, told: Option<Usage>, bytes: usize) -> (Usage, Cost) {
        let usage = told.unwrap_or_else(|| self.estimate(bytes));
        (usage, self.cost(&usage, told.is_none()))
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

#[cfg(test)]
mod tests {
    use super::*;

    const TARIFF: Tariff = Tariff {
        price: Some(Price { input: Nano(1000), output: Nano(2000), cached: Nano(1000) }),
        primary: None,
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
}
