//! `fallbackctl chains`: what each task is configured to try, and what it would try right now.

use serde_json::{Value, json};

use super::connect::{SOON, exchange};
use super::failure::Failure;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, circuit, reply, text};

const EXAMPLES: &str = "\
Examples:
  fallbackctl chains
  fallbackctl chains --json";

/// No arguments of its own.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

/// Asks for all chains and shows them.
pub(super) fn run(_args: &Args, session: &Session, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if let Some(reply) = exchange(session, &json!({"op": "chains"}), SOON, screen)? {
        write!(screen.out, "{}", render(&reply, screen.paper))?;
    }
    Ok(())
}

fn render(reply: &Value, paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("TASK"),
        Column::Left("CONFIGURED"),
        Column::Right("NOW"),
        Column::Left("MODEL"),
        Column::Wide("WHY"),
    ]);
    for (task, chain) in reply::members(reply, "chains") {
        add_chain(&mut grid, task, chain);
    }
    grid.render(paper)
}

/// The configured order runs down one column beside the order right now, the models left out
/// below it, so that a difference is seen at a glance.
fn add_chain(grid: &mut Grid, task: &str, chain: &Value) {
    let configured = reply::list(chain, "configured");
    let mut rows = now_rows(chain);
    let least = if budget(chain).is_some() { 2 } else { 1 };
    while rows.len() < configured.len().max(least) {
        rows.push([Cell::default(), Cell::default(), Cell::default()]);
    }
    for (at, [place, model, why]) in rows.into_iter().enumerate() {
        let task = match at {
            0 => text::one_line(task),
            1 => budget(chain).unwrap_or_default(),
            _ => String::new(),
        };
        let configured = configured.get(at).and_then(Value::as_str).map(text::one_line);
        grid.row(vec![task.into(), configured.unwrap_or_default().into(), place, model, why]);
    }
}

/// What the task has spent today, where there is a budget.
fn budget(chain: &Value) -> Option<String> {
    let budget = text::dollars(reply::number(chain, "daily_budget_usd")?);
    let spent = text::dollars(reply::number(chain, "spent_today_usd")?);
    Some(format!("  {spent} of {budget} today"))
}

fn now_rows(chain: &Value) -> Vec<[Cell; 3]> {
    let order = reply::list(chain, "order").iter().enumerate().map(|(at, entry)| {
        let why = reply::word(entry, "reason").unwrap_or_default();
        let tone = if why == "healthy" { Tone::Good } else { Tone::Warn };
        let model = Cell::or_dash(reply::word(entry, "model"));
        [(at + 1).to_string().into(), model, Cell::toned(why, tone)]
    });
    let left_out = reply::list(chain, "left_out").iter().map(|entry| {
        let why = reply::word(entry, "reason").unwrap_or_default();
        let why = match reply::whole(entry, "retry_in_ms") {
            Some(wait) => circuit::again(&why, wait),
            None => why.replace('_', " "),
        };
        let model = reply::word(entry, "model").unwrap_or_default();
        [Cell::toned("out", Tone::Dim), Cell::toned(model, Tone::Dim), Cell::toned(why, Tone::Bad)]
    });
    order.chain(left_out).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_and_what_is_spent_of_it_stand_below_the_task() {
        let chain = json!({"configured": ["a"], "order": [{"model": "a", "reason": "healthy"}],
            "left_out": [], "daily_budget_usd": 5, "spent_today_usd": 1.25});
        let text = render(&json!({"chains": {"code": chain}}), Paper::default());
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
            "code":{"configured":["a"],"order":[],
                "left_out":[{"model":"a","reason":"misconfigured","retry_in_ms":null}]},
            "half":{"configured":["a"],"order":[],
                "left_out":[{"model":"a","reason":"circuit_open","retry_in_ms":0}]}}});
        let wanted = "\
TASK     CONFIGURED  NOW  MODEL  WHY
default  a             1  a      healthy
         b             2  b      degraded: 3 of 10 calls worked
         c           out  c      circuit open, again in 4.2 s
code     a           out  a      misconfigured
half     a           out  a      half-open: the next request sends a copy to test it
";
        assert_eq!(render(&reply, Paper::default()), wanted);
    }

    #[test]
    fn a_chain_that_says_nothing_still_has_its_line() {
        let reply = json!({"chains":{"default":{"configured":["a","b"]},"odd":null}});
        let wanted = "\
TASK     CONFIGURED  NOW  MODEL  WHY
default  a
         b
odd
";
        assert_eq!(render(&reply, Paper::default()), wanted);
    }
}
