//! The Unix socket: who may connect, how much they may ask for, and lines in and out.
//!
//! One task per connection owns that client's reader, writer and outstanding requests. Bad input
//! gets a clear error and stays with the client that sent it; every limit is explicit. Nothing
//! here knows what a model is: chats go to the router, and so do questions about health.

mod admit;
mod budget;
mod caller;
mod control;
mod http;
mod lines;
pub mod listen;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use actix::Addr;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::actors::router::RouterActor;
use crate::clock::{Clock, zone};
use crate::config::Config;
use crate::domain::time::Wall;
use crate::protocol::reload::Reloaded;
use crate::protocol::reply::ErrorBody;
use crate::recorder::Recorder;

use budget::Budget;
use caller::Caller;
pub(crate) use http::serve_tcp;
use http::settings::FrontSettings;
pub(crate) use lines::serve;

/// What all connections share.
pub(crate) struct Server {
    router: Addr<RouterActor>,
    recorder: Recorder,
    clock: Clock,
    reload: ReloadHandler,
    access: RefCell<Rc<Access>>,
    http: RefCell<Rc<FrontSettings>>,
    /// The address on TCP, if there is one.
    network: Option<TcpFront>,
    since: Wall,
    budget: Rc<Budget>,
    phase: watch::Receiver<Phase>,
}

/// Where programs that take a URL are served.
pub(crate) struct TcpFront {
    pub(crate) address: SocketAddr,
    /// What they show where the configuration names no token.
    pub(crate) token: Option<SecretString>,
}

fn token(network: Option<&TcpFront>) -> Option<&SecretString> {
    network.and_then(|network| network.token.as_ref())
}

/// Events that wait for room in the outbox, of all answers under way together; of 4 KiB of text
/// each at most. Enough to fill a write, and little to wait behind.
const EVENTS: usize = 32;

/// Reads the configuration again, when somebody asks for it; gives what to tell them.
pub(crate) type ReloadHandler = Rc<dyn Fn() -> ReloadFuture>;

/// A reload under way.
pub(crate) type ReloadFuture = Pin<Box<dyn Future<Output = Result<Reloaded, ErrorBody>>>>;

/// What a reload may change about the socket.
struct Access {
    /// Users, beside root and the daemon's own, who may use control operations.
    admin_uids: Vec<u32>,
    /// Groups whose members may.
    admin_gids: Vec<u32>,
    /// Whose days and weeks are meant.
    zone: TimeZone,
}

/// How far the daemon's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// What is running is finished; new requests are refused.
    Draining,
    /// Whatever still runs is answered with an error.
    Ending,
}

impl Server {
    /// A server that answers through `router` until `phase` says otherwise.
    pub(crate) fn new(
        router: Addr<RouterActor>,
        recorder: Recorder,
        clock: Clock,
        config: &Config,
        reload: ReloadHandler,
        network: Option<TcpFront>,
        phase: watch::Receiver<Phase>,
    ) -> Server {
        let since = clock.now().wall;
        let http = RefCell::new(Rc::new(FrontSettings::of(config, token(network.as_ref()), since)));
        let budget = Rc::new(Budget::new(&config.limits));
        let access = RefCell::new(Rc::new(Access::of(config)));
        Server { router, recorder, clock, reload, access, http, network, since, budget, phase }
    }

    /// Takes the limits and admins of a changed configuration. Connections that are open keep the
    /// longest line they began with.
    pub(crate) fn renew(&self, config: &Config) {
        self.budget.renew(&config.limits);
        self.access.replace(Rc::new(Access::of(config)));
        let settings = FrontSettings::of(config, token(self.network.as_ref()), self.since);
        self.http.replace(Rc::new(settings));
    }

    /// Clients that are connected.
    pub(crate) fn connections(&self) -> usize {
        self.budget.connections()
    }

    /// Requests that are not answered yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.budget.requests()
    }

    /// Reads the configuration again, as a client or a signal asks for.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ErrorBody> {
        (self.reload)().await
    }

    fn http(&self) -> Rc<FrontSettings> {
        self.http.borrow().clone()
    }

    fn access(&self) -> Rc<Access> {
        self.access.borrow().clone()
    }
}

impl Access {
    fn of(config: &Config) -> Access {
        Access {
            admin_uids: config.daemon.admin_uids.clone(),
            admin_gids: config.daemon.admin_gids.clone(),
            zone: zone(config.costs.timezone.as_deref()),
        }
    }
}
