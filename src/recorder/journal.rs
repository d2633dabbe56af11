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

use super::ack::{AckTicket, Waiters};
use super::costs::Question;
use super::line::{Logged, Stamper};
use super::logfile::{Header, LogFile, Lost};
use super::outages::{self, OutageEdge, OutageKey};
use super::queue::Queue;
use super::rows::Row;
use super::snapshot::CheckpointLine;
use super::start::Keeping;
use super::status::Shared;
use super::write_behind::{UnsavedChanges, WriteBehind};
use crate::clock::Clock;
use crate::domain::ledger;
use crate::domain::time::Wall;
use crate::protocol::log::Event;

/// Lines are written when so many bytes of them have gathered.
const FULL: usize = 256 * 1024;

/// What the handle sends.
#[derive(Debug)]
pub(super) enum JournalMessage {
    Entry(Box<LogEntry>),
    /// Somebody wants to know what the ledger says after all that came before.
    Ask(Question),
    /// The store has made a checkpoint that belongs into the log.
    Checkpoint(Vec<CheckpointLine>),
    /// Keep more or less from now on.
    Keep(Keeping),
    /// Write what is there, pass on these last rows, then end.
    Close(Vec<Row>),
}

/// One event and the rows it changed.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) at: Wall,
    pub(super) event: Event,
    pub(super) rows: Vec<Row>,
    /// Who waits for its line.
    pub(super) ticket: Option<AckTicket>,
}

/// The journal thread's belongings.
pub(super) struct Journal {
    pub(super) queue: Arc<Queue<JournalMessage>>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) log: LogFile,
    pub(super) stamper: Stamper,
    pub(super) watchers: broadcast::Sender<Arc<Logged>>,
    pub(super) shared: Arc<Shared>,
    pub(super) write_behind: Arc<WriteBehind>,
    pub(super) clock: Clock,
}

/// Sees to it that nothing waits for a thread that is gone, whichever way it went.
struct EndsQueue(Arc<Queue<JournalMessage>>);

impl Drop for EndsQueue {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

/// Lines and rows on their way out.
#[derive(Default)]
struct OutgoingLines {
    first: Option<Wall>,
    text: Vec<u8>,
    lines: u64,
    changes: UnsavedChanges,
    tickets: Vec<AckTicket>,
    logged: Vec<Arc<Logged>>,
}

impl Journal {
    /// Begins the first file, if there is none; true if that was done. From then on there is a
    /// place in the log that the database can name.
    pub(super) fn begin(&mut self, now: Wall) -> bool {
        let stamp = self.stamper.stamp(now);
        self.log.position().is_none() && self.append(stamp, &OutgoingLines::default())
    }

    /// Works until it is told to close, or until nobody is left to tell it anything.
    pub(super) fn run(mut self) {
        let ended = EndsQueue(Arc::clone(&self.queue));
        let mut outgoing = OutgoingLines::default();
        let mut taken = Vec::new();
        let mut open = true;
        while open {
            open = ended.0.take(&mut taken);
            for message in taken.drain(..) {
                self.take(message, &mut outgoing);
                if outgoing.text.len() >= FULL {
                    self.write(&mut outgoing);
                }
            }
            self.write(&mut outgoing);
        }
        if let Err(why) = self.log.sync() {
            self.shared.log_failed(why);
        }
        self.write_behind.close();
    }

    /// Adds one message to what is on its way out.
    fn take(&mut self, message: JournalMessage, outgoing: &mut OutgoingLines) {
        match message {
            JournalMessage::Entry(entry) => self.entry(*entry, outgoing),
            JournalMessage::Ask(question) => outgoing.changes.questions.push(question),
            JournalMessage::Checkpoint(parts) => {
                let stamp = self.stamper.stamp(self.clock.now().wall);
                for part in parts {
                    self.line(stamp, &part, outgoing);
                }
            }
            JournalMessage::Keep(keeping) => {
                self.log.keep(keeping.max_size, keeping.keep);
                outgoing.changes.keeping = Some(keeping);
            }
            JournalMessage::Close(rows) => {
                let stamp = self.stamper.stamp(self.clock.now().wall);
                outgoing.changes.rows.extend(rows.into_iter().map(|row| row.split(stamp)));
            }
        }
    }

