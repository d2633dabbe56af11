//! The one way in: a request is admitted here, whichever front it came through, or told why not.
//!
//! Whether the daemon still takes requests, whether there is room for one more, when it arrived,
//! where its answer goes: a front decides none of it. It gets an [`Answering`] and passes on what
//! that yields. How clients name their requests, and how fast they read, is the front's own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};

use super::budget::Ticket;
use super::caller::Caller;
use super::{Phase, Server};
use crate::actors::router::Route;
use crate::actors::sink::{self, Answers, News};
use crate::protocol::chat::ChatRequest;
use crate::protocol::reply::{ErrorBody, ErrorCode};

/// A request under way: a stream of events, if it asked for any, and then its answer. Dropping it
/// gives the request up and closes its call to the provider.
pub(super) struct Answering {
    answers: Answers,
    /// Its share of the common limits; given back with the answer.
    ticket: Option<Ticket>,
}

impl Server {
    /// Whether requests are still taken.
    pub(super) fn is_serving(&self) -> Result<(), ErrorBody> {
        match *self.phase.borrow() {
            Phase::Serving => Ok(()),
            Phase::Draining | Phase::Ending => Err(shutting_down()),
        }
    }

    /// Admits a request and has it answered.
    ///
    /// # Errors
    /// When the daemon ends, or a limit that all clients share is reached.
    pub(super) fn submit(
        &self,
        request: Box<ChatRequest>,
        caller: &Caller,
    ) -> Result<Answering, ErrorBody> {
        self.is_serving()?;
        let ticket = self.budget.request(request.bytes, caller.uid).map_err(overloaded)?;
        let (sink, answers) = sink::channel(request.stream.then_some(&caller.room));
        let (arrived, peer_uid) = (self.clock.now(), caller.uid);
        self.router.do_send(Route { request, sink, arrived, peer_uid });
        Ok(Answering { answers, ticket: Some(ticket) })
    }
}

impl Answering {
    /// Asks for the request to be given up, and to be answered so; false when it is too late.
    pub(super) fn cancel(&mut self) -> bool {
        self.answers.cancel()
    }

    /// Gives the request up because the daemon ends; gives what is to be answered instead.
    pub(super) fn end(self) -> ErrorBody {
        self.answers.end();
        shutting_down()
    }
}

impl Stream for Answering {
    type Item = News;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<News>> {
        let news = ready!(self.answers.poll_next_unpin(context));
        if !matches!(news, Some(News::Event(_))) {
            self.ticket = None;
        }
        Poll::Ready(news)
    }
}

/// The daemon's own limits are reached.
pub(super) fn overloaded(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::Overloaded, message)
}

/// The daemon is ending.
fn shutting_down() -> ErrorBody {
    ErrorBody::new(ErrorCode::ShuttingDown, "the daemon is ending; connect again in a moment")
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use futures_util::FutureExt;

    use super::super::budget::Budget;
    use super::super::budget::tests::budget;
    use super::*;
    use crate::actors::sink::{ChatAnswer, EventRoom, Sink, Stop};
    use crate::protocol::event::StreamEvent;
    use crate::protocol::reply::Outcome;

    /// A request that streams, of a budget for one alone.
    fn admitted() -> (Rc<Budget>, Sink, Answering) {
        let budget = budget(1, 100, None);
        let ticket = budget.request(10, None).ok();
        let (sink, answers) = sink::channel(Some(&EventRoom::new(4)));
        (budget, sink, Answering { answers, ticket })
    }

    fn answer() -> ChatAnswer {
        let result = Err(ErrorBody::new(ErrorCode::Internal, "the end"));
        ChatAnswer::Chat(Outcome { request_id: "".into(), result, attempts: Vec::new() })
    }

    #[tokio::test]
    async fn a_request_keeps_its_share_until_its_answer_is_taken() {
        let (budget, mut sink, mut answering) = admitted();
        let events = sink.events().unwrap();
        events.tell(StreamEvent::Delta { content: "all".to_owned() }).await;
        sink.answer(answer());
        assert!(matches!(answering.next().await, Some(News::Event(_))), "events come first");
        assert_eq!(budget.requests(), 1, "the answer waits to be taken");
        assert!(matches!(answering.next().await, Some(News::Answer(_))));
        assert_eq!(budget.requests(), 0);
        assert!(answering.next().await.is_none(), "there is one answer");
    }

    #[tokio::test]
    async fn dropping_an_answering_gives_its_request_up_and_its_share_back() {
        let (budget, mut sink, answering) = admitted();
        assert!(sink.stopped().now_or_never().is_none());
        drop(answering);
        assert_eq!(sink.stopped().await, Stop::Gone);
        assert_eq!(budget.requests(), 0);
    }

    #[tokio::test]
    async fn a_cancelled_request_is_answered_and_one_that_the_end_finds_is_not_waited_for() {
        let (budget, mut sink, mut answering) = admitted();
        assert!(answering.cancel());
        assert_eq!(sink.stopped().await, Stop::Cancelled);
        assert_eq!(budget.requests(), 1, "it is still to be answered");
        let (budget, mut sink, answering) = admitted();
        assert_eq!(answering.end().code, ErrorCode::ShuttingDown);
        assert_eq!(sink.stopped().await, Stop::Ending);
        assert_eq!(budget.requests(), 0);
    }
}
