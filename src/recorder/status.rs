//! How the recorder itself is doing, for `health`.
//!
//! Counters that both threads and the handle add to, and the last words about what went wrong.
//! Reading them never waits for a disk. Changes for the worse or the better are also told to the
//! daemon's own log, once each; what goes wrong during the start is told by whoever starts it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::time::Wall;
use crate::protocol::status::{RecorderStatus, StoreState};

/// What the threads and the handle share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    started: AtomicBool,
    told: Mutex<ReportedStatus>,
}

#[derive(Debug, Default)]
struct ReportedStatus {
    /// All but the path of the log, which the handle knows, and the size of the database.
    status: RecorderStatus,
    too_large: Option<String>,
    gave_up: Option<String>,
}

impl Shared {
    /// All but the path of the log.
    pub(super) fn status(&self) -> RecorderStatus {
        let told = self.told();
        let store_size = told.too_large.as_ref().or(told.gave_up.as_ref()).cloned();
        RecorderStatus { store_size, ..told.status.clone() }
    }

    pub(super) fn written(&self, lines: u64) {
        self.told().status.lines += lines;
    }

    pub(super) fn dropped(&self, lines: u64) {
        self.told().status.dropped += lines;
    }

    pub(super) fn late(&self) {
        self.told().status.late += 1;
    }

    pub(super) fn rows_lost(&self, rows: u64) {
        self.told().status.rows_lost += rows;
    }

    /// From now on changes are told as they come.
    pub(super) fn started(&self) {
        self.started.store(true, Relaxed);
    }

    pub(super) fn log_works(&self) {
        if self.told().status.log_error.take().is_some() {
            tracing::info!("the health log is written again");
        }
    }

    pub(super) fn log_failed(&self, why: String) {
        let status = &mut self.told().status;
        status.errors += 1;
        self.warn_once(&mut status.log_error, why);
    }

    pub(super) fn log_damaged(&self, what: String) {
        self.warn(&what);
        self.told().status.log_damage = Some(what);
    }

    pub(super) fn store_works(&self, put_aside: Option<String>) {
        let status = &mut self.told().status;
        status.store = StoreState::Ok;
        if status.store_error.take().is_some() {
            tracing::info!("the database is open again");
        }
        if let Some(place) = put_aside {
            self.warn(&format!("the database was damaged; it is now in {place}"));
            status.store_put_aside = Some(place);
        }
    }

    /// The database was rewritten, at the cost of some rows or of none.
    pub(super) fn store_rewritten(&self, gave_up: Option<String>) {
        let mut told = self.told();
        told.too_large = None;
        if let Some(what) = gave_up {
            // The next time it is the same story with another date.
            self.warn_once(&mut told.gave_up, what);
        }
    }

    pub(super) fn store_too_large(&self, why: String) {
        let mut told = self.told();
        told.status.errors += 1;
        self.warn_once(&mut told.too_large, why);
    }

    pub(super) fn checkpoint(&self, at: Wall) {
        self.told().status.last_checkpoint = Some(at);
    }

    pub(super) fn store_failed(&self, why: String) {
        let status = &mut self.told().status;
        status.errors += 1;
        if status.store == StoreState::Ok {
            status.store = StoreState::Degraded;
        }
        self.warn_once(&mut status.store_error, why);
    }

    /// Replaces the last words, and says them if there were none.
    fn warn_once(&self, last: &mut Option<String>, why: String) {
        if last.is_none() {
            self.warn(&why);
        }
        *last = Some(why);
    }

    fn warn(&self, why: &str) {
        if self.started.load(Relaxed) {
            tracing::warn!("{why}");
        }
    }

    fn told(&self) -> MutexGuard<'_, ReportedStatus> {
        // Words are whole after every statement; a panic elsewhere spoils nothing here.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
