//! From what a wire format said to an [`Answer`], or to the failure it really is.
//!
//! The rules about empty, blocked, cut and malformed answers are the same for all providers, so
//! they stand here once; the wire formats only translate their words into [`End`].

use super::{Failure, Outcome};
use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};
use crate::protocol::chat::{FunctionCall, FunctionKind, ToolCall};

/// How a provider says that its answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The model was done, or asks for tools.
    Done,
    /// A token limit cut it.
    Length,
    /// Policy ended it.
    Refused,
    /// The provider calls its own model's output malformed.
    Glitch,
    /// Missing, or a word not known yet.
    Unknown,
}

/// What an answer is made of.
pub(super) struct Pieces {
    pub(super) text: String,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) end: End,
    pub(super) usage: Option<Usage>,
}

impl Pieces {
    pub(super) fn finish(mut self) -> Outcome {
        if self.end == End::Length {
            // The cut may go through the last call's arguments; half a call must not be made.
            self.tool_calls.retain(|call| is_json(&call.function.arguments));
        }
        let empty = self.text.is_empty() && self.tool_calls.is_empty();
        let finish = match self.end {
            End::Refused => return Ok(self.answer(Finish::Refused)),
            End::Length => return Ok(self.answer(Finish::Length)),
            End::Glitch => {
                return Err(self.fail(Fault::ModelGlitch, "the model's output was malformed"));
            }
            End::Done | End::Unknown if empty => {
                return Err(
                    self.fail(Fault::EmptyAnswer, "the answer has neither text nor tool calls")
                );
            }
            End::Done | End::Unknown if self.tool_calls.is_empty() => Finish::Stop,
            End::Done | End::Unknown => Finish::ToolCalls,
        };
        Ok(self.answer(finish))
    }

    fn answer(self, finish: Finish) -> Answer {
        let no_text = self.text.is_empty();
        let keeps_empty = finish == Finish::Length && self.tool_calls.is_empty();
        Answer {
            content: (!no_text || keeps_empty).then_some(self.text),
            tool_calls: self.tool_calls,
            finish,
            usage: self.usage,
        }
    }

    fn fail(&self, fault: Fault, message: &str) -> Failure {
        Failure { usage: self.usage, ..Failure::new(fault, message).with_status(200) }
    }
}

/// A body that is not what the wire format promises.
pub(super) fn bad_body(body: &[u8], why: &str) -> Failure {
    let head = String::from_utf8_lossy(&body[..body.len().min(64)]);
    let message = match (head.trim().is_empty(), super::errors::shape::is_html(&head)) {
        (true, _) => "the answer is empty".to_owned(),
        (false, true) => "the answer is an HTML page, not JSON; check base_url".to_owned(),
        (false, false) => format!("the answer is not what this API promises: {why}"),
    };
    Failure::new(Fault::BadBody, message).with_status(200)
}

/// A JSON reader's complaint as our own words: serde's would quote values of the body.
pub(super) fn why(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Data => "a field has an unexpected type",
        _ => "it is not JSON",
    };
    format!("{what} (line {} column {})", error.line(), error.column())
}

/// A call of a tool, with an id made up when the provider sent none.
pub(super) fn tool_call(id: Option<String>, name: String, arguments: String) -> ToolCall {
    let id = id.filter(|id| !id.is_empty()).unwrap_or_else(made_up_id);
    ToolCall {
        id,
        kind: FunctionKind::Function,
        function: FunctionCall { name, arguments },
        extra_content: None,
    }
}

fn made_up_id() -> String {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
    format!("call_{random}")
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, end: End) -> Pieces {
        Pieces { text: text.to_owned(), tool_calls: Vec::new(), end, usage: Some(Usage::default()) }
    }

    #[test]
    fn an_answer_without_anything_is_empty_unless_it_was_cut_or_refused() {
        let failure = pieces("", End::Done).finish().err().unwrap();
        assert_eq!((failure.fault, failure.usage), (Fault::EmptyAnswer, Some(Usage::default())));
        let cut = pieces("", End::Length).finish().ok().unwrap();
        assert_eq!((cut.content.as_deref(), cut.finish), (Some(""), Finish::Length));
        let refused = pieces("", End::Refused).finish().ok().unwrap();
        assert_eq!((refused.content, refused.finish), (None, Finish::Refused));
    }

    #[test]
    fn an_unknown_end_with_text_is_a_stop() {
        assert_eq!(pieces("x", End::Unknown).finish().ok().unwrap().finish, Finish::Stop);
    }

    #[test]
    fn a_glitch_keeps_its_usage() {
        let failure = pieces("half", End::Glitch).finish().err().unwrap();
        assert_eq!((failure.fault, failure.usage), (Fault::ModelGlitch, Some(Usage::default())));
    }

    #[test]
    fn a_tool_call_cut_in_its_arguments_is_left_out() {
        let mut cut = pieces("", End::Length);
        cut.tool_calls.push(tool_call(None, "a".into(), r#"{"x":1}"#.into()));
        cut.tool_calls.push(tool_call(None, "b".into(), r#"{"x":"#.into()));
        let answer = cut.finish().ok().unwrap();
        assert_eq!(answer.tool_calls.len(), 1);
        assert_eq!(
            (answer.tool_calls[0].function.name.as_str(), answer.finish),
            ("a", Finish::Length)
        );
    }

    #[test]
    fn made_up_ids_differ() {
        let id = || tool_call(Some(String::new()), String::new(), String::new()).id;
        assert!(id().starts_with("call_") && id() != id());
    }
}
