//! The daemon's parts, put together in the order in which they need each other, and taken apart in
//! the order that loses nothing.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener as GivenTcp};
use std::os::unix::net::UnixListener as Given;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::manager::{self, Manager};
use super::notify::Notifier;
use super::reload::{ConfigSource, Reloader};
use super::token;
use super::watchdog::Watchdog;
use crate::actors::dispatch::Services;
use crate::actors::guard::Rebuilds;
use crate::actors::router::RouterActor;
use crate::actors::shadow::{self, Shadows, Terms};
use crate::actors::table::{Table, model_key};
use crate::clock::{Clock, zone};
use crate::config::{Config, locate};
use crate::domain::time::Now;
use crate::protocol::log::{Event, StartEvent, StopEvent};
use crate::protocol::reload::Reloaded;
use crate::protocol::reply::ErrorBody;
use crate::provider::http::{Http, SetupError};
use crate::recorder::{self, Recorder, Restored};
use crate::server::listen::{self, ListenError, Socket};
use crate::server::{Phase, Server, TcpFront, serve, serve_tcp};

/// Time for last answers to reach their clients once everything is over.
const LAST_LINES: Duration = Duration::from_millis(500);
/// Time for the recorder to write what it has.
const LAST_ROWS: Duration = Duration::from_secs(5);
/// Longest time that a reply waits for its line in the log: a stalled disk is counted, not waited
/// for.
const LINE_PATIENCE: Duration = Duration::from_millis(250);
/// How often a draining daemon looks whether it is done.
const LOOK: Duration = Duration::from_millis(10);
/// What the service manager is asked to grant a daemon that ends: enough for the last lines and
/// rows, and asked for again and again while it drains.
const GRACE: Duration = Duration::from_secs(15);
/// Connections on TCP that wait to be taken in.
const WAITING: u32 = 1024;
/// How often it is asked for.
const GRACE_EVERY: Duration = Duration::from_secs(5);

/// A daemon that serves.
pub struct RunningDaemon {
    server: Rc<Server>,
    recorder: Recorder,
    rebuilds: Rebuilds,
    shadows: Shadows,
    clock: Clock,
    phase: watch::Sender<Phase>,
    drain_timeout: Duration,
    notifier: Notifier,
    /// The socket's path, if it is ours.
    socket: Option<Socket>,
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    /// Requests that could not be answered in time.
    pub unanswered: usize,
    /// Whether everything recorded was written.
    pub saved: bool,
}

