//! The thread that writes the health log.
//!
//! It takes all that is queued, puts it into lines, appends them with one write, tells those who
//! wait for them and those who watch, and passes changed rows on to the store. What is queued
//! while it writes is the next batch, so it writes seldom when there is much to write, and at once
//! when somebody waits for a line.
//!
//! It never waits for the store, and nothing it meets on the disk ends it.

use std::sync::Arc;

use tokio::sync::broadcast;
use ulid::Ulid;

use super::ack::{Herd, Ticket};
use super::event::Event;
use super::line::{Logged, Stamper};
use super::logfile::{LogFile, Lost};
use super::mailbox::Mailbox;
use super::queue::Queue;
use super::rows::Row;
use super::status::Shared;
use crate::clock::Clock;
use crate::domain::time::Wall;

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
    /// Who waits for its line.
    pub(super) ticket: Option<Ticket>,
}

/// The journal thread's belongings.
pub(super) struct Journal {
    pub(super) queue: Arc<Queue<Message>>,
    pub(super) herd: Arc<Herd>,
    pub(super) log: LogFile,
    pub(super) stamper: Stamper,
    pub(super) watchers: broadcast::Sender<Arc<Logged>>,
    pub(super) shared: Arc<Shared>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) clock: Clock,
}

/// Sees to it that nothing waits for a thread that is gone, whichever way it went.
struct Ended(Arc<Queue<Message>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

/// Lines and rows on their way out.
#[derive(Default)]
struct Batch {
    first: Option<Wall>,
    text: Vec<u8>,
    lines: u64,
    rows: Vec<(Wall, Row)>,
    tickets: Vec<Ticket>,
    logged: Vec<Arc<Logged>>,
}

impl Journal {
    /// Works until it is told to close, or until nobody is left to tell it anything.
    pub(super) fn run(mut self) {
        let ended = Ended(Arc::clone(&self.queue));
        let mut batch = Batch::default();
        let mut taken = Vec::new();
        let mut open = true;
        while open {
            open = ended.0.take(&mut taken);
            for message in taken.drain(..) {
                self.take(message, &mut batch);
                if batch.text.len() >= FULL {
                    self.write(&mut batch);
                }
            }
            self.write(&mut batch);
        }
        if let Err(why) = self.log.sync() {
            self.shared.log_failed(why);
        }
        self.mailbox.close();
    }

    /// Adds one message to the batch.
    fn take(&mut self, message: Message, batch: &mut Batch) {
        let Entry { at, event, rows, ticket } = match message {
            Message::Entry(entry) => *entry,
            Message::Close(rows) => {
                let now = self.clock.now().wall;
                batch.rows.extend(rows.into_iter().map(|row| (now, row)));
                return;
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
        batch.tickets.extend(ticket);
        if self.watchers.receiver_count() > 0 {
            batch.logged.push(Arc::new(Logged { at: stamp, event }));
        }
    }

    fn write(&mut self, batch: &mut Batch) {
        if let Some(first) = batch.first.take() {
            self.append(first, batch);
        }
        self.herd.settle(&mut batch.tickets);
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
