//! What the database does not hold yet: rows, the newest per key, and additions to the ledger.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::super::database::{Database, StoreError};
use super::super::outages::{OutageEdge, OutageKey};
use super::super::replay::Caught;
use super::super::rows::{RowKey, RowValue, Rows};
use super::super::start::Restored;
use crate::domain::ledger::{self, Ledger, LedgerKey, Sums};
use crate::domain::time::Wall;

/// Most rows that wait in memory for a database that fails.
pub(super) const MOST_ROWS: usize = 16_384;

/// Rows and sums that wait for the database.
#[derive(Default)]
pub(super) struct Unsaved {
    pub(super) rows: Rows,
    /// What is to be added to the ledger in the database, beside rows of it that wait.
    pub(super) ledger: Ledger,
    /// The ledger of before the start as the logs tell it, as long as there is no database.
    pub(super) from_logs: Ledger,
}

impl Unsaved {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.ledger.is_empty()
    }

    /// Takes over what the log told, where nothing newer waits already.
    pub(super) fn adopt(&mut self, caught: &Caught) {
        for key in &caught.fold.touched {
            if let Some(value) = caught.fold.rows.get(key) {
                self.rows.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        for (key, sums) in &caught.fold.ledger {
            if !self.rows.contains_key(&RowKey::Ledger(key.clone())) {
                ledger::add(&mut self.ledger, key.clone(), *sums);
            }
        }
        self.from_logs.clear();
    }

    /// Makes rows of the additions to the ledger. From here on they are absolute like all other rows,
    /// so that writing them twice, after a failure that was none, counts nothing twice.
    pub(super) fn add_up(&mut self, database: &Database) -> Result<(), StoreError> {
        let mut sums = Vec::with_capacity(self.ledger.len());
        for (key, &more) in &self.ledger {
            let mut sum = match self.rows.get(&RowKey::Ledger(key.clone())) {
                Some(RowValue::Ledger(sum)) => *sum,
                _ => database.sums(key)?,
            };
            sum += more;
            sums.push((RowKey::Ledger(key.clone()), RowValue::Ledger(sum)));
        }
        self.rows.extend(sums);
        self.ledger.clear();
        Ok(())
    }

    /// Gives up the oldest buckets when too many rows wait; how many these were.
    pub(super) fn shed(&mut self) -> u64 {
        if self.rows.len() <= MOST_ROWS {
            return 0;
        }
        let mut starts: Vec<Wall> = self.rows.keys().filter_map(RowKey::start).collect();
        starts.sort_unstable();
        let Some(&middle) = starts.get(starts.len() / 2) else { return 0 };
        let before = self.rows.len();
        self.rows.retain(|key, _| key.start().is_none_or(|start| start > middle));
        (before - self.rows.len()) as u64
    }

    /// All additions to the ledger in a stretch of time, several per key, over those `stored`.
    pub(super) fn ledger_over(
        &self,
        mut stored: Vec<(LedgerKey, Sums)>,
        range: &Range<Wall>,
    ) -> Vec<(LedgerKey, Sums)> {
        let mut newer: HashMap<&LedgerKey, Sums> = HashMap::new();
        for (key, value) in &self.rows {
            if let (RowKey::Ledger(key), RowValue::Ledger(sums)) = (key, value) {
                newer.insert(key, *sums);
            }
        }
        stored.retain(|(key, _)| !newer.contains_key(key));
        let more = self.ledger.iter().chain(&self.from_logs).map(|(key, sums)| (key, *sums));
        let newer = newer.into_iter().chain(more);
        let newer = newer.filter(|(key, _)| range.contains(&key.start));
        stored.extend(newer.map(|(key, sums)| (key.clone(), sums)));
        stored
    }

    /// All ends of outages, over those `stored`.
    pub(super) fn outages_over(
        &self,
        mut stored: BTreeMap<OutageKey, OutageEdge>,
    ) -> BTreeMap<OutageKey, OutageEdge> {
        for (key, value) in &self.rows {
            if let (RowKey::Outage(key), RowValue::Outage(edge)) = (key, value) {
                stored.insert(key.clone(), edge.clone());
            }
        }
        stored
    }

    /// Ends the outages of models that are no longer configured, or no longer the same, and so have
    /// no open circuit that could close.
    pub(super) fn end_outages(
        &mut self,
        edges: BTreeMap<OutageKey, OutageEdge>,
        restored: &Restored,
        at: Wall,
    ) {
        let mut last: HashMap<Arc<str>, OutageEdge> =
            edges.into_iter().map(|(key, edge)| (key.model, edge)).collect();
        for (key, model) in &restored.models {
            if model.breaker.as_ref().is_some_and(|stored| stored.breaker.open) {
                last.remove(&key.name);
            }
        }
        let ends = last.into_iter().filter(|(_, edge)| edge.open);
        self.rows.extend(ends.map(|(model, _)| OutageKey { at, model }.row(OutageEdge::END)));
    }
}
