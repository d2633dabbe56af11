//! A stream of an answer being read: bytes in, news and in the end an [`CallResult`] out.
//!
//! Events are handed to the provider's format by [`super::lenient`]; what they say is put together in
//! [`super::pieces`].
//!
//! Pure: no clock, no network, no waiting. How long a stream may be silent is [`super::receive`]'s.

use std::rc::Rc;

use super::errors::redact::Secrets;
use super::formats::Format;
use super::framing::Splitter;
use super::lenient::Lenient;
use super::pieces::{AnswerEnd, Gathered};
use super::{CallResult, Failure};
use crate::domain::fault::Fault;

/// A stream, as far as it was read.
pub(super) struct Stream {
    parser: Splitter,
    events: Lenient,
    pub(super) gathered: Gathered,
    /// Its proper end finishes an answer that has no finish value.
    end_finishes: bool,
    /// The body came to its proper end.
    closed: bool,
}

impl Stream {
    /// A stream of this format, of which at most `limit` bytes are kept. An event is at most as
    /// large as that.
    pub(super) fn new(format: &dyn Format, limit: usize, secrets: &Rc<Secrets>) -> Stream {
        Stream {
            parser: Splitter::new(format.framing(), limit),
            events: Lenient::new(format),
            gathered: Gathered::new(limit, secrets),
            end_finishes: false,
            closed: false,
        }
    }

    /// The same for a server that sends no finish values.
    pub(super) fn with_end_that_finishes(mut self, end_finishes: bool) -> Stream {
        self.end_finishes = end_finishes;
        self
    }

    /// Takes what came from the network. A failure ends the stream.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        let Stream { parser, events, gathered, .. } = self;
        loop {
            let event = match parser.next(&mut bytes) {
                Ok(event) => event,
                Err(broken) if gathered.finish.is_none() => {
                    return Err(gathered.unreadable(broken));
                }
                // What comes unreadable after a complete answer takes nothing from it.
                Err(_) => {
                    gathered.over = true;
                    return Ok(());
                }
            };
            let Some(event) = event.filter(|_| !gathered.over) else { return Ok(()) };
            events.take(event, gathered)?;
        }
    }

    /// Takes an event that the end of the body completed. One that cannot be read was cut through
    /// and is not held against the rest.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        let Stream { parser, events, gathered, .. } = self;
        self.closed = true;
        let mut taken = Ok(());
        while let Ok(Some(event)) = parser.end() {
            if gathered.over {
                return Ok(());
            }
            taken = taken.and_then(|()| events.take(event, gathered));
        }
        match taken.and_then(|()| events.end(gathered)) {
            Err(failure) if failure.fault != Fault::BadBody => Err(failure),
            _ => Ok(()),
        }
    }

    /// What has become of it, now that nothing follows.
    pub(super) fn outcome(mut self) -> CallResult {
        if let Some(objection) = self.events.objection(&self.gathered) {
            return Err(objection);
        }
        let has_ended = self.closed || self.gathered.over;
        if self.end_finishes && has_ended && self.gathered.is_usable() {
            self.gathered.finish.get_or_insert(AnswerEnd::Done);
        }
        self.gathered.outcome()
    }
}

#[cfg(test)]
pub(super) mod tests;
