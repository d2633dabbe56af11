//! The bodies of answers: whole ones, and streams that are written as their events come.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::super::Phase;
use super::super::admit::Answering;
use crate::actors::sink::{ChatAnswer, EventPermit, News, Told};
use crate::dialects::{EventWriter, Sse};
use crate::protocol::event::StreamEvent;
use crate::protocol::reply::{ErrorBody, ErrorCode};

/// After how long a silence a stream says that it is alive.
const SILENCE: Duration = Duration::from_secs(10);

/// Bytes of events that are handed on together.
const TOGETHER: usize = 16 * 1024;

/// The body of an answer.
pub(super) enum ReplyBody {
    /// All of it; `None` once it was taken.
    Whole(Option<Bytes>),
    Live(Box<LiveStream>),
}

/// A stream that has no proper end: its connection is cut.
#[derive(Debug)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the answer broke, and its stream is cut")
    }
}

impl std::error::Error for Cut {}

/// A stream under way.
pub(super) struct LiveStream {
    answering: Option<Answering>,
    writer: Box<dyn EventWriter>,
    out: Sse,
    /// Room of the events that were handed on last; given back once they have been taken.
    slots: Vec<EventPermit>,
    state: StreamState,
    silence: Pin<Box<Sleep>>,
    ending: GivenUp,
}

/// Resolves when what still runs is to be answered with an error.
type GivenUp = Pin<Box<dyn Future<Output = ()>>>;

/// How far a stream has come.
#[derive(Clone, Copy, PartialEq)]
enum StreamState {
    Open,
    /// Its end, good or bad, has been written and not handed on.
    Ended {
        well: bool,
    },
    /// It failed, and what was written may be on its way.
    Failed,
    Over,
}

/// Resolves when the daemon gives up what still runs.
pub(super) async fn ending(mut phase: watch::Receiver<Phase>) {
    // Without an owner the daemon is gone.
    let _ = phase.wait_for(|phase| *phase == Phase::Ending).await;
}

impl LiveStream {
    /// A stream that begins with `first`, and goes on as `answering` says.
    pub(super) fn new(
        answering: Answering,
        first: Told,
        writer: Box<dyn EventWriter>,
        phase: watch::Receiver<Phase>,
    ) -> LiveStream {
        let mut stream = LiveStream {
            answering: Some(answering),
            writer,
            out: Sse::default(),
            slots: Vec::new(),
            state: StreamState::Open,
            silence: Box::pin(sleep(SILENCE)),
            ending: Box::pin(ending(phase)),
        };
        stream.hear(News::Event(first));
        stream
    }

    fn hear(&mut self, news: News) {
        let out = &mut self.out;
        match news {
            News::Event(Told { event, slot }) => {
                self.slots.push(slot);
                match event {
                    StreamEvent::Start { speaker: Some(speaker), .. } => {
                        self.writer.begin(&speaker, out);
                    }
                    StreamEvent::Start { speaker: None, .. } => {}
                    StreamEvent::Delta { content } => self.writer.text(&content, out),
                    StreamEvent::ToolCall { tool_call } => self.writer.tool_call(&tool_call, out),
                    StreamEvent::Restart { .. } => self.fail(&restarted()),
                }
            }
            News::Answer(ChatAnswer::Chat(outcome)) => match outcome.result {
                Ok(answered) => {
                    self.writer.end(&answered, out);
                    self.state = StreamState::Ended { well: true };
                }
                Err(error) => self.fail(&error),
            },
            News::Answer(ChatAnswer::Plan(_)) => {
                self.fail(&ErrorBody::internal("a stream was answered with a plan"));
            }
        }
    }

    fn fail(&mut self, error: &ErrorBody) {
        self.writer.fail(error, &mut self.out);
        self.state = StreamState::Ended { well: false };
        // Whatever is under way is not needed any more.
        self.answering = None;
    }

    /// Hears all that there is, as far as it fits into one frame.
    fn listen(&mut self, context: &mut Context<'_>) {
        while self.state == StreamState::Open && self.out.len() < TOGETHER {
            let Some(answering) = &mut self.answering else { return };
            match answering.poll_next_unpin(context) {
                Poll::Ready(Some(news)) => self.hear(news),
                Poll::Ready(None) => self.fail(&ErrorBody::internal("an answer was lost")),
                Poll::Pending => break,
            }
        }
        let is_open = self.state == StreamState::Open;
        if !is_open || self.ending.as_mut().poll(context).is_pending() {
            return;
        }
        if let Some(answering) = self.answering.take() {
            self.fail(&answering.end());
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        match self.state {
            StreamState::Open | StreamState::Ended { .. } => {}
            StreamState::Failed => {
                // The library writes what it has before it asks again.
                self.state = StreamState::Over;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            StreamState::Over => return Poll::Ready(Some(Err(Cut))),
        }
        self.slots.clear();
        self.listen(context);
        if self.out.len() == 0 {
            if self.state != StreamState::Open {
                return Poll::Ready(None);
            }
            if self.silence.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.writer.alive(&mut self.out);
        }
        if self.state == (StreamState::Ended { well: false }) {
            self.state = StreamState::Failed;
        }
        self.silence.as_mut().reset(Instant::now() + SILENCE);
        // The timer is asked again, so that it wakes whoever waits for the next frame.
        let _ = self.silence.as_mut().poll(context);
        Poll::Ready(Some(Ok(self.out.take())))
    }
}

/// Another model would have to say something else than was told already.
fn restarted() -> ErrorBody {
    let message = "the answer broke off, and another model would give another one; ask again";
    ErrorBody::new(ErrorCode::Interrupted, message)
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            ReplyBody::Whole(body) => Poll::Ready(body.take().map(|bytes| Ok(Frame::data(bytes)))),
            ReplyBody::Live(stream) => {
                stream.poll(context).map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, ReplyBody::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            ReplyBody::Live(_) => SizeHint::default(),
        }
    }
}

/// The library asks for a service that may fail; ours never does.
pub(super) type Never = Infallible;
