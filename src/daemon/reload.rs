//! Reading the configuration again while the daemon serves.
//!
//! The new file is checked whole before anything is touched: one mistake, and nothing changes. Then
//! it is taken whole: calls to providers, models and chains, limits. What cannot change without a
//! restart is named in the answer.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::thread;
use std::time::Duration;

use actix::Addr;
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use super::assemble::terms;
use super::notify::Notifier;
use crate::actors::router::{Reload as Renew, RouterActor};
use crate::actors::shadow::Shadows;
use crate::clock::{self, Clock};
use crate::config::{self, Config, Env, Loaded, Mistakes};
use crate::protocol::log::{ConfigEvent, Event};
use crate::protocol::reload::{Reloaded, Renewal};
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::provider::http::Http;
use crate::recorder::{Keeping, Recorder};
use crate::server::{ReloadHandler, Server};

/// How long reading may take. It is a matter of milliseconds, unless a file is a pipe that nobody
/// writes to, or lies on a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the configuration comes from.
#[derive(Clone)]
pub struct ConfigSource {
    pub(crate) path: PathBuf,
    /// The environment that the daemon was started in.
    pub env: Env,
    /// The socket that the command line or the environment chose, over the file's.
    pub socket: Option<PathBuf>,
}

/// All that a reload changes, and who hears of it.
pub(super) struct Reloader {
    /// `None` when there is nothing to read again.
    pub(super) source: Option<ConfigSource>,
    /// What is served with now.
    pub(super) current: RefCell<Config>,
    pub(super) http: Rc<Http>,
    pub(super) router: Addr<RouterActor>,
    pub(super) shadows: Shadows,
    pub(super) recorder: Recorder,
    /// Told when a reload begins and when it is over.
    pub(super) notifier: Notifier,
    pub(super) clock: Clock,
    /// Held by the one reload that is under way, so that the latest to begin is the last to end.
    pub(super) turn: Mutex<()>,
}

impl ConfigSource {
    /// Reads it from the file, and says all that is wrong there.
    pub fn load(&self) -> Result<Loaded, Mistakes> {
        let mut loaded = config::load(&self.path, &self.env)?;
        if let Some(socket) = &self.socket {
            loaded.config.daemon.socket = socket.clone();
        }
        Ok(loaded)
    }

    /// Reads it on a thread of its own: the daemon serves meanwhile, and can end.
    async fn load_beside(&self) -> Result<Result<Loaded, Mistakes>, ErrorBody> {
        let (source, (done, read)) = (self.clone(), oneshot::channel());
        let begun = thread::Builder::new().name("reload".to_owned()).spawn(move || {
            // Nobody may wait for the result any more.
            drop(done.send(source.load()));
        });
        let read = async {
            begun.map_err(|error| format!("no thread can be started: {error}"))?;
            let read = timeout(PATIENCE, read).await.map_err(|_| {
                let patience = humantime::format_duration(PATIENCE);
                format!(
                    "it was not read within {patience}; is one of its files a pipe, or on a disk \
                     that does not answer?"
                )
            })?;
            read.map_err(|_| "its reader was lost; reload again".to_owned())
        };
        read.await.map_err(|why: String| {
            let path = self.path.display();
            internal(format!("the configuration {path}: {why}; nothing was changed"))
        })
    }
}

impl Reloader {
    /// The reload as the server offers it.
    pub(super) fn for_server(self, server: Weak<Server>) -> ReloadHandler {
        let reloader = Rc::new(self);
        Rc::new(move || {
            let (reloader, server) = (reloader.clone(), server.clone());
            Box::pin(async move {
                reloader.notifier.reloading(clock::since_boot());
                let reloaded = reloader.reload(&server).await;
                // A refused reload is over, too: the daemon serves as before.
                reloader.notifier.ready();
                reloaded
            })
        })
    }

    async fn reload(&self, server: &Weak<Server>) -> Result<Reloaded, ErrorBody> {
        let (Some(source), Some(server)) = (&self.source, server.upgrade()) else {
            let message = "this daemon has no configuration file to read again";
            return Err(ErrorBody::new(ErrorCode::BadRequest, message));
        };
        let _turn = self.turn.lock().await;
        let Loaded { config, warnings } = match source.load_beside().await? {
            Ok(loaded) => loaded,
            Err(mistakes) => return Err(self.refuse(&mistakes)),
        };
        self.http
            .update(&config.models, config.limits.response_bytes)
            .map_err(|error| internal(format!("{error}; nothing was changed")))?;
        let renewed = self.router.send(Renew(Box::new(config.clone()))).await;
        let renewal = renewed.map_err(|_| internal("the daemon lost this reload; reload again"))?;
        server.renew(&config);
        self.shadows.renew(terms(&config));
        self.recorder.keep(Keeping::of(&config));
        let restart = needs_restart(&self.current.borrow(), &config);
        self.current.replace(config);
        self.tell(Some(&renewal), 0);
        tracing::info!(kept = renewal.kept, "configuration read again");
        Ok(Reloaded {
            models: renewal,
            needs_restart: restart,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        })
    }

    fn refuse(&self, mistakes: &Mistakes) -> ErrorBody {
        let count = mistakes.list.len();
        self.tell(None, count);
        tracing::warn!(mistakes = count, "the changed configuration has mistakes; nothing changed");
        let message = "the configuration has mistakes; nothing was changed";
        ErrorBody {
            mistakes: mistakes.list.iter().map(ToString::to_string).collect(),
            ..ErrorBody::new(ErrorCode::BadRequest, message)
        }
    }

    fn tell(&self, renewal: Option<&Renewal>, mistakes: usize) {
        let success = renewal.is_some();
        let Renewal { kept, added, removed } = renewal.cloned().unwrap_or_default();
        let event = Event::Config(ConfigEvent { success, mistakes, kept, added, removed });
        self.recorder.record(self.clock.now().wall, event, None);
    }
}

fn internal(message: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, message)
}

/// Keys whose new value waits for a restart.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let (a, b) = (&old.daemon, &new.daemon);
    [
        ("daemon.socket", a.socket != b.socket),
        ("daemon.socket_mode", a.socket_mode != b.socket_mode),
        ("daemon.socket_group", a.socket_group != b.socket_group),
        ("daemon.state_dir", a.state_dir != b.state_dir),
        ("daemon.health_log", a.health_log != b.health_log),
        ("http.listen", old.http.listen != new.http.listen),
        ("daemon.drain_timeout", a.drain_timeout != b.drain_timeout),
    ]
    .into_iter()
    .filter(|(_, changed)| *changed)
    .map(|(key, _)| key.to_owned())
    .collect()
}
