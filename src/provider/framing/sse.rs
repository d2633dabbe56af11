//! Server-sent events, as much of them as streams of answers use.
//!
//! Bytes go in as they come from the network, cut anywhere; events come out one at a time. A
//! parser of our own and not a library's, because three things are wanted that none offers
//! together: a bound on what one event may hold, lines of bare JSON beside the fields (errors are
//! sent so), and no copy into text before JSON is read. Names of fields other than `data` and
//! `event` are passed over, comments are dropped byte by byte and cost no memory.
//!
//! Some servers forget the blank line between two events, or send a line of bare JSON for each. So an
//! object also ends where the next one, or the end mark, begins on a line of its own; no JSON text
//! goes on like that. Nothing here knows what an event means.

pub(in crate::provider) use super::RawEvent;

/// Longest `event:` name that is kept; longer ones are nobody's.
const NAME_BYTES: usize = 64;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// An event is larger than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::provider) struct TooLarge;

/// Takes a stream of events apart.
pub(in crate::provider) struct Parser {
    /// The line under way, as far as it matters.
    line: Vec<u8>,
    /// The line under way is a comment: its bytes are dropped.
    comment: bool,
    /// Nothing came before the line under way.
    first: bool,
    /// The last line ended with a carriage return; a line feed next belongs to it.
    after_cr: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    bare: bool,
    /// The event in `name` and `data` has been handed out.
    taken: bool,
    /// The line under way is complete, and begins the next event.
    waiting: bool,
    limit: usize,
}

impl Parser {
    /// A parser whose events hold at most `limit` bytes, and so do its lines.
    pub(in crate::provider) fn new(limit: usize) -> Parser {
        Parser {
            line: Vec::new(),
            comment: false,
            first: true,
            after_cr: false,
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            bare: false,
            taken: false,
            waiting: false,
            limit,
        }
    }

    /// The next event that these bytes complete; they are moved past it. `None` means that all
    /// bytes were used and more are needed.
    pub(in crate::provider) fn next(
        &mut self,
        bytes: &mut &[u8],
    ) -> Result<Option<RawEvent<'_>>, TooLarge> {
        self.forget_taken();
        if std::mem::take(&mut self.waiting) && self.line_ends()? {
            return Ok(Some(self.hand_out()));
        }
        while let Some(&head) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && head == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.gather(part)?;
            if end.is_none() {
                *bytes = rest;
                return Ok(None);
            }
            self.after_cr = rest[0] == b'\r';
            *bytes = &rest[1..];
            if self.line_ends()? {
                return Ok(Some(self.hand_out()));
            }
        }
        Ok(None)
    }

    /// The last events, one after the other, where the stream ended without a blank line.
    pub(in crate::provider) fn end(&mut self) -> Result<Option<RawEvent<'_>>, TooLarge> {
        self.forget_taken();
        self.waiting = false;
        let complete = self.line_ends()? || self.has_data;
        Ok(complete.then(|| self.hand_out()))
    }

    fn hand_out(&mut self) -> RawEvent<'_> {
        self.taken = true;
        RawEvent { name: &self.name, data: &self.data, bare: self.bare, failed: false }
    }

    fn forget_taken(&mut self) {
        if std::mem::take(&mut self.taken) {
            self.name.clear();
            self.data.clear();
            self.has_data = false;
            self.bare = false;
        }
    }

    /// Keeps a part of the line under way.
    fn gather(&mut self, part: &[u8]) -> Result<(), TooLarge> {
        if self.comment {
            return Ok(());
        }
        if self.line.is_empty() && part.first() == Some(&b':') {
            self.comment = true;
            return Ok(());
        }
        if self.line.len() + part.len() > self.limit {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Uses a complete line; true when it completes an event.
    fn line_ends(&mut self) -> Result<bool, TooLarge> {
        let comment = std::mem::take(&mut self.comment);
        let mut line = std::mem::take(&mut self.line);
        let first = std::mem::take(&mut self.first);
        let text = match line.strip_prefix(&BOM) {
            Some(rest) if first => rest,
            _ => &line,
        };
        let complete = match (comment, text.is_empty()) {
            (true, _) => false,
            (false, true) => {
                if !self.has_data {
                    self.name.clear();
                }
                self.has_data
            }
            (false, false) if self.begins_next(text) => {
                self.waiting = true;
                true
            }
            (false, false) => {
                self.field(text)?;
                self.bare && self.data.len() == text.len() && is_object(text)
            }
        };
        if self.waiting {
            self.line = line;
            return Ok(true);
        }
        line.clear();
        self.line = line;
        Ok(complete)
    }

    /// Whether a line begins an event while the one before it is whole, without a blank line between.
    fn begins_next(&self, line: &[u8]) -> bool {
        if !self.has_data || !is_braced(self.data.trim_ascii()) {
            return false;
        }
        if line.starts_with(b"event:") {
            // Otherwise it is the late name of this event.
            return !self.name.is_empty();
        }
        let value = line.strip_prefix(b"data:").unwrap_or(line).trim_ascii_start();
        value.starts_with(b"{") || value.starts_with(b"[DONE]")
    }

    fn field(&mut self, line: &[u8]) -> Result<(), TooLarge> {
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.add(value),
            b"event" => {
                self.name.clear();
                if value.len() <= NAME_BYTES {
                    self.name.extend_from_slice(value);
                }
                Ok(())
            }
            b"id" | b"retry" => Ok(()),
            // JSON may be broken over many lines; those behind its first one look like anything.
            _ if self.bare || matches!(line[0], b'{' | b'[') => {
                self.bare = true;
                self.add(line)
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, value: &[u8]) -> Result<(), TooLarge> {
        if self.data.len() + value.len() >= self.limit {
            return Err(TooLarge);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }
}

fn is_braced(text: &[u8]) -> bool {
    text.starts_with(b"{") && text.ends_with(b"}")
}

/// Whether a line is a JSON object from its beginning to its end.
fn is_object(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    is_braced(line) && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests;
