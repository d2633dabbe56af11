//! What was paid for which task, and what the first model of its chain would have cost.
//!
//! Sums per quarter of an hour, task, primary and model: short enough that any day of any time
//! zone is a whole number of them, few enough to be kept for a year. All in whole nano-dollars,
//! so that adding up in any order, and after any restart, gives the same. Sums only ever grow;
//! where they are kept, and until when, is the recorder's business.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::price::Nano;
use super::time::Wall;

/// Length of the stretches of time that are summed up, in milliseconds.
pub const QUARTER_MS: u64 = 900_000;

/// Which calls are summed up together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerKey {
    /// Start of the quarter of an hour.
    pub start: Wall,
    /// The task they were made for.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// The model that was called.
    pub model: Arc<str>,
}

/// Sums over calls; amounts are nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Calls that gave an answer.
    pub calls: u64,
    /// Of these, calls of another model than the primary.
    pub fallback_calls: u64,
    /// Calls that gave none.
    pub failed_calls: u64,
    /// Prompt tokens of answered calls.
    pub input_tokens: u64,
    /// Completion tokens of answered calls.
    pub output_tokens: u64,
    /// Paid for answers.
    pub paid: u64,
    /// What the primary would have cost for the same tokens, where it has a price.
    pub primary_would: u64,
    /// Paid minus would-have-paid, over the answers for which both are known.
    pub difference: i64,
    /// Paid for calls that gave no answer.
    pub failed: u64,
}

/// One finished call, as far as money is concerned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paid {
    /// Whether it gave an answer.
    pub answered: bool,
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
    /// What it cost, where it has a price.
    pub cost: Option<Nano>,
    /// What the primary would have cost, where it has a price.
    pub primary_cost: Option<Nano>,
}

/// Sums by key.
pub type Ledger = HashMap<LedgerKey, Sums>;

impl LedgerKey {
    /// The key for a call of `model` at `at`.
    pub fn new(at: Wall, task: &Arc<str>, primary: &Arc<str>, model: &Arc<str>) -> LedgerKey {
        LedgerKey {
            start: Wall(at.0 - at.0 % QUARTER_MS),
            task: task.clone(),
            primary: primary.clone(),
            model: model.clone(),
        }
    }

    /// The sums of one call under this key.
    pub fn sums(&self, call: &Paid) -> Sums {
        let cost = call.cost.unwrap_or_default().0;
        if !call.answered {
            return Sums { failed_calls: 1, failed: cost, ..Sums::default() };
        }
        let would = call.primary_cost.unwrap_or_default().0;
        let both = call.cost.is_some() && call.primary_cost.is_some();
        Sums {
            calls: 1,
            fallback_calls: u64::from(self.model != self.primary),
            input_tokens: call.input_tokens,
            output_tokens: call.output_tokens,
            paid: cost,
            primary_would: would,
            difference: if both { signed(cost).saturating_sub(signed(would)) } else { 0 },
            ..Sums::default()
        }
    }
}

/// Adds sums to those of their key.
pub fn add(ledger: &mut Ledger, key: LedgerKey, sums: Sums) {
    *ledger.entry(key).or_default() += sums;
}

impl AddAssign for Sums {
    fn add_assign(&mut self, more: Sums) {
        // Named one by one, so that a new field cannot be forgotten here.
        let Sums {
            calls,
            fallback_calls,
            failed_calls,
            input_tokens,
            output_tokens,
            paid,
            primary_would,
            difference,
            failed,
        } = more;
        self.calls = self.calls.saturating_add(calls);
        self.fallback_calls = self.fallback_calls.saturating_add(fallback_calls);
        self.failed_calls = self.failed_calls.saturating_add(failed_calls);
        self.input_tokens = self.input_tokens.saturating_add(input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
        self.paid = self.paid.saturating_add(paid);
        self.primary_would = self.primary_would.saturating_add(primary_would);
        self.difference = self.difference.saturating_add(difference);
        self.failed = self.failed.saturating_add(failed);
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(model: &str) -> LedgerKey {
        LedgerKey::new(Wall(QUARTER_MS * 3 + 7), &"task".into(), &"first".into(), &model.into())
    }

    fn answered(cost: Option<u64>, primary: Option<u64>) -> Paid {
        Paid {
            answered: true,
            input_tokens: 21,
            output_tokens: 60,
            cost: cost.map(Nano),
            primary_cost: primary.map(Nano),
        }
    }

    #[test]
    fn a_call_belongs_to_the_quarter_of_an_hour_it_ended_in() {
        assert_eq!(key("a").start, Wall(QUARTER_MS * 3));
    }

    #[test]
    fn an_answer_by_another_model_is_a_fallback_and_what_it_saved_is_signed() {
        let sums = key("second").sums(&answered(Some(300), Some(1000)));
        assert_eq!((sums.calls, sums.fallback_calls, sums.difference), (1, 1, -700));
        let first = key("first").sums(&answered(Some(1000), Some(1000)));
        assert_eq!((first.fallback_calls, first.difference, first.paid), (0, 0, 1000));
    }

    #[test]
    fn without_both_prices_there_is_no_difference() {
        assert_eq!(key("second").sums(&answered(Some(300), None)).difference, 0);
        let free = key("second").sums(&answered(None, Some(1000)));
        assert_eq!((free.difference, free.primary_would, free.paid), (0, 1000, 0));
    }

    #[test]
    fn failed_calls_stand_apart() {
        let failed = Paid { answered: false, ..answered(Some(5), Some(9)) };
        let sums = key("second").sums(&failed);
        let wanted = Sums { failed_calls: 1, failed: 5, ..Sums::default() };
        assert_eq!(sums, wanted);
    }

    #[test]
    fn sums_add_up_in_any_order() {
        let calls = [Some(1), None, Some(u64::MAX), Some(7)].map(|cost| answered(cost, Some(3)));
        let (mut forth, mut back) = (Ledger::new(), Ledger::new());
        calls.iter().for_each(|call| add(&mut forth, key("b"), key("b").sums(call)));
        calls.iter().rev().for_each(|call| add(&mut back, key("b"), key("b").sums(call)));
        assert_eq!(forth[&key("b")].calls, 4);
        assert_eq!(forth[&key("b")].paid, back[&key("b")].paid);
    }
}
