//! sled, held at arm's length.
//!
//! Three things are known of version 0.34 and shape this file. Its `flush` never calls fsync, and
//! data flushed but not synced is what a power cut destroys: so there is one function that makes
//! things durable, and it does both. Damaged files make it panic as often as they make it return
//! an error: so every call goes through [`guarded`]. And it compacts nothing: so rows are few,
//! small, in one tree, deleted in small batches, and copied into a new database when all that was
//! ever written has become too much (`rewrite`).
//!
//! A [`Database`] that has failed once is to be dropped and opened again. What to do about a
//! failure is decided in `store`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sled::{Batch, Db, IVec, Mode};
use thiserror::Error;

use super::logfile::make_dir;
use super::outages::{OutageEdge, OutageKey};
use super::retention::Plan;
use super::rows::{
    BREAKERS, BUCKETS, LEDGER, META, OUTAGES, POSITION, Position, RowKey, RowValue, Rows, Slot,
    ledger_from,
};
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::time::Wall;
use crate::domain::window::Bucket;

pub(super) use self::rewrite::{replace, settle, size};

mod rewrite;

/// Memory for cached pages; the default of a gibibyte is for other uses.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Version of the layout of keys.
const SCHEMA: &[u8] = &[1];
/// Damaged databases that are kept for whoever wants to look at them, the newest first.
const KEPT: [&str; 2] = ["damaged-1", "damaged-2"];
/// How often, and how far apart, a locked database is tried: three quarters of a second.
const LOCK_TRIES: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(super) struct Database {
    db: Option<Db>,
    /// sled's data file, opened once more to sync it.
    data: File,
}

/// What was in it.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// All readable rows but the ledger's.
    pub(super) rows: Rows,
    /// The place in the log up to which they count its lines.
    pub(super) position: Option<Position>,
    /// How many were not.
    pub(super) unreadable: u64,
    /// Whether it is older than this opening, yet empty.
    pub(super) lost: bool,
}

/// Why the database did not do what it was asked.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    /// Its files make no sense.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Another process has it open, or threads of an earlier handle still do.
    #[error("another process uses it; stop that fallbackd, or give this one its own state_dir")]
    Locked,
    /// The disk, or permissions.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not ours to change.
    #[error("it was written by a later version of fallbackd; start that one, or move it away")]
    Later,
}

impl Database {
    /// Opens the database in `dir`, or makes one, and reads everything in it.
    pub(super) fn open(dir: &Path) -> Result<(Database, Contents), StoreError> {
        let existed = dir.join("db").exists();
        make_dir(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(Mode::LowSpace);
        let db = open_patiently(&config)?;
        // From here on the handle is closed under guard whatever happens.
        let database = Database { db: Some(db), data: File::open(dir.join("db"))? };
        let mut contents = database.scan()?;
        match database.on(|db| db.get(META))? {
            Some(schema) if &*schema == SCHEMA => {}
            Some(schema) if schema.len() == 1 => return Err(StoreError::Later),
            Some(_) => return Err(StoreError::Damaged("its version is unreadable".into())),
            None => {
                contents.lost = existed;
                database.on(|db| db.insert(META, SCHEMA))?;
                database.durable()?;
                sync_dir(dir)?;
            }
        }
        Ok((database, contents))
    }

    /// Makes all `rows` durable, and with them the place in the log that they reach to: all or
    /// none.
    pub(super) fn write(&self, rows: &Rows, reached: Option<&Position>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        if let Some(reached) = reached {
            batch.insert(POSITION, reached.encode());
        }
        for (key, value) in rows {
            batch.insert(key.encode(), value.encode());
        }
        self.apply(batch)
    }

    /// All buckets there are.
    pub(super) fn slots(&self) -> Result<Vec<Slot>, StoreError> {
        self.on(|db| {
            let keys = db.scan_prefix(BUCKETS).keys();
            keys.filter_map(|key| key.map(|key| slot(&key)).transpose()).collect()
        })
    }

    /// All circuits there are.
    pub(super) fn breakers(&self) -> Result<Rows, StoreError> {
        self.on(|db| readable(db.scan_prefix(BREAKERS)).collect())
    }

    /// The sums of one key of the ledger.
    pub(super) fn sums(&self, key: &LedgerKey) -> Result<Sums, StoreError> {
        match self.row(&RowKey::Ledger(key.clone()))? {
            Some(RowValue::Ledger(sums)) => Ok(sums),
            _ => Ok(Sums::default()),
        }
    }

    /// The ledger of a stretch of time, in the order of time; at most `most` rows of it.
    pub(super) fn ledger(
        &self,
        range: &Range<Wall>,
        most: usize,
    ) -> Result<Vec<(LedgerKey, Sums)>, StoreError> {
        let keys = ledger_from(range.start)..ledger_from(range.end.max(range.start));
        let rows: Vec<_> = self.on(|db| readable(db.range(keys).take(most)).collect())?;
        let ledger = rows.into_iter().filter_map(|row| match row {
            (RowKey::Ledger(key), RowValue::Ledger(sums)) => Some((key, sums)),
            _ => None,
        });
        Ok(ledger.collect())
    }

    /// All ends of outages before `to`, the oldest first.
    pub(super) fn outages(&self, to: Wall) -> Result<BTreeMap<OutageKey, OutageEdge>, StoreError> {
        let keys = OUTAGES.to_vec()..[OUTAGES, &to.0.to_be_bytes()].concat();
        let rows: Vec<_> = self.on(|db| readable(db.range(keys)).collect())?;
        let edges = rows.into_iter().filter_map(|row| match row {
            (RowKey::Outage(key), RowValue::Outage(edge)) => Some((key, edge)),
            _ => None,
        });
        Ok(edges.collect())
    }

    /// Deletes and merges buckets, all or none.
    pub(super) fn carry_out(&self, plan: &Plan) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for slot in &plan.expired {
            batch.remove(RowKey::Bucket(slot.clone()).encode());
        }
        for merge in &plan.merges {
            let into = RowKey::Bucket(merge.into.clone());
            let mut sum = self.bucket(&into)?;
            for slot in &merge.from {
                let key = RowKey::Bucket(slot.clone());
                sum.merge(&self.bucket(&key)?);
                batch.remove(key.encode());
            }
            batch.insert(into.encode(), RowValue::Bucket(sum).encode());
        }
        self.apply(batch)
    }

