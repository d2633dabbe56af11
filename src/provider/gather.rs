//! A streamed answer being put together: bytes in, news and in the end an [`Outcome`] out.
//!
//! What is the same for all wire formats stands here: fragments of tool calls, the bound on
//! what is kept, and the rule that an answer is complete only when its provider said so with the
//! format's own finish value. `[DONE]`, an orderly end of the body or a pause prove nothing.
//!
//! Pure: no clock, no network, no waiting. How long a stream may be silent is [`super::receive`]'s.

use serde_json::Value;

use super::errors::redact::Secrets;
use super::format::{Format, ReadEvents};
use super::framing::sse::{Event, Parser};
use super::pieces::{self, End, Pieces};
use super::{Failure, Outcome};
use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};
use crate::protocol::chat::ToolCall;

/// Most tool calls of one answer. APIs take 128 tools at most; every fragment looks through them.
const MOST_CALLS: usize = 512;

/// What a tool call costs of the bound beside its texts.
const CALL_BYTES: usize = 64;

/// One stream.
pub(super) struct Stream {
    parser: Parser,
    events: Box<dyn ReadEvents>,
    gathered: Gathered,
}

/// What is new since the last look.
pub(super) struct News {
    /// More text, never empty.
    pub(super) text: Option<String>,
    /// Content that is not text.
    pub(super) life: bool,
}

impl Stream {
    /// A stream of this format, of which at most `limit` bytes are kept. An event is at most as
    /// large as that.
    pub(super) fn new(format: &dyn Format, limit: usize) -> Stream {
        let (events, gathered) = (format.events(), Gathered::new(limit));
        Stream { parser: Parser::new(limit), events, gathered }
    }

    /// Takes what came from the network. A failure ends the stream.
    pub(super) fn feed(&mut self, mut bytes: &[u8], secrets: &Secrets) -> Result<(), Failure> {
        let Stream { parser, events, gathered } = self;
        loop {
            let event = parser.next(&mut bytes).map_err(|_| gathered.too_large())?;
            let Some(event) = event.filter(|_| !gathered.over) else { return Ok(()) };
            take(&mut **events, event, gathered, secrets)?;
        }
    }

    /// What came since the last call of this.
    pub(super) fn news(&mut self) -> News {
        let gathered = &mut self.gathered;
        let text = &gathered.text[gathered.told..];
        let text = (!text.is_empty()).then(|| text.to_owned());
        gathered.told = gathered.text.len();
        News { text, life: std::mem::take(&mut gathered.life) }
    }

    /// Whether the provider has said that the answer is finished. Usage may still follow.
    pub(super) fn is_finished(&self) -> bool {
        self.gathered.finish.is_some()
    }

    /// Whether nothing of use can follow.
    pub(super) fn is_over(&self) -> bool {
        self.gathered.over
    }

    /// What the stream has said of its consumption so far.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.gathered.usage
    }

    /// Takes an event that the end of the body completed. One that cannot be read was cut through
    /// and is not held against the rest.
    pub(super) fn close(&mut self, secrets: &Secrets) -> Result<(), Failure> {
        let Stream { parser, events, gathered } = self;
        let Ok(Some(event)) = parser.end() else { return Ok(()) };
        if gathered.over {
            return Ok(());
        }
        match take(&mut **events, event, gathered, secrets) {
            Err(failure) if failure.fault != Fault::BadBody => Err(failure),
            _ => Ok(()),
        }
    }

    /// The answer; or that the stream was cut, when its finish value never came.
    pub(super) fn outcome(self) -> Outcome {
        self.gathered.outcome()
    }
}

fn take(
    events: &mut dyn ReadEvents,
    event: Event<'_>,
    into: &mut Gathered,
    secrets: &Secrets,
) -> Result<(), Failure> {
    match event.data.trim_ascii() {
        b"" => Ok(()),
        b"[DONE]" => {
            into.over = true;
            Ok(())
        }
        _ => events.take(event, into, secrets),
    }
}

/// What has come of an answer.
pub(super) struct Gathered {
    text: String,
    /// How much of `text` was given out as news.
    told: usize,
    life: bool,
    calls: Vec<Call>,
    refused: bool,
    /// The provider's finish value.
    pub(super) finish: Option<End>,
    /// The newest numbers.
    pub(super) usage: Option<Usage>,
    /// Nothing of use can follow.
    pub(super) over: bool,
    room: usize,
    limit: usize,
}

/// A tool call whose pieces arrive one by one.
pub(super) struct Call {
    key: u64,
    id: String,
    name: String,
    arguments: String,
    /// Arguments that came as an object; fragments win.
    whole: Option<String>,
    extra: Option<Value>,
}

/// A piece of a tool call.
#[derive(Default)]
pub(super) struct Fragment<'a> {
    /// Which of the calls it belongs to, in the provider's numbers.
    pub(super) key: u64,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// To be appended.
    pub(super) arguments: &'a str,
    /// All arguments, as JSON.
    pub(super) whole: Option<String>,
    /// To be carried back unchanged.
    pub(super) extra: Option<Value>,
}

impl Gathered {
    fn new(limit: usize) -> Gathered {
        Gathered {
            text: String::new(),
            told: 0,
            life: false,
            calls: Vec::new(),
            refused: false,
            finish: None,
            usage: None,
            over: false,
            room: limit,
            limit,
        }
    }

