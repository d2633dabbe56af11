//! The operation `why`: the recorded trail of one request.

use serde_json::{Value, json};

use super::Server;
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::recorder::search::arrived;

/// Looks a request up in the log, rotated files included.
pub(super) async fn answer(server: &Server, request_id: &str) -> Result<Value, ErrorBody> {
    if arrived(request_id).is_none() {
        let message = "`request_id`: expected the 26 letters and digits that a reply gives as its \
                       `request_id`";
        return Err(ErrorBody::new(ErrorCode::BadRequest, message));
    }
    let lines = server.recorder.about(request_id).await.map_err(|error| {
        let message = format!("the health log cannot be read: {}", error.kind());
        ErrorBody::new(ErrorCode::Internal, message)
    })?;
    let (requests, mut calls): (Vec<Value>, Vec<Value>) =
        lines.into_iter().partition(|line| line["event"] == "request");
    // Comparisons of copies name it, too.
    calls.retain(|line| line["event"] == "call");
    let Some(request) = requests.into_iter().next_back() else {
        let message = "the health log has no answered request of this name: it is still running, \
                       or its file has been rotated away";
        return Err(ErrorBody::new(ErrorCode::BadRequest, message));
    };
    Ok(json!({ "request": request, "calls": calls }))
}
