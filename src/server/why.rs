//! The operation `why`: the recorded trail of one request.

use super::Server;
use crate::protocol::log::Event;
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::why::Why;
use crate::recorder::search::arrived;

/// Looks a request up in the log, rotated files included.
pub(super) async fn answer(server: &Server, request_id: &str) -> Result<Why, ErrorBody> {
    if arrived(request_id).is_none() {
        let message = "`request_id`: expected the 26 letters and digits that a reply gives as its \
                       `request_id`";
        return Err(ErrorBody::new(ErrorCode::BadRequest, message));
    }
    let lines = server.recorder.about(request_id).await.map_err(|error| {
        let message = format!("the health log cannot be read: {}", error.kind());
        ErrorBody::new(ErrorCode::Internal, message)
    })?;
    let mut request = None;
    let mut calls = Vec::new();
    for line in lines {
        match line.event {
            Event::Request(_) => request = Some(line),
            Event::Call(_) => calls.push(line),
            // Comparisons of copies name it, too.
            _ => {}
        }
    }
    let request = request.ok_or_else(|| {
        let message = "the health log has no answered request of this name: it is still running, \
                       or its file has been rotated away";
        ErrorBody::new(ErrorCode::BadRequest, message)
    })?;
    Ok(Why { request, calls })
}
