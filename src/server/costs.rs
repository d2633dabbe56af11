//! What the ledger says, for `costs`.

use serde_json::{Value, json};

use super::Server;
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::span::Span;
use crate::recorder::Query;

/// Asks the ledger.
pub(super) async fn answer(server: &Server, span: Span) -> Result<Value, ErrorBody> {
    let query = Query { span, zone: server.rules().zone.clone() };
    let costs = server.recorder.costs(query).await.ok_or_else(|| {
        let message =
            "the ledger did not answer: its disk is slow, or the daemon is busy; try again";
        ErrorBody::new(ErrorCode::Internal, message)
    })?;
    Ok(json!(costs))
}
