//! The front that speaks HTTP: on the daemon's own socket, and on TCP where that is configured.
//!
//! HTTP itself is hyper's. What is here maps a request, submits it as the other front does, and
//! answers in the dialect of its path; nothing here decides about models. A router of a library
//! would want handlers that may move between threads, and everything of this daemon stays on one;
//! a match of eight paths is shorter.

mod exchange;
mod guard;
mod headers;
mod reply;
mod route;
mod screen;
pub(super) mod settings;
mod stream;
mod tcp;

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};

use super::budget::ConnectionSlot;
use super::caller::Caller;
use super::{Phase, Server};
use crate::actors::router::AskChains;
use crate::dialects::{ErrorForm, Refused};
use crate::protocol::reply::{ErrorBody, ErrorCode};
use guard::Turned;
use reply::{Never, ReplyBody};
use route::Endpoint;
use settings::FrontSettings;
use stream::{ClientPatience, REFUSED, Reason, Screened};
pub(crate) use tcp::serve as serve_tcp;

/// Most bytes that wait to be sent to one client, beside what its socket holds.
const WAITING: usize = 64 * 1024;

/// Where one client came in.
pub(super) struct FrontDoor {
    pub(super) server: Rc<Server>,
    pub(super) caller: Caller,
    /// The port, for clients on TCP.
    pub(super) port: Option<u16>,
}

/// Serves one client to its end.
pub(super) async fn serve<S>(door: FrontDoor, stream: S, _place: ConnectionSlot)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let limits = door.server.budget.limits();
    let patience = ClientPatience { head: limits.line_timeout, reader: limits.reader_timeout };
    let (stream, reason) = Screened::new(stream, patience);
    let mut phase = door.server.phase.clone();
    let door = Rc::new(door);
    let service = service_fn(|request| {
        let (door, reason) = (door.clone(), reason.clone());
        async move { Ok::<_, Never>(respond(&door, &reason, request).await) }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(WAITING)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return told(&door.caller, ended),
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
    }
    connection.as_mut().graceful_shutdown();
    told(&door.caller, connection.await);
}

fn told(caller: &Caller, ended: hyper::Result<()>) {
    let Caller { uid, gid, pid, .. } = caller;
    let reason = ended.err().map(|error| error.to_string());
    tracing::debug!(uid, gid, pid, reason, "connection of HTTP closed");
}

async fn respond(
    door: &FrontDoor,
    reason: &Reason,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let settings = door.server.http();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let form = route::error_form(path);
    if head.method == REFUSED {
        return closing(refused(form, reason, &settings));
    }
    let endpoint = route::endpoint(&head.method, path);
    let allowed = match door.port {
        Some(port) => guard::check(&head, &endpoint, port, &settings),
        None => Ok(()),
    };
    if let Err(turned) = allowed {
        return closing(refuse(form, &turned, &settings));
    }
    match endpoint {
        Endpoint::Answer(dialect) => exchange::answer(door, &settings, dialect, &head, body).await,
        endpoint => look_up(door, &settings, form, &head, endpoint).await,
    }
}

/// Answers what needs no model.
async fn look_up(
    door: &FrontDoor,
    settings: &FrontSettings,
    form: ErrorForm,
    head: &Parts,
    endpoint: Endpoint,
) -> Response<ReplyBody> {
    match endpoint {
        Endpoint::Health => plain(StatusCode::OK, "ok\n"),
        Endpoint::Ready => match is_ready(&door.server).await {
            true => plain(StatusCode::OK, "ready\n"),
            false => plain(StatusCode::SERVICE_UNAVAILABLE, "no chain has a model to call\n"),
        },
        Endpoint::Models => json(StatusCode::OK, text(&settings.list())),
        Endpoint::Model(id) => match settings.one(&id) {
            Some(entry) => json(StatusCode::OK, text(&entry)),
            None => {
                let message = "no task, alias or model has this name; GET /v1/models lists them";
                let error = ErrorBody::new(ErrorCode::UnknownModel, message);
                refuse(form, &error.into(), settings)
            }
        },
        Endpoint::WrongMethod(method) => {
            let message = format!("this path takes {method}");
            let turned = Turned::new(405, ErrorCode::BadRequest, message);
            let mut response = refuse(form, &turned, settings);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
            response
        }
        Endpoint::Unknown | Endpoint::Answer(_) => {
            let path: String = head.uri.path().chars().take(80).collect();
            let message = format!(
                "{path} is not served; served are POST /v1/chat/completions and /v1/responses, \
                 GET /v1/models, /health and /ready"
            );
            refuse(form, &ErrorBody::new(ErrorCode::UnknownOp, message).into(), settings)
        }
    }
}

async fn is_ready(server: &Server) -> bool {
    let chains = server.router.send(AskChains).await;
    chains.is_ok_and(|chains| chains.chains.values().any(|chain| !chain.order.is_empty()))
}

/// Answers a request that never came through the screen.
fn refused(form: ErrorForm, reason: &Reason, settings: &FrontSettings) -> Response<ReplyBody> {
    let (status, why) = reason.get().map_or((400, "malformed"), |it| (it.status, it.why));
    refuse(form, &Turned::new(status, ErrorCode::BadRequest, why), settings)
}

/// An error that no model and no attempt is part of.
fn refuse(form: ErrorForm, turned: &Turned, settings: &FrontSettings) -> Response<ReplyBody> {
    let Turned { status, error } = turned;
    let body = form.body(&Refused { status: *status, error, request_id: None });
    let code = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, body);
    let longest = settings.rules.retry_after_max;
    headers::again(response.headers_mut(), *status, error.code, error.retry_after_ms, longest);
    response
}

/// What a client that finds no place is told, in whole.
pub(super) fn no_place(message: String) -> Vec<u8> {
    let error = super::admit::overloaded(message);
    let body = ErrorForm::OpenAi.body(&Refused { status: 503, error: &error, request_id: None });
    let length = body.len();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
    );
    (head + &body).into_bytes()
}

fn closing(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn json(status: StatusCode, body: String) -> Response<ReplyBody> {
    of_type(status, body, "application/json")
}

fn plain(status: StatusCode, body: &str) -> Response<ReplyBody> {
    of_type(status, body.to_owned(), "text/plain; charset=utf-8")
}

fn of_type(status: StatusCode, body: String, kind: &'static str) -> Response<ReplyBody> {
    let mut response = Response::new(exchange::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The headers of a stream of events.
fn event_stream(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

fn text(value: &impl Serialize) -> String {
    // Our own types can always be written.
    serde_json::to_string(value).unwrap_or_default()
}
