//! What a call may cost: for one request, in proportion to its primary, and on one day.
//!
//! What is not known is never a reason to leave a model out, so a model without a price is never
//! too dear, and a primary without one sets no ceiling. Everything is compared before the call, by
//! the estimated prompt and the longest answer that was asked for; what it will really cost is
//! known only afterwards.

use super::need::Needs;
use super::price::{Nano, Price, Usage, estimated_tokens};
use super::time::Wall;

/// Tokens of an answer that nobody limits, where its cost is estimated before the call.
const ASSUMED_OUTPUT: u32 = 8192;

/// The ceilings of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// How many times as much as the primary a model may cost; at least 1.
    pub(crate) max_factor: Option<f64>,
    /// Most that one call may be estimated to cost.
    pub(crate) max_cost: Option<Nano>,
    /// What may be spent on a day before nothing dearer than the primary is called.
    pub(crate) daily_budget: Option<Nano>,
}

/// What was spent on a day; the next one begins with nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DaySpend {
    /// The day: its first moment, and the first after it.
    day: (Wall, Wall),
    amount: Nano,
}

impl Ceilings {
    /// Whether there is any.
    pub(crate) fn is_none(&self) -> bool {
        *self == Ceilings::default()
    }

    /// What a request needs, under these ceilings: with the price of the chain's `primary`, and
    /// what was `spent` today.
    pub(crate) fn over(&self, needs: Needs, primary: Option<Price>, spent: Nano) -> Needs {
        let primary = primary.map(|price| price.of(&usage(&needs, None)));
        let by_factor = primary
            .zip(self.max_factor)
            .map(|(cost, factor)| Nano((cost.0 as f64 * factor) as u64));
        let exhausted = self.daily_budget.is_some_and(|budget| spent >= budget);
        let by_budget = primary.filter(|_| exhausted);
        Needs {
            max_cost: least(needs.max_cost, self.max_cost),
            dearest: least(by_factor, by_budget),
            ..needs
        }
    }
}

/// Whether a call at this price is estimated to cost too much. `longest` is the most tokens of an
/// answer that the model gives; it counts only for what is an amount, since models are compared by
/// the same answer.
pub(crate) fn too_dear(needs: &Needs, price: Option<Price>, longest: Option<u32>) -> bool {
    let above = |ceiling: Option<Nano>, longest| match (ceiling, price) {
        (Some(ceiling), Some(price)) => price.of(&usage(needs, longest)) > ceiling,
        _ => false,
    };
    above(needs.max_cost, longest) || above(needs.dearest, None)
}

/// What a request may consume at most, by estimate.
pub(crate) fn usage(needs: &Needs, longest: Option<u32>) -> Usage {
    let output = [needs.max_tokens, longest].into_iter().flatten().min().unwrap_or(ASSUMED_OUTPUT);
    let input_tokens = estimated_tokens(needs.bytes);
    Usage { input_tokens, output_tokens: output.into(), ..Usage::default() }
}

impl DaySpend {
    /// What was spent on `day` so far.
    pub(crate) fn on(day: (Wall, Wall), amount: Nano) -> DaySpend {
        DaySpend { day, amount }
    }

    /// What was spent on the day of `now`. Its `day` is asked for only when a new one has begun.
    pub(crate) fn today(&mut self, now: Wall, day: impl FnOnce() -> (Wall, Wall)) -> Nano {
        if !(self.day.0..self.day.1).contains(&now) {
            *self = DaySpend::on(day(), Nano(0));
        }
        self.amount
    }

    pub(crate) fn more(&mut self, amount: Nano, now: Wall, day: impl FnOnce() -> (Wall, Wall)) {
        self.today(now, day);
        self.amount += amount;
    }
}

fn least(a: Option<Nano>, b: Option<Nano>) -> Option<Nano> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(input: u64, output: u64) -> Option<Price> {
        let (input, output) = (Nano(input * 1000), Nano(output * 1000));
        Some(Price { input, output, cached: input, cache_write: input })
    }

    /// 1,000 tokens in, 500 out.
    fn needs() -> Needs {
        Needs { bytes: 4000, max_tokens: Some(500), ..Needs::default() }
    }

    fn dear(ceilings: Ceilings, primary: Option<Price>, spent: u64, model: Option<Price>) -> bool {
        too_dear(&ceilings.over(needs(), primary, Nano(spent)), model, None)
    }

    #[test]
    fn a_factor_compares_with_the_primary_for_the_same_answer() {
        let ceilings = Ceilings { max_factor: Some(1.5), ..Ceilings::default() };
        // The primary would cost 1000 × 2 + 500 × 4 = 4000.
        for (model, too_dear) in
            [((2, 4), false), ((3, 6), false), ((3, 7), true), ((0, 12), false)]
        {
            assert_eq!(
                dear(ceilings, price(2, 4), 0, price(model.0, model.1)),
                too_dear,
                "{model:?}"
            );
        }
        let under = ceilings.over(needs(), price(2, 4), Nano(0));
        assert!(
            !too_dear(&under, price(2, 4), Some(7)),
            "its own limit is not the primary's fault"
        );
    }

    #[test]
    fn the_smaller_of_two_amounts_counts_and_a_models_own_limit_helps() {
        let ceilings = Ceilings { max_cost: Some(Nano(3000)), ..Ceilings::default() };
        assert!(dear(ceilings, None, 0, price(2, 4)));
        let under = ceilings.over(needs(), None, Nano(0));
        assert!(!too_dear(&under, price(2, 4), Some(250)));
        let asked = Needs { max_cost: Some(Nano(10)), ..needs() };
        assert_eq!(ceilings.over(asked, None, Nano(0)).max_cost, Some(Nano(10)));
    }

    #[test]
    fn a_spent_budget_leaves_what_is_not_dearer_than_the_primary() {
        let ceilings = Ceilings { daily_budget: Some(Nano(100)), ..Ceilings::default() };
        assert!(!dear(ceilings, price(2, 4), 99, price(9, 9)));
        assert!(dear(ceilings, price(2, 4), 100, price(2, 5)));
        assert!(!dear(ceilings, price(2, 4), 100, price(2, 4)));
    }

    #[test]
    fn what_has_no_price_is_never_too_dear() {
        let ceilings = Ceilings {
            max_factor: Some(1.0),
            max_cost: Some(Nano(0)),
            daily_budget: Some(Nano(0)),
        };
        assert!(!dear(ceilings, price(1, 1), 9, None));
        let no_amount = Ceilings { max_cost: None, ..ceilings };
        assert!(!dear(no_amount, None, 9, price(9, 9)), "nothing to compare it with");
    }

    #[test]
    fn every_day_begins_with_nothing_spent() {
        let day = |at: u64| (Wall(at / 100 * 100), Wall(at / 100 * 100 + 100));
        let mut spent = DaySpend::on(day(150), Nano(7));
        spent.more(Nano(3), Wall(199), || unreachable!("it is the same day"));
        assert_eq!(spent.today(Wall(199), || day(199)), Nano(10));
        assert_eq!(spent.today(Wall(200), || day(200)), Nano(0));
        spent.more(Nano(5), Wall(301), || day(301));
        assert_eq!(spent.today(Wall(302), || day(302)), Nano(5));
    }
}
