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
use strum::IntoStaticStr;

use super::need::Verdict;
use super::price::Nano;
use super::time::Wall;

/// Length of the stretches of time that are summed up, in milliseconds.
pub(crate) const QUARTER_MS: u64 = 900_000;

/// Which calls are summed up together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerKey {
    /// Start of the quarter of an hour.
    pub(crate) start: Wall,
    /// The task they were made for.
    pub(crate) task: Arc<str>,
    /// First model of the configured chain.
    pub(crate) primary: Arc<str>,
    /// The model that was called.
    pub(crate) model: Arc<str>,
}

/// Why a call was made.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CallKind {
    /// For a caller, who waits for its answer.
    #[default]
    Live,
    /// A copy of an answered request, to know how a backup is doing.
    Shadow,
    /// A copy of a request that tries a model whose circuit is open.
    Probe,
    /// For a caller, beside a call that takes long. If it gives the answer, that is an answer like
    /// any other; only what it cost in vain is a cost of hedging.
    Hedge,
}

impl CallKind {
    /// Its name in replies and in the log.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// Sums over calls; amounts are nano-dollars. What is seldom anything but zero is left out where it
/// is stored, since there are many of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// Calls that gave a caller its answer.
    pub(crate) calls: u64,
    /// Of these, calls of another model than the primary.
    pub(crate) fallback_calls: u64,
    /// Calls for a caller that gave none.
    pub(crate) failed_calls: u64,
    /// Of these, calls that do not count against a model: given up, unfit, or answered in vain.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) excused_calls: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(crate) shadow_calls: u64,
    /// Probes in the background.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) probe_calls: u64,
    /// Calls beside others that were not the answer.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) hedge_calls: u64,
    /// Answers without a price: their cost is in no sum.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) unpriced_calls: u64,
    /// Calls of all kinds whose tokens are an estimate.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) estimated_calls: u64,
    /// Prompt tokens of answers.
    pub(crate) input_tokens: u64,
    /// Completion tokens of answers.
    pub(crate) output_tokens: u64,
    pub(crate) paid: u64,
    /// What the primary would have cost for the same tokens, where it has a price.
    pub(crate) primary_would: u64,
    /// Paid minus would-have-paid, over the answers for which both are known.
    pub(crate) difference: i64,
    /// Paid for calls that gave no answer.
    pub(crate) failed: u64,
    /// Of that, paid for excused calls.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) excused: u64,
    /// Paid for copies of requests.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) shadow: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(crate) probe: u64,
    /// Paid for calls beside others that were not the answer.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) hedge: u64,
    /// Of all that was paid, how much is an estimate.
    #[serde(skip_serializing_if = "zero")]
    pub(crate) estimated: u64,
}

/// One finished call, as far as money is concerned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paid {
    /// Why it was made.
    pub(crate) kind: CallKind,
    /// Whether it gave an answer.
    pub(crate) answered: bool,
    /// What it meant for the model's health. A call without an answer is the provider's doing only
    /// if that is a failure or a hold; callers that go away, deadlines that are too short and
    /// answers that a chain does not accept are not.
    pub(crate) verdict: Verdict,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    /// What it cost, where it has a price.
    pub(crate) cost: Option<Nano>,
    /// What the primary would have cost, where it has a price.
    pub(crate) primary_cost: Option<Nano>,
    /// Whether its tokens are an estimate.
    pub(crate) estimated: bool,
}

pub(crate) type Ledger = HashMap<LedgerKey, Sums>;

impl LedgerKey {
    /// The key for a call of `model` at `at`.
    pub(crate) fn new(
        at: Wall,
        task: &Arc<str>,
        primary: &Arc<str>,
        model: &Arc<str>,
    ) -> LedgerKey {
        LedgerKey {
            start: Wall(at.0 - at.0 % QUARTER_MS),
            task: task.clone(),
            primary: primary.clone(),
            model: model.clone(),
        }
    }

    /// The sums of one call under this key.
    pub(crate) fn sums(&self, call: &Paid) -> Sums {
        let cost = call.cost.unwrap_or_default().0;
        let estimate = Sums {
            estimated_calls: u64::from(call.estimated),
            estimated: if call.estimated { cost } else { 0 },
            ..Sums::default()
        };
        match (call.kind, call.answered) {
            (CallKind::Live | CallKind::Hedge, true) => self.answer(call, estimate),
            (CallKind::Live, false) => failed(call, estimate),
            (CallKind::Hedge, false) => Sums { hedge_calls: 1, hedge: cost, ..estimate },
            (CallKind::Shadow, _) => Sums { shadow_calls: 1, shadow: cost, ..estimate },
            (CallKind::Probe, _) => Sums { probe_calls: 1, probe: cost, ..estimate },
        }
    }

    fn answer(&self, call: &Paid, estimate: Sums) -> Sums {
        let cost = call.cost.unwrap_or_default().0;
        let would = call.primary_cost.unwrap_or_default().0;
        let both = call.cost.is_some() && call.primary_cost.is_some();
        Sums {
            calls: 1,
            fallback_calls: u64::from(self.model != self.primary),
            unpriced_calls: u64::from(call.cost.is_none()),
            input_tokens: call.input_tokens,
            output_tokens: call.output_tokens,
            paid: cost,
            primary_would: would,
            difference: if both { signed(cost).saturating_sub(signed(would)) } else { 0 },
            ..estimate
        }
    }
}

