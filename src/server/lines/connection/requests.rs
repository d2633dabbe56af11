//! What a client's lines ask for, and what it is answered.

use std::borrow::Cow;

use super::super::super::Phase;
use super::super::super::control::{self, overloaded};
use super::super::outbox::Outbox;
use super::super::watchers::Watcher;
use super::{Connection, Outstanding};
use crate::actors::router::Route;
use crate::actors::sink::{Answer, Delivery, Sink, Stop, Told};
use crate::protocol::chat::ChatRequest;
use crate::protocol::event::{EventLine, StreamEvent};
use crate::protocol::id::Id;
use crate::protocol::reply::{Cancelled, ErrorBody, ErrorCode, ErrorReply, Success, Watching};
use crate::protocol::request::{self, ConnectionOp, Mistake, Op};

/// Writes an error that no request stands behind.
pub(super) fn refusal(outbox: &mut Outbox, id: &Id, error: ErrorBody) {
    outbox.line(&ErrorReply::new(id.clone(), error));
}

impl Connection {
    /// Takes one line.
    pub(super) fn take(&mut self, line: &[u8]) {
        match request::read(line) {
            Ok((id, Op::Chat(request))) => {
                if let Err(error) = self.chat(&id, request) {
                    refusal(&mut self.outbox, &id, error);
                }
            }
            Ok((id, Op::Connection(op))) => self.own(id, op),
            Ok((id, Op::Control(op))) => {
                self.controls.push(control::answer(self.server.clone(), self.peer, id, op));
            }
            Err(Mistake { id, error }) => refusal(&mut self.outbox, &id, error),
        }
    }

    fn chat(&mut self, id: &Id, request: Box<ChatRequest>) -> Result<(), ErrorBody> {
        if *self.phase.borrow() != Phase::Serving {
            return Err(control::shutting_down());
        }
        if *id != Id::Null && self.outstanding.iter().any(|other| other.id == *id) {
            let message = "`id`: a request with this id is outstanding on this connection; use \
                           another, or wait for its answer";
            return Err(ErrorBody::new(ErrorCode::BadRequest, message));
        }
        let ticket =
            self.server.budget.request(request.bytes, self.peer.uid).map_err(overloaded)?;
        self.next_token += 1;
        let token = self.next_token;
        let (sink, cancel) = Sink::new(token, self.deliveries.0.clone(), self.told.0.clone());
        let arrived = self.server.clock.now();
        let peer_uid = self.peer.uid;
        self.server.router.do_send(Route { request, sink, arrived, peer_uid });
        let (id, cancel) = (id.clone(), Some(cancel));
        self.outstanding.push(Outstanding { token, id, cancel, _ticket: ticket });
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
        let found = self.outstanding.iter_mut().find(|request| request.id == *target);
        let cancel = found.and_then(|request| request.cancel.take());
        cancel.is_some_and(|cancel| cancel.send(Stop::Cancelled).is_ok())
    }

    /// Answers the requests whose answers are here.
    pub(super) fn deliver_all(&mut self) {
        while let Ok(delivery) = self.deliveries.1.try_recv() {
            self.deliver(delivery);
        }
    }

    /// Tells what waits of answers under way, up to the last event that waits now.
    pub(super) fn tell(&mut self) {
        for _ in 0..self.told.1.len() {
            let Ok(Told { token, event }) = self.told.1.try_recv() else { return };
            self.tell_one(token, &event);
        }
    }

    pub(super) fn tell_one(&mut self, token: u64, event: &StreamEvent) {
        let request = self.outstanding.iter().find(|request| request.token == token);
        if let Some(Outstanding { id, .. }) = request {
            let (id, event) = (Cow::Borrowed(id), Cow::Borrowed(event));
            self.outbox.line(&EventLine { id, event });
        }
    }

    /// Answers a request, after all events about it.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        self.tell();
        let token = delivery.token;
        let Some(at) = self.outstanding.iter().position(|request| request.token == token) else {
            return;
        };
        let id = self.outstanding.swap_remove(at).id;
        match delivery.answer {
            Answer::Chat(outcome) => self.outbox.line(&outcome.line(id)),
            Answer::Plan(plan) => self.outbox.line(&Success::new(id, plan)),
        }
    }

    /// Writes what an operation came to.
    pub(super) fn told(&mut self, told: control::Told) {
        match told.result {
            Ok(found) => self.outbox.line(&Success::new(told.id, found)),
            Err(error) => self.outbox.line(&ErrorReply::new(told.id, error)),
        }
    }

    /// Obeys the daemon's end.
    pub(super) fn change_phase(&mut self) {
        if *self.phase.borrow() != Phase::Ending {
            return;
        }
        self.deliver_all();
        for request in std::mem::take(&mut self.outstanding) {
            if let Some(cancel) = request.cancel {
                // One that has just been answered needs no reason.
                let _ = cancel.send(Stop::Ending);
            }
            refusal(&mut self.outbox, &request.id, control::shutting_down());
        }
        self.controls.clear();
    }

    pub(super) fn too_long(&mut self) {
        let most = self.lines.longest();
        let message =
            format!("the line is longer than {most} bytes (`limits.line_bytes`) and was skipped");
        refusal(&mut self.outbox, &Id::Null, ErrorBody::new(ErrorCode::LineTooLong, message));
    }

    pub(super) fn no_room_for_line(&mut self) {
        let most = self.server.rules().limits.request_bytes_total;
        let message = format!(
            "requests of {most} bytes are outstanding (`limits.request_bytes_total`); the line was \
             skipped, try again later"
        );
        refusal(&mut self.outbox, &Id::Null, overloaded(message));
    }

    pub(super) fn half_a_line(&mut self) {
        let message = format!(
            "a line was begun and not ended within {} (`limits.line_timeout`); the connection is \
             closed",
            humantime::format_duration(self.line_timeout)
        );
        refusal(&mut self.outbox, &Id::Null, ErrorBody::new(ErrorCode::BadRequest, message));
    }
}
