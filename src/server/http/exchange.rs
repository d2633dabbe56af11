//! One request for an answer: read, submitted, answered.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use super::guard::Turned;
use super::headers;
use super::reply::{LiveStream, ReplyBody, ending};
use super::settings::FrontSettings;
use super::{FrontDoor, json, refuse};
use crate::actors::sink::{ChatAnswer, News, Told};
use crate::dialects::{Echo, Given, HttpDialect, Refused, RequestRead, status};
use crate::protocol::event::StreamEvent;
use crate::protocol::front::FrontTerms;
use crate::protocol::reply::{Answered, Attempt, ErrorBody, ErrorCode, Outcome};
use crate::server::admit::{Answering, overloaded};

/// What stays the same of one request on its way.
struct Exchange<'a> {
    door: &'a FrontDoor,
    settings: &'a FrontSettings,
    dialect: HttpDialect,
    tells_usage: bool,
    for_own_kind: Vec<String>,
    dropped: Vec<String>,
    echo: Rc<Echo>,
}

/// Answers a request for an answer.
pub(super) async fn answer(
    door: &FrontDoor,
    settings: &FrontSettings,
    dialect: HttpDialect,
    head: &Parts,
    body: Incoming,
) -> Response<ReplyBody> {
    match submit(door, settings, dialect, head, body).await {
        Ok((exchange, answering)) => exchange.follow(answering).await,
        Err(turned) => refuse(dialect.errors(), &turned, settings),
    }
}

async fn submit<'a>(
    door: &'a FrontDoor,
    settings: &'a FrontSettings,
    dialect: HttpDialect,
    head: &Parts,
    body: Incoming,
) -> Result<(Exchange<'a>, Answering), Turned> {
    // In this order: a daemon that ends says so, whatever else is wrong.
    door.server.is_serving()?;
    let body = collect(door, settings, body).await?;
    let RequestRead { mut request, tells_usage, for_own_kind, dropped, echo } =
        dialect.read(&body)?;
    drop(body);
    let hosted = dropped.iter().find(|name| name.starts_with("tools."));
    if let Some(tool) = hosted.filter(|_| settings.rules.refuses_hosted_tools) {
        let message = format!(
            "`{tool}`: a tool that a provider runs itself has no backup (`http.hosted_tools`); \
             leave it out"
        );
        return Err(ErrorBody::new(ErrorCode::BadRequest, message).into());
    }
    if let Some(task) = request.model.as_deref().and_then(|name| settings.rules.task_of(name)) {
        request.task = Some(task.to_owned());
        request.model = None;
    }
    request.timeout = deadline(&head.headers)?.or(request.timeout);
    request.front = Some(Box::new(FrontTerms {
        patience: patience(&head.headers),
        unknown_is_default: settings.rules.unknown_is_default,
    }));
    let answering = door.server.submit(request, &door.caller)?;
    Ok((Exchange { door, settings, dialect, tells_usage, for_own_kind, dropped, echo }, answering))
}

/// The whole body, within its limits.
async fn collect(
    door: &FrontDoor,
    settings: &FrontSettings,
    body: Incoming,
) -> Result<Vec<u8>, Turned> {
    let most = settings.rules.body_bytes;
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    let patience = door.server.budget.limits().line_timeout;
    match timeout(patience, gather(door, most, body)).await {
        Ok(gathered) => gathered,
        Err(_) => {
            let message = format!(
                "the body was begun and not ended within {} (`limits.line_timeout`)",
                humantime::format_duration(patience)
            );
            Err(Turned::new(408, ErrorCode::BadRequest, message))
        }
    }
}

async fn gather(door: &FrontDoor, most: usize, mut body: Incoming) -> Result<Vec<u8>, Turned> {
    let mut arriving = door.server.budget.arriving();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken = "the body broke off, or its chunks are malformed";
        let frame = frame.map_err(|_| Turned::new(400, ErrorCode::BadRequest, broken))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&data);
        if !arriving.hold(bytes.len()) {
            let total = door.server.budget.limits().request_bytes_total;
            let message = format!(
                "requests of {total} bytes are outstanding (`limits.request_bytes_total`); try \
                 again later"
            );
            return Err(overloaded(message).into());
        }
    }
    Ok(bytes)
}

fn too_large(most: usize) -> Turned {
    let message = format!("the body is longer than {most} bytes (`http.body_bytes`)");
    Turned::from(ErrorBody::new(ErrorCode::LineTooLong, message))
}

