//! What an answer says again of its request: the dialect's programs expect its settings in every
//! object, and a function under the namespace that it was offered in.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::tools::FunctionHome;
use crate::dialects::body::is_null;

/// Longest value that is said again: a stream says all of it three times.
const LONGEST: usize = 64 * 1024;

/// What one request's answer says again. Other dialects have none of it.
#[derive(Default)]
pub(crate) struct Echo {
    pub(super) settings: Map<String, Value>,
    homes: Vec<FunctionHome>,
}

/// Instructions and tools are nothing for a log.
impl fmt::Debug for Echo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Echo").finish_non_exhaustive()
    }
}

impl Echo {
    /// The echo of a body with these fields.
    pub(super) fn of(fields: &[(Cow<'_, str>, &RawValue)], homes: Vec<FunctionHome>) -> Echo {
        let mut settings = defaults();
        for (name, value) in fields {
            let Some(setting) = settings.get_mut(&**name) else { continue };
            let is_said = !is_null(value) && value.get().len() <= LONGEST;
            // Read and not copied: the body may be written on many lines, and an event is on one.
            if let Some(given) = is_said.then(|| serde_json::from_str(value.get()).ok()).flatten() {
                *setting = given;
            }
        }
        // Nothing is kept, whatever was asked for.
        settings.insert("store".to_owned(), Value::Bool(false));
        Echo { settings, homes }
    }

    /// Where the function of this name was taken from, if from a namespace.
    pub(super) fn home(&self, offered: &str) -> Option<&FunctionHome> {
        self.homes.iter().find(|home| home.offered == offered)
    }
}

/// The settings that are told, as they are where a request says nothing.
fn defaults() -> Map<String, Value> {
    let settings = [
        ("background", json!(false)),
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("temperature", Value::Null),
        ("text", json!({"format": {"type": "text"}})),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_p", Value::Null),
        ("truncation", json!("disabled")),
        ("user", Value::Null),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
