//! The Unix socket: who may connect, how much they may ask for, and lines in and out.
//!
//! One task per connection owns that client's reader, writer and outstanding requests. Bad input
//! gets a clear error and stays with the client that sent it; every limit is explicit. Nothing
//! here knows what a model is: chats go to the router, and so do questions about health.

mod accept;
mod budget;
mod connection;
mod control;
mod costs;
mod lines;
pub mod listen;
mod outbox;
mod watchers;

use std::rc::Rc;
use std::time::Duration;

use actix::Addr;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use crate::actors::router::RouterActor;
use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::recorder::Recorder;

pub use accept::serve;
use budget::Budget;

/// How often a half-closed client is looked at, to see whether it is gone.
const GONE_CHECK: Duration = Duration::from_millis(50);

/// What all connections share.
pub struct Server {
    /// Answers requests.
    pub router: Addr<RouterActor>,
    /// Tells watchers what is logged.
    pub recorder: Recorder,
    /// Tells the time.
    pub clock: Clock,
    /// Limits of the socket.
    pub limits: Limits,
    /// Who, beside root and the daemon's own user, may use control operations.
    pub admins: Admins,
    /// Whose days and weeks are meant.
    pub zone: TimeZone,
    budget: Rc<Budget>,
    phase: watch::Receiver<Phase>,
}

/// Who may use control operations.
pub struct Admins {
    /// Users.
    pub uids: Vec<u32>,
    /// Groups.
    pub gids: Vec<u32>,
}

/// How far the daemon's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everybody is served.
    Serving,
    /// What is running is finished; new requests are refused.
    Draining,
    /// Whatever still runs is answered with an error.
    Ending,
}

impl Server {
    /// A server that answers through `router` until `phase` says otherwise.
    pub fn new(
        (router, recorder, clock): (Addr<RouterActor>, Recorder, Clock),
        config: &Config,
        phase: watch::Receiver<Phase>,
    ) -> Server {
        let daemon = &config.daemon;
        let admins = Admins { uids: daemon.admin_uids.clone(), gids: daemon.admin_gids.clone() };
        let zone = costs::zone(config.costs.timezone.as_deref());
        let limits = config.limits.clone();
        let budget = Rc::new(Budget::new(&limits));
        Server { router, recorder, clock, limits, admins, zone, budget, phase }
    }

    /// Clients that are connected.
    pub fn connections(&self) -> usize {
        self.budget.connections()
    }

    /// Requests that are not answered yet.
    pub fn outstanding(&self) -> usize {
        self.budget.requests()
    }
}
