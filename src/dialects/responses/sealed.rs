//! What a provider wants back of an answer, in the one field that programs of this dialect hand
//! back unread: `encrypted_content` of a reasoning item.
//!
//! Nothing is encrypted: whoever asks could send the same in a line of our own. The field of
//! another server is not ours to read and stays unread. Without it a model that has thought before
//! it called a tool would have to forget its thoughts, and some providers refuse that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::chat::ToolCall;
use crate::protocol::provider_data::ProviderData;
use crate::protocol::reply::Answered;

/// What our own begins with; its number changes with its form.
const OURS: &str = "fallbackd.1.";

/// What travels back unread.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// Of the whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider_data: Option<ProviderData>,
    /// Of single calls, by their ids.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    calls: Map<String, Value>,
}

impl Sealed {
    /// What is sealed in here, if it is ours.
    pub(super) fn open(content: &str) -> Option<Sealed> {
        let bytes = STANDARD.decode(content.strip_prefix(OURS)?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Gives a call what belongs to it.
    pub(super) fn give_back(&mut self, call: &mut ToolCall) {
        if let Some(extra) = self.calls.remove(&call.id) {
            call.extra_content = Some(extra);
        }
    }

    /// Takes over what another one holds.
    pub(super) fn take(&mut self, other: Sealed) {
        self.provider_data = other.provider_data.or(self.provider_data.take());
        self.calls.extend(other.calls);
    }
}

/// What goes back of this answer, if anything does.
pub(super) fn seal(answered: &Answered) -> Option<String> {
    let calls = answered.tool_calls.iter().flatten();
    let extras = calls.filter_map(|call| Some((call.id.clone(), call.extra_content.clone()?)));
    let sealed = Sealed { provider_data: answered.provider_data.clone(), calls: extras.collect() };
    if sealed.provider_data.is_none() && sealed.calls.is_empty() {
        return None;
    }
    // Our own types can always be written.
    let bytes = serde_json::to_vec(&sealed).unwrap_or_default();
    Some(format!("{OURS}{}", STANDARD.encode(bytes)))
}
