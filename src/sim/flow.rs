//! How a simulated provider streams an answer, and how it fails while doing so.
//!
//! Counted in tokens (four characters of the answer), so that a test can say "cut after 40 of 60".
//! A call that did not ask for a stream gets what comes nearest to it in one piece: see
//! [`Flow::unstreamed`]. Nothing here knows a wire format.

use std::time::Duration;

use super::behaviour::{Behaviour, Meaning};

/// A stream and what goes wrong with it.
#[derive(Clone, Debug, PartialEq)]
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
    /// The connection breaks.
    Breaks,
    /// Nothing more is sent, and the connection stays open.
    Stalls,
    /// A line that is not JSON, then the rest as if nothing had been.
    Malformed,
    /// An error of this meaning, as an event.
    Fails(Meaning),
}

impl Flow {
    /// A good stream of the usual answer.
    pub fn new() -> Self {
        Self {
            text: None,
            first_after: Duration::ZERO,
            pings: None,
            pace: Duration::ZERO,
            fate: None,
            no_end: false,
            plain: false,
        }
    }

    /// This text, which then breaks off.
    pub fn fated(text: impl Into<String>, after_tokens: usize, fate: Fate) -> Self {
        Self { text: Some(text.into()), fate: Some((after_tokens, fate)), ..Self::new() }
    }

    /// What a call gets that did not ask for a stream.
    pub(super) fn unstreamed(&self) -> Unstreamed {
        match self.fate {
            _ if self.plain => Unstreamed::Whole,
            Some((_, Fate::Ends | Fate::Breaks | Fate::Malformed)) => Unstreamed::Half,
            Some((_, Fate::Stalls)) => Unstreamed::Hang,
            Some((_, Fate::Fails(meaning))) => Unstreamed::Error(meaning),
            None => Unstreamed::Whole,
        }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Flow> for Behaviour {
    fn from(flow: Flow) -> Self {
        Self::Stream(Box::new(flow))
    }
}

/// The same in one piece.
pub(super) enum Unstreamed {
    Whole,
    Half,
    Hang,
    Error(Meaning),
}

/// One event on the wire.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    pub(super) text: String,
    /// It carries a token of the answer.
    pub(super) token: bool,
    /// It is the format's end marker.
    pub(super) end: bool,
}

impl Item {
    pub(super) fn other(text: String) -> Self {
        Self { text, token: false, end: false }
    }

    pub(super) fn token(text: String) -> Self {
        Self { text, token: true, end: false }
    }

    pub(super) fn end(text: String) -> Self {
        Self { text, token: false, end: true }
    }
}

/// The tokens of a text: four characters each.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(4).map(|token| token.iter().collect()).collect()
}
