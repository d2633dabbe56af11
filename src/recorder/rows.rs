//! What of a model's state is kept, and how it looks in the database.
//!
//! A row holds a new *absolute* value, so writing one twice changes nothing and only the newest
//! per key matters. Keys sort by kind, model and time (big-endian); values begin with a version
//! byte, the rest is JSON, which keeps old rows readable when a field is added with a default.
//! What cannot be read is somebody else's or damaged: the reader gets `None` and goes on.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::outages::{OutageEdge, OutageKey};
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::model::StoredModel;
use crate::domain::time::Wall;
use crate::domain::window::{Bucket, COARSE_MS, FINE_MS};
use crate::protocol::log::Identity;

/// Version of the values.
const VERSION: u8 = 1;
/// Prefixes of the kinds of rows.
pub(super) const BUCKETS: &[u8] = b"b/";
pub(super) const BREAKERS: &[u8] = b"s/";
pub(super) const LEDGER: &[u8] = b"l/";
pub(super) const OUTAGES: &[u8] = b"o/";
/// Key of the place in the log up to which all rows count its lines.
pub(super) const POSITION: &[u8] = b"p";
/// Key of the schema's version.
pub(super) const META: &[u8] = b"v";

/// What makes a model the same model after a change of settings: its name, the address of its
/// provider and the provider's name for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ModelKey {
    pub name: Arc<str>,
    /// The rest of it, in short.
    pub identity: Identity,
}

impl ModelKey {
    /// The identity of a configured model.
    pub(crate) fn new(name: &str, base_url: &str, model_id: &str) -> ModelKey {
        ModelKey { name: name.into(), identity: Identity::of(base_url, model_id) }
    }

    fn encode(&self) -> String {
        format!("{}\n{}", self.name, String::from(self.identity))
    }

    fn decode(bytes: &[u8]) -> Option<ModelKey> {
        let (name, identity) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        let identity = identity.to_owned().try_into().ok()?;
        Some(ModelKey { name: name.into(), identity })
    }
}

/// A changed piece of a model's state: the calls of ten seconds, `start` a multiple of them, or its
/// circuit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    Bucket { model: ModelKey, start: Wall, bucket: Bucket },
    Breaker { model: ModelKey, stored: StoredModel },
}

/// Newest row per key.
pub(super) type Rows = HashMap<RowKey, RowValue>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RowKey {
    Bucket(Slot),
    Breaker(ModelKey),
    Ledger(LedgerKey),
    Outage(OutageKey),
}

/// A place in the health log: all lines before it, of this file and of older ones. Files sort by
/// the time they were begun.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) file: Arc<str>,
    pub(super) offset: u64,
}

/// A stretch of time of one model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) model: ModelKey,
    pub(super) start: Wall,
    pub(super) width: Width,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Width {
    Fine,
    Coarse,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum RowValue {
    Bucket(Bucket),
    Breaker(Saved),
    Ledger(Sums),
    Outage(OutageEdge),
}

/// A breaker's state and when it was handed to the recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) at: Wall,
    pub(super) stored: StoredModel,
}

impl Row {
    fn key(&self) -> (ModelKey, Option<Wall>) {
        match self {
            Row::Bucket { model, start, .. } => (model.clone(), Some(*start)),
            Row::Breaker { model, .. } => (model.clone(), None),
        }
    }

    pub(super) fn split(self, at: Wall) -> (RowKey, RowValue) {
        match self {
            Row::Bucket { model, start, bucket } => {
                let slot = Slot { model, start, width: Width::Fine };
                (RowKey::Bucket(slot), RowValue::Bucket(bucket))
            }
            Row::Breaker { model, stored } => {
                (RowKey::Breaker(model), RowValue::Breaker(Saved { at, stored }))
            }
        }
    }
}

/// The last row of each key.
pub(super) fn newest(rows: Vec<Row>) -> Vec<Row> {
    let mut last: HashMap<(ModelKey, Option<Wall>), Row> = HashMap::new();
    last.extend(rows.into_iter().map(|row| (row.key(), row)));
    last.into_values().collect()
}

impl Slot {
    /// The first moment after it.
    pub(super) fn end(&self) -> Wall {
        let width = match self.width {
            Width::Fine => FINE_MS,
            Width::Coarse => COARSE_MS,
        };
        Wall(self.start.0.saturating_add(width))
    }
}

