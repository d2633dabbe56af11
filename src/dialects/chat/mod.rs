//! OpenAI's Chat Completions: what most programs speak.
//!
//! Our own request is the same form with a few additions, so a body is read by the same rules as
//! a line; what is left is naming the differences.

pub(super) mod answer;
pub(super) mod request;
pub(super) mod stream;

use crate::protocol::answer::Finish;

/// Why an answer ended, in the dialect's words.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Refused => "content_filter",
    }
}

/// The name of an answer, made of its request's.
fn completion_id(request_id: &str) -> String {
    format!("chatcmpl-{request_id}")
}
