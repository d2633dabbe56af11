//! What the daemon says beside the health log: in the journal, or on standard error.
//!
//! It is for people who look after the machine: starts, ends, circuits, trouble. It never holds a
//! key or message content, because no value with either is ever handed to it.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::journal::JournalSocket;
use crate::config::Env;

/// Where the last words of a daemon that cannot start belong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Output {
    /// The journal, which wants to know how bad it is.
    Journal,
    /// Standard error, plainly: it is for the person who just started the daemon.
    Stderr,
}

/// Starts telling. Without this, nothing is said.
pub(crate) fn start(env: &Env) -> Output {
    let wanted = env.var("FALLBACKD_LOG").unwrap_or("info");
    let level = wanted.parse().unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::registry().with(level);
    let (output, told) = match JournalSocket::behind_stderr(env) {
        Some(journal) => (Output::Journal, lines.with(journal).try_init()),
        None => {
            let terminal = std::io::stderr().is_terminal();
            let colour = terminal && env.var("NO_COLOR").is_none_or(str::is_empty);
            let plain = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(colour)
                .with_target(false)
                // A dead standard error must not bring the daemon down.
                .log_internal_errors(false);
            (Output::Stderr, lines.with(plain).try_init())
        }
    };
    if told.is_ok() && wanted.parse::<LevelFilter>().is_err() {
        tracing::warn!(
            "FALLBACKD_LOG={wanted:?} is no level; use error, warn, info, debug or trace"
        );
    }
    output
}

impl Output {
    /// Says why the daemon cannot start.
    pub(super) fn fatal(self, why: &dyn Display) {
        match self {
            Output::Journal => tracing::error!("{why}"),
            Output::Stderr => {
                let _ = writeln!(std::io::stderr().lock(), "{why}");
            }
        }
    }
}