impl RowKey {
    /// The model whose state it is.
    pub(super) fn model(&self) -> Option<&ModelKey> {
        match self {
            RowKey::Bucket(slot) => Some(&slot.model),
            RowKey::Breaker(model) => Some(model),
            RowKey::Ledger(_) | RowKey::Outage(_) => None,
        }
    }

    /// When its ten seconds began, if it is about ten seconds.
    pub(super) fn start(&self) -> Option<Wall> {
        match self {
            RowKey::Bucket(slot) => Some(slot.start),
            RowKey::Breaker(_) | RowKey::Ledger(_) | RowKey::Outage(_) => None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            RowKey::Breaker(model) => [BREAKERS, model.encode().as_bytes()].concat(),
            RowKey::Outage(key) => {
                [OUTAGES, &key.at.0.to_be_bytes(), key.model.as_bytes()].concat()
            }
            RowKey::Ledger(key) => {
                let names = [&*key.task, &*key.primary, &*key.model].join("\0");
                [&ledger_from(key.start), names.as_bytes()].concat()
            }
            RowKey::Bucket(slot) => {
                let kind = match slot.width {
                    Width::Fine => b"\0f",
                    Width::Coarse => b"\0c",
                };
                let start = slot.start.0.to_be_bytes();
                [BUCKETS, slot.model.encode().as_bytes(), kind, &start].concat()
            }
        }
    }

    pub(super) fn decode(key: &[u8]) -> Option<RowKey> {
        if let Some(rest) = key.strip_prefix(BREAKERS) {
            return ModelKey::decode(rest).map(RowKey::Breaker);
        }
        if let Some(rest) = key.strip_prefix(LEDGER) {
            return ledger_key(rest).map(RowKey::Ledger);
        }
        if let Some(rest) = key.strip_prefix(OUTAGES) {
            let (at, model) = rest.split_first_chunk::<8>()?;
            let model = std::str::from_utf8(model).ok()?.into();
            return Some(RowKey::Outage(OutageKey { at: Wall(u64::from_be_bytes(*at)), model }));
        }
        let (rest, start) = key.strip_prefix(BUCKETS)?.split_last_chunk::<8>()?;
        let (name, kind) = rest.split_last_chunk::<2>()?;
        let width = match kind {
            b"\0f" => Width::Fine,
            b"\0c" => Width::Coarse,
            _ => return None,
        };
        let start = Wall(u64::from_be_bytes(*start));
        Some(RowKey::Bucket(Slot { model: ModelKey::decode(name)?, start, width }))
    }
}

impl RowValue {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        let written = serde_json::to_writer(&mut out, self);
        // Plain structs with text keys: there is nothing in them that JSON cannot say. Should
        // that change, the reader finds an unreadable row and says so.
        debug_assert!(written.is_ok());
        out
    }

    pub(super) fn decode(key: &RowKey, value: &[u8]) -> Option<RowValue> {
        match key {
            RowKey::Bucket(_) => json(value).map(RowValue::Bucket),
            RowKey::Breaker(_) => json(value).map(RowValue::Breaker),
            RowKey::Ledger(_) => json(value).map(RowValue::Ledger),
            RowKey::Outage(_) => json(value).map(RowValue::Outage),
        }
    }
}

/// The first key of the ledger that is not before `start`.
pub(super) fn ledger_from(start: Wall) -> Vec<u8> {
    [LEDGER, &start.0.to_be_bytes()].concat()
}

fn ledger_key(rest: &[u8]) -> Option<LedgerKey> {
    let (start, names) = rest.split_first_chunk::<8>()?;
    let mut names = std::str::from_utf8(names).ok()?.split('\0');
    let start = Wall(u64::from_be_bytes(*start));
    let [task, primary, model] = [names.next()?, names.next()?, names.next()?].map(Arc::from);
    Some(LedgerKey { start, task, primary, model })
}

impl Position {
    pub(super) fn encode(&self) -> Vec<u8> {
        [&[VERSION], &self.offset.to_be_bytes()[..], self.file.as_bytes()].concat()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Position> {
        let (version, rest) = value.split_first()?;
        let (offset, file) = rest.split_first_chunk::<8>()?;
        let file = std::str::from_utf8(file).ok().filter(|_| *version == VERSION)?;
        Some(Position { file: file.into(), offset: u64::from_be_bytes(*offset) })
    }
}

fn json<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let (version, rest) = value.split_first()?;
    (*version == VERSION).then(|| serde_json::from_slice(rest).ok()).flatten()
}

#[cfg(test)]
mod tests;
