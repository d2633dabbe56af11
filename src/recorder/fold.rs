//! What lines of the health log do to stored rows.
//!
//! The same as what the model's owner did when the line was written: a row that a checkpoint
//! holds, plus the lines after it, is the row as it was in memory. Lines hold whatever that needs
//! ([`CallReplay`], [`BreakerReplay`]); nothing here asks a clock or the configuration, so lines
//! of models that are gone by now count as well.
//!
//! Which lines are folded is the business of `replay`. A line that cannot be read changes nothing.

use std::collections::HashSet;

use super::line::{PREFIX_LEN, timestamp};
use super::outages::{self, OutageKey};
use super::rows::{ModelKey, RowKey, RowValue, Rows, Saved, Slot, Width};
use super::snapshot::CheckpointLine;
use crate::domain::ledger::{self, CallKind, Ledger};
use crate::domain::model::StoredModel;
use crate::domain::time::Wall;
use crate::domain::window::{Bucket, Sample};
use crate::protocol::log::{BreakerEvent, BreakerReplay, CallEvent, CallReplay};

/// Rows, and what lines change about them.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// Buckets and circuits, as they are now.
    pub(super) rows: Rows,
    /// Which of them were changed.
    pub(super) touched: HashSet<RowKey>,
    /// What is to be added to the ledger.
    pub(super) ledger: Ledger,
}

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// A call to a model.
    Call,
    /// A change of a circuit.
    Breaker,
    /// The head of a file, or a part of a checkpoint.
    Checkpoint,
    /// Something that changes no row.
    Other,
    /// No line of ours.
    Unreadable,
}

/// Which kind a line is, from its beginning alone: a start reads many lines.
pub(super) fn kind(line: &[u8]) -> LineKind {
    const EVENT: &[u8] = b",\"event\":\"";
    let whole = line.starts_with(b"{\"timestamp\":\"") && line.ends_with(b"}");
    let rest = line.get(PREFIX_LEN..).and_then(|rest| rest.strip_prefix(EVENT));
    let Some(rest) = rest.filter(|_| whole) else { return LineKind::Unreadable };
    match rest.split(|&byte| byte == b'"').next() {
        Some(b"call") => LineKind::Call,
        Some(b"breaker") => LineKind::Breaker,
        Some(b"checkpoint") => LineKind::Checkpoint,
        _ => LineKind::Other,
    }
}

impl Fold {
    /// Begins with these rows.
    pub(super) fn new(rows: Rows) -> Fold {
        Fold { rows, ..Fold::default() }
    }

    /// Counts a line that stands before any checkpoint line says otherwise; false if it cannot be
    /// read. Its part of the ledger is left out from `known_from` on, where that is known better.
    pub(super) fn line(&mut self, line: &[u8], known_from: Option<Wall>) -> bool {
        match kind(line) {
            LineKind::Call => match serde_json::from_slice(line) {
                Ok(call) => self.call(call, line, known_from),
                Err(_) => return false,
            },
            LineKind::Breaker => match serde_json::from_slice(line) {
                Ok(BreakerEvent { model_name, from, to, reason, replay, .. }) => {
                    let BreakerReplay { identity, stored } = replay;
                    let at = timestamp(line);
                    if let (Some(at), Some(edge)) = (at, outages::edge(from, to, reason)) {
                        let (key, value) = OutageKey { at, model: model_name.clone() }.row(edge);
                        self.put(key, value);
                    }
                    self.breaker(ModelKey { name: model_name, identity }, at, stored);
                }
                Err(_) => return false,
            },
            LineKind::Checkpoint | LineKind::Other => {}
            LineKind::Unreadable => return false,
        }
        true
    }

    /// Takes a checkpoint's word over what was counted so far.
    pub(super) fn checkpoint(&mut self, snapshot: &CheckpointLine) {
        for (key, value) in snapshot.rows() {
            match (key, value) {
                (RowKey::Ledger(key), RowValue::Ledger(sums)) => {
                    self.ledger.insert(key, sums);
                }
                (key, value) => self.put(key, value),
            }
        }
    }

    fn call(&mut self, call: CallEvent, line: &[u8], known_from: Option<Wall>) {
        let key = call.ledger_key();
        if known_from.is_none_or(|from| key.start < from) {
            let sums = key.sums(&call.paid());
            ledger::add(&mut self.ledger, key, sums);
        }
        let sample = Sample {
            verdict: call.verdict,
            counted: call.counted,
            answered_ms: (call.success && call.kind != CallKind::Probe).then_some(call.latency_ms),
            kind: call.kind,
        };
        let CallReplay { identity, bucket: start, stored } = call.replay;
        let model = ModelKey { name: call.model_name, identity };
        let key = RowKey::Bucket(Slot { model: model.clone(), start, width: Width::Fine });
        self.touched.insert(key.clone());
        let row = self.rows.entry(key).or_insert_with(|| RowValue::Bucket(Bucket::default()));
        if let RowValue::Bucket(bucket) = row {
            bucket.add(sample);
        }
        if let Some(stored) = stored {
            self.breaker(model, timestamp(line), stored);
        }
    }

    fn breaker(&mut self, model: ModelKey, at: Option<Wall>, stored: StoredModel) {
        let saved = Saved { at: at.unwrap_or_default(), stored };
        self.put(RowKey::Breaker(model), RowValue::Breaker(saved));
    }

    fn put(&mut self, key: RowKey, value: RowValue) {
        self.touched.insert(key.clone());
        self.rows.insert(key, value);
    }
}

#[cfg(test)]
mod tests;
