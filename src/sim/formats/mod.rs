//! The wire formats that can be served, one folder each.

mod anthropic;
mod google;
mod openai;

use super::format::Format;
use crate::config::Kind;

/// The format that a kind of provider serves: the one place that tells them apart.
pub(super) fn of(kind: Kind) -> &'static dyn Format {
    match kind {
        Kind::OpenAi => &openai::OpenAi,
        Kind::Anthropic => &anthropic::Anthropic,
        Kind::Google => &google::Google,
    }
}
