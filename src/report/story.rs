//! What the sums say: what instability cost, and which models caused it.
//!
//! A model causes what it made others do: answers that another model gave in its place, where it
//! is the first of the chain; its own calls that failed and were billed; and the time its circuit
//! was open. Calls that their caller gave up, or whose answer was not accepted, are nobody's fault. Readiness, the price of knowing that backups work, stands apart: it is chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::money::{grouped, nano, short};
use crate::domain::ledger::Sums;
use crate::domain::time::Wall;
use crate::protocol::calendar::moment;
use crate::protocol::costs::{Costs, OutageView};

/// What the sums say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    pub(crate) totals: Sums,
    /// What instability cost, in nano-dollars: fallbacks beyond what the primaries would have cost,
    /// billed failures, and hedges in vain. Negative when cheap backups saved more.
    pub instability: i64,
    /// What copies and probes cost, in nano-dollars.
    pub readiness: i64,
    /// Models that caused any of it, those that changed the sum most first.
    pub causes: Vec<Cause>,
}

/// What one model caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    pub(crate) model: Arc<str>,
    /// How often its circuit was open.
    pub outages: u64,
    /// For how long altogether, in milliseconds, within the stretch.
    pub open_ms: u64,
    /// Its calls that gave no answer, and which it is to blame for.
    pub failed_calls: u64,
    /// Answers that others gave in its place.
    pub replaced: u64,
    /// What these cost more than it would have, in nano-dollars; negative when less.
    pub difference: i64,
    /// What its failed calls cost, in nano-dollars.
    pub failed: i64,
}

impl Story {
    /// Reads it out of the sums.
    pub fn of(costs: &Costs) -> Story {
        let totals = costs.totals.exact();
        let mut causes: BTreeMap<Arc<str>, Cause> = BTreeMap::new();
        for row in &costs.rows {
            let sums = row.sums.exact();
            let primary = causes.entry(row.primary.clone()).or_default();
            primary.replaced += sums.fallback_calls;
            primary.difference += sums.difference;
            let called = causes.entry(row.model.clone()).or_default();
            let (calls, amount) = blamed(&sums);
            called.failed_calls += calls;
            called.failed += amount;
        }
        for outage in &costs.outages {
            let cause = causes.entry(outage.model.clone()).or_default();
            cause.outages += 1;
            let open = stretch(outage, costs);
            cause.open_ms += open.map_or(0, |(from, to)| to.0.saturating_sub(from.0));
        }
        let named = causes.into_iter().map(|(model, cause)| Cause { model, ..cause });
        let mut causes: Vec<Cause> = named.filter(Cause::is_one).collect();
        causes.sort_by_key(|cause| {
            std::cmp::Reverse((cause.total().unsigned_abs(), cause.replaced, cause.open_ms))
        });
        Story {
            totals,
            instability: totals.difference + blamed(&totals).1 + nano(totals.hedge),
            readiness: nano(totals.shadow) + nano(totals.probe),
            causes,
        }
    }

    /// The answer in one sentence.
    pub fn headline(&self) -> String {
        let amount = short(self.instability.saturating_abs());
        match self.instability {
            1.. => format!("Unstable providers cost you {amount}."),
            ..0 => format!("Unstable providers saved you {amount}: the backups were cheaper."),
            0 if self.causes.is_empty() => "No provider let you down.".to_owned(),
            0 => "Unstable providers cost you nothing.".to_owned(),
        }
    }

    /// What it consists of, a sentence each.
    pub fn details(&self) -> Vec<String> {
        let Sums { calls, fallback_calls, excused_calls, .. } = self.totals;
        let (failed_calls, failed) = blamed(&self.totals);
        let mut details = vec![format!(
            "{} of {} answers came from another model than the primary ({}).",
            grouped(fallback_calls),
            grouped(calls),
            change(self.totals.difference),
        )];
        if failed_calls > 0 {
            let (calls, billed) = (counted(failed_calls), billed(failed));
            details.push(format!("{calls} gave no answer; {billed}."));
        }
        if excused_calls > 0 {
            let (calls, billed) = (counted(excused_calls), billed(nano(self.totals.excused)));
            details.push(format!(
                "{calls} gave no answer without counting against a model (given up, unfit for \
                 it, or not accepted); {billed}."
            ));
        }
        if self.totals.hedge > 0 {
            let amount = short(nano(self.totals.hedge));
            details.push(format!("Second calls in vain beside slow ones cost {amount}."));
        }
        if self.readiness > 0 {
            let parts = [(self.totals.shadow, "copies"), (self.totals.probe, "probes")];
            let parts = parts.iter().filter(|(amount, _)| *amount > 0);
            let parts: Vec<String> = parts
                .map(|(amount, what)| format!("{} for {what}", short(nano(*amount))))
                .collect();
            details.push(format!("Knowing that backups work cost {}.", parts.join(" and ")));
        }
        details
    }

    /// What makes the sums less than the whole truth, a sentence each.
    pub fn caveats(&self) -> Vec<String> {
        let Sums { unpriced_calls, estimated_calls, estimated, .. } = self.totals;
        let mut caveats = Vec::new();
        if estimated_calls > 0 {
            caveats.push(format!(
                "~ includes {} of estimates: for {} the provider did not say how many tokens it \
                 was.",
                short(nano(estimated)),
                counted(estimated_calls),
            ));
        }
        if unpriced_calls > 0 {
            caveats.push(format!(
                "{} answers are not in the sums: their model has no price.",
                grouped(unpriced_calls)
            ));
        }
        caveats
    }
}

