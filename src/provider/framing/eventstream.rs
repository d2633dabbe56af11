//! Amazon's event stream, `application/vnd.amazon.eventstream`: binary messages, one per event.
//!
//! A message is its total length, the length of its headers and a checksum of these two; then
//! headers, payload, and a checksum of all. Both checksums are looked at, lengths are believed only
//! within the limit, and a message that is wrong in any way ends the stream: nothing says where the
//! next would begin. Own code and not Amazon's crate, which would bring ten others for one page.
//!
//! Nothing here knows what an event means. JSON that stands there without any frame, as a gateway's
//! error does, is handed out at the end as it is.

use std::ops::Range;

use super::{FramingError, RawEvent};

/// The two lengths and their checksum.
const PRELUDE: usize = 12;

/// A message without headers and payload.
const SHORTEST: usize = PRELUDE + CHECKSUM;

const CHECKSUM: usize = 4;

/// The only type of header that names events: a text with a length of two bytes.
const TEXT: u8 = 7;

/// Takes a stream of messages apart.
pub(in crate::provider) struct Messages {
    /// The message under way; behind the first `{`, all of it.
    message: Vec<u8>,
    /// What an exception without a payload says.
    said: Vec<u8>,
    /// Whether the body is no stream of messages but a text.
    plain: Option<bool>,
    /// The message has been handed out.
    taken: bool,
    limit: usize,
}

/// What a message's headers say about it.
#[derive(Default)]
struct About {
    name: Range<usize>,
    /// The words for people of an `error`, which has no payload.
    words: Option<Range<usize>>,
    failed: bool,
}

impl Messages {
    /// A parser whose messages have at most `limit` bytes.
    pub(in crate::provider) fn new(limit: usize) -> Messages {
        Messages { message: Vec::new(), said: Vec::new(), plain: None, taken: false, limit }
    }

    /// The next event that these bytes complete; they are moved past it.
    pub(in crate::provider) fn next(
        &mut self,
        bytes: &mut &[u8],
    ) -> Result<Option<RawEvent<'_>>, FramingError> {
        if std::mem::take(&mut self.taken) {
            self.message.clear();
        }
        if self.is_plain(bytes) {
            if self.message.len() + bytes.len() > self.limit {
                return Err(FramingError::TooLarge);
            }
            self.message.extend_from_slice(std::mem::take(bytes));
            return Ok(None);
        }
        if !self.fill(PRELUDE, bytes) {
            return Ok(None);
        }
        let total = self.total()?;
        if !self.fill(total, bytes) {
            return Ok(None);
        }
        self.hand_out().map(Some)
    }

    /// A body without frames, whole.
    pub(in crate::provider) fn end(&mut self) -> Option<RawEvent<'_>> {
        let is_whole = self.plain == Some(true) && !std::mem::replace(&mut self.taken, true);
        is_whole.then_some(RawEvent { name: b"", data: &self.message, bare: true, failed: false })
    }

    /// A message begins with its length, whose first byte would say that it has a gigabyte.
    fn is_plain(&mut self, bytes: &[u8]) -> bool {
        let Some(first) = bytes.first() else { return false };
        *self.plain.get_or_insert(*first == b'{')
    }

    /// Takes what is missing to so many bytes; whether they are there.
    fn fill(&mut self, to: usize, bytes: &mut &[u8]) -> bool {
        let missing = to.saturating_sub(self.message.len());
        let (part, rest) = bytes.split_at(missing.min(bytes.len()));
        self.message.extend_from_slice(part);
        *bytes = rest;
        self.message.len() >= to
    }

    /// The length of the message, from a prelude that is right.
    fn total(&self) -> Result<usize, FramingError> {
        if number(&self.message, 8) != crc32fast::hash(&self.message[..8]) {
            return Err(FramingError::Frame("the checksum of a message's lengths is wrong"));
        }
        let (total, headers) =
            (number(&self.message, 0) as usize, number(&self.message, 4) as usize);
        if total > self.limit {
            return Err(FramingError::TooLarge);
        }
        match total.checked_sub(SHORTEST) {
            Some(room) if headers <= room => Ok(total),
            _ => Err(FramingError::Frame("the lengths of a message do not fit")),
        }
    }

    fn hand_out(&mut self) -> Result<RawEvent<'_>, FramingError> {
        let end = self.message.len() - CHECKSUM;
        if number(&self.message, end) != crc32fast::hash(&self.message[..end]) {
            return Err(FramingError::Frame("the checksum of a message is wrong"));
        }
        let payload = PRELUDE + number(&self.message, 4) as usize;
        let about = About::read(&self.message, PRELUDE..payload)
            .ok_or(FramingError::Frame("the headers of a message cannot be read"))?;
        self.taken = true;
        let mut data = &self.message[payload..end];
        if let Some(words) = about.words.filter(|_| data.is_empty()) {
            let words = String::from_utf8_lossy(&self.message[words]);
            self.said = serde_json::json!({ "message": words }).to_string().into_bytes();
            data = &self.said;
        }
        let name = &self.message[about.name];
        Ok(RawEvent { name, data, bare: false, failed: about.failed })
    }
}

impl About {
    /// Reads the headers in this part of a message; `None` when they do not fit into it.
    fn read(message: &[u8], part: Range<usize>) -> Option<About> {
        let (mut about, mut at) = (About::default(), part.start);
        while at < part.end {
            let name = at + 1..at + 1 + usize::from(*message.get(at)?);
            let kind = *message.get(name.end)?;
            let value = value(message, kind, name.end + 1)?;
            at = value.end;
            if at > part.end {
                return None;
            }
            if kind == TEXT {
                about.take(message, &message[name], value);
            }
        }
        Some(about)
    }

    fn take(&mut self, message: &[u8], header: &[u8], value: Range<usize>) {
        match header {
            b":message-type" => self.failed = &message[value] != b"event",
            b":event-type" | b":exception-type" | b":error-code" => self.name = value,
            b":error-message" => self.words = Some(value),
            _ => {}
        }
    }
}

/// Where the value of a header of this type stands.
fn value(message: &[u8], kind: u8, at: usize) -> Option<Range<usize>> {
    let fixed = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | TEXT => {
            let length = message.get(at..at + 2)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            return Some(at + 2..at + 2 + length);
        }
        _ => return None,
    };
    Some(at..at + fixed)
}

/// The number of four bytes at this place, which the caller knows to be there.
fn number(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(four)
}

/// Writes a message: an `event` or an `exception` of this name with this JSON. For the simulated
/// service, and for tests.
pub(crate) fn message(kind: &str, name: &str, payload: &str) -> Vec<u8> {
    let named = if kind == "event" { ":event-type" } else { ":exception-type" };
    let headers = [(named, name), (":content-type", "application/json"), (":message-type", kind)];
    let mut written = Vec::new();
    for (name, value) in headers {
        // All of these are names of a few letters.
        written.push(name.len() as u8);
        written.extend_from_slice(name.as_bytes());
        written.push(TEXT);
        written.extend_from_slice(&(value.len() as u16).to_be_bytes());
        written.extend_from_slice(value.as_bytes());
    }
    let total = SHORTEST + written.len() + payload.len();
    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&(total as u32).to_be_bytes());
    message.extend_from_slice(&(written.len() as u32).to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&written);
    message.extend_from_slice(payload.as_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message
}

#[cfg(test)]
mod tests;
