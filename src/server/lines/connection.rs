//! One client: its lines, its outstanding requests, and its answers.
//!
//! The task waits for whatever comes first: bytes, an answer, room to write, news for a watcher, a
//! limit. It stops reading while too much is outstanding or not taken. After end-of-file it finishes what was
//! asked for; a client that is gone takes its requests with it, because dropping this task closes
//! their sinks.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::super::budget::{Arriving, Place, Ticket};
use super::super::control::{ControlFuture, Peer};
use super::super::{Phase, Server};
use super::buffer::{Line, LineBuffer};
use super::outbox::Outbox;
use super::watchers::Watcher;
use crate::actors::sink::{Delivery, Stop, Told};
use crate::protocol::id::Id;

mod requests;

/// How long a client that found no place may take to be ready for its one line.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often a half-closed client is looked at, to see whether it is gone.
const GONE_CHECK: Duration = Duration::from_millis(50);

/// Events that wait for room in the outbox, of all answers under way together; of 4 KiB of text
/// each at most. Enough to fill a write, and little to wait behind.
const EVENTS: usize = 32;

/// A client that cannot be served further.
#[derive(Debug)]
pub(super) enum Closed {
    /// It is done, and so are we.
    Done,
    /// It is gone, or its socket failed.
    Gone,
    /// It kept a line unfinished, or took no bytes, for too long.
    TooSlow,
}

/// One client.
pub(super) struct Connection {
    server: Rc<Server>,
    stream: UnixStream,
    peer: Peer,
    phase: watch::Receiver<Phase>,
    lines: LineBuffer,
    arriving: Arriving,
    outbox: Outbox,
    outstanding: Vec<Outstanding>,
    controls: FuturesUnordered<ControlFuture>,
    watcher: Option<Watcher>,
    deliveries: (mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>),
    /// Events of answers under way. A reply that is ready never waits behind them, except behind
    /// its own request's.
    told: (mpsc::Sender<Told>, mpsc::Receiver<Told>),
    next_token: u64,
    /// Whether end-of-file has been seen.
    ended: bool,
    line_since: Option<Instant>,
    line_timeout: Duration,
    /// Its place among all connections; given back when this is dropped.
    _place: Place,
}

/// A request that is not answered yet.
struct Outstanding {
    token: u64,
    id: Id,
    cancel: Option<oneshot::Sender<Stop>>,
    /// Its share of the common limits; given back when this is dropped.
    _ticket: Ticket,
}

impl Connection {
    pub(super) fn new(server: Rc<Server>, stream: UnixStream, place: Place) -> Connection {
        let peer = Peer::of(&stream);
        let rules = server.rules();
        let limits = &rules.limits;
        Connection {
            peer,
            phase: server.phase.clone(),
            lines: LineBuffer::new(limits.line_bytes),
            arriving: server.budget.arriving(),
            outbox: Outbox::new(limits.reader_timeout),
            outstanding: Vec::new(),
            controls: FuturesUnordered::new(),
            watcher: None,
            deliveries: mpsc::channel(limits.requests_per_connection.max(1)),
            told: mpsc::channel(EVENTS),
            next_token: 0,
            ended: false,
            line_since: None,
            line_timeout: limits.line_timeout,
            _place: place,
            server,
            stream,
        }
    }

    /// Serves the client to its end.
    pub(super) async fn run(mut self) {
        let closed = self.serve().await;
        tracing::debug!(peer = ?self.peer, reason = ?closed, "connection closed");
    }

    async fn serve(&mut self) -> Closed {
        loop {
            let was_full = self.outbox.is_plenty();
            if self.outbox.flush(&self.stream).is_err() {
                return Closed::Gone;
            }
            if was_full {
                self.take_lines(false);
            }
            if self.is_done() {
                return Closed::Done;
            }
            if let Err(closed) = self.step().await {
                // What can still be said is said; a client that does not take it loses it.
                let _ = self.outbox.flush(&self.stream);
                return closed;
            }
        }
    }

