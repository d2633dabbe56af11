//! What has grown old: merged, or forgotten.
//!
//! In small steps, because large deletes cost the database time and space; what a look does not
//! finish, the next one does. Which buckets are due is decided in `retention`.

use std::collections::HashSet;
use std::time::Duration;

use super::super::database::{Database, StoreError};
use super::super::retention::{Ages, plan};
use super::super::rows::{ModelKey, RowKey, RowValue};
use crate::domain::time::Wall;

/// Most steps of one look, so that it never takes long.
const MOST_STEPS: usize = 64;
/// Most rows of the ledger that are deleted in one step.
const MOST_DELETES: usize = 256;

/// What grows old, and when.
pub(super) struct Sweep<'s> {
    pub(super) now: Wall,
    pub(super) ages: Ages,
    pub(super) ledger_age: Duration,
    /// Models whose circuits are kept, however old.
    pub(super) known: &'s HashSet<ModelKey>,
}

impl Sweep<'_> {
    /// Looks for what has grown old in this database.
    pub(super) fn look(&self, database: &Database) -> Result<(), StoreError> {
        sweep_buckets(database, self.now, self.ages)?;
        sweep_breakers(database, self.now.minus(self.ages.all), self.known)?;
        sweep_ledger(database, self.now.minus(self.ledger_age))?;
        sweep_outages(database, self.now.minus(self.ledger_age))
    }
}

fn sweep_buckets(database: &Database, now: Wall, ages: Ages) -> Result<(), StoreError> {
    for _ in 0..MOST_STEPS {
        let plan = plan(database.slots()?, now, ages);
        if plan.is_empty() {
            break;
        }
        database.carry_out(&plan)?;
    }
    Ok(())
}

/// Forgets circuits of models that nobody has configured for as long as the retention.
fn sweep_breakers(
    database: &Database,
    before: Wall,
    known: &HashSet<ModelKey>,
) -> Result<(), StoreError> {
    let old: Vec<RowKey> = database
        .breakers()?
        .into_iter()
        .filter(|(key, _)| key.model().is_some_and(|model| !known.contains(model)))
        .filter(|(_, value)| matches!(value, RowValue::Breaker(saved) if saved.at < before))
        .map(|(key, _)| key)
        .collect();
    if old.is_empty() { Ok(()) } else { database.remove(&old) }
}

fn sweep_ledger(database: &Database, before: Wall) -> Result<(), StoreError> {
    for _ in 0..MOST_STEPS {
        let old = database.ledger(&(Wall(0)..before), MOST_DELETES)?;
        if old.is_empty() {
            break;
        }
        let keys: Vec<RowKey> = old.into_iter().map(|(key, _)| RowKey::Ledger(key)).collect();
        database.remove(&keys)?;
    }
    Ok(())
}

/// A circuit that has been open for longer than the retention is as if it had opened then.
fn sweep_outages(database: &Database, before: Wall) -> Result<(), StoreError> {
    let old = database.outages(before)?;
    let keys: Vec<RowKey> = old.into_keys().take(MOST_DELETES).map(RowKey::Outage).collect();
    if keys.is_empty() { Ok(()) } else { database.remove(&keys) }
}

#[cfg(test)]
mod tests;
