//! `fallbackctl costs`: what instability cost, which model caused it, and when.
//!
//! The answer comes first, then its causes, then all the sums. What is drawn is decided in
//! [`crate::report`], so that a page made here is the same as the daemon's weekly report.

use std::fs;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use serde_json::json;

use super::connect::{SOON, exchange};
use super::failure::CommandError;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, names, text};
use crate::clock::zone;
use crate::protocol::calendar::{moment, zoned};
use crate::protocol::costs::{Costs, OutageView, PairView, SumsView};
use crate::report::money::{amounts, cells, dollars, grouped, places, signed};
use crate::report::story::{Cause, Story};
use crate::report::{csv, html};

const EXAMPLES: &str = "\
Examples:
  fallbackctl costs                                      all that is kept
  fallbackctl costs --week 2026-W47                      one week
  fallbackctl costs --from 2026-11-01 --to 2026-12-01    one month
  fallbackctl costs --task code --csv > code.csv         for a spreadsheet
  fallbackctl costs --week 2026-W47 --html week.html     with plots, for a browser
  fallbackctl costs --shadow                             is each backup a fit stand-in?
  fallbackctl costs --json                               for programs";

/// Over which time, and how it is shown.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CostsArgs {
    /// A week, such as 2026-W47
    #[arg(long, value_name = "WEEK", conflicts_with_all = ["from", "to"])]
    week: Option<String>,
    /// From this day or moment on
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Up to, and not including, this day or moment
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    #[arg(long, value_name = "TASK", add = names::tasks())]
    task: Option<String>,
    /// How backups compared with the models they would stand in for (`[shadow] compare`)
    #[arg(long, conflicts_with_all = ["csv", "html"])]
    shadow: bool,
    /// Comma-separated values instead of a table
    #[arg(long, conflicts_with_all = ["json", "html"])]
    csv: bool,
    /// Write a page with plots to this file instead (- for standard output)
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
}

/// Asks for the ledger and shows it.
pub(super) fn run(
    args: &CostsArgs,
    session: &Session,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    let mut request = json!({"op": "costs"});
    let fields =
        [("week", &args.week), ("from", &args.from), ("to", &args.to), ("task", &args.task)];
    for (key, value) in fields {
        if let Some(value) = value {
            request[key] = value.as_str().into();
        }
    }
    if args.shadow {
        request["shadow"] = true.into();
    }
    let Some(costs) = exchange::<Costs>(session, &request, SOON, screen)? else { return Ok(()) };
    if args.shadow {
        let pairs = costs.comparisons.as_deref().unwrap_or_default();
        write!(screen.out, "{}", comparisons(pairs, screen.paper))?;
        return Ok(());
    }
    if args.csv {
        write!(screen.out, "{}", csv::table(&costs))?;
    } else if let Some(path) = &args.html {
        let page = html::page(&costs, &zone(named(&costs)));
        if path.as_os_str() == "-" {
            write!(screen.out, "{page}")?;
            return Ok(());
        }
        fs::write(path, page).map_err(|error| CommandError::Usage {
            message: format!("cannot write {}: {error}", path.display()),
            hint: "--html takes the path of a file to write, or - for standard output",
        })?;
        writeln!(screen.out, "{}", path.display())?;
    } else {
        write!(screen.out, "{}", render(&costs, screen.paper))?;
    }
    Ok(())
}

/// The daemon's time zone, unless it is the one of its machine, which is this one.
fn named(costs: &Costs) -> Option<&str> {
    Some(costs.timezone.as_str()).filter(|name| !["", "local"].contains(name))
}

fn render(costs: &Costs, paper: Paper) -> String {
    let story = Story::of(costs);
    let zone = zone(named(costs));
    let tone = match story.instability {
        1.. => Tone::Warn,
        _ => Tone::Good,
    };
    let mut page = format!("{}\n", html::title(costs, &zone));
    page.push_str(&format!("{}\n", paper.paint(&story.headline(), tone)));
    story.details().iter().for_each(|detail| page.push_str(&format!("{detail}\n")));
    if !story.causes.is_empty() {
        page.push_str(&format!("\n{}", causes(&story.causes, paper)));
    }
    if !costs.outages.is_empty() {
        page.push_str(&format!("\n{}", outages(&costs.outages, &zone, paper)));
    }
    if costs.totals != SumsView::default() {
        page.push_str(&format!("\n{}", sums(costs, paper)));
    }
    story.caveats().iter().for_each(|caveat| page.push_str(&format!("{caveat}\n")));
    if let Some(why) = &costs.incomplete {
        page.push_str(&format!("{}\n", paper.paint(&format!("incomplete: {why}"), Tone::Warn)));
    }
    page
}

