//! What the caller of one request hears while its answer comes.
//!
//! Whoever answers, and however often that changes, the texts told since the last `restart` are the
//! beginning of one answer, and in the end all of it. Text is told no faster than its caller takes
//! it; what waits for it is bounded by whoever follows the answer ([`ClientStream::has_room`]). What
//! was not told before a stream broke was never delivered.
//!
//! Every future here may be dropped while it waits; what was told is known exactly.

use std::sync::Arc;

use super::super::sink::Events;
use crate::domain::fault::Fault;
use crate::domain::splice::{Added, Splice};
use crate::protocol::event::{Speaker, StreamEvent};
use crate::protocol::reply::Answered;

/// Most bytes of text in one event: what waits for a slow client is counted in events.
const MOST: usize = 4 * 1024;

/// Pieces of an answer that wait to be told; beyond them its provider is not read.
const PIECES: usize = 16;

/// The caller's side of one answer.
pub(super) struct ClientStream {
    /// Where events go; `None` for a caller who did not ask for any.
    events: Option<Events>,
    /// Whether nothing is told before the answer is known to be good.
    hold_back: bool,
    model: Arc<str>,
    /// The rest about it, for callers who hear it.
    speaker: Option<Box<Speaker>>,
    splice: Splice,
    /// Bytes of the splice's text that were told.
    sent: usize,
    /// Pieces that were taken since everything was told.
    waiting: usize,
    opening: Opening,
    /// What became of the last stream that delivered text.
    broke: Option<Fault>,
}

/// What has to be told before any more text.
#[derive(Clone, Copy, PartialEq)]
enum Opening {
    /// `start`: nothing was told yet.
    Start,
    /// `restart`: the text told before is void.
    Restart,
    Told,
}

impl ClientStream {
    pub(super) fn new(events: Option<Events>, hold_back: bool) -> ClientStream {
        ClientStream {
            events,
            hold_back,
            model: "".into(),
            speaker: None,
            splice: Splice::default(),
            sent: 0,
            waiting: 0,
            opening: Opening::Start,
            broke: None,
        }
    }

    /// Who answers from now on, beginning with the first word.
    pub(super) fn begin_model(&mut self, model: &Arc<str>, speaker: Option<Box<Speaker>>) {
        self.model = model.clone();
        self.speaker = speaker;
    }

    /// The model of a complete answer, which may be another one than spoke last.
    fn answers(&mut self, answered: &Answered) {
        self.model = answered.model_used.clone();
        if let Some(speaker) = &mut self.speaker {
            speaker.provider = answered.provider.clone();
            speaker.model_id.clone_from(&answered.model_id);
            speaker.fallback_count = answered.fallback_count;
        }
    }

    /// Takes the next piece of the answer under way, to be told by [`ClientStream::flush`].
    pub(super) fn push(&mut self, text: &str) {
        if self.events.is_none() || self.hold_back {
            return;
        }
        self.waiting += 1;
        if matches!(self.splice.take(text), Added::Restart(_)) {
            self.begin_again();
        }
    }

    /// Whether more pieces may be pushed before the caller has taken some.
    pub(super) fn has_room(&self) -> bool {
        self.waiting < PIECES
    }

    /// Whether something was pushed and not told.
    pub(super) fn is_behind(&self) -> bool {
        self.waiting > 0
    }

    /// The answer under way broke, after it `spoke` or before. Gives whether that left its caller
    /// with a part of it.
    pub(super) fn broke(&mut self, fault: Fault, spoke: bool) -> bool {
        self.splice.again(self.sent);
        self.waiting = 0;
        let delivered = spoke && self.sent > 0;
        if delivered {
            self.broke = Some(fault);
        }
        delivered
    }

    /// The answer is complete: tells what of it was not told yet.
    pub(super) async fn end(&mut self, answered: &Answered) {
        if self.events.is_none() {
            return;
        }
        self.answers(answered);
        let whole = answered.content.as_deref().unwrap_or_default();
        if matches!(self.splice.end(whole), Added::Restart(_)) {
            self.begin_again();
        }
        self.flush().await;
        self.open().await;
        let Some(events) = &self.events else { return };
        for tool_call in answered.tool_calls.iter().flatten().cloned() {
            events.tell(StreamEvent::ToolCall { tool_call }).await;
        }
    }

    fn begin_again(&mut self) {
        if self.sent > 0 {
            self.opening = Opening::Restart;
        }
        self.sent = 0;
    }

    /// Tells what has been taken and not told.
    pub(super) async fn flush(&mut self) {
        if self.opening == Opening::Restart {
            self.open().await;
        }
        while self.sent < self.splice.text().len() {
            self.open().await;
            let Some(events) = &self.events else { return };
            let text = self.splice.text();
            let end = text.floor_char_boundary(self.sent + MOST);
            let content = text[self.sent..end].to_owned();
            events.tell(StreamEvent::Delta { content }).await;
            self.sent = end;
        }
        self.waiting = 0;
    }

    async fn open(&mut self) {
        let Some(events) = &self.events else { return };
        let model_used = self.model.clone();
        match self.opening {
            Opening::Told => return,
            Opening::Start => {
                // Kept until it is told: this future may be dropped while it waits for room.
                let speaker = self.speaker.clone();
                events.tell(StreamEvent::Start { model_used, speaker }).await;
            }
            Opening::Restart => {
                // An answer that contradicts its own pieces is one that cannot be read.
                let reason = self.broke.unwrap_or(Fault::BadBody);
                events.tell(StreamEvent::Restart { model_used, reason }).await;
            }
        }
        self.opening = Opening::Told;
    }
}
