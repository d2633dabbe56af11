//! Names that the shell completes: models, tasks and kinds of events.
//!
//! They come from the daemon, which knows what it runs with, or from the configuration when it is
//! not there. A key pressed at a prompt must never hang or complain: whatever cannot be found out
//! in a moment completes to nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use serde_json::{Value, json};

use super::connect::Link;
use super::reply;
use crate::config::{Env, locate};
use crate::protocol::op::EventType;

/// How long the daemon may take before the configuration is read instead.
const AT_ONCE: Option<Duration> = Some(Duration::from_millis(500));

/// Names of models.
pub(super) fn models() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates("health", "models"))
}

/// Names of tasks.
pub(super) fn tasks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates("chains", "chains"))
}

/// Kinds of events.
pub(super) fn events() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        EventType::ALL.iter().map(|kind| CompletionCandidate::new(kind.name())).collect()
    })
}

/// The members of what the daemon answers to `op`, which are named like the section of the
/// configuration that they come from.
fn candidates(op: &str, section: &str) -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    let env = Env::of_process();
    let config = locate::config_file(given(&words, "--config"), &env);
    let socket = locate::socket(given(&words, "--socket"), Some(config.clone()), &env);
    let names = answered(socket, op, section);
    let names = names.unwrap_or_else(|| locate::names(&config, section));
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn answered(socket: PathBuf, op: &str, members: &str) -> Option<Vec<String>> {
    let mut link = Link::open(&socket, AT_ONCE).ok()?;
    link.send(&json!({ "op": op })).ok()?;
    let (_, reply): (String, Value) = link.reply().ok()?;
    let names = reply::members(&reply, members).map(|(name, _)| name.clone());
    reply::flag(&reply, "ok").then(|| names.collect())
}

/// The value of a flag on the line that is being completed.
fn given(words: &[String], flag: &str) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(flag) {
            Some("") => return words.next().map(PathBuf::from),
            Some(rest) if rest.starts_with('=') => return Some(PathBuf::from(&rest[1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_the_unfinished_line_say_which_daemon_is_meant() {
        let words = ["fallbackctl", "--", "x", "--config", "/c.toml", "--socket=/s", "ask"];
        let words = words.map(str::to_owned);
        assert_eq!(given(&words, "--config"), Some(PathBuf::from("/c.toml")));
        assert_eq!(given(&words, "--socket"), Some(PathBuf::from("/s")));
        assert_eq!(given(&words, "--log"), None);
    }
}
