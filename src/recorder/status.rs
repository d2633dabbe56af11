//! How the recorder itself is doing, for `health`.
//!
//! Counters that both threads and the handle add to, and the last words about what went wrong.
//! Reading them never waits for a disk. Changes for the worse or the better are also told to the
//! daemon's own log, once each; what goes wrong during the start is told by whoever starts it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::time::Wall;
use crate::protocol::status::{RecorderStatus, StoreState};

/// What the threads and the handle share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    lines: AtomicU64,
    dropped: AtomicU64,
    late: AtomicU64,
    rows_lost: AtomicU64,
    errors: AtomicU64,
    started: AtomicBool,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    log_error: Option<String>,
    log_damage: Option<String>,
    store: StoreState,
    store_error: Option<String>,
    store_put_aside: Option<String>,
    store_too_large: Option<String>,
    store_gave_up: Option<String>,
    last_checkpoint: Option<Wall>,
}

impl Shared {
    /// All but the path of the log, which the handle knows.
    pub(super) fn status(&self) -> RecorderStatus {
        let words = self.words();
        RecorderStatus {
            log: String::new(),
            lines: self.lines.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            late: self.late.load(Relaxed),
            log_error: words.log_error.clone(),
            log_damage: words.log_damage.clone(),
            store: words.store,
            store_error: words.store_error.clone(),
            store_put_aside: words.store_put_aside.clone(),
            store_size: words.store_too_large.as_ref().or(words.store_gave_up.as_ref()).cloned(),
            last_checkpoint: words.last_checkpoint,
            rows_lost: self.rows_lost.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }

    pub(super) fn written(&self, lines: u64) {
        self.lines.fetch_add(lines, Relaxed);
    }

    pub(super) fn dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
    }

    pub(super) fn late(&self) {
        self.late.fetch_add(1, Relaxed);
    }

    pub(super) fn rows_lost(&self, rows: u64) {
        self.rows_lost.fetch_add(rows, Relaxed);
    }

    /// From now on changes are told as they come.
    pub(super) fn started(&self) {
        self.started.store(true, Relaxed);
    }

    pub(super) fn log_works(&self) {
        if self.words().log_error.take().is_some() {
            tracing::info!("the health log is written again");
        }
    }

    pub(super) fn log_failed(&self, why: String) {
        self.errors.fetch_add(1, Relaxed);
        let mut words = self.words();
        if words.log_error.is_none() {
            self.warn(&why);
        }
        words.log_error = Some(why);
    }

    pub(super) fn log_damaged(&self, what: String) {
        self.warn(&what);
        self.words().log_damage = Some(what);
    }

    pub(super) fn store_works(&self, put_aside: Option<String>) {
        let mut words = self.words();
        words.store = StoreState::Ok;
        if words.store_error.take().is_some() {
            tracing::info!("the database is open again");
        }
        if let Some(place) = put_aside {
            self.warn(&format!("the database was damaged; it is now in {place}"));
            words.store_put_aside = Some(place);
        }
    }

    /// The database was rewritten, at the cost of some rows or of none.
    pub(super) fn store_rewritten(&self, gave_up: Option<String>) {
        let mut words = self.words();
        words.store_too_large = None;
        if let Some(what) = gave_up {
            // The next time it is the same story with another date.
            if words.store_gave_up.is_none() {
                self.warn(&what);
            }
            words.store_gave_up = Some(what);
        }
    }

    pub(super) fn store_too_large(&self, why: String) {
        self.errors.fetch_add(1, Relaxed);
        let mut words = self.words();
        if words.store_too_large.is_none() {
            self.warn(&why);
        }
        words.store_too_large = Some(why);
    }

    pub(super) fn checkpoint(&self, at: Wall) {
        self.words().last_checkpoint = Some(at);
    }

    pub(super) fn store_failed(&self, why: String) {
        self.errors.fetch_add(1, Relaxed);
        let mut words = self.words();
        if words.store_error.is_none() {
            self.warn(&why);
        }
        if words.store == StoreState::Ok {
            words.store = StoreState::Degraded;
        }
        words.store_error = Some(why);
    }

    fn warn(&self, why: &str) {
        if self.started.load(Relaxed) {
            tracing::warn!("{why}");
        }
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        // Words are whole after every statement; a panic elsewhere spoils nothing here.
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
