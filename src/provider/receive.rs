//! Reads answers off the network, each within the limits of its call and of memory.
//!
//! A stream is left when its first content is late, when it stops delivering, or at the deadline;
//! bytes that bring no content buy no time. It is read no faster than its listener takes it, and the
//! time that takes is the listener's own. What the bytes mean is decided in [`super::stream`] and
//! the wire formats.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::prepare::Prepared;
use super::stream::{self, News, Stream};
use super::{Failure, Outcome, Piece, anthropic, google, openai, transport};
use crate::config::Kind;
use crate::domain::fault::Fault;
use crate::domain::pace::Limits;

/// Most of an error body that is read.
pub(super) const ERROR_BYTES: usize = 64 * 1024;

/// How long an error body is waited for.
const ERROR_TIME: Duration = Duration::from_secs(2);

/// How long usage and the end marker are waited for once the answer is finished. They come in the
/// same packet or the next one; a server that then keeps quiet has already given its answer.
const TAIL_TIME: Duration = Duration::from_secs(1);

/// How often the other tasks have their turn before the end of a body is left to itself.
const TURNS: usize = 3;

/// Stands for "never" where a limit is too long to be added to a moment.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// When a call is given up, counted from its start.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    started: Instant,
    limits: Limits,
}

/// A moment, and what it means when it passes.
#[derive(Clone, Copy)]
pub(super) struct Until {
    at: Instant,
    fault: Fault,
    limit: Duration,
}

impl Pace {
    pub(super) fn start(limits: Limits) -> Pace {
        Pace { started: Instant::now(), limits }
    }

    /// The first content of a stream.
    pub(super) fn first(&self) -> Until {
        self.at_most(self.started, self.limits.first, Fault::FirstTokenTimeout)
    }

    /// The end of an answer that is not streamed.
    pub(super) fn complete(&self) -> Until {
        self.at_most(self.started, self.limits.complete, Fault::Timeout)
    }

    /// More content, from now.
    fn more(&self) -> Until {
        self.at_most(Instant::now(), self.limits.idle, Fault::StreamStalled)
    }

    /// What may follow a finished answer, from now.
    fn tail(&self) -> Until {
        self.at_most(Instant::now(), self.limits.idle.min(TAIL_TIME), Fault::StreamStalled)
    }

    fn whole(&self) -> Until {
        let limit = self.limits.whole;
        Until { at: after(self.started, limit), fault: Fault::Timeout, limit }
    }

    /// A passed deadline is nobody's slowness, so it wins when both moments are the same.
    fn at_most(&self, from: Instant, limit: Duration, fault: Fault) -> Until {
        let whole = self.whole();
        let own = Until { at: after(from, limit), fault, limit };
        if own.at < whole.at { own } else { whole }
    }
}

impl Until {
    /// Waits for something at `host` until then.
    pub(super) async fn wait<F: Future>(self, host: &str, what: F) -> Result<F::Output, Failure> {
        tokio::time::timeout_at(self.at, what).await.map_err(|_| {
            let limit = humantime::format_duration(self.limit);
            let what = match self.fault {
                Fault::FirstTokenTimeout => format!("no content from {host} within {limit}"),
                Fault::StreamStalled => format!("no more content from {host} for {limit}"),
                _ => format!("no complete answer from {host} within {limit}"),
            };
            Failure::new(self.fault, what)
        })
    }
}

fn after(from: Instant, limit: Duration) -> Instant {
    from.checked_add(limit).unwrap_or(from + FAR)
}

/// An answer with a good status, and what reading it needs.
pub(super) struct Receiving<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) kind: Kind,
    pub(super) pace: Pace,
    /// Most bytes of it that are kept.
    pub(super) limit: usize,
    pub(super) listener: Option<&'a mpsc::Sender<Piece>>,
    pub(super) response: Response,
}

