//! The thread that writes the health log.
//!
//! It takes all that is queued, puts it into lines, appends them with one write, tells those who
//! wait for them and those who watch, and passes changed rows on to the store. What is queued
//! while it writes is the next batch, so it writes seldom when there is much to write, and at once
//! when somebody waits for a line.
//!
//! It never waits for the store, and nothing it meets on the disk ends it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::broadcast;
use ulid::Ulid;

use super::ack::{Herd, Ticket};
use super::costs::Question;
use super::line::{Logged, Stamper};
use super::logfile::{Head, LogFile, Lost};
use super::mailbox::{Mailbox, Parcel};
use super::outages::{self, Edge, OutageKey};
use super::queue::Queue;
use super::rows::Row;
use super::snapshot::Snapshot;
use super::start::Keeping;
use super::status::Shared;
use crate::clock::Clock;
use crate::domain::time::Wall;
use crate::protocol::log::Event;

/// Lines are written when so many bytes of them have gathered.
const FULL: usize = 256 * 1024;

/// What the handle sends.
#[derive(Debug)]
pub(super) enum Message {
    /// Something happened.
    Entry(Box<Entry>),
    /// Somebody wants to know what the ledger says after all that came before.
    Ask(Question),
    /// The store has made a checkpoint that belongs into the log.
    Checkpoint(Vec<Snapshot>),
    /// Keep more or less from now on.
    Keep(Keeping),
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
    parcel: Parcel,
    tickets: Vec<Ticket>,
    logged: Vec<Arc<Logged>>,
}

impl Journal {
    /// Begins the first file, if there is none; true if that was done. From then on there is a
    /// place in the log that the database can name.
    pub(super) fn begin(&mut self, now: Wall) -> bool {
        let stamp = self.stamper.stamp(now);
        self.log.position().is_none() && self.append(stamp, &Batch::default())
    }

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
        match message {
            Message::Entry(entry) => self.entry(*entry, batch),
            Message::Ask(question) => batch.parcel.questions.push(question),
            Message::Checkpoint(parts) => {
                let stamp = self.stamper.stamp(self.clock.now().wall);
                for part in parts {
                    self.line(stamp, &part, batch);
                }
            }
            Message::Keep(keeping) => {
                self.log.keep(keeping.max_size, keeping.keep);
                batch.parcel.keeping = Some(keeping);
            }
            Message::Close(rows) => {
                let stamp = self.stamper.stamp(self.clock.now().wall);
                batch.parcel.rows.extend(rows.into_iter().map(|row| (stamp, row)));
            }
        }
    }

    fn entry(&mut self, entry: Entry, batch: &mut Batch) {
        let Entry { at, event, rows, ticket } = entry;
        let stamp = self.stamper.stamp(at);
        self.line(stamp, &event, batch);
        match &event {
            Event::Call(call) => {
                let key = call.ledger_key();
                let sums = key.sums(&call.paid());
                batch.parcel.ledger.push((key, sums));
            }
            Event::Breaker(change) => {
                batch.parcel.urgent = true;
                let edge = outages::edge(change.from, change.to, change.reason.clone());
                let key = OutageKey { at: stamp, model: change.model_name.clone() };
                batch.parcel.outages.extend(edge.map(|edge| (key, edge)));
            }
            // Whoever is gone, or new under an old name, has no open circuit any more.
            Event::Config(change) => {
                let gone = change.removed.iter().chain(&change.added).cloned();
                batch.parcel.outages.extend(gone.map(|model| {
                    let end = Edge { open: false, reason: String::new() };
                    (OutageKey { at: stamp, model }, end)
                }));
            }
            _ => {}
        }
        batch.parcel.rows.extend(rows.into_iter().map(|row| (stamp, row)));
        batch.tickets.extend(ticket);
        if self.watchers.receiver_count() > 0 {
            batch.logged.push(Arc::new(Logged { at: stamp, event }));
        }
    }

    fn line(&mut self, stamp: Wall, event: &impl Serialize, batch: &mut Batch) {
        if self.stamper.line(stamp, event, &mut batch.text) {
            batch.first.get_or_insert(stamp);
            batch.lines += 1;
        } else {
            self.shared.dropped(1);
        }
    }

    fn write(&mut self, batch: &mut Batch) {
        if let Some(first) = batch.first.take() {
            batch.parcel.begun |= self.append(first, batch);
            batch.parcel.reached = self.log.position();
        }
        self.herd.settle(&mut batch.tickets);
        self.mailbox.post(&mut batch.parcel);
        for logged in batch.logged.drain(..) {
            // The last watcher may just have left.
            let _ = self.watchers.send(logged);
        }
        batch.text.clear();
        batch.lines = 0;
    }

    /// Writes the lines of a batch; true if that began a new file.
    fn append(&mut self, first: Wall, batch: &Batch) -> bool {
        let head = self.head(first);
        let written = self.log.append(&head, &batch.text, self.clock.mono());
        if let Some(what) = self.log.tampered() {
            self.shared.log_damaged(what);
        }
        match written {
            Ok(begun) => {
                self.shared.written(batch.lines);
                self.shared.log_works();
                begun
            }
            Err(Lost { lines, why, fresh }) => {
                self.shared.written(batch.lines - lines.min(batch.lines));
                self.shared.dropped(lines);
                if fresh {
                    self.shared.log_failed(why);
                }
                false
            }
        }
    }

    /// What a new file would begin with. Its name sorts behind those of all files before.
    fn head(&mut self, first: Wall) -> Head {
        let fresh = Ulid::from_parts(first.0, fastrand::u128(..));
        let last = self.log.position().and_then(|(last, _)| last.file.parse::<Ulid>().ok());
        let next = last.and_then(|last| last.increment().ok());
        let file: Arc<str> = next.map_or(fresh, |next| fresh.max(next)).to_string().into();
        let mut line = Vec::with_capacity(128);
        self.stamper.file_line(first, &file, &mut line);
        Head { file, line }
    }
}
