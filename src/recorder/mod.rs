//! The health log, the database, and recovery.
//!
//! The rest of the program holds a [`Recorder`] and tells it what happened; that never fails, and
//! only who wants to know that a line is written waits, and not for long. Behind it two plain
//! threads work, because disks block: `journal` appends lines to the health log, `store` keeps rows
//! in the database, so that an fsync never delays a line. A failing disk costs lines and rows,
//! which are counted in [`RecorderStatus`], never an answer.
//!
//! ```text
//! record ─▶ queue ─▶ journal ─▶ health.jsonl          (line, logfile)
//!                       │  └──▶ those who watch
//!                       └─▶ buffer ──▶ store ─▶ sled   (rows, retention, database)
//! ```
//!
//! The log is the journal and the database an index over it, which names the place in the log that
//! it reaches to. What a start finds in the log behind that place it counts again (replay, fold).
//!
//! Nothing here decides about models, and no event has a field for a key or a message.

mod ack;
mod comparisons;
mod costs;
mod database;
mod fold;
mod journal;
pub(crate) mod line;
mod logfile;
mod outages;
mod queue;
mod replay;
mod reports;
mod retention;
mod rows;
pub(crate) mod search;
mod snapshot;
mod start;
mod status;
mod store;
mod write_behind;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};

use self::ack::{AckTicket, Waiters};
use self::costs::Question;
use self::journal::{JournalMessage, LogEntry};
use self::line::Logged;
use self::logfile::LogFiles;
use self::queue::Queue;
use self::status::Shared;
use crate::domain::time::Wall;
use crate::protocol::costs::{Costs, PairView};
use crate::protocol::log::{Event, LogLine};
use crate::protocol::status::RecorderStatus;

pub(crate) use self::costs::Query;
pub(crate) use self::logfile::numbered;
pub(crate) use self::rows::{ModelKey, Row};
pub(crate) use self::start::{Keeping, RecorderError, RecorderSettings, Restored};

/// Turns of the runtime for which the first of a batch lets others join it: each is the time that
/// what is ready takes, which is nothing on a quiet day. A batch costs two changes of thread, so
/// larger ones are cheaper for everybody; beyond eight turns nothing more was gained.
const ROUNDS: u32 = 8;
/// How long the ledger is waited for: it may stand behind a slow disk.
const ASKING: Duration = Duration::from_secs(8);
/// Rows kept back while the queue is full, beyond which superseded ones are thrown out.
const MOST_OWED: usize = 4096;

/// The handle; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue<JournalMessage>>,
    waiters: Arc<Waiters>,
    watchers: broadcast::Sender<Arc<Logged>>,
    shared: Arc<Shared>,
    /// Rows whose line found the queue full; they go with the next one that does not.
    owed: Mutex<Vec<Row>>,
    patience: Duration,
    /// Where the log is.
    log: PathBuf,
    /// How many rotated files there may be.
    keep: AtomicU32,
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
struct Threads {
    /// Hears when both are done.
    done: Receiver<()>,
    handles: [JoinHandle<()>; 2],
}

impl Recorder {
    /// Records what happened at `at`, and the rows that it changed.
    ///
    /// Never blocks and never fails: a line that finds the queue full is dropped and counted.
    pub(crate) fn record(&self, at: Wall, event: Event, rows: impl IntoIterator<Item = Row>) {
        self.0.push(at, event, rows.into_iter().collect(), None);
    }

    /// Records what happened at `at` and waits until its line, and so all earlier ones, are in the
    /// log; at most `RecorderSettings::patience`, then it counts as late. A line that cannot be
    /// written is not waited for.
    pub(crate) async fn record_and_wait(&self, at: Wall, event: Event) {
        let (ticket, written) = ack::ticket(&self.0.waiters);
        let Some(first) = self.0.push(at, event, Vec::new(), Some(ticket)) else { return };
        if first {
            let _wake = WakeOnDrop(&self.0.queue);
            // Others who are about to record get their chance to be in the same batch.
            for _ in 0..ROUNDS {
                tokio::task::yield_now().await;
            }
        }
        if tokio::time::timeout(self.0.patience, written).await.is_err() {
            self.0.shared.late();
        }
    }

