//! The wire formats, one folder each, and what a wire format is: everything that differs from one kind of provider to another.
//!
//! Pure mapping, no network: an address, headers, a body out; an answer or an event in. How an
//! answer is read within its limits, how errors are recognised and what they mean is the same for all.

mod anthropic;
mod bedrock;
mod google;
mod openai;

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::body::Asking;
use super::framing::Frames;
use super::framing::RawEvent;
use super::pieces::Gathered;
use super::{Call, Failure};
use crate::config::Kind;
use crate::config::vertex::is_vertex;

/// A wire format's own part in a call.
pub(super) trait Format: Sync {
    /// Puts the path of a call to this model behind the path of the base URL that is in `url`.
    fn address(&self, url: &mut Url, model_id: &str, streams: bool);

    /// Adds the headers that every request of this format has, keys aside.
    fn headers(&self, _headers: &mut HeaderMap) {}

    /// The body of a request.
    ///
    /// # Errors
    /// When this format cannot say what the request asks for.
    fn body(&self, call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure>;

    /// Puts what a whole 2xx body says into what was gathered so far, and its finish with it.
    ///
    /// # Errors
    /// When it tells of a failure, or is not of this format.
    fn answer(&self, body: &[u8], into: &mut Gathered) -> Result<(), Failure>;

    /// How a stream of this format is cut into events.
    fn framing(&self) -> Frames {
        Frames::ServerSent
    }

    /// A reader for the events of one stream.
    fn events(&self) -> Box<dyn ReadEvents>;
}

/// Reads the events of one stream, one after the other.
pub(super) trait ReadEvents {
    /// Puts what an event says into what was gathered so far.
    ///
    /// # Errors
    /// When it tells of a failure, or cannot be read.
    fn take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure>;
}

/// The format that a kind of provider speaks: the one place that tells them apart.
pub(super) fn of(kind: Kind) -> &'static dyn Format {
    match kind {
        Kind::OpenAi => &openai::OpenAi,
        Kind::Anthropic => &anthropic::Anthropic,
        Kind::Google => &google::Google,
        Kind::Bedrock => &bedrock::Bedrock,
    }
}

/// The format that is spoken at an address. Vertex AI serves the formats of others in its own way.
pub(super) fn at(kind: Kind, base_url: &str) -> &'static dyn Format {
    match kind {
        Kind::Anthropic if is_vertex(base_url) => &anthropic::OnVertex,
        kind => of(kind),
    }
}

/// Puts a path behind the one that `url` has.
pub(super) fn append(url: &mut Url, path: &str) {
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}{path}"));
}

#[cfg(test)]
mod tests;
