//! The thread that keeps rows in the database.
//!
//! Every half second in which something changed, and at once when a circuit did, it makes a
//! checkpoint: the log is synced, then all changed rows and the place in the log that they reach
//! to become durable in one batch. Each minute it merges and deletes what has grown old, and sees
//! that the database is no larger than it may be.
//!
//! The daemon lives without it. A database that does not open is put aside when damaged and left
//! alone otherwise (a full disk, missing permissions, another process); one that fails is dropped
//! and opened again, less and less often. Rows wait in memory meanwhile, the newest per key, and
//! additions to the ledger are added up.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::database::StoreError;
use super::journal::JournalMessage;
use super::logfile::LogFiles;
use super::queue::Queue;
use super::replay::{self, Segment};
use super::retention::Ages;
use super::rows::{ModelKey, Position, RowKey, RowValue};
use super::snapshot;
use super::start::{Keeping, RecorderSettings, Restored};
use super::status::Shared;
use super::write_behind::{UnsavedChanges, WriteBehind};
use crate::clock::Clock;
use crate::domain::ledger;
use crate::domain::time::{Mono, Wall};

mod answer;
mod connection;
mod open;
mod report;
mod shrink;
mod sweep;
mod unsaved;

use answer::Books;
use connection::DatabaseConnection;
use report::Reports;
use shrink::{Oldest, Shrink};
use sweep::Sweep;
use unsaved::Unsaved;

/// Time between two looks at what has grown old.
const SWEEP: Duration = Duration::from_secs(60);
/// Fine buckets are kept this long at least.
const FINE_AT_LEAST: Duration = Duration::from_secs(3600);
/// Subdirectories of the state directory that hold the database and the weekly reports.
const DATABASE: &str = "db";
const REPORTS: &str = "reports";
/// The share of a log file that its checkpoint lines may take.
const SNAPSHOT_SHARE: u64 = 4;

/// The store thread's belongings.
pub(super) struct Store {
    log: LogFiles,
    snapshot_bytes: u64,
    ages: Ages,
    ledger_age: Duration,
    clock: Clock,
    shared: Arc<Shared>,
    write_behind: Arc<WriteBehind>,
    queue: Arc<Queue<JournalMessage>>,
    /// Models that are configured, or were seen since the start.
    known: HashSet<ModelKey>,
    unsaved: Unsaved,
    /// The place in the log that all this reaches to.
    reached: Option<Position>,
    /// The place from which on all this counts it.
    counted: Option<Position>,
    /// Whether that is where the rows of the database end.
    joined: bool,
    /// Files of the log that may not be on the disk up to there.
    unsynced: Vec<Arc<File>>,
    /// Whether a new file of the log waits for its checkpoint lines.
    owes_snapshot: bool,
    connection: DatabaseConnection,
    next_sweep: Mono,
    shrink: Shrink,
    reports: Reports,
}

impl Store {
    /// A store for rows that come through `write_behind`; nothing is opened yet.
    pub(super) fn new(
        settings: &RecorderSettings,
        wanted: &[ModelKey],
        shared: &Arc<Shared>,
        write_behind: &Arc<WriteBehind>,
        queue: &Arc<Queue<JournalMessage>>,
    ) -> Store {
        let (keeping, dir) = (&settings.keeping, &settings.state_dir);
        let (clock, zone) = (settings.clock.clone(), keeping.zone.clone());
        let mut store = Store {
            log: LogFiles { path: settings.health_log.clone(), keep: keeping.keep },
            snapshot_bytes: 0,
            ages: Ages { fine: FINE_AT_LEAST, all: keeping.retention },
            ledger_age: keeping.ledger_retention,
            connection: DatabaseConnection::new(
                dir.join(DATABASE),
                clock.clone(),
                Arc::clone(shared),
            ),
            shrink: Shrink::new(keeping.store_size, Arc::clone(shared)),
            reports: Reports::new(dir.join(REPORTS), zone, Arc::clone(queue)),
            clock,
            shared: Arc::clone(shared),
            write_behind: Arc::clone(write_behind),
            queue: Arc::clone(queue),
            known: wanted.iter().cloned().collect(),
            unsaved: Unsaved::default(),
            reached: None,
            counted: None,
            joined: false,
            unsynced: Vec::new(),
            owes_snapshot: false,
            next_sweep: Mono::default(),
        };
        store.keep(keeping);
        store
    }

    /// Keeps more or less from now on.
    fn keep(&mut self, keeping: &Keeping) {
        self.log.keep = keeping.keep;
        self.snapshot_bytes = keeping.max_size / SNAPSHOT_SHARE;
        self.ages = Ages { fine: keeping.fine.max(FINE_AT_LEAST), all: keeping.retention };
        self.ledger_age = keeping.ledger_retention;
        self.reports.set_zone(&keeping.zone);
        self.shrink.set_budget(keeping.store_size);
    }

