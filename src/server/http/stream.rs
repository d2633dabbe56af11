//! A client's stream as the HTTP library sees it: proper requests only, and no client that keeps a
//! head unfinished or takes no bytes for ever.
//!
//! In place of a request that is refused the library gets one that no client can send, since its
//! method passes no screen; whoever answers it looks here for the reason. So an improper request
//! is answered in its turn, behind those that came before it, and in proper HTTP.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::screen::{HeadScreen, Improper};

/// The method of the request that stands for a refused one.
pub(super) const REFUSED: &str = "REFUSED";

const STAND_IN: &[u8] = b"REFUSED / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Ends a body of chunks in a way that its reader notices.
const NO_CHUNK: &[u8] = b"\0\r\n";

/// Most bytes that are read at once.
const READ: usize = 8 * 1024;

/// Why the request is refused that has been replaced.
pub(super) type Reason = Rc<Cell<Option<Improper>>>;

/// How long a client may take.
#[derive(Clone, Copy)]
pub(super) struct ClientPatience {
    /// For a head, from its first byte on.
    pub(super) head: Duration,
    /// To take any bytes at all.
    pub(super) reader: Duration,
}

/// One client's stream, screened on its way in.
pub(super) struct Screened<S> {
    stream: S,
    screen: HeadScreen,
    /// Bytes that may be read.
    proper: BytesMut,
    reason: Reason,
    patience: ClientPatience,
    head_due: Option<Pin<Box<Sleep>>>,
    taking_due: Option<Pin<Box<Sleep>>>,
    /// Whether nothing more is read.
    is_refused: bool,
}

impl<S> Screened<S> {
    pub(super) fn new(stream: S, patience: ClientPatience) -> (Screened<S>, Reason) {
        let reason = Reason::default();
        let screened = Screened {
            stream,
            screen: HeadScreen::new(),
            proper: BytesMut::new(),
            reason: reason.clone(),
            patience,
            head_due: None,
            taking_due: None,
            is_refused: false,
        };
        (screened, reason)
    }

    fn refuse(&mut self, improper: Improper) {
        self.is_refused = true;
        let within_body = self.screen.is_within_body();
        self.proper.extend_from_slice(if within_body { NO_CHUNK } else { STAND_IN });
        self.reason.set(Some(improper));
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let bytes = self.proper.len().min(buffer.remaining());
        buffer.put_slice(&self.proper[..bytes]);
        self.proper.advance(bytes);
        if self.proper.is_empty() {
            self.proper = BytesMut::new();
        }
    }

    /// Sees to it that a head that has begun ends in time.
    fn watch_head(&mut self, context: &mut Context<'_>) {
        if !self.screen.is_within_head() {
            self.head_due = None;
            return;
        }
        let patience = self.patience.head;
        let due = self.head_due.get_or_insert_with(|| Box::pin(sleep(patience)));
        if due.as_mut().poll(context).is_ready() {
            self.refuse(Improper { status: 408, why: "the head was begun and not ended in time" });
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Screened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.proper.is_empty() {
                this.give(buffer);
                return Poll::Ready(Ok(()));
            }
            if this.is_refused {
                // An end here would look like a client that is gone and needs no answer.
                return Poll::Pending;
            }
            let mut bytes = [0; READ];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.stream).poll_read(context, &mut read) {
                Poll::Pending => {
                    this.watch_head(context);
                    if this.proper.is_empty() {
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if read.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    if let Err(improper) = this.screen.take(read.filled(), &mut this.proper) {
                        this.refuse(improper);
                    }
                    if !this.screen.is_within_head() {
                        this.head_due = None;
                    }
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Screened<S> {
    /// What a write came to; one that has waited too long has failed.
    fn taken<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.taking_due = None;
            return written;
        }
        let patience = self.patience.reader;
        let due = self.taking_due.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(due.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Screened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.taken(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.taken(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
