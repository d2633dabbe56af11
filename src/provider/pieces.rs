//! An answer being put together from what a wire format says, and what becomes of it: an [`Answer`],
//! or the failure it really is.
//!
//! What is the same for all formats, in one piece or as a stream, stands here once: fragments of
//! tool calls, the bound on what is kept, and the rules about empty, blocked, cut and malformed
//! answers; the formats only translate their words into [`AnswerEnd`]. A streamed answer is
//! complete only when its provider said so with the format's own finish value. `[DONE]`, an orderly
//! end of the body or a pause prove nothing.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

use super::errors::classify;
use super::errors::redact::Secrets;
pub(super) use super::finish::AnswerEnd;
use super::framing::FramingError;
pub(super) use super::lenient::whole;
use super::thoughts::{ShownThoughts, Thoughts};
use super::tool_calls::{self, Fragment, PartialCall, retold};
use super::{CallResult, Failure};
use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};

/// Most tool calls of one answer. APIs take 128 tools at most; every fragment looks through them.
pub(super) const MOST_CALLS: usize = 512;

/// The name under which blocks of thoughts go back.
pub(super) const KEPT_BLOCKS: &str = "blocks";

/// What a tool call costs of the bound beside its texts.
const CALL_BYTES: usize = 64;

/// What has come of an answer.
pub(super) struct Gathered {
    text: String,
    /// How much of `text` was given out as news.
    told: usize,
    life: bool,
    calls: Vec<PartialCall>,
    thoughts: Thoughts,
    refused: bool,
    /// The provider's finish value; usage may still follow.
    pub(super) finish: Option<AnswerEnd>,
    /// The newest numbers that the provider told.
    pub(super) usage: Option<Usage>,
    /// Nothing of use can follow.
    pub(super) over: bool,
    /// There is more than may be kept.
    pub(super) full: bool,
    room: usize,
    limit: usize,
    secrets: Rc<Secrets>,
}

/// What is new since the last look.
pub(super) struct FreshContent {
    /// More text, never empty.
    pub(super) text: Option<String>,
    /// Content that is not text.
    pub(super) life: bool,
}

impl Gathered {
    /// Nothing so far, of which at most `limit` bytes will be kept.
    pub(super) fn new(limit: usize, secrets: &Rc<Secrets>) -> Gathered {
        Gathered {
            text: String::new(),
            told: 0,
            life: false,
            calls: Vec::new(),
            thoughts: Thoughts::default(),
            refused: false,
            finish: None,
            usage: None,
            over: false,
            full: false,
            room: limit,
            limit,
            secrets: Rc::clone(secrets),
        }
    }

    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.make_room(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    /// More of what the model shows of its thoughts.
    pub(super) fn think(&mut self, text: &str) -> Result<(), Failure> {
        if !text.is_empty() {
            self.live();
        }
        self.make_room(text.len())?;
        self.thoughts.say(text);
        Ok(())
    }

    /// Thoughts to be kept for their provider that take about so many bytes.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<&mut Thoughts, Failure> {
        self.make_room(bytes)?;
        Ok(&mut self.thoughts)
    }

    /// Notes content that is not text and is not kept.
    pub(super) fn live(&mut self) {
        self.life = true;
    }

