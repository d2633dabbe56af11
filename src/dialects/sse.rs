//! Server-sent events on their way to a program.

use std::io;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

/// Events that wait to be sent.
#[derive(Default)]
pub(crate) struct Sse {
    bytes: BytesMut,
}

impl Sse {
    /// An event without a name.
    pub(crate) fn data(&mut self, value: &impl Serialize) {
        self.bytes.extend_from_slice(b"data: ");
        self.json(value);
        self.bytes.extend_from_slice(b"\n\n");
    }

    /// An event without a name whose JSON is written already, on one line.
    pub(crate) fn raw_data(&mut self, json: &str) {
        self.lines(&["data: ", json, "\n\n"]);
    }

    /// An event of this name, which the dialect's programs look at.
    pub(crate) fn named(&mut self, name: &str, value: &impl Serialize) {
        self.lines(&["event: ", name, "\n"]);
        self.data(value);
    }

    /// The word that ends a stream of Chat Completions.
    pub(crate) fn done(&mut self) {
        self.lines(&["data: [DONE]\n\n"]);
    }

    /// A comment, which programs ignore.
    pub(crate) fn comment(&mut self, text: &str) {
        self.lines(&[": ", text, "\n\n"]);
    }

    fn lines(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
    }

    /// JSON text has no line breaks of its own, so it fits into one `data` line.
    fn json(&mut self, value: &impl Serialize) {
        let before = self.bytes.len();
        let written = serde_json::to_writer(SseWriter(&mut self.bytes), value);
        if written.is_err() {
            // Our own types can always be written; half of one would be worse than none.
            self.bytes.truncate(before);
        }
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All that waits, which is then gone.
    pub(crate) fn take(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }
}

struct SseWriter<'a>(&'a mut BytesMut);

impl io::Write for SseWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
