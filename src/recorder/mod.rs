//! The health log, the database, and recovery.
//!
//! The rest of the program holds a [`Recorder`] and tells it what happened; it never waits and
//! never fails. Behind it two plain threads work, because disks block: `journal` appends lines to
//! the health log, `store` keeps rows in the database, so that an fsync never delays a line. A
//! failing disk costs lines and rows, which are counted in [`Status`], never an answer.
//!
//! ```text
//! record ─▶ queue ─▶ journal ─▶ health.jsonl          (line, logfile)
//!                       │  └──▶ those who watch
//!                       └─▶ mailbox ─▶ store ─▶ sled   (rows, retention, database)
//! ```
//!
//! Nothing here decides about models, and no event has a field for a key or a message.

mod database;
pub mod event;
mod journal;
pub mod line;
mod logfile;
mod mailbox;
mod restore;
mod retention;
mod rows;
mod start;
mod status;
mod store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::broadcast;

use self::event::Event;
use self::journal::{Entry, Message};
use self::line::Logged;
use self::status::Shared;
use crate::domain::time::Wall;

pub use self::restore::{Restored, RestoredModel};
pub use self::rows::{ModelKey, Row};
pub use self::start::{Settings, StartError};
pub use self::status::{Status, StoreState};

/// Time between two tries to tell a busy journal thread to close.
const POLL: Duration = Duration::from_millis(1);
/// Rows kept back while the queue is full, beyond which superseded ones are thrown out.
const MOST_OWED: usize = 4096;

/// The handle; clones share everything.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: SyncSender<Message>,
    watchers: broadcast::Sender<Arc<Logged>>,
    shared: Arc<Shared>,
    /// Rows whose line found the queue full; they go with the next one that does not.
    owed: Mutex<Vec<Row>>,
    owes: AtomicBool,
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
    pub fn record(&self, at: Wall, event: Event, rows: impl IntoIterator<Item = Row>) {
        let mut rows: Vec<Row> = rows.into_iter().collect();
        if self.0.owes.load(Ordering::Relaxed) {
            rows = self.0.settle(rows);
        }
        match self.0.queue.try_send(Message::Entry(Box::new(Entry { at, event, rows }))) {
            Ok(()) => {}
            Err(TrySendError::Full(message)) => {
                self.0.shared.dropped(1);
                self.0.owe(message);
            }
            Err(TrySendError::Disconnected(_)) => self.0.shared.dropped(1),
        }
    }

    /// Everything that is logged from now on. A reader that lags loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Logged>> {
        self.0.watchers.subscribe()
    }

    /// How the recorder is doing.
    pub fn status(&self) -> Status {
        self.0.shared.status()
    }

    /// Writes and syncs everything recorded so far and ends both threads; false when that took
    /// longer than `limit` and was left to itself.
    ///
    /// Blocks. What other clones record afterwards is dropped.
    pub fn close(self, limit: Duration) -> bool {
        let threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return true };
        let tries = limit.as_millis() / POLL.as_millis();
        for _ in 0..=tries {
            match self.0.queue.try_send(Message::Close(self.0.settle(Vec::new()))) {
                Err(TrySendError::Full(message)) => self.0.owe(message),
                Ok(()) | Err(TrySendError::Disconnected(_)) => break,
            }
            thread::sleep(POLL);
        }
        // The store drops its end when it is done, and it ends after the journal.
        match threads.done.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                threads.handles.into_iter().all(|handle| handle.join().is_ok())
            }
        }
    }
}

impl Inner {
    /// Puts the rows of earlier lines before those of this one.
    fn settle(&self, rows: Vec<Row>) -> Vec<Row> {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        self.owes.store(false, Ordering::Relaxed);
        let mut all = std::mem::take(&mut *owed);
        all.extend(rows);
        all
    }

    /// Keeps the rows of a message that was not sent: a circuit's new state must not be lost
    /// because the log was slow.
    fn owe(&self, message: Message) {
        let rows = match message {
            Message::Entry(entry) => entry.rows,
            Message::Close(rows) => rows,
        };
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        *owed = if rows.len() > MOST_OWED { rows::newest(rows) } else { rows };
        self.owes.store(!owed.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
