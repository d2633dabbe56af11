//! Reads answers off the network, each within the limits of its call and of memory.
//!
//! A stream is left when its first content is late, when it stops delivering, or at the deadline;
//! bytes that bring no content buy no time. It is read no faster than its steps are asked for, and
//! the time between two of them is nobody's silence. What the bytes mean is decided in
//! [`super::pieces`] and the wire formats.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use super::framing::sniff::{self, Framing};
use super::gather::Stream;
use super::patience::{Pace, TAIL_TIME, Until};
use super::pieces::{self, FreshContent};
use super::prepare::Prepared;
use super::source::{BodyError, Source};
use super::{CallResult, Failure, Step, whole};
use crate::protocol::answer::Answer;

/// How often the other tasks have their turn before the end of a body is left to itself.
const TURNS: usize = 3;

/// An answer with a good status that is being read.
pub(super) struct Reading {
    prepared: Rc<Prepared>,
    source: Source,
    pace: Pace,
    body: Body,
}

/// What an answer is read from.
enum Body {
    Events(Box<EventReader>),
    /// All of it is here.
    Whole {
        answer: Box<Answer>,
        told: bool,
    },
}

/// A stream of events, and what of it was not told yet.
struct EventReader {
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
        response: Response,
        pace: Pace,
        limit: usize,
        asked_to_stream: bool,
    ) -> Result<Reading, Failure> {
        let label = label(&response);
        let mut source = Source::new(response);
        let head = match label {
            Label::Events => BodyHead { begun: None, framing: Framing::Events },
            _ if whole::is_announced_too_large(&source.response, limit) => {
                BodyHead { begun: None, framing: Framing::Whole }
            }
            _ => {
                // Its first bytes tell. What says that it is whole may take its time to begin.
                let is_whole = !asked_to_stream || label == Label::Json;
                let until = if is_whole { pace.complete() } else { pace.first() };
                let head = BodyHead::read(&mut source, limit);
                let head = until.wait(&prepared.host, head).await?;
                let status = source.response.status().as_u16();
                head.map_err(|broken| match is_whole {
                    true => broken.within_answer(status),
                    false => broken.within_stream(status),
                })?
            }
        };
        let secrets = prepared.secrets();
        let body = if head.framing == Framing::Events {
            let stream = Stream::new(prepared.format, limit, &secrets);
            let stream = stream.with_end_that_finishes(prepared.end_finishes);
            Body::Events(Box::new(EventReader::new(stream, head.begun, pace.first())))
        } else {
            let body = whole::answer(&mut source, head.begun, limit);
            let body = pace.complete().wait(&prepared.host, body).await??;
            let answer = pieces::whole(prepared.format, &body, &secrets)?;
            Body::Whole { answer: Box::new(answer), told: false }
        };
        Ok(Reading { prepared, source, pace, body })
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
            Body::Events(events) => events.next(&mut self.source, self.pace, &self.prepared).await,
            Body::Whole { answer, told } => {
                let told = std::mem::replace(told, true);
                let text = answer.content.as_ref().filter(|text| !told && !text.is_empty());
                Ok(text.cloned().map(Step::Text))
            }
        }
    }

    async fn finish(self) -> CallResult {
        match self.body {
            Body::Events(events) => {
                finish_reading(self.source.response).await;
                events.stream.outcome()
            }
            Body::Whole { answer, .. } => Ok(*answer),
        }
    }

    /// A failure in the midst of events has what they told of usage.
    fn broken(&self, failure: Failure) -> Failure {
        let Body::Events(events) = &self.body else { return failure };
        let usage = events.stream.gathered.usage.map(Box::new).or(failure.usage);
        Failure { usage, ..failure }.with_status(self.source.response.status().as_u16())
    }
}

impl EventReader {
    fn new(stream: Stream, begun: Option<Bytes>, first: Until) -> EventReader {
        EventReader {
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
        source: &mut Source,
        pace: Pace,
        prepared: &Prepared,
    ) -> Result<Option<Step>, Failure> {
        if let Some(text) = self.untold.take() {
            return Ok(Some(Step::Text(text)));
        }
        while !self.ended && !self.stream.gathered.over {
            let chunk = match self.read(source, pace, prepared).await {
                // A broken end takes nothing from an answer that is complete.
                Err(failure) => {
                    let step = self.take(None).ok().flatten();
                    self.stream.gathered.finish.ok_or(failure)?;
                    return Ok(step);
                }
                Ok(chunk) => chunk,
            };
            if let Some(step) = self.take(chunk)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    async fn read(
        &mut self,
        source: &mut Source,
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
        next(source, until, prepared).await
    }

    /// Takes what came, `None` for the end of the body; gives what is to be told of it.
    fn take(&mut self, chunk: Option<Bytes>) -> Result<Option<Step>, Failure> {
        let was_finished = self.stream.gathered.finish.is_some();
        match &chunk {
            Some(bytes) => self.stream.feed(bytes)?,
            None => self.stream.close()?,
        }
        self.ended = chunk.is_none();
        let FreshContent { text, life } = self.stream.gathered.news();
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
    source: &mut Source,
    until: Until,
    prepared: &Prepared,
) -> Result<Option<Bytes>, Failure> {
    let status = source.response.status().as_u16();
    let next = until.wait(&prepared.host, source.chunk()).await?;
    next.map_err(|broken| broken.within_stream(status))
}

/// The beginning of a body, and what it shows.
struct BodyHead {
    begun: Option<Bytes>,
    framing: Framing,
}

impl BodyHead {
    /// Reads until the bytes tell what they are.
    async fn read(source: &mut Source, limit: usize) -> Result<BodyHead, BodyError> {
        let mut begun = Bytes::new();
        loop {
            let more = source.chunk().await?;
            let is_all = more.is_none();
            begun = match more.unwrap_or_default() {
                first if begun.is_empty() => first,
                more => {
                    let mut both = BytesMut::from(begun);
                    both.extend_from_slice(&more);
                    both.freeze()
                }
            };
            let framing = sniff::framing(&begun);
            if framing.is_some() || is_all || begun.len() > limit {
                let framing = framing.unwrap_or(Framing::Whole);
                return Ok(BodyHead { begun: Some(begun), framing });
            }
        }
    }
}

/// What the head of an answer says that its body is. Only events are believed: some servers put
/// every other label on them.
#[derive(PartialEq)]
enum Label {
    Events,
    Json,
    Other,
}

fn label(response: &Response) -> Label {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    match () {
        () if kind.starts_with("text/event-stream") => Label::Events,
        () if kind.starts_with("application/vnd.amazon.eventstream") => Label::Events,
        () if kind.contains("json") => Label::Json,
        () => Label::Other,
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
