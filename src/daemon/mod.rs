//! The daemon: its parts put together, its start and its end.
//!
//! Everything runs on one single-threaded runtime, except the recorder, whose disks block. This
//! folder wires and waits; what is decided is decided further down.

mod assemble;
mod journal;
pub(crate) mod logging;
mod manager;
mod notify;
mod process;
mod reload;
mod token;
mod watchdog;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use actix::System;
use clap::{CommandFactory, Parser};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::{self, Env, Loaded, Mistakes};
use crate::domain::rebuilds::MOST;

pub use assemble::{RunningDaemon, StartError, Stopped};
pub use manager::Manager;
pub use process::tell_where;
pub use reload::ConfigSource;

/// Exit code for a configuration that cannot be used; systemd does not restart after it.
const EX_CONFIG: u8 = 78;

const EXAMPLES: &str = "\
Examples:
  fallbackd --demo                        see it work, without keys or configuration
  fallbackd --check                       read the configuration and explain every mistake
  fallbackd --config ./fallbackd.toml     serve with this configuration

Environment:
  FALLBACKD_SOCKET   socket to serve on
  FALLBACKD_LOG      how much to tell on standard error: error, warn, info (default), debug, trace";

/// Local gateway that keeps programs answering when an AI provider fails.
#[derive(Parser)]
#[command(name = "fallbackd", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Configuration file [default: /etc/fallbackd/fallbackd.toml for root, otherwise
    /// $XDG_CONFIG_HOME/fallbackd/fallbackd.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Socket to serve on, over the configuration's
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Read the configuration, explain every mistake, and end
    #[arg(long)]
    check: bool,
    /// Play outages against simulated providers and tell what happens; needs no key and no
    /// configuration
    #[arg(long, conflicts_with_all = ["config", "check"])]
    pub demo: bool,
    /// Keep the demo's daemon running afterwards, and say how to talk to it
    #[arg(long, requires = "demo")]
    pub stay: bool,
}

/// The command line of `fallbackd`, for its manual.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the daemon, or checks its configuration, as the command line says.
pub fn run(arguments: Arguments, env: Env) -> ExitCode {
    let Arguments { config, socket, check, .. } = arguments;
    let path = config::locate::config_file(config, &env);
    if check {
        let (report, valid) = config::check_report(&path, &env);
        let shown = std::io::stdout().lock().write_all(report.as_bytes());
        return match (valid, shown) {
            (true, Ok(())) => ExitCode::SUCCESS,
            (true, Err(_)) => ExitCode::FAILURE,
            (false, _) => ExitCode::from(EX_CONFIG),
        };
    }
    let output = logging::start(&env);
    tell_where();
    match managed(socket, path, env) {
        Ok(StopReason::Asked) => ExitCode::SUCCESS,
        Ok(StopReason::Broken) => ExitCode::FAILURE,
        Err(Unstarted::Config(mistakes)) => {
            mistakes.list.iter().for_each(|mistake| output.fatal(mistake));
            output.fatal(&mistakes.count());
            ExitCode::from(EX_CONFIG)
        }
        Err(Unstarted::Start(error)) => {
            output.fatal(&format_args!("fallbackd: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Why there is no daemon.
enum Unstarted {
    Config(Mistakes),
    Start(StartError),
}

/// Serves under whoever started this process, until the end.
fn managed(socket: Option<PathBuf>, path: PathBuf, env: Env) -> Result<StopReason, Unstarted> {
    // First of all: it is for the time before there are threads.
    let manager = Manager::of(&env).map_err(|error| Unstarted::Start(StartError::Handed(error)))?;
    let socket = socket.or_else(|| env.var("FALLBACKD_SOCKET").map(PathBuf::from));
    let source = ConfigSource { path, env, socket };
    let loaded = source.load().map_err(|mistakes| {
        manager.notifier.status(&format!("not started: {}", mistakes.count()));
        Unstarted::Config(mistakes)
    })?;
    serve(&loaded, source, manager).map_err(Unstarted::Start)
}

/// Why the daemon ended.
#[derive(PartialEq)]
enum StopReason {
    /// A signal said so.
    Asked,
    /// It is broken, and a fresh start may mend it.
    Broken,
}

fn serve(
    loaded: &Loaded,
    source: ConfigSource,
    manager: Manager,
) -> Result<StopReason, StartError> {
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.as_warning().trim_end());
    }
    if let Some(notice) = loaded.config.copies_notice() {
        tracing::info!("{notice}");
    }
    process::raise_descriptors();
    system()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Runtime)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
        let clock = Clock::system();
        let running =
            RunningDaemon::start_under(manager, &loaded.config, Some(source), clock).await?;
        let (end, reason) = loop {
            tokio::select! {
                _ = terminate.recv() => break (StopReason::Asked, "SIGTERM"),
                _ = interrupt.recv() => break (StopReason::Asked, "SIGINT"),
                () = running.broken() => break (StopReason::Broken, "too many rebuilds"),
                _ = hangup.recv() => {
                    let refused = running.reload().await.err();
                    let mistakes = refused.into_iter().flat_map(|error| error.mistakes);
                    mistakes.for_each(|mistake| tracing::warn!("{mistake}"));
                }
            }
        };
        if end == StopReason::Broken {
            tracing::error!(
                "models were rebuilt more than {MOST} times within a minute: this daemon is \
                 broken; report what was logged before, and see that it is started again"
            );
        }
        tracing::info!(reason, "ending; a second signal ends at once");
        let again = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let stopped = running.stop(reason, again).await;
        tracing::info!(unanswered = stopped.unanswered, saved = stopped.saved, "ended");
        Ok(end)
    })
}

/// The one single-threaded runtime that everything runs on.
pub fn system() -> Result<actix::SystemRunner, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    // actix asks for a function that makes the runtime, and calls it once.
    let runtime = std::cell::Cell::new(Some(runtime));
    #[expect(clippy::expect_used, reason = "actix calls this exactly once, on this thread")]
    Ok(System::with_tokio_rt(move || runtime.take().expect("one runtime for one system")))
}
