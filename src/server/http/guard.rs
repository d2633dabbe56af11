//! Who may ask on TCP: programs of this machine that know the token, and no web page.
//!
//! A port is open to every user of the machine and, by way of a browser, to every page that its
//! users look at. A page cannot read the token; what it could do without is refused by what browsers
//! say of themselves, and by names that are not this machine's own.

use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;

use super::route::Endpoint;
use super::settings::FrontSettings;
use crate::dialects::status;
use crate::protocol::reply::{ErrorBody, ErrorCode};

/// A request that is not taken, and the status to say so with.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) status: u16,
    pub(super) error: ErrorBody,
}

impl Turned {
    pub(super) fn new(status: u16, code: ErrorCode, message: impl Into<String>) -> Turned {
        Turned { status, error: ErrorBody::new(code, message) }
    }
}

impl From<ErrorBody> for Turned {
    fn from(error: ErrorBody) -> Turned {
        Turned { status: status(error.code), error }
    }
}

/// Whether a request on TCP is one of a program that may ask.
///
/// # Errors
/// When it is not, with what is missing.
pub(super) fn check(
    head: &Parts,
    endpoint: &Endpoint,
    port: u16,
    settings: &FrontSettings,
) -> Result<(), Turned> {
    let headers = &head.headers;
    if !headers.get(HOST).is_some_and(|host| is_ours(host, port)) {
        return Err(forbidden("the Host is not a name of this machine with this port"));
    }
    let site = headers.get("sec-fetch-site");
    if headers.contains_key(ORIGIN) || site.is_some_and(|site| site != "none") {
        return Err(forbidden("web pages are not served; call from a program of this machine"));
    }
    if head.method == Method::OPTIONS {
        return Err(forbidden("OPTIONS is for web pages, which are not served"));
    }
    if head.method == Method::POST && !headers.get(CONTENT_TYPE).is_some_and(is_json) {
        let message = "send the header content-type: application/json";
        return Err(Turned::new(415, ErrorCode::BadRequest, message));
    }
    let is_open = matches!(endpoint, Endpoint::Health | Endpoint::Ready);
    if !is_open && !shown(headers).is_some_and(|token| settings.knows(token)) {
        let message = "no token, or a wrong one; `fallbackctl env` prints what programs need, \
                       such as OPENAI_API_KEY";
        return Err(Turned::new(401, ErrorCode::Forbidden, message));
    }
    Ok(())
}

fn forbidden(message: &str) -> Turned {
    Turned::new(403, ErrorCode::Forbidden, message)
}

/// Whether it names this machine from within, and the port that was connected to.
fn is_ours(host: &HeaderValue, port: u16) -> bool {
    let Some((name, told)) = host.to_str().ok().and_then(|host| host.rsplit_once(':')) else {
        return false;
    };
    let is_local =
        ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own));
    is_local && told.parse() == Ok(port)
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// What a program shows as its key, in either of the ways that there are.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}
