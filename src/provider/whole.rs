//! Reads bodies that are taken as a whole: answers in one piece, and errors.
//!
//! A body is complete when its JSON is. How its connection ends after that is of no interest: some
//! servers announce a wrong length, reset, close TLS without saying so, or forget to close at all.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use super::framing::{mend, sniff};
use super::patience::TAIL_TIME;
use super::source::{BodyError, Source};
use super::{Failure, pieces};

/// Most of an error body that is read.
pub(super) const ERROR_BYTES: usize = 64 * 1024;

/// How long an error body is waited for.
const ERROR_TIME: Duration = Duration::from_secs(2);

/// Whether the head of an answer says already that there will be too much of it.
pub(super) fn is_announced_too_large(response: &Response, limit: usize) -> bool {
    response.content_length().is_some_and(|length| length > limit as u64)
}

/// The whole body of an answer, if it is not too large. `begun` was read before.
pub(super) async fn answer(
    source: &mut Source,
    begun: Option<Bytes>,
    limit: usize,
) -> Result<Bytes, Failure> {
    let status = source.response.status().as_u16();
    if is_announced_too_large(&source.response, limit) {
        return Err(pieces::too_large(limit).with_status(status));
    }
    let mut body = Growing::new(begun.unwrap_or_default());
    while body.bytes().len() <= limit {
        match more(source, body.bytes()).await {
            Ok(Some(more)) => body.add(more),
            Ok(None) => return Ok(body.into_bytes()),
            Err(broken) => return Err(broken.within_answer(status)),
        }
    }
    Err(pieces::too_large(limit).with_status(status))
}

/// What follows `body`, of which nothing has to follow once it is complete.
async fn more(source: &mut Source, body: &[u8]) -> Result<Option<Bytes>, BodyError> {
    let mut was_asked = false;
    loop {
        match tokio::time::timeout(TAIL_TIME, source.chunk()).await {
            Ok(Err(_)) if is_complete(body) => return Ok(None),
            Ok(more) => return more,
            // Nothing that follows can change what this is.
            Err(_) if !was_asked && is_complete(body) => return Ok(None),
            Err(_) => was_asked = true,
        }
    }
}

/// Whether a body is a JSON object or list from its beginning to its end.
fn is_complete(body: &[u8]) -> bool {
    let body = sniff::skip_blank(body);
    let is_json =
        || pieces::is_json(body) || mend::words(body).is_some_and(|it| pieces::is_json(&it));
    matches!(body.first(), Some(b'{' | b'[')) && is_json()
}

/// A body as far as it has come. Nearly every one is a single piece and needs no copy.
enum Growing {
    One(Bytes),
    Many(BytesMut),
}

impl Growing {
    fn new(first: Bytes) -> Growing {
        Growing::One(first)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Growing::One(bytes) => bytes,
            Growing::Many(bytes) => bytes,
        }
    }

    fn add(&mut self, more: Bytes) {
        match self {
            Growing::One(first) if first.is_empty() => *first = more,
            Growing::One(first) => {
                let mut all = BytesMut::from(std::mem::take(first));
                all.extend_from_slice(&more);
                *self = Growing::Many(all);
            }
            Growing::Many(all) => all.extend_from_slice(&more),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Growing::One(bytes) => bytes,
            Growing::Many(bytes) => bytes.freeze(),
        }
    }
}

/// The beginning of an error body. One that breaks or dawdles is used as far as it came: the
/// status is known already, and it is the status that counts.
pub(super) async fn error(response: Response) -> Vec<u8> {
    let mut source = Source::new(response);
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(more)) = source.chunk().await {
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