fn failed(call: &Paid, estimate: Sums) -> Sums {
    let cost = call.cost.unwrap_or_default().0;
    let excused = !matches!(call.verdict, Verdict::Failure | Verdict::Held);
    Sums {
        failed_calls: 1,
        failed: cost,
        excused_calls: u64::from(excused),
        excused: if excused { cost } else { 0 },
        ..estimate
    }
}

/// Adds sums to those of their key.
pub(crate) fn add(ledger: &mut Ledger, key: LedgerKey, sums: Sums) {
    *ledger.entry(key).or_default() += sums;
}

impl AddAssign for Sums {
    fn add_assign(&mut self, more: Sums) {
        // Taken apart by name, so that a new field cannot be forgotten here.
        let Sums {
            calls,
            fallback_calls,
            failed_calls,
            excused_calls,
            shadow_calls,
            probe_calls,
            hedge_calls,
            unpriced_calls,
            estimated_calls,
            input_tokens,
            output_tokens,
            paid,
            primary_would,
            difference,
            failed,
            excused,
            shadow,
            probe,
            hedge,
            estimated,
        } = more;
        let counts = [
            (&mut self.calls, calls),
            (&mut self.fallback_calls, fallback_calls),
            (&mut self.failed_calls, failed_calls),
            (&mut self.excused_calls, excused_calls),
            (&mut self.shadow_calls, shadow_calls),
            (&mut self.probe_calls, probe_calls),
            (&mut self.hedge_calls, hedge_calls),
            (&mut self.unpriced_calls, unpriced_calls),
            (&mut self.estimated_calls, estimated_calls),
            (&mut self.input_tokens, input_tokens),
            (&mut self.output_tokens, output_tokens),
            (&mut self.paid, paid),
            (&mut self.primary_would, primary_would),
            (&mut self.failed, failed),
            (&mut self.excused, excused),
            (&mut self.shadow, shadow),
            (&mut self.probe, probe),
            (&mut self.hedge, hedge),
            (&mut self.estimated, estimated),
        ];
        for (sum, more) in counts {
            *sum = sum.saturating_add(more);
        }
        self.difference = self.difference.saturating_add(difference);
    }
}

fn zero(sum: &u64) -> bool {
    *sum == 0
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
            ..Paid::default()
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
        for verdict in [Verdict::Failure, Verdict::Held] {
            let failed = Paid { answered: false, verdict, ..answered(Some(5), Some(9)) };
            let sums = key("second").sums(&failed);
            let wanted = Sums { failed_calls: 1, failed: 5, ..Sums::default() };
            assert_eq!(sums, wanted);
        }
    }

    #[test]
    fn calls_that_no_provider_is_to_blame_for_are_excused_and_their_cost_is_kept() {
        for verdict in [Verdict::Neutral, Verdict::Success] {
            let given_up = Paid { answered: false, verdict, ..answered(Some(5), Some(9)) };
            let sums = key("second").sums(&given_up);
            let wanted = Sums {
                failed_calls: 1,
                excused_calls: 1,
                failed: 5,
                excused: 5,
                ..Sums::default()
            };
            assert_eq!(sums, wanted);
        }
    }

    #[test]
    fn copies_and_probes_stand_apart_whatever_became_of_them() {
        for answered in [true, false] {
            let call = |kind| Paid { kind, answered, ..self::answered(Some(5), Some(9)) };
            let sums = key("second").sums(&call(CallKind::Shadow));
            assert_eq!(sums, Sums { shadow_calls: 1, shadow: 5, ..Sums::default() });
            let sums = key("second").sums(&call(CallKind::Probe));
            assert_eq!(sums, Sums { probe_calls: 1, probe: 5, ..Sums::default() });
        }
    }

    #[test]
    fn a_hedge_that_answers_is_an_answer_and_one_in_vain_stands_apart() {
        let won = Paid { kind: CallKind::Hedge, ..answered(Some(5), Some(9)) };
        let sums = key("second").sums(&won);
        assert_eq!((sums.calls, sums.fallback_calls, sums.paid, sums.hedge), (1, 1, 5, 0));
        let lost = Paid { answered: false, ..won };
        let wanted = Sums { hedge_calls: 1, hedge: 5, ..Sums::default() };
        assert_eq!(key("second").sums(&lost), wanted);
    }

    #[test]
    fn estimates_and_missing_prices_are_counted() {
        let guess = Paid { estimated: true, ..answered(Some(5), Some(9)) };
        let sums = key("second").sums(&guess);
        assert_eq!((sums.paid, sums.estimated, sums.estimated_calls), (5, 5, 1));
        let free = key("second").sums(&answered(None, Some(9)));
        assert_eq!((free.unpriced_calls, free.estimated_calls), (1, 0));
    }

    #[test]
    fn rows_of_earlier_versions_are_read() {
        let old = r#"{"calls":2,"fallback_calls":1,"failed_calls":0,"input_tokens":3,
            "output_tokens":4,"paid":5,"primary_would":6,"difference":-1,"failed":0}"#;
        let sums: Sums = serde_json::from_str(old).unwrap();
        assert_eq!((sums.calls, sums.difference, sums.shadow, sums.excused), (2, -1, 0, 0));
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