    /// What was paid, everything recorded so far included; `None` when the store does not answer.
    pub(crate) async fn costs(&self, query: Query) -> Option<Costs> {
        let (answer, answered) = oneshot::channel();
        self.0.queue.push(JournalMessage::Ask(Question { query, answer }), false).ok()?;
        self.0.queue.wake();
        tokio::time::timeout(ASKING, answered).await.ok()?.ok()
    }

    /// Keeps more or less from now on. Files that are too many go with the next rotation.
    pub(crate) fn keep(&self, keeping: Keeping) {
        self.0.keep.store(keeping.keep, Ordering::Relaxed);
        // A full queue means that the journal is stuck; what it keeps is then no matter of urgency,
        // and the next reload says it again.
        let _ = self.0.queue.push(JournalMessage::Keep(keeping), false);
        self.0.queue.wake();
    }

    /// What the log still says about a request, in order.
    ///
    /// # Errors
    /// When a file of the log is there and cannot be read.
    pub(crate) async fn about(&self, request_id: &str) -> io::Result<Vec<LogLine>> {
        let (files, request_id) = (self.0.files(), request_id.to_owned());
        tokio::task::spawn_blocking(move || search::lines(&files, &request_id))
            .await
            .map_err(io::Error::other)?
    }

    /// What the log still says about copies whose answers were compared: one view per pair of models.
    ///
    /// # Errors
    /// When a file of the log is there and cannot be read.
    pub(crate) async fn comparisons(&self, query: &Query) -> io::Result<Vec<PairView>> {
        let (files, range, task) = (self.0.files(), query.range(), query.span.task.clone());
        tokio::task::spawn_blocking(move || comparisons::pairs(&files, &range, task.as_deref()))
            .await
            .map_err(io::Error::other)?
    }

    /// Everything that is logged from now on. A reader that lags loses the oldest.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Logged>> {
        self.0.watchers.subscribe()
    }

    /// How the recorder is doing.
    pub(crate) fn status(&self) -> RecorderStatus {
        RecorderStatus { log: self.0.log.display().to_string(), ..self.0.shared.status() }
    }

    /// Writes and syncs everything recorded so far and ends both threads; false when that took
    /// longer than `limit` and was left to itself.
    ///
    /// Blocks. What other clones record afterwards is dropped.
    pub(crate) fn close(self, limit: Duration) -> bool {
        let threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return true };
        self.0.queue.end(Some(JournalMessage::Close(self.0.settle(Vec::new()))));
        // The store drops its end when it is done, and it ends after the journal.
        match threads.done.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                threads.handles.into_iter().all(|handle| handle.join().is_ok())
            }
        }
    }
}

/// Has the queue taken when dropped, also by one who left while others gathered.
struct WakeOnDrop<'a>(&'a Queue<JournalMessage>);

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl Inner {
    fn files(&self) -> LogFiles {
        LogFiles { path: self.log.clone(), keep: self.keep.load(Ordering::Relaxed) }
    }

    /// Queues an event and tells whether the caller is to wake; nothing, and its line counted as
    /// dropped, when there is no room.
    fn push(
        &self,
        at: Wall,
        event: Event,
        rows: Vec<Row>,
        ticket: Option<AckTicket>,
    ) -> Option<bool> {
        let rows = self.settle(rows);
        let waits = ticket.is_some();
        let entry = JournalMessage::Entry(Box::new(LogEntry { at, event, rows, ticket }));
        self.queue
            .push(entry, waits)
            .map_err(|entry| {
                self.shared.dropped(1);
                self.owe(entry);
            })
            .ok()
    }

    /// Puts the rows of earlier lines before those of this one.
    fn settle(&self, rows: Vec<Row>) -> Vec<Row> {
        let mut all =
            std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        all.extend(rows);
        all
    }

    /// Keeps the rows of a message that was not sent: a circuit's new state must not be lost
    /// because the log was slow.
    fn owe(&self, message: JournalMessage) {
        let JournalMessage::Entry(entry) = message else { return };
        let rows = entry.rows;
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        *owed = if rows.len() > MOST_OWED { rows::newest(rows) } else { rows };
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.end(None);
    }
}

#[cfg(test)]
mod tests;
