//! Calls to providers: what is sent, what comes back, and which fault a failure is.
//!
//! Each wire format is a folder of pure mapping functions behind one trait; [`http`] alone touches
//! the network. What follows from a fault is none of this folder's business: that is the table in
//! [`crate::domain::fault`].

pub(crate) mod aws;
mod body;
mod clients;
mod errors;
mod finish;
#[cfg(test)]
mod fixtures;
mod formats;
pub(crate) mod framing;
mod gather;
mod history;
pub mod http;
mod keys;
mod learned;
mod lenient;
mod lesson;
mod loose;
mod parts;
mod patience;
mod pieces;
mod prepare;
mod program;
mod receive;
mod resolve;
mod returned;
mod reuse;
mod schema;
mod sign;
mod source;
mod thoughts;
mod tool_calls;
mod turns;
mod usage;
mod whole;

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;

use errors::shape::ErrorDetails;

use crate::config::Model;
use crate::domain::fault::Fault;
use crate::domain::pace::Limits;
use crate::domain::price::Usage;
use crate::protocol::answer::Answer;
use crate::protocol::chat::ChatRequest;

/// One call to one model.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The model that is to answer.
    pub model: &'a Model,
    /// The caller's request, as it came from the socket.
    pub request: &'a ChatRequest,
    /// Most tokens of the answer, already lowered to what the model gives; `None` for as many as it
    /// gives by itself.
    pub max_tokens: Option<u32>,
    /// Sampling temperature; `None` for the model's own, and for models that refuse one.
    pub temperature: Option<f64>,
    /// When to give up.
    pub limits: Limits,
}

/// What comes of a call, in order. It has no `Debug`: its text must not reach a log.
pub enum Step {
    /// Content that is not text: reasoning, or a part of a tool call. Told at least once.
    Life,
    /// The next piece of the text, never empty. All of them together are the answer's content.
    Text(String),
    /// The end: exactly once, and last.
    End(CallResult),
}

/// A call that gave no answer. Nothing in it is secret: see [`Failure::message`].
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which kind of failure it is.
    pub fault: Fault,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's own code, of `[a-z0-9_.-]{1,64}`; the only provider text that logs may hold.
    pub code: Option<String>,
    /// For the caller: at most 300 characters, no control characters, keys masked.
    pub message: String,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// What the provider says about trying again, over the table's own word.
    pub should_retry: Option<bool>,
    /// What the failed call consumed, where the provider says so.
    /// In a box, since few failures have it and all are passed on.
    pub usage: Option<Box<Usage>>,
    /// Whether a fault that blocks its model is beyond doubt: the provider's own code names it, or we
    /// know it ourselves. A bare status or a web page may be about this one request.
    pub certain: bool,
    /// All that the provider said, as long as the call may still be made in another way.
    pub(crate) told: Option<Box<ErrorDetails>>,
}

/// The result of a call.
pub type CallResult = Result<Answer, Failure>;

/// A call under way. The provider is read no faster than somebody asks for the next step, and the
/// time between two such questions is nobody's silence. Dropping it closes its connection.
pub type Steps<'a> = Pin<Box<dyn Stream<Item = Step> + 'a>>;

/// Whoever can call a model: the network, or a script in a test.
pub trait Provider {
    /// Makes one call. It ends within the call's limits.
    fn call<'a>(&'a self, call: Call<'a>) -> Steps<'a>;

    /// What was found out about a model that asks to be called in another way, for people.
    fn learned(&self, _model: &str) -> Vec<String> {
        Vec::new()
    }
}

impl Failure {
    /// A failure without anything from a provider's answer. The message is our own words.
    pub fn new(fault: Fault, message: impl Into<String>) -> Failure {
        Failure {
            fault,
            status: None,
            code: None,
            message: message.into(),
            retry_after: None,
            should_retry: None,
            usage: None,
            certain: true,
            told: None,
        }
    }

    /// The same with the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Failure {
        self.status = Some(status);
        self
    }
}
