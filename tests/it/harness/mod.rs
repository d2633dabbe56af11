//! The real daemon as a process of its own, for tests that talk to it as users do.
//!
//! A [`Setup`] puts a configuration together in a temporary folder, [`Daemon`] is the process that
//! serves it, [`Client`] a blocking line client. Providers are simulators in this test's process,
//! so a test can script them and look at what arrived.
//!
//! Everything waits for a condition, with a limit that only a broken program reaches. Other test
//! binaries take this folder in with `#[path]`, and each uses a part of it.
#![allow(dead_code, unused_imports, reason = "every test binary uses another part of the harness")]

mod client;
mod daemon;
pub(crate) mod shape;
mod wait;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use client::Client;
pub(crate) use daemon::{Daemon, exit_code, fallbackd};
pub(crate) use wait::{PATIENCE, Stopwatch, eventually, skipped, wait_calls, wait_cancelled};

/// The key that calls carry unless a test says otherwise.
pub(crate) const KEY: &str = "key-of-the-tests";
/// No repeats: a failing model is called once per request.
pub(crate) const NO_RETRY: &str = "[retry]\nmax = 0\n";

/// A simulated OpenAI that answers.
pub(crate) fn openai() -> Background {
    Background::start(Kind::OpenAi).unwrap()
}

/// A chat request with one message.
pub(crate) fn chat(id: impl Into<Value>, prompt: &str) -> Value {
    json!({ "id": id.into(), "messages": [{ "role": "user", "content": prompt }] })
}

/// The same for models of the test's own choice.
pub(crate) fn chat_with(models: &[&str], prompt: &str) -> Value {
    json!({ "models": models, "messages": [{ "role": "user", "content": prompt }] })
}

/// What an error reply says went wrong; empty for a good reply.
pub(crate) fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or_default()
}

/// A configuration in a folder of its own.
pub(crate) struct Setup {
    folder: TempDir,
    daemon: String,
    sections: String,
    chains: String,
    env: Vec<(String, String)>,
}

impl Setup {
    /// Nothing but the paths.
    pub(crate) fn new() -> Setup {
        Setup {
            folder: tempfile::tempdir().unwrap(),
            daemon: String::new(),
            sections: String::new(),
            chains: String::new(),
            env: vec![("TEST_KEY".to_owned(), KEY.to_owned())],
        }
    }

    /// One provider with the models `names`, in this order.
    pub(crate) fn of(sim: &Simulator, names: &[&str]) -> Setup {
        let setup = Setup::new().provider("local", sim);
        names.iter().fold(setup, |setup, name| setup.model(name, "local", ""))
    }

    /// Lines for `[daemon]`.
    pub(crate) fn daemon(mut self, lines: &str) -> Setup {
        let _ = writeln!(self.daemon, "{lines}");
        self
    }

    /// Whole sections.
    pub(crate) fn toml(mut self, sections: &str) -> Setup {
        let _ = writeln!(self.sections, "{sections}");
        self
    }

    /// A provider with the key of the tests.
    pub(crate) fn provider(self, name: &str, sim: &Simulator) -> Setup {
        let (kind, url) = (sim.kind().name(), sim.base_url());
        self.toml(&format!(
            "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n\
             api_key = {{ env = \"TEST_KEY\" }}"
        ))
    }

    /// A model; those configured earlier come first. `more` is whatever else it has.
    pub(crate) fn model(self, name: &str, provider: &str, more: &str) -> Setup {
        let priority = self.sections.matches("[models.").count();
        self.toml(&format!(
            "[models.{name}]\nprovider = \"{provider}\"\nmodel_id = \"{name}\"\n\
             priority = {priority}\n{more}"
        ))
    }

    /// The chain of a task.
    pub(crate) fn chain(mut self, task: &str, models: &[&str]) -> Setup {
        let _ = writeln!(self.chains, "{task} = {models:?}");
        self
    }

    /// A variable of the daemon's environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where everything is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("fallbackd.toml")
    }

    /// The socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder().join("run/d.sock")
    }

    /// The health log.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder().join("log/health.jsonl")
    }

    /// Writes the configuration file.
    pub(crate) fn write(&self) {
        // Nothing is sent that a test does not send, unless it says so.
        let quiet = if self.sections.contains("[shadow]") { "" } else { "[shadow]\nrate = 0\n" };
        let text = format!(
            "[daemon]\nsocket = {:?}\nstate_dir = {:?}\nhealth_log = {:?}\n{}\n{quiet}{}\n[chains]\n{}",
            self.socket(),
            self.folder().join("state"),
            self.log(),
            self.daemon,
            self.sections,
            self.chains
        );
        std::fs::write(self.config(), text).unwrap();
    }

    /// A daemon that serves.
    pub(crate) fn start(self) -> Daemon {
        self.write();
        Daemon::start(self)
    }
}
