//! What the models get back after a restart.
//!
//! Rows of models that are not asked for stay in the database until the retention ends: a model
//! taken out of the configuration and put back the next day finds its circuit again.

use std::collections::HashMap;

use super::rows::{ModelKey, RowKey, RowValue, Rows};
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::model::StoredModel;
use crate::domain::time::Wall;
use crate::domain::window::Bucket;

/// What was stored, by model.
#[derive(Debug, Default)]
pub struct Restored {
    /// Models of which something was stored.
    pub models: HashMap<ModelKey, RestoredModel>,
    /// The ledger of today, several additions per key.
    pub today: Vec<(LedgerKey, Sums)>,
    /// What went wrong, in words for the administrator.
    pub problems: Vec<String>,
}

/// What was stored of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoredModel {
    /// Its buckets in ascending order of their start. Those older than any window are five
    /// minutes wide instead of ten seconds.
    pub buckets: Vec<(Wall, Bucket)>,
    /// Its circuit.
    pub breaker: Option<StoredModel>,
}

/// Picks what belongs to the `wanted` models and begins at or after `oldest`.
pub(super) fn restore(
    rows: Rows,
    wanted: &[ModelKey],
    oldest: Wall,
    (today, problems): (Vec<(LedgerKey, Sums)>, Vec<String>),
) -> Restored {
    let mut models: HashMap<ModelKey, RestoredModel> = HashMap::new();
    for (key, value) in rows {
        let Some(name) = key.model().filter(|model| wanted.contains(model)) else { continue };
        if key.start().is_some_and(|start| start < oldest) {
            continue;
        }
        let model = models.entry(name.clone()).or_default();
        match (key, value) {
            (RowKey::Bucket(slot), RowValue::Bucket(bucket)) => {
                model.buckets.push((slot.start, bucket));
            }
            (_, RowValue::Breaker(saved)) => model.breaker = Some(saved.stored),
            (_, RowValue::Bucket(_) | RowValue::Ledger(_) | RowValue::Outage(_)) => {}
        }
    }
    models.values_mut().for_each(|model| model.buckets.sort_by_key(|(start, _)| *start));
    Restored { models, today, problems }
}
