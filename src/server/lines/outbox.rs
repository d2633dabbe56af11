//! Lines on their way to one client.
//!
//! Bytes wait here until the client takes them. When it takes none for too long it is dropped, so
//! what waits is bounded by its outstanding requests and by that time.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::actors::sink::{EventPermit, Told};
use crate::protocol::event::EventLine;
use crate::protocol::id::Id;
use crate::protocol::reply::{ErrorBody, ErrorReply};

/// Capacity above which an empty buffer is given back.
const KEEP: usize = 64 * 1024;
/// Waiting bytes above which nothing more is read from the client.
const PLENTY: usize = 1 << 20;
/// Waiting bytes above which no more events are told: about what a socket takes at once. A reply
/// stands behind these and what there is room for in events.
const BUSY: usize = 64 * 1024;

/// Bytes that wait to be taken.
pub(super) struct Outbox {
    bytes: BytesMut,
    /// How long a client may take no bytes.
    limit: Duration,
    /// When the client must have taken something.
    patience: Option<Instant>,
    /// Of events that were added although much waits already; given back when less does.
    slots: Vec<EventPermit>,
}

impl Outbox {
    /// An empty outbox for a client that may take no bytes for `limit`.
    pub(super) fn new(limit: Duration) -> Outbox {
        Outbox { bytes: BytesMut::new(), limit, patience: None, slots: Vec::new() }
    }

    /// Adds a value as a line of its own.
    pub(super) fn line(&mut self, value: &impl Serialize) {
        let before = self.bytes.len();
        let mut writer = Writer(&mut self.bytes);
        if serde_json::to_writer(&mut writer, value).is_err() {
            // Unreachable for our own types; if a value ever cannot be written, send no half of it.
            self.bytes.truncate(before);
            return;
        }
        self.bytes.extend_from_slice(b"\n");
    }

    /// Adds an event. While much waits, its slot is kept, and so nothing more is told.
    pub(super) fn event(&mut self, id: &Id, told: Told) {
        self.line(&EventLine { id, event: &told.event });
        if self.is_busy() {
            self.slots.push(told.slot);
        }
    }

    /// Adds an error, in reply to the request of this id.
    pub(super) fn error(&mut self, id: Id, error: ErrorBody) {
        self.line(&ErrorReply::new(id, error));
    }

    /// Adds bytes that are whole lines already.
    pub(super) fn raw(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }

    /// Gives the client what it takes now.
    pub(super) fn flush(&mut self, stream: &UnixStream) -> io::Result<()> {
        while !self.bytes.is_empty() {
            match stream.try_write(&self.bytes) {
                Ok(taken) => {
                    self.bytes.advance(taken);
                    self.patience = None;
                    if !self.is_busy() {
                        self.slots.clear();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.patience.get_or_insert_with(|| Instant::now() + self.limit);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if self.bytes.capacity() > KEEP {
            self.bytes = BytesMut::new();
        }
        Ok(())
    }

    /// Whether the client has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether so much waits that nothing more should be taken on.
    pub(super) fn is_plenty(&self) -> bool {
        self.bytes.len() > PLENTY
    }

    /// Whether so much waits that what is only news should wait elsewhere.
    pub(super) fn is_busy(&self) -> bool {
        self.bytes.len() > BUSY
    }

    /// When the client must have taken something, if it keeps bytes waiting.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.patience
    }
}

struct Writer<'a>(&'a mut BytesMut);

impl io::Write for Writer<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// The serialiser calls nothing else, once for every brace and comma.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