    pub(super) fn remove(&self, keys: &[RowKey]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        keys.iter().for_each(|key| batch.remove(key.encode()));
        self.apply(batch)
    }

    /// A stored bucket; one that is missing or unreadable counts nothing.
    fn bucket(&self, key: &RowKey) -> Result<Bucket, StoreError> {
        match self.row(key)? {
            Some(RowValue::Bucket(bucket)) => Ok(bucket),
            _ => Ok(Bucket::default()),
        }
    }

    fn row(&self, key: &RowKey) -> Result<Option<RowValue>, StoreError> {
        let value = self.on(|db| db.get(key.encode()))?;
        Ok(value.and_then(|value| RowValue::decode(key, &value)))
    }

    fn scan(&self) -> Result<Contents, StoreError> {
        self.on(|db| {
            let mut contents = Contents::default();
            for row in db.iter() {
                let (key, value) = row?;
                // Ledger and outages are only looked at, so that damage is found here: they may
                // be long.
                if *key == *META || key.starts_with(LEDGER) || key.starts_with(OUTAGES) {
                    continue;
                }
                if *key == *POSITION {
                    contents.position = Position::decode(&value);
                    continue;
                }
                match decode(&key, &value) {
                    Some(row) => contents.rows.extend([row]),
                    None => contents.unreadable += 1,
                }
            }
            Ok(contents)
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.on(|db| db.apply_batch(batch))?;
        self.durable()
    }

    /// The only place that flushes, because a flush without a sync is worse than neither.
    fn durable(&self) -> Result<(), StoreError> {
        self.on(|db| db.flush())?;
        Ok(self.data.sync_all()?)
    }

    fn on<T>(&self, ask: impl FnOnce(&Db) -> sled::Result<T>) -> Result<T, StoreError> {
        let Some(db) = &self.db else { return Err(StoreError::Damaged("it is closed".into())) };
        guarded(|| ask(db))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // sled works while it closes, and may panic over it.
        let db = self.db.take();
        let _ = guarded(move || {
            drop(db);
            Ok(())
        });
        let _ = self.data.sync_all();
    }
}

/// Moves a damaged database out of the way, and tells where to.
pub(super) fn put_aside(dir: &Path) -> io::Result<PathBuf> {
    let [newest, oldest] = KEPT.map(|name| dir.with_extension(name));
    if oldest.exists() {
        std::fs::remove_dir_all(&oldest)?;
    }
    if newest.exists() {
        std::fs::rename(&newest, &oldest)?;
    }
    std::fs::rename(dir, &newest)?;
    Ok(newest)
}

/// Opens it, and waits a little for the one who has just closed it: sled's threads let go of its
/// lock some time after the handle is gone, and so does a daemon that is being replaced.
fn open_patiently(config: &sled::Config) -> Result<Db, StoreError> {
    for _ in 0..LOCK_TRIES {
        match guarded(|| config.open()) {
            Err(StoreError::Locked) => thread::sleep(LOCK_PAUSE),
            outcome => return outcome,
        }
    }
    Err(StoreError::Locked)
}

/// The rows that can be read.
fn readable(
    rows: impl Iterator<Item = sled::Result<(IVec, IVec)>>,
) -> impl Iterator<Item = sled::Result<(RowKey, RowValue)>> {
    rows.filter_map(|row| row.map(|(key, value)| decode(&key, &value)).transpose())
}

fn decode(key: &[u8], value: &[u8]) -> Option<(RowKey, RowValue)> {
    let key = RowKey::decode(key)?;
    let value = RowValue::decode(&key, value)?;
    Some((key, value))
}

fn slot(key: &[u8]) -> Option<Slot> {
    match RowKey::decode(key) {
        Some(RowKey::Bucket(slot)) => Some(slot),
        _ => None,
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()?;
    dir.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Calls sled so that neither its errors nor its panics get away.
fn guarded<T>(ask: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(outcome) => outcome.map_err(classify),
        Err(_) => Err(StoreError::Damaged("reading it caused a panic".into())),
    }
}

fn classify(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => classify_io(error),
        other => StoreError::Damaged(other.to_string()),
    }
}

/// Tells errors that speak of what is in the files from those of the disk. sled reports a
/// database that somebody else holds by this text alone.
fn classify_io(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Other if error.to_string().starts_with("could not acquire lock") => {
            StoreError::Locked
        }
        ErrorKind::Other
        | ErrorKind::UnexpectedEof
        | ErrorKind::InvalidData
        | ErrorKind::InvalidInput => StoreError::Damaged(error.to_string()),
        _ => StoreError::Io(error),
    }
}

#[cfg(test)]
mod tests;
