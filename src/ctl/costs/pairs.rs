//! `fallbackctl costs --shadow`: is this backup a fit stand-in?
//!
//! One line per pair of models, the model that answered before the backup that got the copy. The
//! numbers are means; what they say together is for a person to judge.

use serde_json::Value;

use crate::ctl::grid::{Cell, Column, Grid};
use crate::ctl::screen::{Paper, Tone};
use crate::ctl::{reply, text};

/// The table, and what to do if there is nothing to show.
pub(super) fn render(reply: &Value, paper: Paper) -> String {
    let pairs = reply::list(reply, "comparisons");
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
    let mut none = true;
    for pair in pairs {
        none = false;
        grid.row(row(pair));
    }
    if none {
        let hint = "nothing was compared; switch it on with `compare = true` in [shadow]";
        return format!("{}\n", paper.paint(hint, Tone::Dim));
    }
    let note = "means over the copies that were answered; LENGTH is the backup's by the model's, \
                WORDS the share in common";
    format!("{}{}\n", grid.render(paper), paper.paint(note, Tone::Dim))
}

fn row(pair: &Value) -> Vec<Cell> {
    let side = |name: &str, key: &str| {
        reply::present(pair, name).and_then(|side| reply::number(side, key))
    };
    let latency = |name| side(name, "avg_latency_ms").map(|ms| text::span(ms.round() as u64));
    let cost = |name| side(name, "avg_cost_usd").map(text::dollars);
    let tokens = |name| side(name, "avg_output_tokens").map(|tokens| format!("{tokens:.0}"));
    let count = |key| reply::whole(pair, key).map(|count| count.to_string());
    let share = |key| reply::number(pair, key).map(text::percent);
    let ratio = reply::number(pair, "length_ratio").map(|ratio| format!("{ratio:.2}"));
    [
        reply::word(pair, "model_used"),
        reply::word(pair, "backup"),
        count("copies"),
        count("failed"),
        latency("live"),
        latency("shadow"),
        cost("live"),
        cost("shadow"),
        tokens("live"),
        tokens("shadow"),
        share("same_finish"),
        share("same_json"),
        ratio,
        share("similarity"),
    ]
    .map(Cell::or_dash)
    .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_pair_has_a_line() {
        let side = |ms: f64| {
            json!({"avg_latency_ms": ms, "avg_output_tokens": 60.4,
            "avg_cost_usd": 0.000963})
        };
        let pair = json!({"model_used": "gpt-4o", "backup": "claude", "copies": 40, "failed": 2,
            "live": side(800.0), "shadow": side(1200.0), "same_finish": 1.0, "same_json": 0.95,
            "length_ratio": 1.2345, "similarity": 0.61});
        let text = render(&json!({"comparisons": [pair]}), Paper::default());
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..4], ["gpt-4o", "claude", "40", "2"]);
        assert!(
            text.contains("1.23") && text.contains("61 %") && text.contains("800 ms"),
            "{text}"
        );
    }

    #[test]
    fn without_a_comparison_it_says_how_to_get_one() {
        let text = render(&json!({"comparisons": []}), Paper::default());
        assert!(text.contains("compare = true"));
        assert!(render(&json!({"comparisons": [{}]}), Paper::default()).lines().count() >= 2);
    }
}
