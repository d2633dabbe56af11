//! What was tried for one request, as a table: shown with every failure and with `ask -v`.

use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Tone};
use super::text;
use crate::domain::fault::Fault;
use crate::protocol::reply::{Attempt, AttemptOutcome};

/// The table of `attempts`; nothing when there were none.
pub(super) fn render(attempts: &[Attempt], paper: Paper) -> String {
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

fn row(attempt: &Attempt) -> Vec<Cell> {
    let tone = match attempt.outcome {
        AttemptOutcome::Answered => Tone::Good,
        AttemptOutcome::Failed => Tone::Bad,
        AttemptOutcome::Skipped | AttemptOutcome::Cancelled => Tone::Dim,
    };
    let mut message = attempt.message.clone().unwrap_or_default();
    // No wait: a copy of this very request tests the model.
    if let Some(wait) = attempt.retry_in_ms.filter(|wait| *wait > 0) {
        message = format!("{message} again in {}", text::span(wait)).trim_start().to_owned();
    }
    vec![
        (&*attempt.model).into(),
        Cell::toned(attempt.outcome.name(), tone),
        why(attempt).into(),
        attempt.latency_ms.map(text::span).unwrap_or_default().into(),
        message.into(),
    ]
}

/// The kind of failure with its HTTP status, or the reason for a skip.
pub(super) fn why(attempt: &Attempt) -> String {
    match (attempt.error_type, attempt.reason) {
        (None, Some(reason)) => reason.name().to_owned(),
        (fault, _) => failure(fault, attempt.status, None),
    }
}

/// A kind of failure with its HTTP status and the provider's code, as far as they are known.
pub(crate) fn failure(fault: Option<Fault>, status: Option<u16>, code: Option<&str>) -> String {
    let kind = fault.map(|fault| fault.name().to_owned());
    let parts = [kind, status.map(|status| status.to_string()), code.map(str::to_owned)];
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
        ];
        let attempts = attempts.map(|attempt| serde_json::from_value(text::tidy(attempt)).unwrap());
        let wanted = "\
MODEL  OUTCOME   WHY               TOOK  MESSAGE
a      skipped   circuit_open            again in 4.2 s
b      failed    overloaded 503  204 ms  try later
c      answered                  606 ms
d      skipped   circuit_open
";
        assert_eq!(render(&attempts, Paper::default()), wanted);
        assert_eq!(render(&[], Paper::default()), "");
    }
}
