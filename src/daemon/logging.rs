//! What the daemon says on standard error, beside the health log.
//!
//! It is for people who look after the machine: starts, ends, circuits, trouble. It never holds a
//! key or message content, because no value with either is ever handed to it.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;

use crate::config::Env;

/// Starts telling. Without this, nothing is said.
pub(super) fn start(env: &Env) {
    let wanted = env.var("FALLBACKD_LOG").unwrap_or("info");
    let level = wanted.parse().unwrap_or(LevelFilter::INFO);
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && env.var("NO_COLOR").is_none_or(str::is_empty);
    let told = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(colour)
        .with_target(false)
        // A dead standard error must not bring the daemon down.
        .log_internal_errors(false)
        .try_init();
    if told.is_ok() && wanted.parse::<LevelFilter>().is_err() {
        tracing::warn!(
            "FALLBACKD_LOG={wanted:?} is no level; use error, warn, info, debug or trace"
        );
    }
}
