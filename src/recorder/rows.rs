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

use crate::domain::model::StoredModel;
use crate::domain::time::Wall;
use crate::domain::window::{Bucket, COARSE_MS, FINE_MS};

/// Version of the values.
const VERSION: u8 = 1;
/// Prefix of buckets.
pub(super) const BUCKETS: &[u8] = b"b/";
/// Prefix of breaker states.
pub(super) const BREAKERS: &[u8] = b"s/";
/// Key of the schema's version.
pub(super) const META: &[u8] = b"v";

/// What makes a model the same model after a change of settings: its name, the address of its
/// provider and the provider's name for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelKey(Arc<str>);

impl ModelKey {
    /// The identity of a configured model.
    pub fn new(name: &str, base_url: &str, model_id: &str) -> ModelKey {
        // A newline is in none of the three, so that two models never share a key.
        ModelKey(format!("{name}\n{base_url}\n{model_id}").into())
    }
}

/// A changed piece of a model's state.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// The calls of ten seconds.
    Bucket {
        /// The model.
        model: ModelKey,
        /// Start of the ten seconds, a multiple of them.
        start: Wall,
        /// All calls since then.
        bucket: Bucket,
    },
    /// The circuit.
    Breaker {
        /// The model.
        model: ModelKey,
        /// Its state.
        stored: StoredModel,
    },
}

/// Newest row per key.
pub(super) type Rows = HashMap<RowKey, RowValue>;

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RowKey {
    Bucket(Slot),
    Breaker(ModelKey),
}

/// A stretch of time of one model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) model: ModelKey,
    pub(super) start: Wall,
    pub(super) width: Width,
}

/// How long a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Width {
    Fine,
    Coarse,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowValue {
    Bucket(Bucket),
    Breaker(Saved),
}

/// A breaker's state and when it was handed to the recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) at: Wall,
    pub(super) stored: StoredModel,
}

impl Row {
    /// Whether it must not wait for the next regular checkpoint.
    pub(super) fn is_urgent(&self) -> bool {
        matches!(self, Row::Breaker { .. })
    }

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
    pub(super) fn model(&self) -> &ModelKey {
        match self {
            RowKey::Bucket(slot) => &slot.model,
            RowKey::Breaker(model) => model,
        }
    }

    /// When its stretch of time began, if it is about one.
    pub(super) fn start(&self) -> Option<Wall> {
        match self {
            RowKey::Bucket(slot) => Some(slot.start),
            RowKey::Breaker(_) => None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            RowKey::Breaker(model) => [BREAKERS, model.0.as_bytes()].concat(),
            RowKey::Bucket(slot) => {
                let kind = match slot.width {
                    Width::Fine => b"\0f",
                    Width::Coarse => b"\0c",
                };
                let start = slot.start.0.to_be_bytes();
                [BUCKETS, slot.model.0.as_bytes(), kind, &start].concat()
            }
        }
    }

    pub(super) fn decode(key: &[u8]) -> Option<RowKey> {
        let model = |bytes| std::str::from_utf8(bytes).ok().map(|text| ModelKey(text.into()));
        if let Some(rest) = key.strip_prefix(BREAKERS) {
            return model(rest).map(RowKey::Breaker);
        }
        let (rest, start) = key.strip_prefix(BUCKETS)?.split_last_chunk::<8>()?;
        let (name, kind) = rest.split_last_chunk::<2>()?;
        let width = match kind {
            b"\0f" => Width::Fine,
            b"\0c" => Width::Coarse,
            _ => return None,
        };
        let start = Wall(u64::from_be_bytes(*start));
        Some(RowKey::Bucket(Slot { model: model(name)?, start, width }))
    }
}

impl RowValue {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        let written = match self {
            RowValue::Bucket(bucket) => serde_json::to_writer(&mut out, bucket),
            RowValue::Breaker(saved) => serde_json::to_writer(&mut out, saved),
        };
        // Plain structs with text keys: there is nothing in them that JSON cannot say. Should
        // that change, the reader finds an unreadable row and says so.
        debug_assert!(written.is_ok());
        out
    }

    pub(super) fn decode(key: &RowKey, value: &[u8]) -> Option<RowValue> {
        match key {
            RowKey::Bucket(_) => json(value).map(RowValue::Bucket),
            RowKey::Breaker(_) => json(value).map(RowValue::Breaker),
        }
    }
}

fn json<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let (version, rest) = value.split_first()?;
    (*version == VERSION).then(|| serde_json::from_slice(rest).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(start: u64, width: Width) -> RowKey {
        let model = ModelKey::new("gpt", "https://api.example/v1", "gpt-4o");
        RowKey::Bucket(Slot { model, start: Wall(start), width })
    }

    #[test]
    fn keys_come_back_as_they_were_written() {
        let breaker = RowKey::Breaker(ModelKey::new("a", "b", "c"));
        for key in [slot(10_000, Width::Fine), slot(300_000, Width::Coarse), breaker] {
            assert_eq!(RowKey::decode(&key.encode()), Some(key));
        }
    }

    #[test]
    fn keys_of_one_model_sort_by_time() {
        let early = slot(255, Width::Fine).encode();
        assert!(early < slot(256, Width::Fine).encode());
    }

    #[test]
    fn models_that_differ_in_one_part_have_different_keys() {
        let keys = [
            ModelKey::new("a", "b", "c"),
            ModelKey::new("x", "b", "c"),
            ModelKey::new("a", "x", "c"),
            ModelKey::new("a", "b", "x"),
            ModelKey::new("a", "bc", ""),
        ];
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn foreign_keys_and_values_are_unreadable_not_fatal() {
        for key in [&b""[..], b"v", b"b/", b"b/x", b"x/abc", b"b/m\0x12345678", b"s/\xff"] {
            assert_eq!(RowKey::decode(key), None, "{key:?}");
        }
        let key = slot(0, Width::Fine);
        let good = RowValue::Bucket(Bucket { success: 3, ..Bucket::default() });
        let mut bytes = good.encode();
        assert_eq!(RowValue::decode(&key, &bytes), Some(good));
        bytes[0] = 9;
        assert_eq!(RowValue::decode(&key, &bytes), None, "a later version");
        assert_eq!(RowValue::decode(&key, b"\x01{\"success\":"), None);
        assert_eq!(RowValue::decode(&key, b""), None);
    }
}
