//! How bodies are told apart and unpacked, and those that come in pieces cut into events:
//! server-sent events for most formats, Amazon's event stream for Bedrock. A format says which, and
//! reads the same [`RawEvent`]s from both.

pub(crate) mod eventstream;
pub(super) mod glued;
pub(super) mod layers;
pub(super) mod mend;
pub(super) mod sniff;
pub(super) mod sse;
pub(super) mod unpack;

/// How a format's streams are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// Lines of text with `data:` and `event:`.
    ServerSent,
    /// Binary messages with lengths and checksums, `application/vnd.amazon.eventstream`.
    EventStream,
}

/// One event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawEvent<'a> {
    /// From its `event:` line or its `:event-type`; empty without one.
    pub(super) name: &'a [u8],
    /// Its `data:` lines, joined by line feeds, or its payload; or JSON that stands there without a
    /// field.
    pub(super) data: &'a [u8],
    /// The data stand in no frame: they may be a whole answer or a whole error.
    pub(super) bare: bool,
    /// Its frame says that it is an exception, whatever the data say.
    pub(super) failed: bool,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingError {
    /// An event is larger than the limit.
    TooLarge,
    /// The frame itself is damaged; in our own words, what about it.
    Frame(&'static str),
}

/// Takes a stream apart, in either framing.
pub(super) enum Splitter {
    ServerSent(sse::Parser),
    EventStream(eventstream::Messages),
}

impl Splitter {
    /// A parser whose events hold at most `limit` bytes.
    pub(super) fn new(framing: Frames, limit: usize) -> Splitter {
        match framing {
            Frames::ServerSent => Splitter::ServerSent(sse::Parser::new(limit)),
            Frames::EventStream => Splitter::EventStream(eventstream::Messages::new(limit)),
        }
    }

    /// The next event that these bytes complete; they are moved past it. `None` means that all
    /// bytes were used and more are needed.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<RawEvent<'_>>, FramingError> {
        match self {
            Splitter::ServerSent(parser) => parser.next(bytes).map_err(|_| FramingError::TooLarge),
            Splitter::EventStream(parser) => parser.next(bytes),
        }
    }

    /// The event that the end of the body completes, if it does.
    pub(super) fn end(&mut self) -> Result<Option<RawEvent<'_>>, FramingError> {
        match self {
            Splitter::ServerSent(parser) => parser.end().map_err(|_| FramingError::TooLarge),
            Splitter::EventStream(parser) => Ok(parser.end()),
        }
    }
}