    fn entry(&mut self, entry: LogEntry, outgoing: &mut OutgoingLines) {
        let LogEntry { at, event, rows, ticket } = entry;
        let stamp = self.stamper.stamp(at);
        self.line(stamp, &event, outgoing);
        match &event {
            Event::Call(call) => {
                let key = call.ledger_key();
                let sums = key.sums(&call.paid());
                ledger::add(&mut outgoing.changes.ledger, key, sums);
            }
            Event::Breaker(change) => {
                outgoing.changes.urgent = true;
                let edge = outages::edge(change.from, change.to, change.reason.clone());
                let key = OutageKey { at: stamp, model: change.model_name.clone() };
                outgoing.changes.rows.extend(edge.map(|edge| key.row(edge)));
            }
            // Whoever is gone, or new under an old name, has no open circuit any more.
            Event::Config(change) => {
                let gone = change.removed.iter().chain(&change.added).cloned();
                let ends = gone.map(|model| OutageKey { at: stamp, model }.row(OutageEdge::END));
                outgoing.changes.rows.extend(ends);
            }
            _ => {}
        }
        outgoing.changes.rows.extend(rows.into_iter().map(|row| row.split(stamp)));
        outgoing.tickets.extend(ticket);
        if self.watchers.receiver_count() > 0 {
            outgoing.logged.push(Arc::new(Logged { at: stamp, event }));
        }
    }

    fn line(&mut self, stamp: Wall, event: &impl Serialize, outgoing: &mut OutgoingLines) {
        if self.stamper.line(stamp, event, &mut outgoing.text) {
            outgoing.first.get_or_insert(stamp);
            outgoing.lines += 1;
        } else {
            self.shared.dropped(1);
        }
    }

    fn write(&mut self, outgoing: &mut OutgoingLines) {
        let mut changes = std::mem::take(&mut outgoing.changes);
        if let Some(first) = outgoing.first.take() {
            changes.begun = self.append(first, outgoing);
            if let Some((position, file)) = self.log.position() {
                (changes.reached, changes.files) = (Some(position), vec![file]);
            }
        }
        self.waiters.settle(&mut outgoing.tickets);
        self.write_behind.add(changes);
        for logged in outgoing.logged.drain(..) {
            // The last watcher may just have left.
            let _ = self.watchers.send(logged);
        }
        outgoing.text.clear();
        outgoing.lines = 0;
    }

    /// Writes the lines that are on their way out; true if that began a new file.
    fn append(&mut self, first: Wall, outgoing: &OutgoingLines) -> bool {
        let head = self.head(first);
        let written = self.log.append(&head, &outgoing.text, self.clock.mono());
        if let Some(what) = self.log.tampered() {
            self.shared.log_damaged(what);
        }
        match written {
            Ok(begun) => {
                self.shared.written(outgoing.lines);
                self.shared.log_works();
                begun
            }
            Err(Lost { lines, why, fresh }) => {
                self.shared.written(outgoing.lines - lines.min(outgoing.lines));
                self.shared.dropped(lines);
                if fresh {
                    self.shared.log_failed(why);
                }
                false
            }
        }
    }

    /// What a new file would begin with. Its name sorts behind those of all files before.
    fn head(&mut self, first: Wall) -> Header {
        let fresh = Ulid::from_parts(first.0, fastrand::u128(..));
        let last = self.log.position().and_then(|(last, _)| last.file.parse::<Ulid>().ok());
        let next = last.and_then(|last| last.increment().ok());
        let file: Arc<str> = next.map_or(fresh, |next| fresh.max(next)).to_string().into();
        let mut line = Vec::with_capacity(128);
        self.stamper.file_line(first, &file, &mut line);
        Header { file, line }
    }
}
