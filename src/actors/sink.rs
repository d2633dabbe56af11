//! The channel of one request: its answer on the way to whoever asked, their wishes on the way back.
//!
//! [`Answers`] yields all events and then the one answer, whatever happens: a [`Sink`] that is
//! dropped without one (a panic, a lost task) has answered `internal`. Whoever asked gives the
//! request up by dropping their end; whoever works for it hears so and should stop.
//!
//! Events take room that all requests of one reader share, so that what waits for it is bounded
//! whatever it asked for. A reply takes none: it never waits behind another request's events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{FutureExt, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::protocol::chains::PlanView;
use crate::protocol::event::StreamEvent;
use crate::protocol::reply::{ErrorBody, Outcome};

/// What a chat request is answered with.
pub(crate) enum ChatAnswer {
    /// The answer or the error.
    Chat(Outcome),
    /// What would have been done.
    Plan(PlanView),
}

/// What whoever asked hears.
pub(crate) enum News {
    /// A part of the answer under way.
    Event(Told),
    /// The end: nothing follows.
    Answer(ChatAnswer),
}

/// An event, and the room that it takes until this is dropped.
pub(crate) struct Told {
    /// What its reader is told.
    pub event: StreamEvent,
    /// Dropped once the reader has taken the event, or is sure to.
    pub slot: EventPermit,
}

/// One event's share of its reader's room; given back when it is dropped.
pub(crate) type EventPermit = OwnedSemaphorePermit;

/// How many events may wait for one reader, of all its requests together; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct EventRoom {
    free: Arc<Semaphore>,
    size: usize,
}

/// Why nobody needs an answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Whoever asked wants it given up, and waits to hear so.
    Cancelled,
    /// Whoever asked is gone.
    Gone,
    /// The daemon ends, and whoever asked has been told so.
    Ending,
}

/// Where one request's answer goes.
pub(crate) struct Sink {
    answer: oneshot::Sender<ChatAnswer>,
    events: Option<Events>,
    stop: oneshot::Receiver<Stop>,
}

/// Where the events of one request go.
pub(crate) struct Events {
    told: mpsc::Sender<Told>,
    room: EventRoom,
}

/// What one request is answered, as it comes. Dropping it gives the request up.
pub(crate) struct Answers {
    events: Option<mpsc::Receiver<Told>>,
    end: AnswerState,
    /// `None` once a reason to stop was sent.
    stop: Option<oneshot::Sender<Stop>>,
}

/// How the answer stands.
enum AnswerState {
    Awaited(oneshot::Receiver<ChatAnswer>),
    /// It is here, and may have to wait for events sent before it.
    Here(ChatAnswer),
    Taken,
}

/// The two ends for one request. Whoever wants events of it says how many may wait.
pub(crate) fn channel(room: Option<&EventRoom>) -> (Sink, Answers) {
    let (answer, awaited) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let (events, told) = room.map(Events::new).unzip();
    let answers = Answers { events: told, end: AnswerState::Awaited(awaited), stop: Some(stop) };
    (Sink { answer, events, stop: stopped }, answers)
}

impl Sink {
    /// Where events about the answer go until it is complete. `None` when nobody wants any,
    /// and when they were given away already.
    pub(crate) fn events(&mut self) -> Option<Events> {
        self.events.take()
    }

    /// Resolves when the request should be given up.
    pub(crate) async fn stopped(&mut self) -> Stop {
        (&mut self.stop).await.unwrap_or(Stop::Gone)
    }

    /// Delivers the answer, unless whoever asked is gone.
    pub(crate) fn answer(self, answer: ChatAnswer) {
        let _ = self.answer.send(answer);
    }
}

impl Events {
    fn new(room: &EventRoom) -> (Events, mpsc::Receiver<Told>) {
        let (told, heard) = mpsc::channel(room.size);
        (Events { told, room: room.clone() }, heard)
    }

    /// Tells an event. It waits while there is no room; if dropped before its end, nothing was told.
    pub(crate) async fn tell(&self, event: StreamEvent) {
        // Nobody closes the room, and the queue holds as much; whoever is gone needs no events.
        if let Ok(slot) = self.room.free.clone().acquire_owned().await {
            let _ = self.told.try_send(Told { event, slot });
        }
    }
}

impl EventRoom {
    /// Room for `size` events, at least one.
    pub(crate) fn new(size: usize) -> EventRoom {
        let size = size.max(1);
        EventRoom { free: Arc::new(Semaphore::new(size)), size }
    }
}

impl Answers {
    /// Asks to have the request given up, and to hear so as its answer; false when it is too late.
    pub(crate) fn cancel(&mut self) -> bool {
        self.stop.take().is_some_and(|stop| stop.send(Stop::Cancelled).is_ok())
    }

