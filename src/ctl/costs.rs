//! `fallbackctl costs`: what was paid, and what the first model of each chain would have cost.

use serde_json::{Value, json};

use super::connect::{SOON, exchange};
use super::failure::Failure;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, reply, text};

const EXAMPLES: &str = "\
Examples:
  fallbackctl costs                                      all that is kept
  fallbackctl costs --week 2026-W47                      one week
  fallbackctl costs --from 2026-11-01 --to 2026-12-01    one month
  fallbackctl costs --json                               for programs";

/// Over which time.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A week, such as 2026-W47
    #[arg(long, value_name = "WEEK", conflicts_with_all = ["from", "to"])]
    week: Option<String>,
    /// From this day or moment on
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Up to, and not including, this day or moment
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
}

/// Asks for the ledger and shows it.
pub(super) fn run(args: &Args, session: &Session, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let mut request = json!({"op": "costs"});
    for (key, value) in [("week", &args.week), ("from", &args.from), ("to", &args.to)] {
        if let Some(value) = value {
            request[key] = value.as_str().into();
        }
    }
    if let Some(reply) = exchange(session, &request, SOON, screen)? {
        write!(screen.out, "{}", render(&reply, screen.paper))?;
    }
    Ok(())
}

fn render(reply: &Value, paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("TASK"),
        Column::Left("PRIMARY"),
        Column::Left("MODEL"),
        Column::Right("CALLS"),
        Column::Right("FALLBACK"),
        Column::Right("FAILED"),
        Column::Right("TOKENS IN"),
        Column::Right("OUT"),
        Column::Right("PAID"),
        Column::Right("PRIMARY WOULD"),
        Column::Right("DIFFERENCE"),
    ]);
    for entry in reply::list(reply, "rows") {
        let names = ["task", "primary", "model"].map(|key| Cell::or_dash(reply::word(entry, key)));
        grid.row(names.into_iter().chain(sums(entry)).collect());
    }
    if let Some(totals) = reply::present(reply, "totals") {
        let names = [Cell::from("all"), Cell::default(), Cell::default()];
        grid.row(names.into_iter().chain(sums(totals)).collect());
    }
    let mut below = String::new();
    if let Some(totals) = reply::present(reply, "totals") {
        let extra = ["failed", "shadow", "probe", "hedge"].map(|kind| extra(totals, kind));
        let extra: Vec<_> = extra.into_iter().flatten().collect();
        if !extra.is_empty() {
            below = format!("besides, for {}\n", extra.join(", "));
        }
    }
    if let Some(why) = reply::word(reply, "incomplete") {
        below.push_str(&format!("{}\n", paper.paint(&format!("incomplete: {why}"), Tone::Warn)));
    }
    format!("{}{below}", grid.render(paper))
}

fn sums(sums: &Value) -> [Cell; 8] {
    let count = |key| Cell::or_dash(reply::whole(sums, key).map(|count| count.to_string()));
    let dollars = |key| Cell::or_dash(reply::number(sums, key).map(signed));
    [
        count("calls"),
        count("fallback_calls"),
        count("failed_calls"),
        count("input_tokens"),
        count("output_tokens"),
        dollars("paid_usd"),
        dollars("primary_would_usd"),
        dollars("difference_usd"),
    ]
}

fn signed(amount: f64) -> String {
    let sign = if amount < 0.0 { "-" } else { "" };
    format!("{sign}{}", text::dollars(amount.abs()))
}

/// What was paid beside the answers, if anything.
fn extra(totals: &Value, kind: &str) -> Option<String> {
    let amount = reply::number(totals, &format!("{kind}_usd")).filter(|amount| *amount != 0.0)?;
    Some(format!("{kind} calls: {}", text::dollars(amount)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_and_model_has_a_line_and_all_together_the_last() {
        let sums = json!({"calls": 3, "fallback_calls": 1, "failed_calls": 2, "input_tokens": 63,
            "output_tokens": 180, "paid_usd": 0.0029, "primary_would_usd": 0.003,
            "difference_usd": -0.0001, "failed_usd": 0.5, "shadow_usd": 0.0});
        let mut row = sums.clone();
        for (key, name) in [("task", "code"), ("primary", "a"), ("model", "b")] {
            row[key] = name.into();
        }
        let text = render(&json!({"totals": sums, "rows": [row]}), Paper::default());
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        let numbers = ["3", "1", "2", "63", "180"];
        assert_eq!(lines[1][..3], ["code", "a", "b"]);
        assert_eq!(lines[1][3..8], numbers);
        assert_eq!((lines[2][0], &lines[2][1..6]), ("all", &numbers[..]));
        assert!(text.lines().nth(3).unwrap().starts_with("besides, for failed calls: "));
    }

    #[test]
    fn an_empty_ledger_is_an_empty_table_and_what_is_missing_is_said() {
        assert_eq!(render(&json!({"rows": []}), Paper::default()).lines().count(), 1);
        let text = render(&json!({"incomplete": "no database"}), Paper::default());
        assert!(text.ends_with("incomplete: no database\n"));
    }
}
