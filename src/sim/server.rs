//! The network side of a simulator: a door that can be shut, connections, and what is done to them.
//!
//! The listener sits in a [`Door`] behind a lock, so that any thread can shut it at once. While it
//! is shut the port stays bound without listening: connections are refused, and no other program
//! can be given the port. Resets use a zero linger time, so that the client sees a real RST. What
//! the answers say is none of this file's business.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming as Receiving;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::SharedState;
use super::body::Sending;
use super::serve;
use super::wire::Incoming;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(5);

/// Where connections come in, or the place that is kept for it.
#[derive(Debug)]
pub(super) struct Door {
    at: SocketAddr,
    runtime: Handle,
    listener: Option<TcpListener>,
    kept: Option<TcpSocket>,
    waiting: Option<Waker>,
}

impl Door {
    pub(super) fn open(at: SocketAddr) -> io::Result<Self> {
        let listener = bound(at)?.listen(BACKLOG)?;
        let at = listener.local_addr()?;
        let runtime = Handle::current();
        Ok(Self { at, runtime, listener: Some(listener), kept: None, waiting: None })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.at
    }

    pub(super) fn shut(&mut self) -> io::Result<()> {
        if let Some(listener) = self.listener.take() {
            drop(listener);
            self.kept = Some(bound(self.at)?);
        }
        Ok(())
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.listener.is_some() {
            return Ok(());
        }
        let socket = match self.kept.take() {
            Some(socket) => socket,
            None => bound(self.at)?,
        };
        let _inside = self.runtime.enter();
        self.listener = Some(socket.listen(BACKLOG)?);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        Ok(())
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.waiting = Some(context.waker().clone());
        match &self.listener {
            Some(listener) => listener.poll_accept(context).map_ok(|(stream, _)| stream),
            None => Poll::Pending,
        }
    }
}

fn bound(at: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    Ok(socket)
}

/// Accepts connections for as long as its task lives.
pub(super) async fn accept(shared: Arc<SharedState>) {
    loop {
        // Subscribing under the door's lock: no connection slips through an outage.
        let accepted = poll_fn(|context| {
            let mut door = shared.door.lock().unwrap_or_else(PoisonError::into_inner);
            door.poll_accept(context).map_ok(|stream| (stream, shared.outage.subscribe()))
        })
        .await;
        match accepted {
            Ok((stream, outage)) => {
                shared.journal.connected();
                tokio::spawn(connection(Arc::clone(&shared), stream, outage));
            }
            // Out of descriptors: others must get a chance to close theirs.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(shared: Arc<SharedState>, stream: TcpStream, mut outage: watch::Receiver<()>) {
    if shared.script().take_reset_on_connect() {
        let _ = stream.set_zero_linger();
        return;
    }
    let _ = stream.set_nodelay(true);
    let reset = AtomicBool::new(false);
    let service = service_fn(|request| Box::pin(respond(&shared, &reset, request)));
    let mut served = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        // First: a server that is down serves nobody, whoever asked before it noticed.
        _ = outage.changed() => reset.store(true, Ordering::Relaxed),
        _ = poll_fn(|context| served.poll_without_shutdown(context)) => {}
    }
    let mut stream = served.into_parts().io.into_inner();
    if reset.load(Ordering::Relaxed) {
        let _ = stream.set_zero_linger();
    } else {
        let _ = stream.shutdown().await;
    }
}

async fn respond(
    shared: &Arc<SharedState>,
    reset: &AtomicBool,
    request: Request<Receiving>,
) -> io::Result<Response<Sending>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let call = Incoming {
        get: parts.method == Method::GET,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        raw: body,
    };
    let Some((reply, sending)) = serve::serve(shared, call).await else {
        reset.store(true, Ordering::Relaxed);
        return Err(io::ErrorKind::ConnectionReset.into());
    };
    let mut response = Response::builder().status(reply.status).body(sending);
    if let Ok(response) = &mut response {
        *response.headers_mut() = reply.headers;
    }
    response.map_err(io::Error::other)
}
