//! The operations that are not chats: what they answer, and who may use them.

use std::pin::Pin;
use std::rc::Rc;

use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use tokio::net::UnixStream;

use super::{Server, costs, why};
use crate::actors::router::{AskChains, AskHealth, SetBreaker};
use crate::domain::time::millis;
use crate::protocol::PROTOCOL;
use crate::protocol::health::{BreakerOrdered, Health};
use crate::protocol::id::Id;
use crate::protocol::reply::{ErrorBody, ErrorCode, Found, Ping};
use crate::protocol::request::{BreakerOp, ControlOp};

/// What an operation came to, for the request of this id.
pub(super) struct Told {
    pub(super) id: Id,
    pub(super) result: Result<Found, ErrorBody>,
}

/// A control operation under way.
pub(super) type ControlFuture = Pin<Box<dyn Future<Output = Told>>>;

/// Who is at the other end, as the kernel says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) pid: Option<i32>,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> Peer {
        stream.peer_cred().map_or_else(
            |_| Peer::default(),
            |peer| Peer { uid: Some(peer.uid()), gid: Some(peer.gid()), pid: peer.pid() },
        )
    }

    /// Root, the daemon's own user, and those the configuration names.
    fn may_steer(&self, server: &Server) -> bool {
        let Some(uid) = self.uid else { return false };
        let rules = server.rules();
        let gids = &rules.admin_gids;
        uid == 0
            || uid == geteuid().as_raw()
            || rules.admin_uids.contains(&uid)
            || (!gids.is_empty() && self.groups(uid).any(|gid| gids.contains(&gid)))
    }

    fn groups(&self, uid: u32) -> impl Iterator<Item = u32> {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let listed = user.and_then(|user| {
            let name = std::ffi::CString::new(user.name).ok()?;
            getgrouplist(&name, user.gid).ok()
        });
        self.gid.into_iter().chain(listed.unwrap_or_default().into_iter().map(Gid::as_raw))
    }
}

/// The daemon's own limits are reached.
pub(super) fn overloaded(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::Overloaded, message)
}

/// The daemon is ending.
pub(super) fn shutting_down() -> ErrorBody {
    ErrorBody::new(ErrorCode::ShuttingDown, "the daemon is ending; connect again in a moment")
}

/// Answers a control operation.
pub(super) fn answer(server: Rc<Server>, peer: Peer, id: Id, op: ControlOp) -> ControlFuture {
    Box::pin(async move {
        let result = work(&server, peer, op).await;
        Told { id, result }
    })
}

async fn work(server: &Server, peer: Peer, op: ControlOp) -> Result<Found, ErrorBody> {
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
        ControlOp::Breaker(order) => Found::Breaker(breaker(server, peer, order).await?),
        ControlOp::Reload => {
            let allowed = peer.may_steer(server);
            tracing::info!(uid = peer.uid, gid = peer.gid, pid = peer.pid, allowed, "reload asked");
            if !allowed {
                return Err(forbidden(peer, "reload the configuration"));
            }
            Found::Reload((server.reload)().await?)
        }
    })
}

async fn breaker(
    server: &Server,
    peer: Peer,
    order: BreakerOp,
) -> Result<BreakerOrdered, ErrorBody> {
    let allowed = peer.may_steer(server);
    tracing::info!(
        uid = peer.uid, gid = peer.gid, pid = peer.pid, allowed,
        model = %order.model.chars().take(128).collect::<String>(),
        set = ?order.set, "breaker order"
    );
    if !allowed {
        return Err(forbidden(peer, "set circuits"));
    }
    let model = order.model.clone();
    let set = SetBreaker { order, peer_uid: peer.uid };
    let breaker = server.router.send(set).await.map_err(gone)??;
    Ok(BreakerOrdered { model, breaker })
}

fn forbidden(peer: Peer, what: &str) -> ErrorBody {
    let uid = peer.uid.map_or_else(|| "an unknown user".to_owned(), |uid| format!("user {uid}"));
    let message = format!(
        "{uid} may not {what}; root, the daemon's own user and `daemon.admin_uids` and \
         `daemon.admin_gids` may"
    );
    ErrorBody::new(ErrorCode::Forbidden, message)
}

fn gone(_: actix::MailboxError) -> ErrorBody {
    let message = "the daemon lost this operation; try again, and report it if it happens again";
    ErrorBody::new(ErrorCode::Internal, message)
}
