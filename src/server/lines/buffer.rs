//! Cutting a stream of bytes into lines.
//!
//! A line that is too long is reported once and skipped to its end without being kept, so that the
//! connection can go on. Nothing here is asynchronous.

use bytes::{Buf, BytesMut};

/// Capacity above which an empty buffer is given back.
const KEEP: usize = 64 * 1024;

/// Bytes that have arrived and the lines in them.
pub(super) struct LineBuffer {
    bytes: BytesMut,
    /// How far has been searched for a newline.
    searched: usize,
    /// Whether the rest of an overlong line is being thrown away.
    skipping: bool,
    longest: usize,
}

/// What the buffer begins with.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// A line without its newline.
    Whole(BytesMut),
    /// A line longer than allowed; its bytes are gone.
    TooLong,
}

impl LineBuffer {
    pub(super) fn new(longest: usize) -> LineBuffer {
        LineBuffer { bytes: BytesMut::new(), searched: 0, skipping: false, longest }
    }

    /// Room for what arrives next.
    pub(super) fn space(&mut self) -> &mut BytesMut {
        self.bytes.reserve(8 * 1024);
        &mut self.bytes
    }

    /// The next line, if there is a whole one. Blank lines are passed over.
    pub(super) fn next(&mut self) -> Option<Line> {
        loop {
            let rest = &self.bytes[self.searched..];
            let Some(newline) = memchr::memchr(b'\n', rest) else { return self.unfinished() };
            let mut line = self.bytes.split_to(self.searched + newline);
            self.bytes.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if line.len() > self.longest {
                return Some(Line::TooLong);
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Line::Whole(line));
            }
        }
    }

    /// What is left when no more bytes will come: a last line without its newline.
    pub(super) fn last(&mut self) -> Option<Line> {
        if self.bytes.is_empty() || self.skipping {
            return None;
        }
        self.bytes.extend_from_slice(b"\n");
        self.next()
    }

    /// Throws away the line that has begun to arrive, up to its end.
    pub(super) fn skip(&mut self) {
        self.skipping = true;
        self.forget();
    }

    /// Whether a line has begun that has not ended.
    pub(super) fn has_begun(&self) -> bool {
        !self.bytes.is_empty() || self.skipping
    }

    /// The longest line there may be, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes of lines that are not complete, or wait to be taken.
    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }

    fn unfinished(&mut self) -> Option<Line> {
        self.searched = self.bytes.len();
        if self.skipping {
            self.forget();
        } else if self.bytes.len() > self.longest + 1 {
            // One more than allowed, for a `\r` that may precede the newline.
            self.skip();
            return Some(Line::TooLong);
        } else if self.bytes.is_empty() && self.bytes.capacity() > KEEP {
            self.bytes = BytesMut::new();
        }
        None
    }

    fn forget(&mut self) {
        self.bytes = BytesMut::new();
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests;