    /// What is said is a refusal, whatever the finish value will be.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether nothing of the answer has come.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.calls.is_empty()
    }

    /// Whether something has come that is an answer, if nothing follows: half a call must not be made.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_empty()
            && self
                .calls
                .iter()
                .all(|call| call.arguments.trim().is_empty() || is_json(call.arguments.as_bytes()))
    }

    /// Whether a text is more of this one, and not this one as a whole.
    pub(super) fn is_continued_by(&self, text: &str) -> bool {
        let (known, text) = (self.text.trim(), text.trim());
        !known.is_empty() && !text.starts_with(known)
    }

    /// Whether there is no text so far.
    pub(super) fn is_silent(&self) -> bool {
        self.text.is_empty()
    }

    /// A piece of a tool call.
    pub(super) fn call(&mut self, piece: Fragment<'_>) -> Result<(), Failure> {
        self.live();
        self.make_room(piece.bytes())?;
        if let Some(call) = tool_calls::owner(&mut self.calls, &piece) {
            call.add(piece);
            return Ok(());
        }
        self.begin_call(piece)
    }

    fn begin_call(&mut self, piece: Fragment<'_>) -> Result<(), Failure> {
        if self.calls.len() == MOST_CALLS {
            self.full = true;
            let what = format!("the answer calls more than {MOST_CALLS} tools");
            return Err(self.fail(Failure::new(Fault::BadBody, what)));
        }
        self.make_room(CALL_BYTES)?;
        let mut call = PartialCall::new(piece.key);
        call.add(piece);
        self.calls.push(call);
        Ok(())
    }

    /// All of the thoughts' text, of which pieces may have come before.
    pub(super) fn think_whole(&mut self, text: &str) -> Result<(), Failure> {
        let rest = retold::rest(self.thoughts.text(), text);
        self.think(rest)
    }

    /// Whether blocks of thoughts were kept.
    pub(super) fn has_thought_blocks(&self) -> bool {
        self.thoughts.has_blocks()
    }

    /// The whole text, of which pieces may have come before.
    pub(super) fn say_whole(&mut self, text: &str) -> Result<(), Failure> {
        self.say(retold::rest(&self.text, text))
    }

    /// All tool calls, of which some, or pieces of some, may have come before.
    pub(super) fn call_whole(&mut self, told: Vec<Fragment<'_>>) -> Result<(), Failure> {
        let known = retold::known(&self.calls, &told);
        for (piece, known) in told.into_iter().zip(known) {
            self.live();
            self.make_room(piece.bytes())?;
            match known {
                Some(known) => self.calls[known].complete(piece),
                None => self.begin_call(piece)?,
            }
        }
        Ok(())
    }

    /// Whether a tool call with this key has begun.
    pub(super) fn has_call(&self, key: u64) -> bool {
        self.calls.iter().any(|call| call.key == Some(key))
    }

    /// How many tool calls there are.
    pub(super) fn calls(&self) -> u64 {
        self.calls.len() as u64
    }

    /// What came since the last call of this.
    pub(super) fn news(&mut self) -> FreshContent {
        let text = &self.text[self.told..];
        let text = (!text.is_empty()).then(|| text.to_owned());
        self.told = self.text.len();
        FreshContent { text, life: std::mem::take(&mut self.life) }
    }

    /// Reads data that should be JSON of this shape.
    pub(super) fn read<'a, T: Deserialize<'a>>(&self, data: &'a [u8]) -> Result<T, Failure> {
        serde_json::from_slice(data).map_err(|error| self.fail(bad_body(data, &why(&error))))
    }

    /// The failure that an error within a 200 tells of: the value of its `error`. A request that
    /// was good enough for a part of its answer is no invalid one.
    pub(super) fn failed(&self, error: &Value) -> Failure {
        let mut failure = classify::in_success(error, &self.secrets);
        if !self.is_empty() && blames_the_request(failure.fault) {
            failure.fault = Fault::StreamCut;
        }
        self.fail(failure)
    }

    /// A failure with what this answer has consumed.
    fn fail(&self, failure: Failure) -> Failure {
        Failure { usage: self.usage.map(Box::new).or(failure.usage), ..failure }.with_status(200)
    }

    /// What it means that a stream's framing cannot be read on.
    pub(super) fn unreadable(&self, broken: FramingError) -> Failure {
        match broken {
            FramingError::TooLarge => self.too_large(),
            FramingError::Frame(why) => self.fail(bad_body(b"{", why)),
        }
    }

    fn too_large(&self) -> Failure {
        self.fail(too_large(self.limit))
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), Failure> {
        self.full |= bytes > self.room;
        self.room = self.room.checked_sub(bytes).ok_or_else(|| self.too_large())?;
        Ok(())
    }

    /// The answer; or that it was cut, when its finish value never came.
    pub(super) fn outcome(mut self) -> CallResult {
        let Some(end) = self.finish else {
            let what = "the stream ended before the answer was finished";
            return Err(self.fail(Failure::new(Fault::StreamCut, what)));
        };
        let end = if self.refused { AnswerEnd::Refused } else { end };
        let mut calls = std::mem::take(&mut self.calls);
        if end == AnswerEnd::Length {
            calls.retain(|call| !call.name.is_empty());
        } else if calls.iter().any(|call| call.name.is_empty()) {
            return Err(self.fail(bad_body(b"{", "a tool call has no name")));
        }
        let mut tool_calls = tool_calls::finished(calls);
        if end == AnswerEnd::Length {
            // The cut may go through the last call's arguments; half a call must not be made.
            tool_calls.retain(|call| is_json(call.function.arguments.as_bytes()));
        }
        let finish = match end {
            AnswerEnd::Refused => Finish::Refused,
            AnswerEnd::Length => Finish::Length,
            AnswerEnd::Glitch => {
                let what = "the model's output was malformed";
                return Err(self.fail(Failure::new(Fault::ModelGlitch, what)));
            }
            AnswerEnd::Cut => {
                let what = "the provider says that it broke the answer off";
                return Err(self.fail(Failure::new(Fault::StreamCut, what)));
            }
            AnswerEnd::Done | AnswerEnd::Unknown if !tool_calls.is_empty() => Finish::ToolCalls,
            AnswerEnd::Done | AnswerEnd::Unknown if !self.text.is_empty() => Finish::Stop,
            AnswerEnd::Done | AnswerEnd::Unknown => {
                let what = "the answer has neither text nor tool calls";
                return Err(self.fail(Failure::new(Fault::EmptyAnswer, what)));
            }
        };
        let keeps_empty = finish == Finish::Length && tool_calls.is_empty();
        let content = (!self.text.is_empty() || keeps_empty).then_some(self.text);
        let ShownThoughts { text, kept } = self.thoughts.into_parts(KEPT_BLOCKS);
        let (reasoning_content, provider_data, usage) = (text, kept, self.usage);
        Ok(Answer { content, tool_calls, reasoning_content, provider_data, finish, usage })
    }
}

