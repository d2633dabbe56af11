//! How programs of other protocols write requests and read answers: pure mapping, one folder for
//! each dialect.
//!
//! A body becomes a [`ChatRequest`], an [`Answered`] becomes a body, the events of a stream become
//! the dialect's own. Nothing here knows of connections or models; which way a request takes is
//! decided where every request's way is.

mod body;
mod chat;
mod errors;
mod responses;
mod sse;

use std::rc::Rc;

use crate::protocol::chat::{ChatRequest, ToolCall};
use crate::protocol::event::Speaker;
use crate::protocol::reply::{Answered, ErrorBody};

pub(crate) use errors::{ErrorForm, Refused, is_hopeless, status};
pub(crate) use responses::Echo;
pub(crate) use sse::Sse;

/// A dialect of HTTP that programs speak with models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpDialect {
    /// OpenAI's Chat Completions, which most speak.
    Chat,
    /// OpenAI's Responses, without anything kept.
    Responses,
}

/// What a body asks for.
#[derive(Debug)]
pub(crate) struct RequestRead {
    pub(crate) request: Box<ChatRequest>,
    /// Whether a stream ends with what was consumed.
    pub(crate) tells_usage: bool,
    /// BodyFields that only providers of the dialect's own kind are given.
    pub(crate) for_own_kind: Vec<String>,
    /// What no provider is given.
    pub(crate) dropped: Vec<String>,
    /// What the answer says again of the request.
    pub(crate) echo: Rc<Echo>,
}

/// A complete answer and what its request goes by.
pub(crate) struct Given<'a> {
    pub(crate) answered: &'a Answered,
    pub(crate) request_id: &'a str,
    /// When it was given, in seconds of Unix time.
    pub(crate) unix_time: u64,
    pub(crate) echo: &'a Echo,
}

/// Writes one stream in its dialect, from the first word to the end.
pub(crate) trait EventWriter {
    /// The first words follow.
    fn begin(&mut self, speaker: &Speaker, out: &mut Sse);
    /// More text, never empty.
    fn text(&mut self, text: &str, out: &mut Sse);
    /// A whole tool call.
    fn tool_call(&mut self, call: &ToolCall, out: &mut Sse);
    /// The answer is complete.
    fn end(&mut self, answered: &Answered, out: &mut Sse);
    /// There is no rest of it. The stream must be cut behind this, or programs take it for whole.
    fn fail(&mut self, error: &ErrorBody, out: &mut Sse);
    /// Nothing has come for a while.
    fn alive(&self, out: &mut Sse);
}

impl HttpDialect {
    /// Reads a request's body.
    ///
    /// # Errors
    /// When it is not JSON, or asks for what cannot be given.
    pub(crate) fn read(self, body: &[u8]) -> Result<RequestRead, ErrorBody> {
        match self {
            HttpDialect::Chat => chat::request::read(body),
            HttpDialect::Responses => responses::read(body),
        }
    }

    /// The body of a complete answer.
    pub(crate) fn answer(self, given: &Given<'_>) -> String {
        match self {
            HttpDialect::Chat => chat::answer::whole(given),
            HttpDialect::Responses => responses::whole(given),
        }
    }

    /// What writes a stream that begins at this second of Unix time.
    pub(crate) fn writer(
        self,
        tells_usage: bool,
        unix_time: u64,
        echo: Rc<Echo>,
    ) -> Box<dyn EventWriter> {
        match self {
            HttpDialect::Chat => Box::new(chat::stream::ChunkWriter::new(tells_usage, unix_time)),
            HttpDialect::Responses => Box::new(responses::ResponseWriter::new(unix_time, echo)),
        }
    }

    /// How its programs read errors.
    pub(crate) fn errors(self) -> ErrorForm {
        match self {
            HttpDialect::Chat | HttpDialect::Responses => ErrorForm::OpenAi,
        }
    }

    /// The kind of providers that speak this dialect themselves.
    pub(crate) fn own_kind(self) -> &'static str {
        match self {
            HttpDialect::Chat | HttpDialect::Responses => "openai",
        }
    }
}