fn outages(outages: &[OutageView], zone: &TimeZone, paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("OUT"),
        Column::Left("FROM"),
        Column::Left("UNTIL"),
        Column::Wide("REASON"),
    ]);
    for OutageView { model, from, to, reason } in outages {
        let until = to.as_deref().map(|to| minute(to, zone));
        grid.row(vec![
            (&**model).into(),
            minute(from, zone),
            until.unwrap_or(Cell::toned("still out", Tone::Bad)),
            (&**reason).into(),
        ]);
    }
    grid.render(paper)
}

fn minute(text: &str, zone: &TimeZone) -> Cell {
    let at = moment(text).map(|at| zoned(at, zone));
    Cell::or_dash(at.map(|at| at.strftime("%a %Y-%m-%d %H:%M").to_string()))
}

fn causes(causes: &[Cause], paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("CAUSED BY"),
        Column::Right("OUTAGES"),
        Column::Right("OUT FOR"),
        Column::Right("FAILED"),
        Column::Right("BY OTHERS"),
        Column::Right("DIFFERENCE"),
        Column::Right("FAILED COST"),
        Column::Right("TOGETHER"),
    ]);
    let all = causes.iter().flat_map(|cause| [cause.difference, cause.failed, cause.total()]);
    let places = places(all);
    for cause in causes {
        grid.row(vec![
            (&*cause.model).into(),
            cause.outages.to_string().into(),
            html::lasted(cause).into(),
            grouped(cause.failed_calls).into(),
            grouped(cause.replaced).into(),
            signed(cause.difference, places).into(),
            dollars(cause.failed, places).into(),
            signed(cause.total(), places).into(),
        ]);
    }
    grid.render(paper)
}

fn sums(costs: &Costs, paper: Paper) -> String {
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
    let all = costs.rows.iter().map(|row| &row.sums).chain([&costs.totals]);
    let places = places(all.flat_map(amounts));
    for row in &costs.rows {
        let names = [&row.task, &row.primary, &row.model].map(|name| Cell::from(&**name));
        grid.row(names.into_iter().chain(cells(&row.sums, places).map(Cell::from)).collect());
    }
    let names = [Cell::from("all"), Cell::default(), Cell::default()];
    grid.row(names.into_iter().chain(cells(&costs.totals, places).map(Cell::from)).collect());
    grid.render(paper)
}

/// Is this backup a fit stand-in? One line per pair of models, the model that answered before the
/// backup that got the copy. The numbers are means; what they say together is for a person to judge.
fn comparisons(pairs: &[PairView], paper: Paper) -> String {
    if pairs.is_empty() {
        let hint = "nothing was compared; switch it on with `compare = true` in [shadow]";
        return format!("{}\n", paper.paint(hint, Tone::Dim));
    }
    let mut grid = Grid::new(&[
        Column::Left("MODEL"),
        Column::Left("BACKUP"),
        Column::Right("COPIES"),
        Column::Right("FAILED"),
        Column::Right("LATENCY"),
        Column::Right("BACKUP'S"),
        Column::Right("COST"),
        Column::Right("BACKUP'S"),
        Column::Right("TOKENS OUT"),
        Column::Right("BACKUP'S"),
        Column::Right("SAME END"),
        Column::Right("SAME JSON"),
        Column::Right("LENGTH"),
        Column::Right("WORDS"),
    ]);
    pairs.iter().for_each(|pair| grid.row(comparison(pair)));
    let note = "means over the copies that were answered; LENGTH is the backup's by the model's, \
                WORDS the share in common";
    format!("{}{}\n", grid.render(paper), paper.paint(note, Tone::Dim))
}