    /// Gives the request up because the daemon ends.
    pub(crate) fn end(mut self) {
        if let Some(stop) = self.stop.take() {
            // One that has just been answered needs no reason.
            let _ = stop.send(Stop::Ending);
        }
    }

    /// An event that is in the queue already.
    fn waiting(&mut self) -> Option<News> {
        self.events.as_mut()?.try_recv().ok().map(News::Event)
    }
}

impl Stream for Answers {
    type Item = News;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<News>> {
        let this = self.get_mut();
        if let AnswerState::Awaited(answer) = &mut this.end {
            let Poll::Ready(answer) = answer.poll_unpin(context) else {
                let Some(events) = &mut this.events else { return Poll::Pending };
                let Some(told) = ready!(events.poll_recv(context)) else {
                    this.events = None;
                    return Poll::Pending;
                };
                return Poll::Ready(Some(News::Event(told)));
            };
            this.end = AnswerState::Here(answer.unwrap_or_else(|_| lost()));
        }
        // Everything told before the answer is in the queue by now.
        if let Some(news) = this.waiting() {
            return Poll::Ready(Some(news));
        }
        Poll::Ready(match std::mem::replace(&mut this.end, AnswerState::Taken) {
            AnswerState::Here(answer) => Some(News::Answer(answer)),
            AnswerState::Awaited(_) | AnswerState::Taken => None,
        })
    }
}

/// The answer of a sink that was dropped without one.
fn lost() -> ChatAnswer {
    let lost = ErrorBody::internal("the daemon lost this request through a fault of its own");
    ChatAnswer::Chat(Outcome { request_id: "".into(), result: Err(lost), attempts: Vec::new() })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::protocol::reply::ErrorCode;

    fn delta(content: &str) -> StreamEvent {
        StreamEvent::Delta { content: content.to_owned() }
    }

    fn text(news: Option<Option<News>>) -> String {
        match news.flatten() {
            Some(News::Event(Told { event: StreamEvent::Delta { content }, .. })) => content,
            Some(News::Answer(ChatAnswer::Chat(outcome))) => outcome.result.err().unwrap().message,
            _ => "nothing".to_owned(),
        }
    }

    fn answer(message: &str) -> ChatAnswer {
        let result = Err(ErrorBody::new(ErrorCode::Internal, message));
        ChatAnswer::Chat(Outcome { request_id: "".into(), result, attempts: Vec::new() })
    }

    #[tokio::test]
    async fn events_come_before_the_answer_and_nothing_after_it() {
        let (mut sink, mut answers) = channel(Some(&EventRoom::new(4)));
        let events = sink.events().unwrap();
        assert!(answers.next().now_or_never().is_none());
        events.tell(delta("one")).await;
        events.tell(delta("two")).await;
        sink.answer(answer("the end"));
        for expected in ["one", "two", "the end"] {
            assert_eq!(text(answers.next().now_or_never()), expected);
        }
        assert!(answers.next().now_or_never().unwrap().is_none());
    }

    #[tokio::test]
    async fn a_sink_that_is_lost_has_answered() {
        let (mut sink, mut answers) = channel(None);
        assert!(sink.events().is_none());
        drop(sink);
        let told = text(answers.next().now_or_never());
        assert!(told.contains("lost this request"), "{told}");
    }

    #[tokio::test]
    async fn requests_of_one_reader_share_its_room_until_slots_are_dropped() {
        let room = EventRoom::new(1);
        let (mut one, mut first) = channel(Some(&room));
        let (mut other, mut second) = channel(Some(&room));
        let (one, other) = (one.events().unwrap(), other.events().unwrap());
        one.tell(delta("first")).await;
        assert!(other.tell(delta("no room")).now_or_never().is_none());
        let held = first.next().await;
        assert!(other.tell(delta("still none")).now_or_never().is_none());
        drop(held);
        other.tell(delta("second")).await;
        assert_eq!(text(second.next().now_or_never()), "second");
        one.tell(delta("waits")).await;
        drop(first);
        assert!(other.tell(delta("third")).now_or_never().is_some(), "what waited is gone");
    }

    #[tokio::test]
    async fn whoever_works_for_a_request_hears_why_nobody_needs_it() {
        let (mut sink, mut answers) = channel(None);
        assert!(sink.stopped().now_or_never().is_none());
        assert!(answers.cancel() && !answers.cancel(), "cancelled once");
        assert_eq!(sink.stopped().await, Stop::Cancelled);
        let (mut sink, answers) = channel(None);
        answers.end();
        assert_eq!(sink.stopped().await, Stop::Ending);
        let (mut sink, answers) = channel(None);
        drop(answers);
        assert_eq!(sink.stopped().await, Stop::Gone);
        let (sink, mut answers) = channel(None);
        sink.answer(answer("done"));
        assert!(!answers.cancel(), "too late");
    }
}
