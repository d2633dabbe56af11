//! What the ledger says, for `costs`.

use super::Server;
use crate::protocol::costs::{Costs, PairView};
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::span::Span;
use crate::recorder::Query;

/// Asks the ledger what was paid in `span`, and the log for comparisons if it wants them.
pub(super) async fn answer(server: &Server, span: Span) -> Result<Costs, ErrorBody> {
    let zone = server.rules().zone.clone();
    let span =
        span.checked(&zone).map_err(|message| ErrorBody::new(ErrorCode::BadRequest, message))?;
    let query = Query { span, zone };
    let comparisons = match query.span.shadow {
        true => Some(pairs(server, &query).await?),
        false => None,
    };
    let costs = server.recorder.costs(query).await.ok_or_else(|| {
        let message =
            "the ledger did not answer: its disk is slow, or the daemon is busy; try again";
        ErrorBody::new(ErrorCode::Internal, message)
    })?;
    Ok(Costs { comparisons, ..costs })
}

async fn pairs(server: &Server, query: &Query) -> Result<Vec<PairView>, ErrorBody> {
    server.recorder.comparisons(query).await.map_err(|error| {
        let message = format!("cannot read the health log: {error}; see that the daemon may");
        ErrorBody::new(ErrorCode::Internal, message)
    })
}
