//! The operations that are not chats: what they answer, and who may use them.

use super::Server;
use super::caller::Caller;
use crate::actors::router::{AskChains, AskHealth, SetBreaker};
use crate::domain::time::millis;
use crate::protocol::PROTOCOL;
use crate::protocol::control::{Found, Ping};
use crate::protocol::costs::{Costs, PairView};
use crate::protocol::health::{BreakerOrdered, Health};
use crate::protocol::log::Event;
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::request::{BreakerOp, ControlOp};
use crate::protocol::span::Span;
use crate::protocol::why::Why;
use crate::recorder::Query;
use crate::recorder::search::arrived;

/// Answers a control operation.
pub(super) async fn answer(
    server: &Server,
    caller: &Caller,
    op: ControlOp,
) -> Result<Found, ErrorBody> {
    Ok(match op {
        ControlOp::Ping => Found::Ping(Ping {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            uptime_ms: millis(server.clock.mono().0),
            pid: std::process::id(),
            http: server.network.as_ref().map(|network| network.address),
        }),
        ControlOp::Health { window } => Found::Health(Health {
            // Without one in the request every model has its own, so there is none to name.
            window_ms: window.map(millis),
            models: server.router.send(AskHealth(window)).await.map_err(gone)?,
            recorder: server.recorder.status(),
        }),
        ControlOp::Chains => Found::Chains(server.router.send(AskChains).await.map_err(gone)?),
        ControlOp::Why { request_id } => Found::Why(Box::new(why(server, &request_id).await?)),
        ControlOp::Costs(span) => Found::Costs(Box::new(costs(server, span).await?)),
        ControlOp::Breaker(op) => Found::Breaker(breaker(server, caller, op).await?),
        ControlOp::Reload => {
            let allowed = caller.may_steer(server);
            tracing::info!(
                uid = caller.uid,
                gid = caller.gid,
                pid = caller.pid,
                allowed,
                "reload asked"
            );
            if !allowed {
                return Err(forbidden(caller, "reload the configuration"));
            }
            Found::Reload(server.reload().await?)
        }
    })
}

async fn breaker(
    server: &Server,
    caller: &Caller,
    op: BreakerOp,
) -> Result<BreakerOrdered, ErrorBody> {
    let allowed = caller.may_steer(server);
    tracing::info!(
        uid = caller.uid, gid = caller.gid, pid = caller.pid, allowed,
        model = %op.model.chars().take(128).collect::<String>(),
        set = ?op.set, "breaker order"
    );
    if !allowed {
        return Err(forbidden(caller, "set circuits"));
    }
    let model = op.model.clone();
    let set = SetBreaker { op, peer_uid: caller.uid };
    let breaker = server.router.send(set).await.map_err(gone)??;
    Ok(BreakerOrdered { model, breaker })
}

/// Asks the ledger what was paid in `span`, and the log for comparisons if it wants them.
async fn costs(server: &Server, span: Span) -> Result<Costs, ErrorBody> {
    let zone = server.access().zone.clone();
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

/// Looks a request up in the log, rotated files included.
async fn why(server: &Server, request_id: &str) -> Result<Why, ErrorBody> {
    if arrived(request_id).is_none() {
        let message = "`request_id`: expected the 26 letters and digits that a reply gives as its \
                       `request_id`";
        return Err(ErrorBody::new(ErrorCode::BadRequest, message));
    }
    let lines = server.recorder.about(request_id).await.map_err(|error| {
        let message = format!("the health log cannot be read: {}", error.kind());
        ErrorBody::new(ErrorCode::Internal, message)
    })?;
    // Comparisons of copies name it, too.
    let (calls, others): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| matches!(line.event, Event::Call(_)));
    let request = others.into_iter().rfind(|line| matches!(line.event, Event::Request(_)));
    let request = request.ok_or_else(|| {
        let message = "the health log has no answered request of this name: it is still running, \
                       or its file has been rotated away";
        ErrorBody::new(ErrorCode::BadRequest, message)
    })?;
    Ok(Why { request, calls })
}

fn forbidden(caller: &Caller, what: &str) -> ErrorBody {
    let uid = caller.uid.map_or_else(|| "an unknown user".to_owned(), |uid| format!("user {uid}"));
    let message = format!(
        "{uid} may not {what}; root, the daemon's own user and `daemon.admin_uids` and \
         `daemon.admin_gids` may"
    );
    ErrorBody::new(ErrorCode::Forbidden, message)
}

fn gone(_: actix::MailboxError) -> ErrorBody {
    ErrorBody::internal("the daemon lost this operation")
}
