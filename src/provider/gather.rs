//! A stream of an answer being read: bytes in, news and in the end an [`Outcome`](super::Outcome) out.
//!
//! The provider's format reads each event; what it says is put together in [`super::pieces`].
//!
//! Pure: no clock, no network, no waiting. How long a stream may be silent is [`super::receive`]'s.

use std::rc::Rc;

use super::Failure;
use super::errors::redact::Secrets;
use super::formats::{Format, ReadEvents};
use super::framing::{Event, Splitter};
use super::pieces::Gathered;
use crate::domain::fault::Fault;

/// A stream, as far as it was read.
pub(super) struct Stream {
    parser: Splitter,
    events: Box<dyn ReadEvents>,
    pub(super) gathered: Gathered,
}

impl Stream {
    /// A stream of this format, of which at most `limit` bytes are kept. An event is at most as
    /// large as that.
    pub(super) fn new(format: &dyn Format, limit: usize, secrets: &Rc<Secrets>) -> Stream {
        let (events, gathered) = (format.events(), Gathered::new(limit, secrets));
        Stream { parser: Splitter::new(format.framing(), limit), events, gathered }
    }

    /// Takes what came from the network. A failure ends the stream.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        let Stream { parser, events, gathered } = self;
        loop {
            let event = parser.next(&mut bytes).map_err(|broken| gathered.unreadable(broken))?;
            let Some(event) = event.filter(|_| !gathered.over) else { return Ok(()) };
            take(&mut **events, event, gathered)?;
        }
    }

    /// Takes an event that the end of the body completed. One that cannot be read was cut through
    /// and is not held against the rest.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        let Stream { parser, events, gathered } = self;
        let Ok(Some(event)) = parser.end() else { return Ok(()) };
        if gathered.over {
            return Ok(());
        }
        match take(&mut **events, event, gathered) {
            Err(failure) if failure.fault != Fault::BadBody => Err(failure),
            _ => Ok(()),
        }
    }
}

fn take(events: &mut dyn ReadEvents, event: Event<'_>, into: &mut Gathered) -> Result<(), Failure> {
    match event.data.trim_ascii() {
        b"" if !event.failed => Ok(()),
        b"[DONE]" => {
            into.over = true;
            Ok(())
        }
        _ => events.take(event, into),
    }
}

#[cfg(test)]
pub(super) mod tests;