/// Why a daemon cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The socket cannot be made.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The service manager's socket cannot be used.
    #[error(
        "cannot use the service manager's socket: {0}\nhint: the socket unit needs one \
         `ListenStream=` with the path of a Unix socket"
    )]
    Handed(#[source] io::Error),
    /// There is no listening on TCP.
    #[error("cannot listen on {address}: {cause}\nhint: choose another port in `http.listen`")]
    Http {
        /// Where the configuration wants it.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// There is nothing that programs on TCP could show.
    #[error(
        "cannot keep a token for HTTP in {path}: {cause}\nhint: let the daemon write there, or \
         name a place in `http.token`"
    )]
    Token {
        /// Where it would be kept.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Calls cannot be made.
    #[error("cannot set up calls to providers: {0}")]
    Provider(#[from] SetupError),
    /// The recorder's threads cannot be started.
    #[error("cannot start the recorder: {0}")]
    Recorder(#[from] recorder::RecorderError),
    /// The runtime cannot be made.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
}

impl RunningDaemon {
    /// Starts a daemon as `config` says, under nobody's management. It serves when this returns.
    /// `source` says where a reload reads the configuration from; without one there is nothing to
    /// reload.
    pub async fn start(
        config: &Config,
        source: Option<ConfigSource>,
        clock: Clock,
    ) -> Result<RunningDaemon, StartError> {
        RunningDaemon::start_under(Manager::none(), config, source, clock).await
    }

    /// The same under a service manager, which is told when the daemon is ready.
    pub async fn start_under(
        manager: Manager,
        config: &Config,
        source: Option<ConfigSource>,
        clock: Clock,
    ) -> Result<RunningDaemon, StartError> {
        let Manager { notifier, silence, sockets } = manager;
        // First of all: a second daemon must not touch the first one's files.
        let (listener, socket) = open(sockets.lines, config)?;
        let http = open_http(sockets.http, config)?;
        let (recorder, restored) = begin_to_record(config, &clock)?;
        let provider = Http::new(&config.models, config.limits.response_bytes, told_by(&clock))?;
        let provider = Rc::new(provider);
        let rebuilds = Rebuilds::none();
        let table = Table::start(config, restored, &clock, &recorder, &rebuilds);
        let spent = shadow::from_ledger(&recorder);
        let shadows = Shadows::start(terms(config), provider.clone(), &recorder, &clock, spent);
        let services = Services {
            provider: provider.clone(),
            recorder: recorder.clone(),
            clock: clock.clone(),
            rebuilds: rebuilds.clone(),
            shadows: shadows.clone(),
        };
        let router = RouterActor::new(table, services).start();
        let (phase, phases) = watch::channel(Phase::Serving);
        let reloader = Reloader {
            source,
            current: RefCell::new(config.clone()),
            http: provider,
            router: router.clone(),
            shadows: shadows.clone(),
            recorder: recorder.clone(),
            notifier: notifier.clone(),
            clock: clock.clone(),
            turn: Mutex::default(),
        };
        let network = http.as_ref().map(|http| network(http, config)).transpose()?;
        let server = Rc::new_cyclic(|server| {
            let reload = reloader.for_server(server.clone());
            let (router, recorder) = (router.clone(), recorder.clone());
            Server::new(router, recorder, clock.clone(), config, reload, network, phases)
        });
        actix::spawn(serve(server.clone(), listener));
        if let Some(http) = http {
            actix::spawn(serve_tcp(server.clone(), http));
        }
        let drain_timeout = config.daemon.drain_timeout;
        let running = RunningDaemon {
            server,
            recorder,
            rebuilds,
            shadows,
            clock,
            phase,
            drain_timeout,
            notifier,
            socket,
        };
        running.watch(router, silence);
        tracing::info!(
            socket = %config.daemon.socket.display(), models = config.models.len(),
            "serving"
        );
        Ok(running)
    }

    /// Reads the configuration again.
    pub async fn reload(&self) -> Result<Reloaded, ErrorBody> {
        self.server.reload().await
    }

    /// Resolves when so many models' states were lost to faults of our own that the daemon should
    /// end and be started afresh. It serves until then.
    pub async fn broken(&self) {
        self.rebuilds.too_many().await;
    }

    /// Ends the daemon: nobody new is served, what runs is answered within the drain limit or
    /// until `hurry` resolves, the rest is told, everything recorded is written.
    pub async fn stop(self, reason: &'static str, hurry: impl Future<Output = ()>) -> Stopped {
        self.notifier.stopping();
        self.phase.send_replace(Phase::Draining);
        // Nobody waits for copies. Their ends are logged before the daemon's own.
        self.shadows.cease().await;
        sleep(LOOK).await;
        let answered = async {
            while self.server.outstanding() > 0 {
                sleep(LOOK).await;
            }
        };
        let more_time = async {
            loop {
                self.notifier.extend(GRACE);
                sleep(GRACE_EVERY).await;
            }
        };
        let patience = sleep(self.drain_timeout);
        tokio::select! {
            () = more_time => {}
            () = answered => {}
            () = patience => {}
            () = hurry => {}
        }
        self.notifier.extend(GRACE);
        let unanswered = self.server.outstanding();
        self.phase.send_replace(Phase::Ending);
        let closed = async {
            while self.server.connections() > 0 {
                sleep(LOOK).await;
            }
        };
        // A client that does not read its last line is not waited for.
        let _ = timeout(LAST_LINES, closed).await;
        let stop = StopEvent { reason: reason.to_owned(), unanswered };
        self.recorder.record(self.clock.now().wall, Event::Stop(stop), None);
        let saved = self.recorder.clone().close(LAST_ROWS);
        drop(self.socket);
        Stopped { unanswered, saved }
    }

    /// Lets the service manager know that this daemon lives, and how it does.
    fn watch(&self, router: Addr<RouterActor>, silence: Option<Duration>) {
        let watchdog = Watchdog {
            notifier: self.notifier.clone(),
            silence,
            router,
            recorder: self.recorder.clone(),
            server: self.server.clone(),
            phase: self.phase.subscribe(),
            clock: self.clock.clone(),
        };
        actix::spawn(watchdog.run());
    }
}

/// The socket to serve on: the one that the service manager made, else our own.
fn open(
    given: Option<Given>,
    config: &Config,
) -> Result<(UnixListener, Option<Socket>), StartError> {
    let daemon = &config.daemon;
    if let Some(given) = given {
        manager::compare(&given, &daemon.socket);
        return Ok((UnixListener::from_std(given).map_err(StartError::Handed)?, None));
    }
    let group = daemon.socket_group.as_deref();
    let (listener, socket) = listen::bind(&daemon.socket, daemon.socket_mode, group)?;
    Ok((listener, Some(socket)))
}

/// The time, for those who may not know the clock.
fn told_by(clock: &Clock) -> Rc<dyn Fn() -> Now> {
    let clock = clock.clone();
    Rc::new(move || clock.now())
}

/// Where programs that take a URL are served: what the service manager made, else as configured.
fn open_http(given: Option<GivenTcp>, config: &Config) -> Result<Option<TcpListener>, StartError> {
    let listener = match (given, config.http.listen) {
        (Some(given), _) => TcpListener::from_std(given).map_err(StartError::Handed)?,
        (None, Some(address)) => {
            listen(address).map_err(|cause| StartError::Http { address, cause })?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(listener))
}

/// Listens so that a restart can do so at once.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// What is told of it, and what programs there must show.
fn network(http: &TcpListener, config: &Config) -> Result<TcpFront, StartError> {
    let address = http.local_addr().map_err(StartError::Handed)?;
    let folder = &config.daemon.state_dir;
    let made = config.http.token.is_none().then(|| token::kept(folder)).transpose();
    let token =
        made.map_err(|cause| StartError::Token { path: locate::token_file(folder), cause })?;
    tracing::info!(%address, "serving HTTP");
    Ok(TcpFront { address, token })
}

/// Starts the recorder and says so in the log.
fn begin_to_record(config: &Config, clock: &Clock) -> Result<(Recorder, Restored), StartError> {
    let wanted: Vec<_> = config.models.iter().map(|model| model_key(model)).collect();
    let settings = recorder::RecorderSettings {
        health_log: config.daemon.health_log.clone(),
        state_dir: config.daemon.state_dir.clone(),
        keeping: recorder::Keeping::of(config),
        patience: LINE_PATIENCE,
        clock: clock.clone(),
    };
    let now = clock.now();
    let (recorder, restored) = Recorder::start(settings, &wanted, now)?;
    for problem in &restored.problems {
        tracing::warn!("{problem}");
    }
    let start = StartEvent {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        models: config.models.len(),
        restored: restored.models.len(),
    };
    recorder.record(now.wall, Event::Start(start), None);
    Ok((recorder, restored))
}

/// What is configured about copies of requests.
pub(super) fn terms(config: &Config) -> Terms {
    Terms {
        rules: config.shadow,
        zone: zone(config.costs.timezone.as_deref()),
        // From here on callers need what there is.
        busy_at: (config.limits.in_flight / 2).max(1),
    }
}
