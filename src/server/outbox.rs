//! Lines on their way to one client.
//!
//! Bytes wait here until the client takes them. When it takes none for too long it is dropped, so
//! what waits is bounded by its outstanding requests and by that time.

use std::io;

use bytes::{Buf, BytesMut};
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::READER_TIME;

/// Capacity above which an empty buffer is given back.
const KEEP: usize = 64 * 1024;
/// Waiting bytes above which nothing more is read from the client and watchers get nothing more.
const PLENTY: usize = 1 << 20;

/// Bytes that wait to be taken.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: BytesMut,
    /// When the client must have taken something.
    patience: Option<Instant>,
}

impl Outbox {
    /// Adds one line.
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
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.patience.get_or_insert_with(|| Instant::now() + READER_TIME);
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

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether so much waits that nothing more should be taken on.
    pub(super) fn is_plenty(&self) -> bool {
        self.bytes.len() > PLENTY
    }

    /// When the client must have taken something, if it keeps bytes waiting.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.patience
    }
}

struct Writer<'a>(&'a mut BytesMut);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
