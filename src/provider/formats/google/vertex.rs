//! Gemini on Vertex AI: the same bodies, whose calls of functions have no ids.

use super::contents::{ContentTurn, WirePart};
use crate::config::vertex::is_vertex;
use crate::provider::Call;

/// Takes the ids away that Gemini's own API gives to calls: Vertex AI refuses a body with one.
/// Calls and results belong together by their names and their order.
pub(super) fn fit<'a>(mut turns: Vec<ContentTurn<'a>>, call: &Call<'_>) -> Vec<ContentTurn<'a>> {
    if !is_vertex(&call.model.provider.base_url) {
        return turns;
    }
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match part {
            WirePart::Call { function_call, .. } => function_call.id = None,
            WirePart::Response { function_response } => function_response.id = None,
            WirePart::Text { .. } | WirePart::Inline { .. } => {}
        }
    }
    turns
}