impl Receiving<'_> {
    /// Reads the answer. One that was asked for as a stream may still come in one piece.
    pub(super) async fn answer(mut self, asked_to_stream: bool) -> Outcome {
        let mut begun = None;
        if asked_to_stream {
            let framing = match self.framing() {
                Framing::Unclear if self.is_announced_too_large() => Framing::Whole,
                Framing::Unclear => {
                    // Its first bytes tell.
                    let first = self.next(self.pace.first()).await?.unwrap_or_default();
                    let framing = guess(&first);
                    begun = Some(first);
                    framing
                }
                clear => clear,
            };
            if framing == Framing::Events {
                return self.events(begun).await;
            }
        }
        let until = self.pace.complete();
        let body = whole(&mut self.response, begun, self.limit);
        let body = until.wait(&self.prepared.host, body).await??;
        let secrets = &self.prepared.secrets;
        let answer = match self.kind {
            Kind::OpenAi => openai::answer(&body, secrets),
            Kind::Anthropic => anthropic::answer(&body, secrets),
            Kind::Google => google::answer(&body, secrets),
        }?;
        if let Some(text) = answer.content.as_ref().filter(|text| !text.is_empty()) {
            self.tell(Piece::Text(text.clone())).await?;
        }
        Ok(answer)
    }

    fn is_announced_too_large(&self) -> bool {
        self.response.content_length().is_some_and(|length| length > self.limit as u64)
    }

    fn framing(&self) -> Framing {
        let kind = self.response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        match () {
            () if kind.starts_with("text/event-stream") => Framing::Events,
            () if kind.contains("json") || kind.contains("html") => Framing::Whole,
            () => Framing::Unclear,
        }
    }

    async fn events(mut self, begun: Option<Bytes>) -> Outcome {
        let mut stream = Stream::new(self.kind, self.limit);
        match self.read_events(&mut stream, begun).await {
            Ok(()) => {
                finish_reading(self.response).await;
                stream.outcome()
            }
            Err(failure) => {
                let usage = stream.usage().or(failure.usage);
                Err(Failure { usage, ..failure }.with_status(self.response.status().as_u16()))
            }
        }
    }

    /// Reads until nothing of use can follow. Text that came in one packet with a failure is not
    /// told: nobody has to forget what he never heard.
    async fn read_events(
        &mut self,
        stream: &mut Stream,
        mut begun: Option<Bytes>,
    ) -> Result<(), Failure> {
        let secrets = &self.prepared.secrets;
        let mut until = self.pace.first();
        let mut told_life = false;
        while !stream.is_over() {
            let was_finished = stream.is_finished();
            let chunk = match begun.take() {
                Some(first) => Some(first),
                None => match self.next(until).await {
                    Ok(next) => next,
                    // A broken end takes nothing from an answer that is complete.
                    Err(_) if was_finished => return Ok(()),
                    Err(failure) => return Err(failure),
                },
            };
            match &chunk {
                Some(bytes) => stream.feed(bytes, secrets)?,
                None => stream.close(secrets)?,
            }
            let News { text, life } = stream.news();
            let delivered = life || text.is_some();
            if life && !std::mem::replace(&mut told_life, true) {
                self.tell(Piece::Life).await?;
            }
            if let Some(text) = text {
                self.tell(Piece::Text(text)).await?;
            }
            until = match (stream.is_finished(), delivered) {
                _ if chunk.is_none() => return Ok(()),
                (true, _) if was_finished => until,
                (true, _) => self.pace.tail(),
                (false, true) => self.pace.more(),
                (false, false) => until,
            };
        }
        Ok(())
    }

    async fn next(&mut self, until: Until) -> Result<Option<Bytes>, Failure> {
        let next = until.wait(&self.prepared.host, self.response.chunk()).await?;
        next.map_err(|error| transport::within_stream(&error, 200))
    }

    /// Hands a piece to the listener and waits until it is taken, at most until the deadline.
    async fn tell(&self, piece: Piece) -> Result<(), Failure> {
        let Some(listener) = self.listener else { return Ok(()) };
        // One that is gone listens no more, and that is all.
        self.pace.whole().wait(&self.prepared.host, listener.send(piece)).await.map(|_| ())
    }
}

#[derive(PartialEq)]
enum Framing {
    Events,
    Whole,
    Unclear,
}

/// What the first bytes of a body of an unclear type are.
fn guess(first: &[u8]) -> Framing {
    match first.trim_ascii_start().first() {
        Some(b'{' | b'[' | b'<') | None => Framing::Whole,
        Some(_) => Framing::Events,
    }
}

/// Lets the body end, so that the connection can be used again. What is left of it is usually there
/// already, and the connection's own task has only to look; otherwise nobody waits for it.
async fn finish_reading(mut response: Response) {
    for _ in 0..TURNS {
        if matches!(response.chunk().now_or_never(), Some(Ok(None) | Err(_))) {
            return;
        }
        tokio::task::yield_now().await;
    }
    tokio::spawn(async move {
        let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
        let _ = tokio::time::timeout(TAIL_TIME, rest).await;
    });
}

/// The whole body of an answer, if it is not too large. `begun` was read before.
async fn whole(
    response: &mut Response,
    begun: Option<Bytes>,
    limit: usize,
) -> Result<Bytes, Failure> {
    let status = response.status().as_u16();
    let too_large = || stream::too_large(limit).with_status(status);
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut next =
        async || response.chunk().await.map_err(|error| transport::within_answer(&error, status));
    // Nearly every answer is one piece and needs no copy.
    let first = match begun {
        Some(first) => Some(first),
        None => next().await?,
    };
    let Some(first) = first else { return Ok(Bytes::new()) };
    let Some(second) = next().await? else {
        return if first.len() > limit { Err(too_large()) } else { Ok(first) };
    };
    let mut body = BytesMut::from(first);
    body.extend_from_slice(&second);
    while body.len() <= limit {
        match next().await? {
            Some(more) => body.extend_from_slice(&more),
            None => return Ok(body.freeze()),
        }
    }
    Err(too_large())
}

/// The beginning of an error body. One that breaks or dawdles is used as far as it came: the
/// status is known already, and it is the status that counts.
pub(super) async fn head(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(more)) = response.chunk().await {
            let room = ERROR_BYTES - body.len();
            body.extend_from_slice(&more[..more.len().min(room)]);
            if body.len() == ERROR_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ERROR_TIME, reading).await;
    body
}
