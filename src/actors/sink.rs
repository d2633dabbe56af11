//! Where a request's answer goes, and how its caller's wishes come back.
//!
//! One final reply is sent, exactly once, whatever happens: a sink that is dropped without an
//! answer (a panic, a lost task) answers `internal` by itself. When the client is gone the sink is
//! closed, and whoever works for it should stop.
//!
//! Events of answers under way take a queue of their own, so that those of one fast stream never
//! stand before another request's reply. It is short: whoever fills it waits for the client.

use tokio::sync::{mpsc, oneshot};

use crate::protocol::chains::PlanView;
use crate::protocol::event::StreamEvent;
use crate::protocol::reply::{ErrorBody, ErrorCode, Outcome};

/// What a chat request is answered with.
pub enum Answer {
    /// The answer or the error.
    Chat(Outcome),
    /// What would have been done.
    Plan(PlanView),
}

/// One answer on its way to its connection.
pub struct Delivery {
    /// The connection's own number for the request.
    pub token: u64,
    /// The answer.
    pub answer: Answer,
}

/// One event on its way to its connection. All of a request's are in the queue before its answer
/// is in the other one.
pub struct Told {
    /// The connection's own number for the request.
    pub token: u64,
    /// The event.
    pub event: StreamEvent,
}

/// Where the events of one request go.
pub struct Events {
    token: u64,
    told: mpsc::Sender<Told>,
}

/// Where one request's answer goes.
pub struct Sink {
    token: u64,
    deliveries: mpsc::Sender<Delivery>,
    told: mpsc::Sender<Told>,
    cancelled: oneshot::Receiver<Stop>,
    answered: bool,
}

/// Why nobody needs an answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The client asked for it and waits to hear so.
    Cancelled,
    /// The client is gone.
    Gone,
    /// The daemon ends, and the client has been told so.
    Ending,
}

impl Events {
    /// Tells an event. It waits while the client takes none; if dropped before its end, nothing was
    /// told.
    pub async fn tell(&self, event: StreamEvent) {
        // A client that is gone needs no events.
        let _ = self.told.send(Told { token: self.token, event }).await;
    }
}

impl Sink {
    /// A sink that delivers under `token`. Sending a reason to the returned handle, or dropping it,
    /// is how the connection cancels.
    pub fn new(
        token: u64,
        deliveries: mpsc::Sender<Delivery>,
        told: mpsc::Sender<Told>,
    ) -> (Sink, oneshot::Sender<Stop>) {
        let (cancel, cancelled) = oneshot::channel();
        (Sink { token, deliveries, told, cancelled, answered: false }, cancel)
    }

    /// Where events about the answer go until it is complete.
    pub fn events(&self) -> Events {
        Events { token: self.token, told: self.told.clone() }
    }

    /// Resolves when the request should be given up.
    pub async fn stopped(&mut self) -> Stop {
        tokio::select! {
            biased;
            // First: a connection that says why may be closed at once.
            cancelled = &mut self.cancelled => cancelled.unwrap_or(Stop::Gone),
            () = self.deliveries.closed() => Stop::Gone,
        }
    }

    /// Gives up without an answer, for a client that is gone.
    pub fn abandon(mut self) {
        self.answered = true;
    }

    /// Delivers the answer.
    pub async fn answer(mut self, answer: Answer) {
        self.answered = true;
        let delivery = Delivery { token: self.token, answer };
        // A client that is gone needs no answer.
        let _ = self.deliveries.send(delivery).await;
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let message = "the daemon lost this request through a fault of its own; try again, and \
                       report it if it happens again";
        let lost = Outcome {
            request_id: "".into(),
            result: Err(ErrorBody::new(ErrorCode::Internal, message)),
            attempts: Vec::new(),
        };
        let delivery = Delivery { token: self.token, answer: Answer::Chat(lost) };
        // The queue has room for every outstanding request; if not, the client is gone.
        let _ = self.deliveries.try_send(delivery);
    }
}
