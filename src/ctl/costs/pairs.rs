//! `fallbackctl costs --shadow`: is this backup a fit stand-in?
//!
//! One line per pair of models, the model that answered before the backup that got the copy. The
//! numbers are means; what they say together is for a person to judge.

use crate::ctl::grid::{Cell, Column, Grid};
use crate::ctl::screen::{Paper, Tone};
use crate::ctl::text;
use crate::protocol::costs::PairView;

/// The table, and what to do if there is nothing to show.
pub(super) fn render(pairs: &[PairView], paper: Paper) -> String {
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
    pairs.iter().for_each(|pair| grid.row(row(pair)));
    let note = "means over the copies that were answered; LENGTH is the backup's by the model's, \
                WORDS the share in common";
    format!("{}{}\n", grid.render(paper), paper.paint(note, Tone::Dim))
}

fn row(pair: &PairView) -> Vec<Cell> {
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
        let text = render(&[serde_json::from_value(pair).unwrap()], Paper::default());
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..4], ["gpt-4o", "claude", "40", "2"]);
        assert!(
            text.contains("1.23") && text.contains("61 %") && text.contains("800 ms"),
            "{text}"
        );
    }

    #[test]
    fn without_a_comparison_it_says_how_to_get_one() {
        assert!(render(&[], Paper::default()).contains("compare = true"));
    }
}