/// The deadline that a program asks for in our own header.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, ErrorBody> {
    let Some(value) = headers.get("x-fallbackd-timeout") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let read = humantime::parse_duration(text).ok().or_else(|| seconds(text));
    match read.filter(|asked| !asked.is_zero()) {
        Some(asked) => Ok(Some(asked)),
        None => {
            let message = "`x-fallbackd-timeout`: expected a duration such as 30s, or seconds";
            Err(ErrorBody::new(ErrorCode::BadRequest, message))
        }
    }
}

/// How long the program waits before it gives up, as the usual libraries tell in seconds.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    ["x-stainless-timeout", "x-stainless-read-timeout"].iter().find_map(|name| {
        let text = headers.get(*name)?.to_str().ok()?;
        seconds(text).filter(|patience| !patience.is_zero())
    })
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

impl Exchange<'_> {
    /// Waits for the first word, or the end, and answers with it.
    async fn follow(self, mut answering: Answering) -> Response<ReplyBody> {
        let first = tokio::select! {
            biased;
            news = answering.next() => news,
            () = ending(self.door.server.phase.clone()) => {
                return refuse(self.dialect.errors(), &answering.end().into(), self.settings);
            }
        };
        match first {
            Some(News::Event(told)) => self.stream(answering, told),
            Some(News::Answer(ChatAnswer::Chat(outcome))) => self.whole(&outcome),
            Some(News::Answer(ChatAnswer::Plan(_))) | None => {
                let lost = ErrorBody::internal("an answer was lost");
                refuse(self.dialect.errors(), &lost.into(), self.settings)
            }
        }
    }

    fn stream(&self, answering: Answering, first: Told) -> Response<ReplyBody> {
        let mut head = HeaderMap::new();
        if let StreamEvent::Start { model_used, speaker: Some(speaker) } = &first.event {
            headers::speaker(&mut head, model_used, speaker);
            self.tell_dropped(&mut head, &speaker.provider);
        }
        let writer = self.dialect.writer(self.tells_usage, self.unix_time(), self.echo.clone());
        let phase = self.door.server.phase.clone();
        let stream = LiveStream::new(answering, first, writer, phase);
        let mut response = Response::new(ReplyBody::Live(Box::new(stream)));
        response.headers_mut().extend(head);
        super::event_stream(response.headers_mut());
        response
    }

    fn whole(&self, outcome: &Outcome) -> Response<ReplyBody> {
        match &outcome.result {
            Ok(answered) => self.answered(answered, outcome),
            Err(error) => self.failed(error, outcome),
        }
    }

    fn answered(&self, answered: &Answered, outcome: &Outcome) -> Response<ReplyBody> {
        let request_id = &*outcome.request_id;
        let unix_time = self.unix_time();
        let given = Given { answered, request_id, unix_time, echo: &self.echo };
        let mut response = json(StatusCode::OK, self.dialect.answer(&given));
        let head = response.headers_mut();
        headers::request_id(head, request_id);
        headers::answered(head, answered);
        headers::attempts(head, &outcome.attempts, None);
        self.tell_dropped(head, &answered.provider);
        response
    }

    fn failed(&self, error: &ErrorBody, outcome: &Outcome) -> Response<ReplyBody> {
        let status = status_of(error, &outcome.attempts);
        let request_id = Some(&*outcome.request_id).filter(|id| !id.is_empty());
        let body = self.dialect.errors().body(&Refused { status, error, request_id });
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(code, body);
        let head = response.headers_mut();
        headers::request_id(head, &outcome.request_id);
        headers::attempts(head, &outcome.attempts, None);
        let longest = self.settings.rules.retry_after_max;
        headers::again(head, status, error.code, error.retry_after_ms, longest);
        response
    }

    /// Fields that the model was not given, which another dialect's has no place for.
    fn tell_dropped(&self, head: &mut HeaderMap, provider: &Arc<str>) {
        let is_own = self.settings.is_of_kind(provider, self.dialect.own_kind());
        let own: &[String] = if is_own { &[] } else { &self.for_own_kind };
        headers::dropped(head, self.dropped.iter().chain(own));
    }

    fn unix_time(&self) -> u64 {
        self.door.server.clock.now().wall.0 / 1000
    }
}

/// The status of an error; a provider's own where it says that the request is wrong.
fn status_of(error: &ErrorBody, attempts: &[Attempt]) -> u16 {
    let provider = attempts.iter().rev().find_map(|attempt| attempt.status);
    let about_request = provider.filter(|status| matches!(status, 400 | 413 | 415 | 422));
    match error.code {
        ErrorCode::InvalidRequest => about_request.unwrap_or(400),
        code => status(code),
    }
}

/// A body that is complete.
pub(super) fn whole(text: String) -> ReplyBody {
    ReplyBody::Whole(Some(Bytes::from(text)))
}
