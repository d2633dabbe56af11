//! What the ledger says about a stretch of time.
//!
//! The question travels behind all that was recorded before it, through the queue and the mailbox,
//! so that its answer counts every call that was answered until then. It is answered by the store
//! thread from the database and from what still waits in memory; nothing is rounded on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::time::Wall;

/// Sums over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Costs {
    /// One per task, primary and model.
    pub rows: Vec<CostRow>,
    /// Why something may be missing: the database cannot be read.
    pub incomplete: Option<String>,
}

/// The sums of one task, primary and model.
#[derive(Clone, Debug, PartialEq)]
pub struct CostRow {
    /// The task.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// The model that was called.
    pub model: Arc<str>,
    /// Its calls.
    pub sums: Sums,
}

/// Somebody wants to know.
#[derive(Debug)]
pub(super) struct Question {
    /// From this moment on.
    pub(super) from: Wall,
    /// Up to, and not including, this one.
    pub(super) to: Wall,
    pub(super) answer: oneshot::Sender<Costs>,
}

/// Sums under way.
#[derive(Debug, Default)]
pub(super) struct Adding(BTreeMap<[Arc<str>; 3], Sums>);

impl Question {
    /// Whether a quarter of an hour is part of what is asked for: it is if it begins in it.
    pub(super) fn covers(&self, key: &LedgerKey) -> bool {
        (self.from..self.to).contains(&key.start)
    }
}

impl Adding {
    pub(super) fn add(&mut self, key: &LedgerKey, sums: Sums) {
        let names = [&key.task, &key.primary, &key.model].map(Arc::clone);
        *self.0.entry(names).or_default() += sums;
    }

    pub(super) fn finish(self, incomplete: Option<String>) -> Costs {
        let rows = self.0.into_iter().map(|(names, sums)| {
            let [task, primary, model] = names;
            CostRow { task, primary, model, sums }
        });
        Costs { rows: rows.collect(), incomplete }
    }
}

impl Costs {
    /// All rows together.
    pub fn totals(&self) -> Sums {
        let mut totals = Sums::default();
        self.rows.iter().for_each(|row| totals += row.sums);
        totals
    }
}
