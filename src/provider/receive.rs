//! Reads answers off the network, each within the limits of its call and of memory.
//!
//! A stream is left when its first content is late, when it stops delivering, or at the deadline;
//! bytes that bring no content buy no time. It is read no faster than its steps are asked for, and
//! the time between two of them is nobody's silence. What the bytes mean is decided in
//! [`super::pieces`] and the wire formats.

use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use super::errors::transport;
use super::gather::Stream;
use super::patience::{Pace, TAIL_TIME, Until};
use super::pieces::{self, News};
use super::prepare::Prepared;
use super::{Failure, Outcome, Step};
use crate::protocol::answer::Answer;

/// Most of an error body that is read.
pub(super) const ERROR_BYTES: usize = 64 * 1024;

/// How long an error body is waited for.
const ERROR_TIME: Duration = Duration::from_secs(2);

/// How often the other tasks have their turn before the end of a body is left to itself.
const TURNS: usize = 3;

/// An answer with a good status that is being read.
pub(super) struct Reading {
    prepared: Rc<Prepared>,
    response: Response,
    pace: Pace,
    body: Body,
}

/// What an answer is read from.
enum Body {
    Events(Box<Events>),
    /// All of it is here.
    Whole {
        answer: Answer,
        told: bool,
    },
}

/// A stream of events, and what of it was not told yet.
struct Events {
    stream: Stream,
    /// Bytes that were read before it was known what they are.
    begun: Option<Bytes>,
    /// Text that came together with life.
    untold: Option<String>,
    told_life: bool,
    patience: Patience,
    ended: bool,
}

/// What is waited for. The time until then begins when the next bytes are asked for, so that a
/// caller who takes its time is nobody's silence.
#[derive(Clone, Copy)]
enum Patience {
    More,
    Tail,
    Begun(Until),
}

impl Reading {
    /// Finds out what comes, of which at most `limit` bytes are kept. An answer that was asked for as
    /// a stream may still be in one piece.
    pub(super) async fn begin(
        prepared: Rc<Prepared>,
        mut response: Response,
        pace: Pace,
        limit: usize,
        asked_to_stream: bool,
    ) -> Result<Reading, Failure> {
        let mut begun = None;
        let framing = match framing(&response) {
            Framing::Unclear(_) if is_announced_too_large(&response, limit) => Framing::Whole,
            Framing::Unclear(label) => {
                // Its first bytes tell. What says that it is whole may take its time to begin.
                let is_whole = !asked_to_stream || label == Label::Json;
                let until = if is_whole { pace.complete() } else { pace.first() };
                let first = next(&mut response, until, &prepared).await?;
                guess(begun.insert(first.unwrap_or_default()))
            }
            clear => clear,
        };
        let body = if framing == Framing::Events {
            let stream = Stream::new(prepared.format, limit, &prepared.secrets());
            Body::Events(Box::new(Events::new(stream, begun, pace.first())))
        } else {
            let body = whole(&mut response, begun, limit);
            let body = pace.complete().wait(&prepared.host, body).await??;
            Body::Whole {
                answer: pieces::whole(prepared.format, &body, &prepared.secrets())?,
                told: false,
            }
        };
        Ok(Reading { prepared, response, pace, body })
    }

    /// The next step, and what is left to read.
    pub(super) async fn step(mut self) -> (Step, Option<Reading>) {
        match self.advance().await {
            Ok(Some(step)) => (step, Some(self)),
            Ok(None) => (Step::End(self.finish().await), None),
            Err(failure) => (Step::End(Err(self.broken(failure))), None),
        }
    }

    /// What is new of the answer; `None` at its end.
    async fn advance(&mut self) -> Result<Option<Step>, Failure> {
        match &mut self.body {
            Body::Events(events) => {
                events.next(&mut self.response, self.pace, &self.prepared).await
            }
            Body::Whole { answer, told } => {
                let told = std::mem::replace(told, true);
                let text = answer.content.as_ref().filter(|text| !told && !text.is_empty());
                Ok(text.cloned().map(Step::Text))
            }
        }
    }

    async fn finish(self) -> Outcome {
        match self.body {
            Body::Events(events) => {
                finish_reading(self.response).await;
                events.stream.gathered.outcome()
            }
            Body::Whole { answer, .. } => Ok(answer),
        }
    }

