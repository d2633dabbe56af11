//! How a simulated provider streams an answer, and how it fails while doing so.
//!
//! Counted in tokens (four characters of the answer), so that a test can say "cut after 40 of 60".
//! A call that did not ask for a stream gets what comes nearest to it in one piece: see
//! [`Flow::unstreamed`]. Nothing here knows a wire format.

use std::time::Duration;

use super::behaviour::{Behaviour, Meaning};

/// A stream and what goes wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// What is said; the usual answer without.
    pub text: Option<String>,
    /// How long after the headers the first token comes.
    pub first_after: Duration,
    /// Signs of life without content are sent this often until then.
    pub pings: Option<Duration>,
    /// The time between two tokens; with none, all goes out in one piece.
    pub pace: Duration,
    /// What happens after so many tokens.
    pub fate: Option<(usize, Fate)>,
    /// The format's end marker is left out.
    pub no_end: bool,
    /// The whole answer is sent as JSON, as if no stream had been asked for.
    pub plain: bool,
}

/// What ends a stream before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The body ends in good order, without a finish.
    Ends,
    /// The connection breaks, as when a process dies.
    Breaks,
    /// Nothing more is sent, and the connection stays open.
    Stalls,
    /// A line that is not JSON, then the rest as if nothing had been.
    Malformed,
    /// An error of this meaning, as an event.
    Fails(Meaning),
}

impl Flow {
    /// This text, which then breaks off.
    pub fn fated(text: impl Into<String>, after_tokens: usize, fate: Fate) -> Self {
        Self { text: Some(text.into()), fate: Some((after_tokens, fate)), ..Self::default() }
    }

    /// What ends the answer of a call that did not ask for a stream.
    pub(super) fn unstreamed(&self) -> Option<Fate> {
        self.fate.map(|(_, fate)| fate).filter(|_| !self.plain)
    }
}

impl From<Flow> for Behaviour {
    fn from(flow: Flow) -> Self {
        Self::Stream(Box::new(flow))
    }
}

/// One event on the wire.
#[derive(Debug, PartialEq)]
pub(super) enum WireEvent {
    /// It carries a token of the answer.
    Token(Vec<u8>),
    /// It is the format's end marker.
    End(Vec<u8>),
    Other(Vec<u8>),
}

/// The tokens of a text: four characters each.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(4).map(|token| token.iter().collect()).collect()
}
