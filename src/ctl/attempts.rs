//! What was tried for one request, as a table: shown with every failure and with `ask -v`.

use serde_json::Value;

use super::grid::{Cell, Column, Grid};
use super::reply;
use super::screen::{Paper, Tone};
use super::text;

/// The table of `attempts`; nothing when there were none.
pub(super) fn render(attempts: &[Value], paper: Paper) -> String {
    if attempts.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new(&[
        Column::Left("MODEL"),
        Column::Left("OUTCOME"),
        Column::Left("WHY"),
        Column::Right("TOOK"),
        Column::Wide("MESSAGE"),
    ]);
    for attempt in attempts {
        grid.row(row(attempt));
    }
    grid.render(paper)
}

fn row(attempt: &Value) -> Vec<Cell> {
    let outcome = reply::word(attempt, "outcome").unwrap_or_else(|| "?".to_owned());
    let tone = match outcome.as_str() {
        "answered" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Dim,
    };
    let mut message = reply::word(attempt, "message").unwrap_or_default();
    // No wait: a copy of this very request tests the model.
    if let Some(wait) = reply::whole(attempt, "retry_in_ms").filter(|wait| *wait > 0) {
        message = format!("{message} again in {}", text::span(wait)).trim_start().to_owned();
    }
    vec![
        Cell::or_dash(reply::word(attempt, "model")),
        Cell::toned(outcome, tone),
        why(attempt).into(),
        reply::whole(attempt, "latency_ms").map(text::span).unwrap_or_default().into(),
        message.into(),
    ]
}

/// The kind of failure with its HTTP status, or the reason for a skip.
pub(super) fn why(attempt: &Value) -> String {
    let kind = reply::word(attempt, "error_type").or_else(|| reply::word(attempt, "reason"));
    let parts = [
        kind,
        reply::whole(attempt, "status").map(|s| s.to_string()),
        reply::word(attempt, "code"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failed_skipped_and_answered_attempts_each_have_a_line() {
        let attempts = [
            json!({"model":"a","outcome":"skipped","reason":"circuit_open","retry_in_ms":4200}),
            json!({"model":"b","outcome":"failed","error_type":"overloaded","status":503,
                   "latency_ms":204,"message":"try\nlater"}),
            json!({"model":"c","outcome":"answered","latency_ms":606}),
            json!({"model":"d","outcome":"skipped","reason":"circuit_open","retry_in_ms":0}),
            json!({"surprise":1}),
        ];
        let wanted = "\
MODEL  OUTCOME   WHY               TOOK  MESSAGE
a      skipped   circuit_open            again in 4.2 s
b      failed    overloaded 503  204 ms  try later
c      answered                  606 ms
d      skipped   circuit_open
-      ?
";
        assert_eq!(render(&attempts, Paper::default()), wanted);
        assert_eq!(render(&[], Paper::default()), "");
    }
}
