//! A daemon of its own for each test, and a client that speaks lines.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The key that all providers are called with.
pub(crate) const KEY: &str = "test-key-0123456789";

/// All kinds of providers.
pub(crate) const KINDS: [Kind; 4] = Kind::ALL;

/// A configuration that is put together piece by piece.
pub(crate) struct Setup {
    folder: TempDir,
    text: String,
}

/// A daemon that serves until it is dropped.
pub(crate) struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Setup {
    /// Nothing but where files go, and quick repeats.
    pub(crate) fn new() -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "[daemon]\nsocket = {:?}\nstate_dir = {:?}\nhealth_log = {:?}\n\
             [shadow]\nrate = 0\n[retry]\nbase = \"1ms\"\n",
            at("s.sock"),
            at("state"),
            at("health.jsonl"),
        );
        Setup { folder, text }
    }

    /// Adds a provider at an address.
    pub(crate) fn provider_at(&mut self, name: &str, kind: Kind, base_url: &str) -> &mut Setup {
        let kind = kind.name();
        let key = "api_key = { env = \"TEST_KEY\" }";
        writeln!(
            self.text,
            "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{base_url}\"\n{key}"
        )
        .unwrap();
        self
    }

    /// Adds a simulated provider.
    pub(crate) fn provider(&mut self, name: &str, sim: &Background) -> &mut Setup {
        self.provider_at(name, sim.kind(), &sim.base_url())
    }

    /// Adds a line to what was added last.
    pub(crate) fn with(&mut self, line: &str) -> &mut Setup {
        writeln!(self.text, "{line}").unwrap();
        self
    }

    /// Adds a model whose id is its name, with more settings.
    pub(crate) fn model(&mut self, name: &str, provider: &str, more: &str) -> &mut Setup {
        writeln!(
            self.text,
            "[models.{name}]\nprovider = \"{provider}\"\nmodel_id = \"{name}\"\n{more}"
        )
        .unwrap();
        self
    }

    /// Starts the daemon and waits until it serves.
    pub(crate) fn start(self) -> Daemon {
        let config = self.folder.path().join("fallbackd.toml");
        std::fs::write(&config, &self.text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_fallbackd"))
            .arg("--config")
            .arg(&config)
            .env("TEST_KEY", KEY)
            .env_remove("FALLBACKD_SOCKET")
            .env("FALLBACKD_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut daemon = Daemon { child, folder: self.folder };
        while UnixStream::connect(daemon.socket()).is_err() {
            assert_eq!(daemon.child.try_wait().unwrap(), None, "the daemon ended");
            std::thread::sleep(Duration::from_millis(2));
        }
        daemon
    }
}

impl Daemon {
    fn socket(&self) -> PathBuf {
        self.folder.path().join("s.sock")
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        BufReader::new(stream)
    }

    /// Sends one line and reads the reply.
    pub(crate) fn ask(&self, request: &Value) -> Value {
        let mut connection = self.connect();
        send(&mut connection, request);
        receive(&mut connection)
    }

    /// Says hello to these models, in this order.
    pub(crate) fn hello(&self, models: &[&str]) -> Value {
        self.ask(&json!({ "models": models, "messages": [{ "role": "user", "content": "hello" }] }))
    }

    /// A model's health.
    pub(crate) fn health(&self, model: &str) -> Value {
        self.ask(&json!({ "op": "health" }))["models"][model].clone()
    }

    /// Everything in the health log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("health.jsonl")).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes one line.
pub(crate) fn send(connection: &mut BufReader<UnixStream>, request: &Value) {
    connection.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
}

/// Reads one line.
pub(crate) fn receive(connection: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a reply: {line:?}"))
}

/// A simulated provider.
pub(crate) fn sim(kind: Kind) -> Background {
    Background::start(kind).unwrap()
}

/// Exactly this answer.
pub(crate) fn raw(status: u16, body: impl ToString) -> Behaviour {
    Behaviour::Raw { status, headers: Vec::new(), body: body.to_string() }
}

/// The failures among a reply's attempts, as error type and status.
pub(crate) fn failures(reply: &Value) -> Vec<(String, Value)> {
    let attempts = reply["attempts"].as_array().unwrap_or_else(|| panic!("{reply}")).iter();
    let failed = attempts.filter(|attempt| attempt["outcome"] == "failed");
    let told = |a: &Value| (a["error_type"].as_str().unwrap().to_owned(), a["status"].clone());
    failed.map(told).collect()
}
