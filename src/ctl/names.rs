//! Names that the shell completes: models, tasks and kinds of events.
//!
//! They come from the daemon, which knows what it runs with, or from the configuration when it is
//! not there. A key pressed at a prompt must never hang or complain: whatever cannot be found out
//! in a moment completes to nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use serde_json::json;

use super::connect::Link;
use crate::config::{Env, locate};
use crate::protocol::chains::Chains;
use crate::protocol::health::Health;
use crate::protocol::request::EventType;

/// How long the daemon may take before the configuration is read instead.
const AT_ONCE: Option<Duration> = Some(Duration::from_millis(500));

pub(super) fn models() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates("models", models_of))
}

pub(super) fn tasks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates("chains", tasks_of))
}

pub(super) fn events() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        EventType::ALL.iter().map(|kind| CompletionCandidate::new(kind.name())).collect()
    })
}

/// What the daemon answers, else what a section of its configuration names.
fn candidates(section: &str, ask: fn(Link) -> Option<Vec<String>>) -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    let env = Env::of_process();
    let config = locate::config_file(given(&words, "--config"), &env);
    let socket = locate::socket(given(&words, "--socket"), Some(config.clone()), &env);
    let names = Link::open(&socket, AT_ONCE).ok().and_then(ask);
    let names = names.unwrap_or_else(|| locate::names(&config, section));
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn models_of(mut link: Link) -> Option<Vec<String>> {
    let health: Health = link.ask(&json!({ "op": "health" })).ok()?;
    Some(health.models.keys().map(ToString::to_string).collect())
}

fn tasks_of(mut link: Link) -> Option<Vec<String>> {
    let chains: Chains = link.ask(&json!({ "op": "chains" })).ok()?;
    Some(chains.chains.keys().map(ToString::to_string).collect())
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
