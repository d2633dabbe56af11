//! The front that speaks lines of JSON, one connection for each client.
//!
//! This file takes connections in; what each says and hears is the connection's own.
//! A machine out of descriptors gets a pause instead of a spinning loop, and the clients who wait
//! are taken in as soon as others leave. When nobody leaves, they must not wait for ever without a
//! word: one descriptor is kept in reserve, and with it they are told so one by one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::admit::overloaded;
use super::budget::ConnectionSlot;
use super::caller::Caller;
use super::http::{self, FrontDoor};
use super::{EVENTS, Phase, Server};
use crate::actors::sink::EventRoom;
use crate::protocol::id::Id;

mod buffer;
mod connection;
mod outbox;
mod watchers;

use connection::Connection;
use outbox::Outbox;

/// Pause after a failed accept, so that exhaustion neither spins nor parks.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a client that found no place may take to be ready for its one line.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long it may take to say something, so that it is answered in its language.
const HEARING: Duration = Duration::from_millis(50);
/// How long clients wait for a descriptor before they are turned away.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long connections could not be accepted, and what is kept for that case.
struct Shortage {
    since: Option<Instant>,
    spare: Option<OwnedFd>,
}

/// Serves clients until the daemon begins to end. Connections under way go on by themselves.
pub(crate) async fn serve(server: Rc<Server>, listener: UnixListener) {
    let mut phase = server.phase.clone();
    let mut shortage = Shortage { since: None, spare: None };
    loop {
        tokio::select! {
            biased;
            ending = phase.wait_for(|phase| *phase != Phase::Serving) => {
                drop(ending);
                return;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shortage.since = None;
                    if shortage.has_spare(&listener) {
                        take_in(&server, stream);
                    } else {
                        no_descriptors(stream).await;
                    }
                }
                Err(error) => {
                    if shortage.since.is_none() {
                        tracing::warn!(%error, "cannot accept a connection; trying again");
                    }
                    shortage.shed(&listener).await;
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

fn take_in(server: &Rc<Server>, stream: UnixStream) {
    let server = server.clone();
    match server.budget.connect() {
        // All of it in its own task: a panic takes one client, never the loop.
        Some(place) => {
            actix::spawn(meet(server, stream, place));
        }
        None => {
            let most = server.budget.limits().connections;
            let message = format!(
                "{most} connections are open (`limits.connections`); close some, or try again later"
            );
            let phase = server.phase.clone();
            actix::spawn(async move {
                // Whoever speaks HTTP has asked by now.
                let asked = tokio::time::timeout(HEARING, speaks_http(&stream, phase)).await;
                turn_away(stream, message, asked == Ok(true)).await;
            });
        }
    }
}

/// Serves a client in the language that its first byte belongs to.
async fn meet(server: Rc<Server>, stream: UnixStream, place: ConnectionSlot) {
    if !speaks_http(&stream, server.phase.clone()).await {
        return Connection::new(server, stream, place).run().await;
    }
    let caller = Caller::of(&stream, EventRoom::new(EVENTS));
    http::serve(FrontDoor { server, caller, port: None }, stream, place).await;
}

/// Whether a client begins with a capital letter, as methods of HTTP do and JSON never does. One
/// that says nothing until the daemon ends speaks either.
async fn speaks_http(stream: &UnixStream, mut phase: watch::Receiver<Phase>) -> bool {
    let mut first = [0];
    let peeked = async {
        loop {
            stream.readable().await?;
            let peek = || Ok(recv(stream.as_raw_fd(), &mut first, MsgFlags::MSG_PEEK)?);
            match stream.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return peeked,
            }
        }
    };
    let peeked = tokio::select! {
        peeked = peeked => peeked,
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => Ok(0),
    };
    peeked.is_ok_and(|bytes| bytes == 1) && first[0].is_ascii_uppercase()
}

/// Tells a client that found no place why, and lets it go.
async fn turn_away(stream: UnixStream, message: String, in_http: bool) {
    let mut outbox = Outbox::new(FAREWELL);
    if in_http {
        outbox.raw(&[&http::no_place(message)]);
    } else {
        outbox.error(Id::Null, overloaded(message));
    }
    // One line fits into a fresh socket's buffer; a client that does not read it is not waited for.
    let _ = tokio::time::timeout(FAREWELL, stream.writable()).await;
    let _ = outbox.flush(&stream);
}

/// Waits until the client is gone again, for what comes next needs its descriptor.
async fn no_descriptors(stream: UnixStream) {
    let message = "the daemon has no descriptors left (`ulimit -n`); close connections, or try \
                   again later";
    turn_away(stream, message.to_owned(), false).await;
}

impl Shortage {
    /// Turns a client away once the shortage has lasted.
    async fn shed(&mut self, listener: &UnixListener) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < PATIENCE || !self.has_spare(listener) {
            return;
        }
        // What is closed here is the descriptor that the client gets.
        self.spare = None;
        if let Some(Ok((stream, _))) = listener.accept().now_or_never() {
            no_descriptors(stream).await;
        }
        self.has_spare(listener);
    }

    /// Whether one is in reserve; takes one if it can be had.
    fn has_spare(&mut self, listener: &UnixListener) -> bool {
        if self.spare.is_none() {
            self.spare = listener.as_fd().try_clone_to_owned().ok();
        }
        self.spare.is_some()
    }
}