    /// Opens the database, answers what is known of the wanted models, and works until the buffer
    /// is closed. `files` is the log as it was before anything new was written to it, but for the
    /// head of its newest file if that was `begun`.
    pub(super) fn run(
        mut self,
        wanted: &[ModelKey],
        files: Vec<Segment>,
        begun: bool,
        restored: &SyncSender<Restored>,
    ) {
        self.reached = replay::end(&files);
        self.counted = self.reached.clone();
        let (rows, problems) = self.open(&files, true);
        drop(files);
        self.owes_snapshot = begun && self.counted.is_some();
        // Before anything is served: from here on places in the log are those of this start, also
        // if somebody has exchanged its files.
        self.checkpoint();
        let now = self.clock.now().wall;
        let day = self.reports.day(now);
        let (today, _) = self.books().between(&(day.start..day.end));
        let picked = Restored::pick(rows, wanted, now.minus(self.ages.all));
        let found = Restored { today, problems, ..picked };
        let (edges, _) = self.books().outage_edges();
        self.unsaved.end_outages(edges, &found, now);
        let _ = restored.try_send(found);
        self.next_sweep = self.clock.mono().plus(SWEEP);
        self.report();
        while self.turn() {}
    }

    /// Waits for something to do, and does it; whether there is more to come.
    fn turn(&mut self) -> bool {
        let mut buffered = self.write_behind.take(self.idle());
        let questions = std::mem::take(&mut buffered.questions);
        if let Some(keeping) = buffered.keeping.take() {
            self.keep(&keeping);
        }
        let closed = buffered.closed;
        self.take_up(buffered);
        let now = self.clock.mono();
        if self.connection.opens_in(now).is_some_and(|wait| wait.is_zero() || closed) {
            self.open(&replay::segments(&self.log), false);
        }
        for question in questions {
            let costs = self.books().costs(&question.query, false);
            // Who asked may have given up.
            let _ = question.answer.send(costs);
        }
        self.checkpoint();
        if !closed && now >= self.next_sweep {
            self.next_sweep = now.plus(SWEEP);
            self.sweep();
            self.shrink();
            self.report();
        }
        !closed
    }

    fn idle(&self) -> Duration {
        let now = self.clock.mono();
        let sweep = self.next_sweep.since(now);
        self.connection.opens_in(now).map_or(sweep, |wait| wait.min(sweep))
    }

    fn books(&mut self) -> Books<'_> {
        let now = self.clock.now().wall;
        Books { connection: &mut self.connection, unsaved: &self.unsaved, now }
    }

    fn take_up(&mut self, buffered: UnsavedChanges) {
        self.known.extend(buffered.rows.keys().filter_map(RowKey::model).cloned());
        self.unsaved.rows.extend(buffered.rows);
        for (key, sums) in buffered.ledger {
            ledger::add(&mut self.unsaved.ledger, key, sums);
        }
        self.reached = buffered.reached.or(self.reached.take());
        self.unsynced.extend(buffered.files);
        // The first file of all has nothing before it that it would have to tell.
        self.owes_snapshot |= buffered.begun && self.counted.is_some();
    }

    fn checkpoint(&mut self) {
        let nothing = self.unsaved.is_empty() && !self.owes_snapshot;
        if self.connection.database().is_none() || (nothing && self.reached == self.counted) {
            self.shared.rows_lost(self.unsaved.shed());
            return;
        }
        self.sync_log();
        let outcome = self.write().and_then(|()| self.snapshot());
        if let Err(error) = outcome {
            self.connection.failed("write", &error);
        }
    }

    /// The database must never be ahead of what the disk holds of the log.
    fn sync_log(&mut self) {
        for file in self.unsynced.drain(..) {
            if let Err(error) = file.sync_data() {
                // Its lines may be lost in a power cut; the rows then are all that is left of them.
                self.shared.log_failed(format!("cannot sync the health log: {error}"));
            }
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let Some(database) = self.connection.database() else { return Ok(()) };
        self.unsaved.add_up(database)?;
        database.write(&self.unsaved.rows, self.reached.as_ref())?;
        self.unsaved.rows.clear();
        self.counted.clone_from(&self.reached);
        self.connection.works();
        Ok(())
    }

    /// Tells a new file of the log what the logs alone would need to know.
    fn snapshot(&mut self) -> Result<(), StoreError> {
        let (Some(database), Some(at), true) =
            (self.connection.database(), &self.counted, self.owes_snapshot)
        else {
            return Ok(());
        };
        let from = snapshot::ledger_from(self.clock.now().wall);
        let mut rows = database.breakers()?;
        let ledger = database.ledger(&(from..Wall(u64::MAX)), usize::MAX)?;
        let ledger = ledger.into_iter();
        rows.extend(ledger.map(|(key, sums)| (RowKey::Ledger(key), RowValue::Ledger(sums))));
        let lines = snapshot::lines(rows, at, from, self.snapshot_bytes);
        // If there is no room, the next file gets its lines.
        let _ = self.queue.push(JournalMessage::Checkpoint(lines), false);
        self.owes_snapshot = false;
        Ok(())
    }

    fn sweep(&mut self) {
        let Some(database) = self.connection.database() else { return };
        let now = self.clock.now().wall;
        let (ages, ledger_age) = (self.ages, self.ledger_age);
        let swept = Sweep { now, ages, ledger_age, known: &self.known }.look(database);
        if let Err(error) = swept {
            self.connection.failed("tidy", &error);
        }
    }

    fn shrink(&mut self) {
        let now = self.clock.now();
        let (bucket, ledger) = (now.wall.minus(self.ages.all), now.wall.minus(self.ledger_age));
        self.shrink.look(&mut self.connection, &Oldest { bucket, ledger }, now.mono);
    }

    fn report(&mut self) {
        let now = self.clock.now().wall;
        let mut books = Books { connection: &mut self.connection, unsaved: &self.unsaved, now };
        self.reports.write_due(&mut books, self.ledger_age);
    }
}

#[cfg(test)]
pub(super) mod tests;