    /// A failure in the midst of events has what they told of usage.
    fn broken(&self, failure: Failure) -> Failure {
        let Body::Events(events) = &self.body else { return failure };
        let usage = events.stream.gathered.usage.or(failure.usage);
        Failure { usage, ..failure }.with_status(self.response.status().as_u16())
    }
}

impl Events {
    fn new(stream: Stream, begun: Option<Bytes>, first: Until) -> Events {
        Events {
            stream,
            begun,
            untold: None,
            told_life: false,
            patience: Patience::Begun(first),
            ended: false,
        }
    }

    /// Reads until there is something to tell, or until nothing of use can follow (`None`). Text
    /// that came in one packet with a failure is not told: nobody has to forget what he never heard.
    async fn next(
        &mut self,
        response: &mut Response,
        pace: Pace,
        prepared: &Prepared,
    ) -> Result<Option<Step>, Failure> {
        if let Some(text) = self.untold.take() {
            return Ok(Some(Step::Text(text)));
        }
        while !self.ended && !self.stream.gathered.over {
            let chunk = match self.read(response, pace, prepared).await {
                // A broken end takes nothing from an answer that is complete.
                Err(_) if self.stream.gathered.finish.is_some() => break,
                read => read?,
            };
            if let Some(step) = self.take(chunk)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    async fn read(
        &mut self,
        response: &mut Response,
        pace: Pace,
        prepared: &Prepared,
    ) -> Result<Option<Bytes>, Failure> {
        if let Some(first) = self.begun.take() {
            return Ok(Some(first));
        }
        // A caller may have taken its time until now.
        pace.whole().check(&prepared.host)?;
        let until = match self.patience {
            Patience::More => pace.more(),
            Patience::Tail => pace.tail(),
            Patience::Begun(until) => until,
        };
        self.patience = Patience::Begun(until);
        next(response, until, prepared).await
    }

    /// Takes what came, `None` for the end of the body; gives what is to be told of it.
    fn take(&mut self, chunk: Option<Bytes>) -> Result<Option<Step>, Failure> {
        let was_finished = self.stream.gathered.finish.is_some();
        match &chunk {
            Some(bytes) => self.stream.feed(bytes)?,
            None => self.stream.close()?,
        }
        self.ended = chunk.is_none();
        let News { text, life } = self.stream.gathered.news();
        let is_finished = self.stream.gathered.finish.is_some();
        let has_news = life || text.is_some();
        if is_finished && !was_finished && !self.stream.gathered.is_empty() {
            // What may follow is waited for once.
            self.patience = Patience::Tail;
        } else if is_finished && (has_news || !was_finished) {
            // A finish that content follows, or that comes before all content, ends nothing.
            self.patience = Patience::More;
        } else if has_news {
            self.patience = Patience::More;
        }
        let life = life && !std::mem::replace(&mut self.told_life, true);
        if life {
            self.untold = text;
            return Ok(Some(Step::Life));
        }
        Ok(text.map(Step::Text))
    }
}

async fn next(
    response: &mut Response,
    until: Until,
    prepared: &Prepared,
) -> Result<Option<Bytes>, Failure> {
    let next = until.wait(&prepared.host, response.chunk()).await?;
    next.map_err(|error| transport::within_stream(&error, 200))
}

#[derive(PartialEq)]
enum Framing {
    Events,
    Whole,
    /// Labels of JSON are not relied on: some servers put them on events.
    Unclear(Label),
}

#[derive(PartialEq)]
enum Label {
    Json,
    Other,
}

/// What the head of an answer says that its body is.
fn framing(response: &Response) -> Framing {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    match () {
        () if kind.starts_with("text/event-stream") => Framing::Events,
        () if kind.starts_with("application/vnd.amazon.eventstream") => Framing::Events,
        () if kind.contains("html") => Framing::Whole,
        () if kind.contains("json") => Framing::Unclear(Label::Json),
        () => Framing::Unclear(Label::Other),
    }
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

fn is_announced_too_large(response: &Response, limit: usize) -> bool {
    response.content_length().is_some_and(|length| length > limit as u64)
}

/// The whole body of an answer, if it is not too large. `begun` was read before.
async fn whole(
    response: &mut Response,
    begun: Option<Bytes>,
    limit: usize,
) -> Result<Bytes, Failure> {
    let status = response.status().as_u16();
    let too_large = || pieces::too_large(limit).with_status(status);
    if is_announced_too_large(response, limit) {
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
