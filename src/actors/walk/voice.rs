//! What the caller of one request hears while its answer comes.
//!
//! Whoever answers, and however often that changes, the texts told since the last `restart` are the
//! beginning of one answer, and in the end all of it. Text is told no faster than its caller takes
//! it. What was not told before a stream broke was never delivered.
//!
//! Every function here may be dropped while it waits; what was told is known exactly.

use std::sync::Arc;

use super::super::sink::Events;
use crate::domain::fault::Fault;
use crate::domain::splice::{Added, Splice};
use crate::protocol::event::StreamEvent;
use crate::protocol::reply::Answered;

/// Most bytes of text in one event: what waits for a slow client is counted in events.
const MOST: usize = 4 * 1024;

/// The caller's ear.
pub(super) struct Voice {
    /// Where events go; `None` for a caller who did not ask for any.
    events: Option<Events>,
    /// Whether nothing is told before the answer is known to be good.
    hold_back: bool,
    speaker: Arc<str>,
    splice: Splice,
    /// Bytes of the splice's text that were told.
    sent: usize,
    started: bool,
    /// Whether the text told before has to be called void first.
    restart: bool,
    /// What became of the last stream that delivered text.
    broke: Option<Fault>,
}

impl Voice {
    pub(super) fn new(events: Option<Events>, hold_back: bool) -> Voice {
        Voice {
            events,
            hold_back,
            speaker: "".into(),
            splice: Splice::default(),
            sent: 0,
            started: false,
            restart: false,
            broke: None,
        }
    }

    /// Who speaks from now on, beginning with the first word of an answer.
    pub(super) fn speaker(&mut self, model: &Arc<str>) {
        self.speaker = model.clone();
    }

    /// The next piece of the answer under way.
    pub(super) async fn piece(&mut self, text: &str) {
        if self.events.is_none() || self.hold_back {
            return;
        }
        if matches!(self.splice.take(text), Added::Restart(_)) {
            self.begin_again();
        }
        self.tell().await;
    }

    /// The answer under way broke, after it `spoke` or before. Gives whether that left its caller
    /// with a part of it.
    pub(super) fn broke(&mut self, fault: Fault, spoke: bool) -> bool {
        self.splice.again(self.sent);
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
        self.speaker(&answered.model_used);
        let whole = answered.content.as_deref().unwrap_or_default();
        if matches!(self.splice.end(whole), Added::Restart(_)) {
            self.begin_again();
        }
        self.tell().await;
        self.start().await;
        let Some(events) = &self.events else { return };
        for tool_call in answered.tool_calls.iter().flatten().cloned() {
            events.tell(StreamEvent::ToolCall { tool_call }).await;
        }
    }

    fn begin_again(&mut self) {
        self.restart |= self.sent > 0;
        self.sent = 0;
    }

    /// Tells what has been taken and not told.
    async fn tell(&mut self) {
        if self.restart {
            // An answer that contradicts its own pieces is one that cannot be read.
            let reason = self.broke.unwrap_or(Fault::BadBody);
            let model_used = self.speaker.clone();
            let Some(events) = &self.events else { return };
            events.tell(StreamEvent::Restart { model_used, reason }).await;
            self.restart = false;
        }
        while self.sent < self.splice.text().len() {
            self.start().await;
            let Some(events) = &self.events else { return };
            let text = self.splice.text();
            let end = text.floor_char_boundary(self.sent + MOST);
            let content = text[self.sent..end].to_owned();
            events.tell(StreamEvent::Delta { content }).await;
            self.sent = end;
        }
    }

    async fn start(&mut self) {
        if self.started {
            return;
        }
        let Some(events) = &self.events else { return };
        events.tell(StreamEvent::Start { model_used: self.speaker.clone() }).await;
        self.started = true;
    }
}
