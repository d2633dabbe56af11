//! The operations that are not chats: what they answer, and who may use them.

use super::caller::Caller;
use super::{Server, costs, why};
use crate::actors::router::{AskChains, AskHealth, SetBreaker};
use crate::domain::time::millis;
use crate::protocol::PROTOCOL;
use crate::protocol::control::{Found, Ping};
use crate::protocol::health::{BreakerOrdered, Health};
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::request::{BreakerOp, ControlOp};

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
        }),
        ControlOp::Health { window } => Found::Health(Health {
            // Without one in the request every model has its own, so there is none to name.
            window_ms: window.map(millis),
            models: server.router.send(AskHealth(window)).await.map_err(gone)?,
            recorder: server.recorder.status(),
        }),
        ControlOp::Chains => Found::Chains(server.router.send(AskChains).await.map_err(gone)?),
        ControlOp::Why { request_id } => {
            Found::Why(Box::new(why::answer(server, &request_id).await?))
        }
        ControlOp::Costs(span) => Found::Costs(Box::new(costs::answer(server, span).await?)),
        ControlOp::Breaker(order) => Found::Breaker(breaker(server, caller, order).await?),
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
    order: BreakerOp,
) -> Result<BreakerOrdered, ErrorBody> {
    let allowed = caller.may_steer(server);
    tracing::info!(
        uid = caller.uid, gid = caller.gid, pid = caller.pid, allowed,
        model = %order.model.chars().take(128).collect::<String>(),
        set = ?order.set, "breaker order"
    );
    if !allowed {
        return Err(forbidden(caller, "set circuits"));
    }
    let model = order.model.clone();
    let set = SetBreaker { order, peer_uid: caller.uid };
    let breaker = server.router.send(set).await.map_err(gone)??;
    Ok(BreakerOrdered { model, breaker })
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