/// Faults of the request or of who asks, none of which an answer can have that has begun.
fn blames_the_request(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::InvalidRequest
            | Fault::UnsupportedParam
            | Fault::TooLarge
            | Fault::Auth
            | Fault::ModelNotFound
            | Fault::BadEndpoint
    )
}

/// A body that is not what the wire format promises.
pub(super) fn bad_body(body: &[u8], why: &str) -> Failure {
    let head = String::from_utf8_lossy(&body[..body.len().min(64)]);
    let message = match (head.trim().is_empty(), super::errors::page::is_html(&head)) {
        (true, _) => "the answer is empty".to_owned(),
        (false, true) => "the answer is an HTML page, not JSON; check base_url".to_owned(),
        (false, false) => format!("the answer is not what this API promises: {why}"),
    };
    Failure::new(Fault::BadBody, message).with_status(200)
}

/// A JSON reader's complaint as our own words: serde's would quote values of the body.
fn why(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Data => "a field has an unexpected type",
        _ => "it is not JSON",
    };
    format!("{what} (line {} column {})", error.line(), error.column())
}

/// An answer above `limits.response_bytes`.
pub(super) fn too_large(limit: usize) -> Failure {
    let what = format!("the answer is larger than limits.response_bytes ({limit} bytes)");
    Failure::new(Fault::BadBody, what).with_status(200)
}

pub(super) fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(text: &str, end: AnswerEnd) -> Gathered {
        let mut gathered = Gathered::new(usize::MAX, &Rc::default());
        gathered.say(text).ok().unwrap();
        gathered.finish = Some(end);
        gathered.usage = Some(Usage::default());
        gathered
    }

    fn call(into: &mut Gathered, name: &str, arguments: &str) {
        let key = Some(into.calls());
        into.call(Fragment { key, name, arguments, ..Fragment::default() }).ok().unwrap();
    }

    #[test]
    fn an_answer_without_anything_is_empty_unless_it_was_cut_or_refused() {
        let failure = gathered("", AnswerEnd::Done).outcome().err().unwrap();
        assert_eq!((failure.fault, failure.usage), (Fault::EmptyAnswer, Some(Box::default())));
        let cut = gathered("", AnswerEnd::Length).outcome().ok().unwrap();
        assert_eq!((cut.content.as_deref(), cut.finish), (Some(""), Finish::Length));
        let refused = gathered("", AnswerEnd::Refused).outcome().ok().unwrap();
        assert_eq!((refused.content, refused.finish), (None, Finish::Refused));
    }

    #[test]
    fn an_unknown_end_with_text_is_a_stop() {
        assert_eq!(gathered("x", AnswerEnd::Unknown).outcome().ok().unwrap().finish, Finish::Stop);
    }

    #[test]
    fn a_glitch_keeps_its_usage() {
        let failure = gathered("half", AnswerEnd::Glitch).outcome().err().unwrap();
        assert_eq!((failure.fault, failure.usage), (Fault::ModelGlitch, Some(Box::default())));
    }

    #[test]
    fn a_tool_call_cut_in_its_arguments_is_left_out() {
        let mut cut = gathered("", AnswerEnd::Length);
        call(&mut cut, "a", r#"{"x":1}"#);
        call(&mut cut, "b", r#"{"x":"#);
        let answer = cut.outcome().ok().unwrap();
        assert_eq!(answer.tool_calls.len(), 1);
        assert_eq!(
            (answer.tool_calls[0].function.name.as_str(), answer.finish),
            ("a", Finish::Length)
        );
    }
}
