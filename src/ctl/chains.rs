//! `fallbackctl chains`: what each task is configured to try, and what it would try right now.

use serde_json::json;

use super::connect::{SOON, exchange};
use super::failure::CommandError;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, circuit, text};
use crate::protocol::chains::{ChainView, Chains};

pub(super) const EXAMPLES: &str = "\
Examples:
  fallbackctl chains
  fallbackctl chains --json";

/// Asks for all chains and shows them.
pub(super) fn run(session: &Session, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    if let Some(chains) = exchange(session, &json!({"op": "chains"}), SOON, screen)? {
        write!(screen.out, "{}", render(&chains, screen.paper))?;
    }
    Ok(())
}

fn render(chains: &Chains, paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("TASK"),
        Column::Left("CONFIGURED"),
        Column::Right("NOW"),
        Column::Left("MODEL"),
        Column::Wide("WHY"),
    ]);
    for (task, chain) in &chains.chains {
        add_chain(&mut grid, task, chain);
    }
    grid.render(paper)
}

/// The configured order runs down one column beside the order right now, the models left out
/// below it, so that a difference is seen at a glance.
fn add_chain(grid: &mut Grid, task: &str, chain: &ChainView) {
    let mut rows = now_rows(chain);
    let least = if budget(chain).is_some() { 2 } else { 1 };
    while rows.len() < chain.configured.len().max(least) {
        rows.push([Cell::default(), Cell::default(), Cell::default()]);
    }
    for (at, [place, model, why]) in rows.into_iter().enumerate() {
        let task = match at {
            0 => task.to_owned(),
            1 => budget(chain).unwrap_or_default(),
            _ => String::new(),
        };
        let configured = chain.configured.get(at).map(|model| Cell::from(&**model));
        grid.row(vec![task.into(), configured.unwrap_or_default(), place, model, why]);
    }
}

/// What the task has spent today, where there is a budget.
fn budget(chain: &ChainView) -> Option<String> {
    let budget = text::dollars(chain.daily_budget_usd?.dollars());
    let spent = text::dollars(chain.spent_today_usd?.dollars());
    Some(format!("  {spent} of {budget} today"))
}

fn now_rows(chain: &ChainView) -> Vec<[Cell; 3]> {
    let order = chain.order.iter().enumerate().map(|(at, place)| {
        let tone = if place.reason == "healthy" { Tone::Good } else { Tone::Warn };
        let why = Cell::toned(place.reason.as_str(), tone);
        [(at + 1).to_string().into(), (&*place.model).into(), why]
    });
    let left_out = chain.left_out.iter().map(|out| {
        let why = circuit::again(out.reason, out.retry_in_ms);
        let model = Cell::toned(&*out.model, Tone::Dim);
        [Cell::toned("out", Tone::Dim), model, Cell::toned(why, Tone::Bad)]
    });
    order.chain(left_out).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn rendered(chains: Value) -> String {
        render(&serde_json::from_value(chains).unwrap(), Paper::default())
    }

    #[test]
    fn a_budget_and_what_is_spent_of_it_stand_below_the_task() {
        let chain = json!({"configured": ["a"], "order": [{"model": "a", "reason": "healthy"}],
            "left_out": [], "daily_budget_usd": 5, "spent_today_usd": 1.25});
        let text = rendered(json!({"chains": {"code": chain}}));
        let last = text.lines().last().unwrap().trim();
        assert_eq!(last, "$1.250000 of $5.000000 today");
    }

    #[test]
    fn each_task_shows_its_chain_beside_the_order_right_now() {
        let reply = json!({"ok":true,"chains":{
            "default":{"configured":["a","b","c"],
                "order":[{"model":"a","reason":"healthy"},
                         {"model":"b","reason":"degraded: 3 of 10 calls worked"}],
                "left_out":[{"model":"c","reason":"circuit_open","retry_in_ms":4200}]},
            "other":{"configured":["a"],"order":[],
                "left_out":[{"model":"a","reason":"misconfigured","retry_in_ms":null}]},
            "half":{"configured":["a"],"order":[],
                "left_out":[{"model":"a","reason":"circuit_open","retry_in_ms":0}]}}});
        let wanted = "\
TASK     CONFIGURED  NOW  MODEL  WHY
default  a             1  a      healthy
         b             2  b      degraded: 3 of 10 calls worked
         c           out  c      circuit open, again in 4.2 s
half     a           out  a      half-open: the next request sends a copy to test it
other    a           out  a      misconfigured
";
        assert_eq!(rendered(reply), wanted);
    }

    #[test]
    fn a_chain_that_nobody_serves_still_has_its_line() {
        let chain = json!({"configured":["a","b"],"order":[],"left_out":[]});
        let wanted = "\
TASK     CONFIGURED  NOW  MODEL  WHY
default  a
         b
";
        assert_eq!(rendered(json!({"chains":{"default":chain}})), wanted);
    }
}
