//! Bodies as a simulator sends them: whole, cut or stuck in the middle, behind a lot of nothing, or
//! piece by piece.
//!
//! Broken bodies have to be sent on purpose, which ordinary body types rightly make hard. A cut
//! body announces its full length and fails half-way, after the first half has really been sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];

/// A body being sent.
pub(super) enum Sending {
    Whole(Bytes),
    /// The first half, then the connection ends.
    Half {
        first: Bytes,
        whole: u64,
        flushed: bool,
    },
    /// This many blanks first.
    Padded {
        blanks: usize,
        then: Bytes,
    },
    /// Piece by piece, as somebody else makes them.
    Live(mpsc::Receiver<io::Result<Bytes>>),
    /// The first half, then nothing, for ever.
    Stuck {
        first: Bytes,
        whole: u64,
    },
}

impl Sending {
    pub(super) fn half(body: &Bytes) -> Self {
        Self::Half { first: body.slice(..body.len() / 2), whole: body.len() as u64, flushed: false }
    }

    pub(super) fn stuck(body: &Bytes) -> Self {
        Self::Stuck { first: body.slice(..body.len() / 2), whole: body.len() as u64 }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut *self {
            Self::Whole(body) => std::mem::take(body),
            Self::Half { first, .. } if !first.is_empty() => std::mem::take(first),
            Self::Half { flushed: flushed @ false, .. } => {
                // hyper flushes what it has when a body is not ready; without that the error
                // would overtake the first half.
                *flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Live(pieces) => {
                return pieces.poll_recv(context).map(|piece| Some(piece?.map(Frame::data)));
            }
            Self::Stuck { first, .. } if !first.is_empty() => std::mem::take(first),
            Self::Stuck { .. } => return Poll::Pending,
            Self::Half { .. } => return Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
            Self::Padded { blanks: 0, then } => std::mem::take(then),
            Self::Padded { blanks, .. } => {
                let now = BLANKS.len().min(*blanks);
                *blanks -= now;
                Bytes::from_static(&BLANKS[..now])
            }
        };
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Half { whole, .. } | Self::Stuck { whole, .. } => SizeHint::with_exact(*whole),
            // Sent in chunks, so that a client has to count for itself.
            Self::Padded { .. } | Self::Live(_) => SizeHint::default(),
        }
    }
}
