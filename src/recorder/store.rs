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
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::database::{Database, StoreError};
use super::journal::Message;
use super::logfile::LogFiles;
use super::queue::Queue;
use super::replay::{self, Segment};
use super::retention::Ages;
use super::rows::{ModelKey, Position, RowKey, RowValue, Rows};
use super::snapshot;
use super::start::{Keeping, Restored, Settings};
use super::status::Shared;
use super::write_behind::{Changes, WriteBehind};
use crate::clock::Clock;
use crate::domain::ledger::{self, Ledger};
use crate::domain::time::{Mono, Wall};
use crate::protocol::calendar::Day;

mod answer;
mod open;
mod report;
mod shrink;
mod sweep;

/// Time between two looks at what has grown old.
const SWEEP: Duration = Duration::from_secs(60);
/// Shortest and longest wait before a failed database is opened again.
pub(super) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(30));
/// Most rows that wait in memory for a database that fails.
const MOST_WAITING: usize = 16_384;
/// Fine buckets are kept this long at least.
const FINE_AT_LEAST: Duration = Duration::from_secs(3600);
/// Subdirectories of the state directory that hold the database and the weekly reports.
const DATABASE: &str = "db";
const REPORTS: &str = "reports";
/// The share of a log file that its checkpoint lines may take.
const SNAPSHOT_SHARE: u64 = 4;

/// The store thread's belongings.
pub(super) struct Store {
    dir: PathBuf,
    reports: PathBuf,
    log: LogFiles,
    snapshot_bytes: u64,
    ages: Ages,
    ledger_age: Duration,
    /// Whose weeks are reported.
    zone: TimeZone,
    /// Size of the database above which it is rewritten.
    budget: u64,
    clock: Clock,
    shared: Arc<Shared>,
    write_behind: Arc<WriteBehind>,
    queue: Arc<Queue<Message>>,
    /// Models that are configured, or were seen since the start.
    known: HashSet<ModelKey>,
    /// Rows that the database does not hold yet.
    waiting: Rows,
    /// What is to be added to the ledger in the database, beside rows of it that wait.
    ledger: Ledger,
    /// The ledger of before the start as the logs tell it, as long as there is no database.
    from_logs: Ledger,
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
    database: Option<Database>,
    backoff: Duration,
    next_try: Mono,
    next_sweep: Mono,
    next_shrink: Mono,
    /// When the next week is over.
    next_report: Wall,
    /// Whether it was said that a report cannot be written.
    report_failed: bool,
    /// From when on the ledger is known to be whole; later than 1970 if the database was lost.
    ledger_known: Wall,
}

impl Store {
    /// A store for rows that come through `write_behind`; nothing is opened yet.
    pub(super) fn new(
        settings: &Settings,
        wanted: &[ModelKey],
        shared: &Arc<Shared>,
        write_behind: &Arc<WriteBehind>,
        queue: &Arc<Queue<Message>>,
    ) -> Store {
        let mut store = Store {
            dir: settings.state_dir.join(DATABASE),
            reports: settings.state_dir.join(REPORTS),
            log: LogFiles { path: settings.health_log.clone(), keep: settings.keeping.keep },
            snapshot_bytes: 0,
            ages: Ages { fine: FINE_AT_LEAST, all: settings.keeping.retention },
            ledger_age: settings.keeping.ledger_retention,
            zone: settings.keeping.zone.clone(),
            budget: settings.keeping.store_size,
            clock: settings.clock.clone(),
            shared: Arc::clone(shared),
            write_behind: Arc::clone(write_behind),
            queue: Arc::clone(queue),
            known: wanted.iter().cloned().collect(),
            waiting: Rows::new(),
            ledger: Ledger::new(),
            from_logs: Ledger::new(),
            reached: None,
            counted: None,
            joined: false,
            unsynced: Vec::new(),
            owes_snapshot: false,
            database: None,
            backoff: BACKOFF.0,
            next_try: Mono::default(),
            next_sweep: Mono::default(),
            next_shrink: Mono::default(),
            next_report: Wall::default(),
            report_failed: false,
            ledger_known: Wall::default(),
        };
        store.keep(&settings.keeping);
        store
    }

