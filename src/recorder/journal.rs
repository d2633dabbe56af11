//! The thread that writes the health log.
//!
//! It takes what the handle queued, puts it into lines, appends a whole batch at once, tells those
//! who watch, and passes changed rows on to the store. After the first event of a batch it sleeps
//! a few milliseconds for company: one wake-up and one write then serve hundreds of lines.
//!
//! It never waits for the store, and nothing it meets on the disk ends it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use tokio::sync::broadcast;
use ulid::Ulid;

use super::event::Event;
use super::line::{Logged, Stamper};
use super::logfile::{LogFile, Lost};
use super::mailbox::Mailbox;
use super::rows::Row;
use super::status::Shared;
use crate::clock::Clock;
use crate::domain::time::Wall;

/// How long the first event of a batch waits for others.
const COMPANY: Duration = Duration::from_millis(3);
/// Lines are written when so many bytes of them have gathered.
const FULL: usize = 256 * 1024;

/// What the handle sends.
#[derive(Debug)]
pub(super) enum Message {
    /// Something happened.
    Entry(Box<Entry>),
    /// Write what is there, pass on these last rows, then end.
    Close(Vec<Row>),
}

/// One event and the rows it changed.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: Wall,
    pub(super) event: Event,
    pub(super) rows: Vec<Row>,
}

/// The journal thread's belongings.
pub(super) struct Journal {
    pub(super) queue: Receiver<Message>,
    pub(super) log: LogFile,
    pub(super) stamper: Stamper,
    pub(super) watchers: broadcast::Sender<Arc<Logged>>,
    pub(super) shared: Arc<Shared>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) clock: Clock,
}

/// Lines and rows on their way out.
#[derive(Default)]
struct Batch {
    first: Option<Wall>,
    text: Vec<u8>,
    lines: u64,
    rows: Vec<(Wall, Row)>,
    logged: Vec<Arc<Logged>>,
}

impl Journal {
    /// Works until it is told to close, or until nobody is left to tell it anything.
    pub(super) fn run(mut self) {
        let mut batch = Batch::default();
        while let Ok(message) = self.queue.recv() {
            let mut open = self.take(message, &mut batch);
            if open {
                thread::sleep(COMPANY);
                open = self.drain(&mut batch);
            }
            self.write(&mut batch);
            if !open {
                break;
            }
        }
        if let Err(why) = self.log.sync() {
            self.shared.log_failed(why);
        }
        self.mailbox.close();
    }

    /// Takes what is queued; false when that was all there will ever be.
    fn drain(&mut self, batch: &mut Batch) -> bool {
        loop {
            let message = match self.queue.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            if !self.take(message, batch) {
                return false;
            }
            if batch.text.len() >= FULL {
                self.write(batch);
            }
        }
    }

    /// Adds one message to the batch; false when it asks to close.
    fn take(&mut self, message: Message, batch: &mut Batch) -> bool {
        let Entry { at, event, rows } = match message {
            Message::Entry(entry) => *entry,
            Message::Close(rows) => {
                let now = self.clock.now().wall;
                batch.rows.extend(rows.into_iter().map(|row| (now, row)));
                return false;
            }
        };
        let stamp = self.stamper.stamp(at);
        if self.stamper.line(stamp, &event, &mut batch.text) {
            batch.first.get_or_insert(stamp);
            batch.lines += 1;
        } else {
            self.shared.dropped(1);
        }
        batch.rows.extend(rows.into_iter().map(|row| (at, row)));
        if self.watchers.receiver_count() > 0 {
            batch.logged.push(Arc::new(Logged { at: stamp, event }));
        }
        true
    }

    fn write(&mut self, batch: &mut Batch) {
        if let Some(first) = batch.first.take() {
            self.append(first, batch);
        }
        if !batch.rows.is_empty() {
            self.mailbox.post(batch.rows.drain(..));
        }
        for logged in batch.logged.drain(..) {
            // The last watcher may just have left.
            let _ = self.watchers.send(logged);
        }
        batch.text.clear();
        batch.lines = 0;
    }

    fn append(&mut self, first: Wall, batch: &Batch) {
        let mut head = Vec::with_capacity(128);
        let file = Ulid::from_parts(first.0, fastrand::u128(..)).to_string();
        self.stamper.file_line(first, &file, &mut head);
        match self.log.append(&head, &batch.text, self.clock.mono()) {
            Ok(()) => {
                self.shared.written(batch.lines);
                self.shared.log_works();
            }
            Err(Lost { lines, why, fresh }) => {
                self.shared.written(batch.lines - lines.min(batch.lines));
                self.shared.dropped(lines);
                if fresh {
                    self.shared.log_failed(why);
                }
            }
        }
    }
}