impl Cause {
    /// What it cost altogether, in nano-dollars.
    pub fn total(&self) -> i64 {
        self.difference + self.failed
    }

    fn is_one(&self) -> bool {
        self.outages + self.failed_calls + self.replaced > 0
    }
}

/// Calls without an answer that providers are to blame for, and what they cost in nano-dollars.
pub(super) fn blamed(sums: &Sums) -> (u64, i64) {
    let amount = sums.failed.saturating_sub(sums.excused);
    (sums.failed_calls.saturating_sub(sums.excused_calls), nano(amount))
}

fn counted(calls: u64) -> String {
    format!("{} {}", grouped(calls), if calls == 1 { "call" } else { "calls" })
}

fn billed(amount: i64) -> String {
    match amount {
        0 => "nothing was billed for them".to_owned(),
        amount => format!("{} was billed for them", short(amount)),
    }
}

fn change(difference: i64) -> String {
    let amount = short(difference.saturating_abs());
    match difference {
        0 => "at the same price".to_owned(),
        1.. => format!("{amount} more"),
        ..0 => format!("{amount} less"),
    }
}

/// The moment that one end of a stretch names, if it has an end there.
pub(super) fn edge(text: &Option<String>) -> Option<Wall> {
    text.as_deref().and_then(moment)
}

/// The part of an outage that lies within the stretch and is over.
pub(super) fn stretch(outage: &OutageView, costs: &Costs) -> Option<(Wall, Wall)> {
    let ends = [edge(&outage.to), edge(&costs.to), moment(&costs.as_of)];
    let from = moment(&outage.from)?.max(edge(&costs.from).unwrap_or_default());
    let to = ends.into_iter().flatten().min()?;
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::costs::CostRowView;

    fn row(primary: &str, model: &str, sums: Sums) -> CostRowView {
        let task = "t".into();
        CostRowView { task, primary: primary.into(), model: model.into(), sums: (&sums).into() }
    }

    fn costs() -> Costs {
        let rows = vec![
            row("a", "a", Sums { calls: 90, failed_calls: 3, failed: 400, ..Sums::default() }),
            row(
                "a",
                "b",
                Sums { calls: 10, fallback_calls: 10, difference: 1600, ..Sums::default() },
            ),
            row("c", "c", Sums { calls: 5, ..Sums::default() }),
        ];
        let mut totals = Sums::default();
        rows.iter().for_each(|row| totals += row.sums.exact());
        let outage = |from: &str, to: Option<&str>| OutageView {
            model: "a".into(),
            from: from.to_owned(),
            to: to.map(str::to_owned),
            reason: String::new(),
        };
        Costs {
            from: Some("2026-11-16T00:00:00Z".to_owned()),
            to: Some("2026-11-23T00:00:00Z".to_owned()),
            as_of: "2026-11-20T12:00:00Z".to_owned(),
            totals: (&totals).into(),
            rows,
            outages: vec![
                outage("2026-11-15T23:00:00Z", Some("2026-11-16T00:10:00Z")),
                outage("2026-11-20T11:00:00Z", None),
            ],
            ..Costs::default()
        }
    }

    #[test]
    fn a_model_causes_what_others_did_for_it_and_what_it_failed() {
        let story = Story::of(&costs());
        let cause = Cause {
            model: "a".into(),
            outages: 2,
            open_ms: 70 * 60_000,
            failed_calls: 3,
            replaced: 10,
            difference: 1600,
            failed: 400,
        };
        assert_eq!(story.causes, [cause], "b helped, and c is innocent");
        assert_eq!(story.instability, 2000);
        assert_eq!(story.headline(), "Unstable providers cost you $0.000002.");
        assert_eq!(
            story.details(),
            [
                "10 of 105 answers came from another model than the primary ($0.0000016 more).",
                "3 calls gave no answer; $0.0000004 was billed for them."
            ]
        );
    }

    #[test]
    fn no_model_is_blamed_for_calls_that_were_given_up_or_not_accepted() {
        let sums = Sums {
            calls: 90,
            failed_calls: 3,
            excused_calls: 3,
            failed: 400_000_000,
            excused: 400_000_000,
            ..Sums::default()
        };
        let rows = vec![row("a", "a", sums)];
        let story = Story::of(&Costs { totals: (&sums).into(), rows, ..Costs::default() });
        assert_eq!((story.causes.len(), story.instability), (0, 0));
        assert_eq!(story.headline(), "No provider let you down.");
        let said = &story.details()[1];
        assert!(
            said.starts_with("3 calls gave no answer without counting against a model"),
            "{said}"
        );
        assert!(said.ends_with("not accepted); $0.40 was billed for them."), "{said}");
    }

    #[test]
    fn a_quiet_week_is_said_to_be_one() {
        let story = Story::of(&Costs::default());
        assert_eq!(story.headline(), "No provider let you down.");
        assert!(story.caveats().is_empty());
    }
}