    /// More text.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.make_room(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    /// Content that is not text and is not kept.
    pub(super) fn live(&mut self) {
        self.life = true;
    }

    /// What is said is a refusal, whatever the finish value will be.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether there is no text so far.
    pub(super) fn is_silent(&self) -> bool {
        self.text.is_empty()
    }

    /// A piece of a tool call. It begins a new one when its key is new, or when it brings another
    /// id: some servers number all their calls 0.
    pub(super) fn call(&mut self, piece: Fragment<'_>) -> Result<(), Failure> {
        self.live();
        let whole = piece.whole.as_ref().map_or(0, String::len);
        let extra = piece.extra.as_ref().map_or(0, |extra| extra.to_string().len());
        let texts = piece.id.len() + piece.name.len() + piece.arguments.len();
        self.make_room(texts + whole + extra)?;
        let same = |call: &Call| {
            let other = !piece.id.is_empty() && !call.id.is_empty() && call.id != piece.id;
            call.key == piece.key && !other
        };
        if let Some(call) = self.calls.iter_mut().rfind(|call| same(call)) {
            call.add(piece);
            return Ok(());
        }
        if self.calls.len() == MOST_CALLS {
            let what = format!("the answer calls more than {MOST_CALLS} tools");
            return Err(self.fail(Failure::new(Fault::BadBody, what)));
        }
        self.make_room(CALL_BYTES)?;
        self.calls.push(Call::new(piece));
        Ok(())
    }

    /// Whether a tool call with this key has begun.
    pub(super) fn has_call(&self, key: u64) -> bool {
        self.calls.iter().any(|call| call.key == key)
    }

    /// How many tool calls there are.
    pub(super) fn calls(&self) -> u64 {
        self.calls.len() as u64
    }

    /// A failure of this stream, with what it has consumed.
    pub(super) fn fail(&self, failure: Failure) -> Failure {
        Failure { usage: self.usage.or(failure.usage), ..failure }.with_status(200)
    }

    /// Data that are not what the format promises.
    pub(super) fn unreadable(&self, data: &[u8], error: &serde_json::Error) -> Failure {
        self.fail(pieces::bad_body(data, &pieces::why(error)))
    }

    fn too_large(&self) -> Failure {
        self.fail(too_large(self.limit))
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), Failure> {
        match self.room.checked_sub(bytes) {
            Some(room) => {
                self.room = room;
                Ok(())
            }
            None => Err(self.too_large()),
        }
    }

    /// A whole answer where events were expected.
    pub(super) fn adopt(&mut self, answer: Answer) -> Result<(), Failure> {
        self.say(answer.content.as_deref().unwrap_or_default())?;
        for ToolCall { id, function, extra_content, .. } in answer.tool_calls {
            let fragment = Fragment {
                key: self.calls(),
                id: &id,
                name: &function.name,
                arguments: &function.arguments,
                whole: None,
                extra: extra_content,
            };
            self.call(fragment)?;
        }
        self.usage = answer.usage.or(self.usage);
        self.finish = Some(match answer.finish {
            Finish::Stop | Finish::ToolCalls => End::Done,
            Finish::Length => End::Length,
            Finish::Refused => End::Refused,
        });
        Ok(())
    }

    fn outcome(self) -> Outcome {
        let Some(end) = self.finish else {
            let what = "the stream ended before the answer was finished";
            return Err(self.fail(Failure::new(Fault::StreamCut, what)));
        };
        let end = if self.refused { End::Refused } else { end };
        let nameless = self.calls.iter().any(|call| call.name.is_empty());
        if nameless && end != End::Length {
            return Err(self.fail(pieces::bad_body(b"{", "a tool call has no name")));
        }
        let named = self.calls.into_iter().filter(|call| !call.name.is_empty());
        let tool_calls = named.map(Call::into_tool_call).collect();
        Pieces { text: self.text, tool_calls, end, usage: self.usage }.finish()
    }
}

impl Call {
    fn new(piece: Fragment<'_>) -> Call {
        let mut call = Call {
            key: piece.key,
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
            whole: None,
            extra: None,
        };
        call.add(piece);
        call
    }

    /// Id and name come once; servers that repeat them repeat the same.
    fn add(&mut self, piece: Fragment<'_>) {
        if self.id.is_empty() {
            self.id.push_str(piece.id);
        }
        if self.name.is_empty() {
            self.name.push_str(piece.name);
        }
        self.arguments.push_str(piece.arguments);
        self.whole = piece.whole.or(self.whole.take());
        self.extra = piece.extra.or(self.extra.take());
    }

    fn into_tool_call(self) -> ToolCall {
        let arguments = match (self.arguments.trim().is_empty(), self.whole) {
            (false, _) => self.arguments,
            (true, whole) => whole.unwrap_or_else(|| "{}".to_owned()),
        };
        let call = pieces::tool_call(Some(self.id), self.name, arguments);
        ToolCall { extra_content: self.extra, ..call }
    }
}

/// An answer above `limits.response_bytes`.
pub(super) fn too_large(limit: usize) -> Failure {
    let what = format!("the answer is larger than limits.response_bytes ({limit} bytes)");
    Failure::new(Fault::BadBody, what).with_status(200)
}

#[cfg(test)]
pub(super) mod tests;