fn comparison(pair: &PairView) -> Vec<Cell> {
    let (live, shadow) = (&pair.live, &pair.shadow);
    [
        Some(pair.model_used.to_string()),
        Some(pair.backup.to_string()),
        Some(pair.copies.to_string()),
        Some(pair.failed.to_string()),
        live.avg_latency_ms.map(latency),
        shadow.avg_latency_ms.map(latency),
        live.avg_cost_usd.map(text::dollars),
        shadow.avg_cost_usd.map(text::dollars),
        live.avg_output_tokens.map(tokens),
        shadow.avg_output_tokens.map(tokens),
        pair.same_finish.map(text::percent),
        pair.same_json.map(text::percent),
        pair.length_ratio.map(|ratio| format!("{ratio:.2}")),
        pair.similarity.map(text::percent),
    ]
    .map(Cell::or_dash)
    .into()
}

fn latency(millis: f64) -> String {
    text::span(millis.round() as u64)
}

fn tokens(mean: f64) -> String {
    format!("{mean:.0}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(reply: Value) -> Costs {
        serde_json::from_value(text::tidy(reply)).unwrap()
    }

    fn reply() -> Value {
        let sums = json!({"calls": 3, "fallback_calls": 1, "failed_calls": 2, "input_tokens": 63,
            "output_tokens": 180, "paid_usd": 0.0029, "primary_would_usd": 0.003,
            "difference_usd": -0.0001, "failed_usd": 0.5, "estimated_usd": 0.0009,
            "estimated_calls": 1});
        let mut row = sums.clone();
        for (key, name) in [("task", "code"), ("primary", "a"), ("model", "b")] {
            row[key] = name.into();
        }
        let outage = json!({"model": "a", "from": "2026-11-16T10:00:00.000Z",
            "to": "2026-11-16T13:10:00.000Z", "reason": "3 failures\u{1b}[31m in a row"});
        json!({"ok": true, "timezone": "UTC", "totals": sums, "rows": [row],
            "as_of": "2026-11-17T00:00:00.000Z", "outages": [outage], "later": {"more": 1}})
    }

    #[test]
    fn the_answer_comes_first_then_who_caused_it_then_the_sums() {
        let text = render(&read(reply()), Paper::default());
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(text.contains("\nUnstable providers cost you $0.50.\n"), "{text}");
        let line = |first: &str| lines.iter().rfind(|line| line.first() == Some(&first)).unwrap();
        assert_eq!(line("b")[1..], ["0", "-", "2", "0", "$0.0000", "$0.5000", "+$0.5000"]);
        assert_eq!(lines.iter().filter(|line| line.first() == Some(&"a")).count(), 2);
        assert!(text.contains("3 failures in a row"), "{text}");
        let sums = ["3", "1", "2", "63", "180", "~$0.0029", "$0.0030", "-$0.0001"];
        assert_eq!(
            line("code")[1..],
            ["a", "b", "3", "1", "2", "63", "180", "~$0.0029", "$0.0030", "-$0.0001"]
        );
        assert_eq!(line("all")[1..], sums);
        assert!(text.lines().last().unwrap().starts_with("~ includes $0.0009 of estimates"));
    }

    #[test]
    fn an_empty_ledger_is_a_quiet_one_and_what_is_missing_is_said() {
        let text = render(&read(json!({"rows": []})), Paper::default());
        assert_eq!(text.lines().nth(1), Some("No provider let you down."));
        let text = render(&read(json!({"incomplete": "no database"})), Paper::default());
        assert!(text.ends_with("incomplete: no database\n"));
    }

    #[test]
    fn every_pair_has_a_line() {
        let side = |ms: f64| {
            json!({"avg_latency_ms": ms, "avg_output_tokens": 60.4,
            "avg_cost_usd": 0.000963})
        };
        let pair = json!({"model_used": "gpt-4o", "backup": "claude", "copies": 40, "failed": 2,
            "live": side(800.0), "shadow": side(1200.0), "same_finish": 1.0, "same_json": 0.95,
            "length_ratio": 1.2345, "similarity": 0.61});
        let text = comparisons(&[serde_json::from_value(pair).unwrap()], Paper::default());
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..4], ["gpt-4o", "claude", "40", "2"]);
        assert!(
            text.contains("1.23") && text.contains("61 %") && text.contains("800 ms"),
            "{text}"
        );
    }

    #[test]
    fn without_a_comparison_it_says_how_to_get_one() {
        assert!(comparisons(&[], Paper::default()).contains("compare = true"));
    }
}