    /// Waits for whatever comes first, and deals with it.
    async fn step(&mut self) -> Result<(), Closed> {
        let may_read = self.may_read();
        let alarm = self.alarm(may_read);
        let wait = async {
            match alarm {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let telling = !self.outbox.is_busy();
        let watching = self.watcher.is_some() && telling;
        let (mut reader, writer) = self.stream.split();
        // In no fixed order: a fast stream, or a busy log, must not keep anything else waiting.
        tokio::select! {
            Some(delivery) = self.deliveries.1.recv() => {
                self.deliver(delivery);
                self.deliver_all();
                self.take_lines(false);
                Ok(())
            }
            Some(Told { token, event }) = self.told.1.recv(), if telling => {
                self.tell_one(token, &event);
                self.tell();
                Ok(())
            }
            Some(told) = self.controls.next(), if !self.controls.is_empty() => {
                self.told(told);
                self.take_lines(false);
                Ok(())
            }
            read = reader.read_buf(self.lines.space()), if may_read => self.arrived(read),
            ready = writer.writable(), if !self.outbox.is_empty() => ready.map_err(gone),
            news = Watcher::next(&mut self.watcher), if watching => {
                self.outbox.raw(&[news.as_bytes(), b"\n"]);
                Ok(())
            }
            changed = self.phase.changed() => {
                self.change_phase();
                // Without an owner the daemon is gone, and nobody will ever say so.
                changed.map_err(|_| Closed::Done)
            }
            () = wait => self.ring(),
        }
    }

    /// Takes the lines of what was read.
    fn arrived(&mut self, read: io::Result<usize>) -> Result<(), Closed> {
        self.ended = read.map_err(gone)? == 0;
        self.take_lines(true);
        Ok(())
    }

    /// Takes whole lines as long as more may be outstanding.
    fn take_lines(&mut self, arrived: bool) {
        let mut any = !arrived;
        while self.has_room() {
            let next = self.lines.next();
            let next = if self.ended { next.or_else(|| self.lines.last()) } else { next };
            let Some(line) = next else { break };
            any = true;
            match line {
                Line::Whole(line) => self.take(&line),
                Line::TooLong => self.too_long(),
            }
        }
        if !self.arriving.hold(self.lines.held()) {
            self.lines.skip();
            self.no_room_for_line();
        }
        match self.lines.has_begun() {
            true if any || self.line_since.is_none() => self.line_since = Some(Instant::now()),
            true => {}
            false => self.line_since = None,
        }
    }

    /// Whether more may be asked for. A client that does not take its answers gets no more of
    /// them, or its mistakes alone would fill the memory.
    fn has_room(&self) -> bool {
        let most = self.deliveries.0.max_capacity();
        self.outstanding.len() + self.controls.len() < most && !self.outbox.is_plenty()
    }

    fn may_read(&self) -> bool {
        !self.ended && self.has_room()
    }

    fn is_done(&self) -> bool {
        let draining = *self.phase.borrow() != Phase::Serving;
        let watching = self.watcher.is_some() && !draining;
        (self.ended || draining)
            && self.outstanding.is_empty()
            && self.controls.is_empty()
            && !watching
            && self.outbox.is_empty()
    }

    /// When the task must wake although nothing happens.
    fn alarm(&self, may_read: bool) -> Option<Instant> {
        let line = self.line_since.filter(|_| may_read).map(|since| since + self.line_timeout);
        let gone = (!may_read).then(|| Instant::now() + GONE_CHECK);
        [line, gone, self.outbox.patience()].into_iter().flatten().min()
    }

    /// Looks which limit has passed.
    fn ring(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if self.outbox.patience().is_some_and(|patience| patience <= now) {
            return Err(Closed::TooSlow);
        }
        if self.may_read() && self.line_since.is_some_and(|since| since + self.line_timeout <= now)
        {
            self.half_a_line();
            return Err(Closed::TooSlow);
        }
        if !self.may_read() && self.is_gone() {
            return Err(Closed::Gone);
        }
        Ok(())
    }

    /// Whether the client has closed both directions.
    fn is_gone(&self) -> bool {
        let mut watched = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        let polled = poll(&mut watched, PollTimeout::ZERO);
        let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
        let seen = watched[0].revents().unwrap_or_else(PollFlags::empty);
        polled.is_ok() && seen.intersects(hung_up)
    }
}

fn gone(_: io::Error) -> Closed {
    Closed::Gone
}

/// Tells a client that found no place why, and lets it go.
pub(super) async fn turn_away(stream: UnixStream, message: String) {
    let mut outbox = Outbox::new(FAREWELL);
    requests::refusal(&mut outbox, &Id::Null, super::super::control::overloaded(message));
    // One line fits into a fresh socket's buffer; a client that does not read it is not waited for.
    let _ = tokio::time::timeout(FAREWELL, stream.writable()).await;
    let _ = outbox.flush(&stream);
}
