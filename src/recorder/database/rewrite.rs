//! A database that takes the place of another.
//!
//! All rows worth keeping are copied into `db.new`, and once that is closed and on the disk, `db`
//! becomes `db.old` and `db.new` becomes `db`. Whenever this ends, one of the directories is whole,
//! and their names tell which:
//!
//! | there are | so |
//! |---|---|
//! | `db`, perhaps `db.new` | the copy was not finished; it is thrown away |
//! | `db.old`, `db.new` | between the two renames; `db.old` is put back, and copied again some day |
//! | `db`, `db.old` | it was replaced; `db.old` is thrown away |
//!
//! [`settle`] does that before a database is opened. Which rows are worth keeping is decided in
//! `store`, which also sees to it that nobody writes meanwhile: it is the only one who does.

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::thread;

use sled::{Batch, IVec};

use super::super::rows::{POSITION, RowKey};
use super::{Database, LOCK_PAUSE, LOCK_TRIES, StoreError, sync_dir};

/// Rows that are copied at a time.
const CHUNK: usize = 2048;
/// Directories within a database, one in another, that are looked into.
const DEPTH: u32 = 2;

impl Database {
    /// Copies the `wanted` rows, and the place in the log that they reach to, into a new database
    /// beside the one in `dir`, and tells how large it is.
    pub(in super::super) fn copy(
        &self,
        dir: &Path,
        wanted: impl Fn(&RowKey) -> bool,
    ) -> Result<u64, StoreError> {
        let new = new(dir);
        discard(&new)?;
        let size = self.copy_into(&new, wanted);
        if size.is_err() {
            // The disk may be full because of it.
            let _ = discard(&new);
        }
        size
    }

    fn copy_into(&self, new: &Path, wanted: impl Fn(&RowKey) -> bool) -> Result<u64, StoreError> {
        let (copy, _) = Database::open(new)?;
        self.each(|rows| {
            let mut batch = Batch::default();
            for (key, value) in rows {
                // What nobody can read was counted when the database was opened.
                if *key == *POSITION || RowKey::decode(&key).is_some_and(|key| wanted(&key)) {
                    batch.insert(key, value);
                }
            }
            copy.apply(batch)
        })?;
        drop(copy);
        released(new)?;
        sync_dir(new)?;
        Ok(size(new))
    }

    /// Shows every row's key and the length of its key and value.
    pub(in super::super) fn weigh(
        &self,
        mut put: impl FnMut(RowKey, u64),
    ) -> Result<(), StoreError> {
        self.each(|rows| {
            for (key, value) in rows {
                let bytes = (key.len() + value.len()) as u64;
                RowKey::decode(&key).into_iter().for_each(|key| put(key, bytes));
            }
            Ok(())
        })
    }

    /// Goes through all rows, so many at a time.
    fn each(
        &self,
        mut take: impl FnMut(Vec<(IVec, IVec)>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = Bound::Unbounded;
        loop {
            let range = (from, Bound::Unbounded);
            let rows: Vec<(IVec, IVec)> =
                self.on(|db| db.range::<IVec, _>(range).take(CHUNK).collect())?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = Bound::Excluded(last.clone());
            take(rows)?;
        }
    }
}

/// Puts the finished copy in the place of the database in `dir`, which is closed.
pub(in super::super) fn replace(dir: &Path) -> Result<(), StoreError> {
    released(dir)?;
    let (new, old) = (new(dir), old(dir));
    discard(&old)?;
    fs::rename(dir, &old)?;
    if let Err(error) = fs::rename(&new, dir) {
        fs::rename(&old, dir)?;
        return Err(error.into());
    }
    sync_dir(dir)?;
    // If this fails, the next start does it.
    let _ = discard(&old);
    Ok(())
}

/// Ends what somebody began and did not finish.
pub(in super::super) fn settle(dir: &Path) -> io::Result<()> {
    let (new, old) = (new(dir), old(dir));
    if old.exists() && !dir.exists() {
        fs::rename(&old, dir)?;
        sync_dir(dir)?;
    }
    // Another process may be at work on them. If they stay, they cost space and nothing else; a
    // start that fails over them would be worse.
    if (new.exists() || old.exists()) && released(dir).is_ok() {
        let _ = (discard(&new), discard(&old));
    }
    Ok(())
}

/// Bytes of all files in `dir`; those that cannot be read, or go meanwhile, do not count.
pub(in super::super) fn size(dir: &Path) -> u64 {
    fn below(dir: &Path, depth: u32) -> u64 {
        let Ok(entries) = fs::read_dir(dir) else { return 0 };
        let sizes = entries.flatten().map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() && depth > 0 => below(&entry.path(), depth - 1),
            Ok(data) if data.is_file() => data.len(),
            _ => 0,
        });
        sizes.sum()
    }
    below(dir, DEPTH)
}

fn new(dir: &Path) -> PathBuf {
    dir.with_extension("new")
}

fn old(dir: &Path) -> PathBuf {
    dir.with_extension("old")
}

fn discard(dir: &Path) -> io::Result<()> {
    if dir.exists() { fs::remove_dir_all(dir) } else { Ok(()) }
}

/// Waits until sled's threads have let go of a closed database: they know it by its name, and
/// must not find another one there.
fn released(dir: &Path) -> Result<(), StoreError> {
    let file = File::open(dir.join("db"))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(StoreError::Locked)
}
