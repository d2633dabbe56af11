//! `checkpoint` lines: what a new log file begins with, so that the logs alone are enough.
//!
//! They hold the circuits, overrides included, and the ledger of this and the last week, as they
//! were at one place in the log. Whoever finds the database gone takes the newest ones and counts
//! what comes after that place. They are written some moments after their file was begun, because
//! the journal does not wait for the store; the place they name is what counts.
//!
//! Several lines, so that none gets huge; only all of them together are worth something.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::{ModelKey, Position, RowKey, RowValue, Rows, Saved};
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::time::Wall;

/// Ledger rows per line.
const PER_LINE: usize = 200;
/// What a ledger row takes in a line, roughly, in bytes.
const ROW_BYTES: usize = 250;
const DAY_MS: u64 = 86_400_000;
/// The first Monday of 1970 was its fifth day.
const MONDAY_MS: u64 = 4 * DAY_MS;

/// One line of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CheckpointLine {
    #[serde(default = "checkpoint")]
    event: Arc<str>,
    /// The place in the log that it stands for.
    pub(super) at: Position,
    /// The ledger is complete from here on.
    pub(super) ledger_from: Wall,
    /// Whether more lines of the same checkpoint follow.
    pub(super) more: bool,
    breakers: Vec<BreakerRow>,
    ledger: Vec<LedgerEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BreakerRow {
    #[serde(flatten)]
    model: ModelKey,
    #[serde(flatten)]
    saved: Saved,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LedgerEntry {
    #[serde(flatten)]
    key: LedgerKey,
    sums: Sums,
}

fn checkpoint() -> Arc<str> {
    "checkpoint".into()
}

/// The beginning of last week, and a day more: weeks begin at other times elsewhere.
pub(super) fn ledger_from(now: Wall) -> Wall {
    let week = 7 * DAY_MS;
    let into_week = now.0.saturating_sub(MONDAY_MS) % week;
    Wall(now.0.saturating_sub(into_week + week + DAY_MS))
}

/// The lines for `rows`, circuits and a ledger that is complete from `from` on, in about `bytes`
/// bytes: if there is no room for all of the ledger, its oldest rows are left out.
pub(super) fn lines(rows: Rows, at: &Position, from: Wall, bytes: u64) -> Vec<CheckpointLine> {
    let mut breakers = Vec::new();
    let mut ledger = Vec::new();
    for (key, value) in rows {
        match (key, value) {
            (RowKey::Breaker(model), RowValue::Breaker(saved)) => {
                breakers.push(BreakerRow { model, saved });
            }
            (RowKey::Ledger(key), RowValue::Ledger(sums)) => ledger.push(LedgerEntry { key, sums }),
            _ => {}
        }
    }
    if breakers.is_empty() && ledger.is_empty() {
        return Vec::new();
    }
    let ledger_from = shorten(&mut ledger, from, bytes);
    let mut chunks = ledger.chunks(PER_LINE).map(<[LedgerEntry]>::to_vec);
    let line = CheckpointLine {
        event: checkpoint(),
        at: at.clone(),
        ledger_from,
        more: true,
        breakers,
        ledger: chunks.next().unwrap_or_default(),
    };
    let further = CheckpointLine { breakers: Vec::new(), ledger: Vec::new(), ..line.clone() };
    let mut lines = vec![line];
    lines.extend(chunks.map(|ledger| CheckpointLine { ledger, ..further.clone() }));
    if let Some(last) = lines.last_mut() {
        last.more = false;
    }
    lines
}

/// Leaves out whole quarters of an hour from the old end; gives the start of what is left.
fn shorten(ledger: &mut Vec<LedgerEntry>, from: Wall, bytes: u64) -> Wall {
    ledger.sort_by_key(|entry| entry.key.start);
    let most = usize::try_from(bytes).unwrap_or(usize::MAX) / ROW_BYTES;
    let surplus = ledger.len().saturating_sub(most);
    let Some(last_out) = surplus.checked_sub(1).and_then(|at| ledger.get(at)) else {
        return from;
    };
    let cut = last_out.key.start;
    ledger.retain(|entry| entry.key.start > cut);
    ledger.first().map_or(Wall(cut.0.saturating_add(1)), |entry| entry.key.start)
}

impl CheckpointLine {
    /// The rows it holds.
    pub(super) fn rows(&self) -> Rows {
        let breakers =
            self.breakers.iter().cloned().map(|BreakerRow { model, saved }| {
                (RowKey::Breaker(model), RowValue::Breaker(saved))
            });
        let ledger = self.ledger.iter().cloned();
        let ledger =
            ledger.map(|LedgerEntry { key, sums }| (RowKey::Ledger(key), RowValue::Ledger(sums)));
        breakers.chain(ledger).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: u64) -> (RowKey, RowValue) {
        let key = LedgerKey::new(Wall(start), &"t".into(), &"p".into(), &"m".into());
        (RowKey::Ledger(key), RowValue::Ledger(Sums { calls: start, ..Sums::default() }))
    }

    fn quarters(count: u64) -> Rows {
        (1..=count).map(|at| entry(at * 900_000)).collect()
    }

    fn at() -> Position {
        Position { file: "01A".into(), offset: 7 }
    }

    #[test]
    fn rows_come_back_from_the_lines_of_a_checkpoint() {
        let rows = quarters(500);
        let lines = lines(rows.clone(), &at(), Wall(0), 1 << 20);
        assert_eq!(lines.iter().map(|line| line.more).collect::<Vec<_>>(), [true, true, false]);
        let mut back = Rows::new();
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            back.extend(serde_json::from_str::<CheckpointLine>(&text).unwrap().rows());
        }
        assert_eq!(back, rows);
    }

    #[test]
    fn without_room_the_oldest_of_the_ledger_is_left_out_and_said_to_be() {
        let lines = lines(quarters(100), &at(), Wall(0), 10 * ROW_BYTES as u64);
        assert_eq!(lines[0].rows().len(), 10);
        assert_eq!(lines[0].ledger_from, Wall(91 * 900_000));
    }

    #[test]
    fn nothing_to_say_is_no_line() {
        assert!(lines(Rows::new(), &at(), Wall(0), 1 << 20).is_empty());
    }

    #[test]
    fn the_ledger_goes_back_to_the_day_before_last_monday() {
        // Friday the 20th; last week began on Monday the 9th.
        let from = ledger_from(Wall(1_795_168_800_000));
        assert_eq!(crate::protocol::calendar::rfc3339(from), "2026-11-08T00:00:00.000Z");
    }
}
