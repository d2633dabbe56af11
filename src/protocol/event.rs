//! What a caller hears of an answer under way, before its reply.
//!
//! The texts of all `delta` since the last `restart` together are the `content` of the reply. A
//! caller that ignores every event misses nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chat::ToolCall;
use super::id::Id;
use super::reply::Attempt;
use crate::domain::fault::Fault;

/// News of one request. It has no `Debug`: its text must not reach a log.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StreamEvent {
    /// The first content follows; told once, before everything else.
    Start {
        /// The model that gives the answer.
        model_used: Arc<str>,
        /// The rest about it, for fronts that tell it in headers; no part of a line.
        #[serde(skip)]
        #[schemars(skip)]
        speaker: Option<Box<Speaker>>,
    },
    /// More text, never empty.
    Delta {
        /// The text that is new.
        content: String,
    },
    /// A complete tool call of a complete answer.
    ToolCall {
        /// The call, with all its arguments.
        tool_call: ToolCall,
    },
    /// All text so far is void.
    Restart {
        /// The model that answers instead.
        model_used: Arc<str>,
        /// What became of the stream that delivered it.
        reason: Fault,
    },
}

/// Who speaks in a stream, as far as it is known at the first word.
#[derive(Clone)]
pub struct Speaker {
    /// The daemon's own name for the request.
    pub request_id: Arc<str>,
    /// The chain that is used.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// Who serves the model that speaks.
    pub provider: Arc<str>,
    /// Its name there.
    pub model_id: String,
    /// Models tried and failed before.
    pub fallback_count: u32,
    /// Whom was left out and what was tried, the call under way at the end.
    pub attempts: Vec<Attempt>,
}

/// An event as a line of its own.
#[derive(Serialize, schemars::JsonSchema)]
pub struct EventLine<'a> {
    /// The client's id of the request.
    pub id: &'a Id,
    /// What happened to the answer.
    #[serde(flatten)]
    pub event: &'a StreamEvent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_with_their_requests_id() {
        let line = |event: StreamEvent| {
            serde_json::to_string(&EventLine { id: &Id::Number(7), event: &event }).unwrap()
        };
        let model_used: Arc<str> = "gpt-4o".into();
        assert_eq!(
            line(StreamEvent::Start { model_used: model_used.clone(), speaker: None }),
            r#"{"id":7,"event":"start","model_used":"gpt-4o"}"#
        );
        assert_eq!(
            line(StreamEvent::Delta { content: "Hel\n".to_owned() }),
            r#"{"id":7,"event":"delta","content":"Hel\n"}"#
        );
        assert_eq!(
            line(StreamEvent::Restart { model_used, reason: Fault::StreamCut }),
            r#"{"id":7,"event":"restart","model_used":"gpt-4o","reason":"stream_cut"}"#
        );
        let tool_call = serde_json::from_str(
            r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}"#,
        )
        .unwrap();
        assert_eq!(
            line(StreamEvent::ToolCall { tool_call }),
            r#"{"id":7,"event":"tool_call","tool_call":{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}}"#
        );
    }
}
