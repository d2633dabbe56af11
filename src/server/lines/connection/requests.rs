//! What a client's lines ask for, and what it is answered.

use futures_util::{FutureExt, StreamExt};

use super::super::super::Phase;
use super::super::super::admit::overloaded;
use super::super::super::control;
use super::super::watchers::Watcher;
use super::{Connection, Request};
use crate::actors::sink::{ChatAnswer, News};
use crate::protocol::chat::ChatRequest;
use crate::protocol::control::{Cancelled, Found, Watching};
use crate::protocol::id::Id;
use crate::protocol::reply::{ErrorBody, ErrorCode, Success};
use crate::protocol::request::{self, ConnectionOp, ControlOp, Mistake, Op};

impl Connection {
    /// Begins what a line asks for, or says what is wrong with it.
    pub(super) fn take(&mut self, line: &[u8]) {
        match request::read(line) {
            Ok((id, Op::Chat(request))) => self.chat(id, request),
            Ok((id, Op::Connection(op))) => self.own(id, op),
            Ok((id, Op::Control(op))) => self.control(id, op),
            Err(Mistake { id, error }) => self.outbox.error(id, error),
        }
    }

    fn chat(&mut self, id: Id, request: Box<ChatRequest>) {
        // In this order: a daemon that ends says so, whatever else is wrong.
        let admitted = self
            .server
            .is_serving()
            .and_then(|()| self.is_free(&id))
            .and_then(|()| self.server.submit(request, &self.caller));
        match admitted {
            Ok(answering) => self.requests.push(Request { id, answering }.into_future()),
            Err(error) => self.outbox.error(id, error),
        }
    }

    /// Whether no other request goes by this id.
    fn is_free(&self, id: &Id) -> Result<(), ErrorBody> {
        let mut others = self.requests.iter().filter_map(|request| request.get_ref());
        if *id != Id::Null && others.any(|other| other.id == *id) {
            let message = "`id`: a request with this id is outstanding on this connection; use \
                           another, or wait for its answer";
            return Err(ErrorBody::new(ErrorCode::BadRequest, message));
        }
        Ok(())
    }

    /// Does what is about this connection.
    fn own(&mut self, id: Id, op: ConnectionOp) {
        match op {
            ConnectionOp::Events { types } => {
                self.watcher = Some(Watcher::new(&self.server.recorder, types));
                self.outbox.line(&Success::new(id, Watching {}));
            }
            ConnectionOp::Cancel { target } => {
                let cancelled = self.cancel(&target);
                self.outbox.line(&Success::new(id, Cancelled { cancelled }));
            }
        }
    }

    /// Cancels an outstanding request; false when there is none of that id.
    fn cancel(&mut self, target: &Id) -> bool {
        let mut requests = self.requests.iter_mut().filter_map(|request| request.get_mut());
        let found = requests.find(|request| request.id == *target);
        found.is_some_and(|request| request.answering.cancel())
    }

    fn control(&mut self, id: Id, op: ControlOp) {
        let (server, caller) = (self.server.clone(), self.caller.clone());
        let answer = async move { (id, control::answer(&server, &caller, op).await) };
        self.controls.push(Box::pin(answer));
    }

    /// Writes what an operation came to.
    pub(super) fn found(&mut self, id: Id, result: Result<Found, ErrorBody>) {
        match result {
            Ok(found) => self.outbox.line(&Success::new(id, found)),
            Err(error) => self.outbox.error(id, error),
        }
    }

    /// Tells all that there is of one request, which waits for more unless it is answered.
    pub(super) fn hear(&mut self, mut news: Option<News>, mut request: Request) {
        loop {
            match news {
                Some(News::Event(told)) => self.outbox.event(&request.id, told),
                Some(News::Answer(ChatAnswer::Chat(outcome))) => {
                    return self.outbox.line(&outcome.line(request.id));
                }
                Some(News::Answer(ChatAnswer::Plan(plan))) => {
                    return self.outbox.line(&Success::new(request.id, plan));
                }
                None => return,
            }
            match request.next().now_or_never() {
                Some(more) => news = more,
                None => return self.requests.push(request.into_future()),
            }
        }
    }

    /// Tells all that there is of any request.
    pub(super) fn hear_ready(&mut self) {
        while let Some(Some((news, request))) = self.requests.next().now_or_never() {
            self.hear(news, request);
        }
    }

    /// Obeys the daemon's end.
    pub(super) fn change_phase(&mut self) {
        if *self.phase.borrow() != Phase::Ending {
            return;
        }
        self.hear_ready();
        for request in std::mem::take(&mut self.requests) {
            if let Some(Request { id, answering }) = request.into_inner() {
                self.outbox.error(id, answering.end());
            }
        }
        self.controls.clear();
    }

    pub(super) fn too_long(&mut self) {
        let most = self.lines.longest();
        let message =
            format!("the line is longer than {most} bytes (`limits.line_bytes`) and was skipped");
        self.outbox.error(Id::Null, ErrorBody::new(ErrorCode::LineTooLong, message));
    }

    pub(super) fn no_room_for_line(&mut self) {
        let most = self.server.budget.limits().request_bytes_total;
        let message = format!(
            "requests of {most} bytes are outstanding (`limits.request_bytes_total`); the line was \
             skipped, try again later"
        );
        self.outbox.error(Id::Null, overloaded(message));
    }

    pub(super) fn half_a_line(&mut self) {
        let message = format!(
            "a line was begun and not ended within {} (`limits.line_timeout`); the connection is \
             closed",
            humantime::format_duration(self.line_timeout)
        );
        self.outbox.error(Id::Null, ErrorBody::new(ErrorCode::BadRequest, message));
    }
}
