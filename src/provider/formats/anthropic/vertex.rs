//! Claude on Vertex AI: the same messages, with the model in the path and the version in the body.

use reqwest::Url;

use super::{Anthropic, body};
use crate::config::vertex::is_vertex;
use crate::provider::body::Asking;
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::pieces::Gathered;
use crate::provider::{Call, Failure};

/// The version of the API that Vertex AI speaks.
const VERSION: &str = "vertex-2023-10-16";

pub(in crate::provider::formats) struct OnVertex;

/// The version that a body must name; it then names no model.
pub(super) fn version(call: &Call<'_>) -> Option<&'static str> {
    is_vertex(&call.model.provider.base_url).then_some(VERSION)
}

impl Format for OnVertex {
    fn address(&self, url: &mut Url, model_id: &str, streams: bool) {
        let method = if streams { "streamRawPredict" } else { "rawPredict" };
        formats::append(url, &format!("/models/{model_id}:{method}"));
    }

    fn body(&self, call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
        body(call, asking)
    }

    fn answer(&self, body: &[u8], into: &mut Gathered) -> Result<(), Failure> {
        Anthropic.answer(body, into)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Anthropic.events()
    }
}