    /// Keeps more or less from now on.
    fn keep(&mut self, keeping: &Keeping) {
        self.log.keep = keeping.keep;
        self.snapshot_bytes = keeping.max_size / SNAPSHOT_SHARE;
        self.ages = Ages { fine: keeping.fine.max(FINE_AT_LEAST), all: keeping.retention };
        self.ledger_age = keeping.ledger_retention;
        if self.zone != keeping.zone {
            self.zone = keeping.zone.clone();
            self.next_report = Wall::default();
        }
        if self.budget != keeping.store_size {
            self.budget = keeping.store_size;
            // Who changes it wants to see what comes of it.
            self.next_shrink = Mono::default();
        }
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
        let oldest = self.clock.now().wall.minus(self.ages.all);
        // Nobody waits for it any more if opening took too long.
        let day = Day::of(self.clock.now().wall, &self.zone);
        let (today, _) = self.ledger_between(&(day.start..day.end));
        let found = Restored { today, problems, ..Restored::pick(rows, wanted, oldest) };
        self.end_outages(&found);
        let _ = restored.try_send(found);
        self.next_sweep = self.clock.mono().plus(SWEEP);
        self.report();
        loop {
            let mut buffered = self.write_behind.take(self.idle());
            let questions = std::mem::take(&mut buffered.questions);
            if let Some(keeping) = buffered.keeping.take() {
                self.keep(&keeping);
            }
            let closed = buffered.closed;
            self.take_up(buffered);
            let now = self.clock.mono();
            if self.database.is_none() && (now >= self.next_try || closed) {
                self.open(&replay::segments(&self.log), false);
            }
            questions.into_iter().for_each(|question| self.answer(question));
            self.checkpoint();
            if closed {
                break;
            }
            if now >= self.next_sweep {
                self.next_sweep = now.plus(SWEEP);
                self.sweep();
                self.shrink();
                self.report();
            }
        }
    }

    fn idle(&self) -> Duration {
        let now = self.clock.mono();
        let sweep = self.next_sweep.since(now);
        if self.database.is_some() { sweep } else { sweep.min(self.next_try.since(now)) }
    }

    fn take_up(&mut self, buffered: Changes) {
        self.known.extend(buffered.rows.keys().filter_map(RowKey::model).cloned());
        self.waiting.extend(buffered.rows);
        for (key, sums) in buffered.ledger {
            ledger::add(&mut self.ledger, key, sums);
        }
        self.reached = buffered.reached.or(self.reached.take());
        self.unsynced.extend(buffered.files);
        // The first file of all has nothing before it that it would have to tell.
        self.owes_snapshot |= buffered.begun && self.counted.is_some();
    }

    fn checkpoint(&mut self) {
        let nothing = self.waiting.is_empty() && self.ledger.is_empty() && !self.owes_snapshot;
        if self.database.is_none() || (nothing && self.reached == self.counted) {
            self.shed();
            return;
        }
        self.sync_log();
        let outcome = self.write().and_then(|()| self.snapshot());
        if let Err(error) = outcome {
            self.failed("write", &error);
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
        let Some(database) = &self.database else { return Ok(()) };
        let mut sums = Vec::with_capacity(self.ledger.len());
        for (key, &more) in &self.ledger {
            let mut sum = match self.waiting.get(&RowKey::Ledger(key.clone())) {
                Some(RowValue::Ledger(sum)) => *sum,
                _ => database.sums(key)?,
            };
            sum += more;
            sums.push((RowKey::Ledger(key.clone()), RowValue::Ledger(sum)));
        }
        // From here on they are absolute like all other rows, so that writing them twice, after a
        // failure that was none, counts nothing twice.
        self.waiting.extend(sums);
        self.ledger.clear();
        database.write(&self.waiting, self.reached.as_ref())?;
        self.waiting.clear();
        self.counted.clone_from(&self.reached);
        // Only now: one that opens and then fails to write has not recovered.
        self.backoff = BACKOFF.0;
        self.shared.checkpoint(self.clock.now().wall);
        Ok(())
    }

    /// Tells a new file of the log what the logs alone would need to know.
    fn snapshot(&mut self) -> Result<(), StoreError> {
        let (Some(database), Some(at), true) = (&self.database, &self.counted, self.owes_snapshot)
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
        let _ = self.queue.push(Message::Checkpoint(lines), false);
        self.owes_snapshot = false;
        Ok(())
    }

    /// Gives up the oldest buckets when too many rows wait.
    fn shed(&mut self) {
        if self.waiting.len() <= MOST_WAITING {
            return;
        }
        let mut starts: Vec<Wall> = self.waiting.keys().filter_map(RowKey::start).collect();
        starts.sort_unstable();
        let Some(&middle) = starts.get(starts.len() / 2) else { return };
        let before = self.waiting.len();
        self.waiting.retain(|key, _| key.start().is_none_or(|start| start > middle));
        self.shared.rows_lost((before - self.waiting.len()) as u64);
    }

    /// Lets go of the database until it is time to try again, and says so.
    fn failed(&mut self, doing: &str, error: &StoreError) -> String {
        self.database = None;
        self.next_try = self.clock.mono().plus(self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        let text = format!("cannot {doing} the database {}: {error}", self.dir.display());
        self.shared.store_failed(text.clone());
        text
    }
}

#[cfg(test)]
pub(super) mod tests;
