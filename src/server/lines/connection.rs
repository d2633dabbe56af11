//! One client: its lines, its outstanding requests, and its answers.
//!
//! The task waits for whatever comes first: bytes, an answer, room to write, news for a watcher, a
//! limit. It stops reading while too much is outstanding or not taken. After end-of-file it finishes what was
//! asked for; a client that is gone takes its requests with it, because dropping this task drops
//! their answers.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamFuture};
use futures_util::{Stream, StreamExt};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::super::admit::Answering;
use super::super::budget::{Arriving, ConnectionSlot};
use super::super::caller::Caller;
use super::super::{EVENTS, Phase, Server};
use super::buffer::{Line, LineBuffer};
use super::outbox::Outbox;
use super::watchers::Watcher;
use crate::actors::sink::{EventRoom, News};
use crate::protocol::control::Found;
use crate::protocol::id::Id;
use crate::protocol::reply::ErrorBody;

mod requests;

/// How often a half-closed client is looked at, to see whether it is gone.
const GONE_CHECK: Duration = Duration::from_millis(50);

/// A client that cannot be served further.
#[derive(Debug)]
enum Closed {
    /// It is done, and so are we.
    Done,
    /// It is gone, or its socket failed.
    Gone,
    /// It kept a line unfinished, or took no bytes, for too long.
    TooSlow,
}

/// One client's socket, requests and answers.
pub(super) struct Connection {
    server: Rc<Server>,
    stream: UnixStream,
    caller: Caller,
    phase: watch::Receiver<Phase>,
    lines: LineBuffer,
    input: Input,
    arriving: Arriving,
    outbox: Outbox,
    /// Requests that are not answered yet. A reply that is ready never waits behind their events,
    /// except behind its own request's.
    requests: FuturesUnordered<StreamFuture<Request>>,
    controls: FuturesUnordered<ControlFuture>,
    /// Most requests and operations that may be outstanding.
    most: usize,
    watcher: Option<Watcher>,
    line_timeout: Duration,
    /// Its place among all connections; given back when this is dropped.
    _place: ConnectionSlot,
}

/// What the client is sending.
#[derive(Clone, Copy, PartialEq)]
enum Input {
    /// Nothing: what comes next begins a line.
    Idle,
    /// A line that has not ended, and since when it should have.
    Line { since: Instant },
    /// End-of-file was seen: nothing more will come.
    Ended,
}

/// A request that is not answered yet, by the name that its client gave it.
struct Request {
    id: Id,
    answering: Answering,
}

/// A control operation under way, for the request of this id.
type ControlFuture = Pin<Box<dyn Future<Output = (Id, Result<Found, ErrorBody>)>>>;

impl Stream for Request {
    type Item = News;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<News>> {
        self.answering.poll_next_unpin(context)
    }
}

impl Connection {
    pub(super) fn new(server: Rc<Server>, stream: UnixStream, place: ConnectionSlot) -> Connection {
        let limits = server.budget.limits();
        Connection {
            caller: Caller::of(&stream, EventRoom::new(EVENTS)),
            phase: server.phase.clone(),
            lines: LineBuffer::new(limits.line_bytes),
            input: Input::Idle,
            arriving: server.budget.arriving(),
            outbox: Outbox::new(limits.reader_timeout),
            requests: FuturesUnordered::new(),
            controls: FuturesUnordered::new(),
            most: limits.requests_per_connection.max(1),
            watcher: None,
            line_timeout: limits.line_timeout,
            _place: place,
            server,
            stream,
        }
    }

    /// Serves the client to its end.
    pub(super) async fn run(mut self) {
        let closed = self.serve().await;
        let Caller { uid, gid, pid, .. } = self.caller;
        tracing::debug!(uid, gid, pid, reason = ?closed, "connection closed");
    }

    async fn serve(&mut self) -> Closed {
        loop {
            let was_full = self.outbox.is_plenty();
            if self.outbox.flush(&self.stream).is_err() {
                return Closed::Gone;
            }
            if was_full {
                self.go_on_reading();
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
        let watching = self.watcher.is_some() && !self.outbox.is_busy();
        let outstanding = self.requests.len();
        let (mut reader, writer) = self.stream.split();
        // In no fixed order: a fast stream, or a busy log, must not keep anything else waiting.
        tokio::select! {
            Some((news, request)) = self.requests.next(), if outstanding > 0 => {
                self.hear(news, request);
                self.hear_ready();
                if self.requests.len() < outstanding {
                    self.go_on_reading();
                }
                Ok(())
            }
            Some((id, result)) = self.controls.next(), if !self.controls.is_empty() => {
                self.found(id, result);
                self.go_on_reading();
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
            () = until(alarm) => self.ring(),
        }
    }

    /// Takes the lines of what was read.
    fn arrived(&mut self, read: io::Result<usize>) -> Result<(), Closed> {
        if read.map_err(gone)? == 0 {
            self.input = Input::Ended;
        }
        let took = self.take_lines();
        self.time_line(took);
        Ok(())
    }

    /// Takes lines that had to wait. Their client is not to blame for that time.
    fn go_on_reading(&mut self) {
        self.take_lines();
        self.time_line(true);
    }

    /// Takes whole lines as long as more may be outstanding; says whether there was any.
    fn take_lines(&mut self) -> bool {
        let mut any = false;
        while self.has_room() {
            let next = self.lines.next();
            let ended = self.input == Input::Ended;
            let next = if ended { next.or_else(|| self.lines.last()) } else { next };
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
        any
    }

    /// Notes since when a line should have ended; `anew` for one that began just now.
    fn time_line(&mut self, anew: bool) {
        self.input = match self.input {
            Input::Ended => Input::Ended,
            _ if !self.lines.has_begun() => Input::Idle,
            Input::Line { since } if !anew => Input::Line { since },
            _ => Input::Line { since: Instant::now() },
        };
    }

    /// Whether more may be asked for. A client that does not take its answers gets no more of
    /// them, or its mistakes alone would fill the memory.
    fn has_room(&self) -> bool {
        self.requests.len() + self.controls.len() < self.most && !self.outbox.is_plenty()
    }

    fn may_read(&self) -> bool {
        self.input != Input::Ended && self.has_room()
    }

    fn is_done(&self) -> bool {
        let draining = *self.phase.borrow() != Phase::Serving;
        let watching = self.watcher.is_some() && !draining;
        (self.input == Input::Ended || draining)
            && self.requests.is_empty()
            && self.controls.is_empty()
            && !watching
            && self.outbox.is_empty()
    }

    /// When the task must wake although nothing happens.
    fn alarm(&self, may_read: bool) -> Option<Instant> {
        let gone = (!may_read).then(|| Instant::now() + GONE_CHECK);
        let line = self.line_due().filter(|_| may_read);
        [line, gone, self.outbox.patience()].into_iter().flatten().min()
    }

    /// When the line that has begun must have ended.
    fn line_due(&self) -> Option<Instant> {
        match self.input {
            Input::Line { since } => Some(since + self.line_timeout),
            Input::Idle | Input::Ended => None,
        }
    }

    /// Looks which limit has passed.
    fn ring(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if self.outbox.patience().is_some_and(|patience| patience <= now) {
            return Err(Closed::TooSlow);
        }
        if !self.may_read() {
            return if self.is_gone() { Err(Closed::Gone) } else { Ok(()) };
        }
        if self.line_due().is_some_and(|due| due <= now) {
            self.half_a_line();
            return Err(Closed::TooSlow);
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

async fn until(alarm: Option<Instant>) {
    match alarm {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
