//! Who asks, as the kernel says, and what that allows.
//!
//! The socket's permissions decide who may connect, and whoever may connect may ask. Only a few may
//! steer the daemon: force a circuit, or have the configuration read again.

use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use tokio::net::UnixStream;

use super::Server;
use crate::actors::sink::EventRoom;

/// Whoever is at the other end of a connection.
#[derive(Clone)]
pub(super) struct Caller {
    /// Each is absent where the kernel does not say.
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) pid: Option<i32>,
    /// For events that wait to be read, of all its requests together.
    pub(super) room: EventRoom,
}

impl Caller {
    /// Whoever holds the other end of `stream`, and reads as many events as there is `room` for.
    pub(super) fn of(stream: &UnixStream, room: EventRoom) -> Caller {
        let peer = stream.peer_cred().ok();
        Caller {
            uid: peer.map(|peer| peer.uid()),
            gid: peer.map(|peer| peer.gid()),
            pid: peer.and_then(|peer| peer.pid()),
            room,
        }
    }

    /// Some program of this machine, which the kernel says nothing about.
    pub(super) fn of_network(room: EventRoom) -> Caller {
        Caller { uid: None, gid: None, pid: None, room }
    }

    /// Whether it is root, the daemon's own user, or one that the configuration names.
    pub(super) fn may_steer(&self, server: &Server) -> bool {
        let Some(uid) = self.uid else { return false };
        let access = server.access();
        let gids = &access.admin_gids;
        uid == 0
            || uid == geteuid().as_raw()
            || access.admin_uids.contains(&uid)
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
