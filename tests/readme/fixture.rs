//! The built daemon as its own process, with simulated providers behind it.

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour};
use tempfile::TempDir;

/// How long anything may take before it counts as broken; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that serves, until this is dropped.
pub(crate) struct Fixture {
    folder: TempDir,
    daemon: Child,
    openai: Background,
    _anthropic: Background,
}

impl Fixture {
    /// Two providers, a model of each, and a daemon in front of them.
    pub(crate) fn start() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let openai = Background::start(Kind::OpenAi).unwrap();
        let anthropic = Background::start(Kind::Anthropic).unwrap();
        let config = folder.path().join("fallbackd.toml");
        std::fs::write(&config, configuration(&openai, &anthropic)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackd"));
        let notes = std::fs::File::create(folder.path().join("notes")).unwrap();
        let daemon = command
            .arg("--config")
            .arg(&config)
            .env_clear()
            // Relative, as a person may type it; clients take it the same way.
            .current_dir(folder.path())
            .env("FALLBACKD_SOCKET", "d.sock")
            .env("STATE_DIRECTORY", folder.path())
            .env("LOGS_DIRECTORY", folder.path())
            .env("OPENAI_API_KEY", "k-openai")
            .env("ANTHROPIC_API_KEY", "k-anthropic")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(notes)
            .spawn()
            .unwrap();
        let mut fixture = Fixture { folder, daemon, openai, _anthropic: anthropic };
        fixture.wait_until_it_serves();
        fixture
    }

    /// From now on the first model of every chain is overloaded.
    pub(crate) fn break_primary(&self) {
        self.openai.set_for("gpt-4o", Behaviour::overloaded());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("d.sock")
    }

    /// Whether the health log comes to hold what is wanted; it is written behind the answers.
    pub(crate) fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let log = self.folder.path().join("health.jsonl");
        in_time(|| std::fs::read_to_string(&log).is_ok_and(|text| wanted(&text)))
    }

    /// A file of its own for a test.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Sends lines over a connection of their own; gives the lines that come back.
    pub(crate) fn connect(&self, lines: &[String]) -> Lines<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
        BufReader::new(stream).lines()
    }

    fn wait_until_it_serves(&mut self) {
        let (socket, notes) = (self.socket(), self.folder.path().join("notes"));
        let serves = in_time(|| {
            let ended = self.daemon.try_wait().unwrap();
            assert!(ended.is_none(), "{}", std::fs::read_to_string(&notes).unwrap());
            UnixStream::connect(&socket).is_ok()
        });
        assert!(serves, "the daemon does not serve");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // It may have ended by itself, which the test will have noticed.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Whether something comes true within the patience.
fn in_time(mut is_true: impl FnMut() -> bool) -> bool {
    const PAUSE: Duration = Duration::from_millis(5);
    (0..PATIENCE.as_millis() / PAUSE.as_millis()).any(|_| {
        is_true() || {
            std::thread::sleep(PAUSE);
            false
        }
    })
}

fn configuration(openai: &Background, anthropic: &Background) -> String {
    format!(
        r#"
[shadow]
rate = 0

[retry]
base = "5ms"

[providers.openai]
kind = "openai"
base_url = "{}"
api_key = {{ env = "OPENAI_API_KEY" }}

[providers.anthropic]
kind = "anthropic"
base_url = "{}"
api_key = {{ env = "ANTHROPIC_API_KEY" }}

[models.gpt-4o]
provider = "openai"
model_id = "gpt-4o"
priority = 1
cost_per_1k_input = 0.0025
cost_per_1k_output = 0.010

[models.claude-sonnet-4-6]
provider = "anthropic"
model_id = "claude-sonnet-4-6"
priority = 2
cost_per_1k_input = 0.003
cost_per_1k_output = 0.015

[chains]
default = ["gpt-4o", "claude-sonnet-4-6"]
"#,
        openai.base_url(),
        anthropic.base_url()
    )
}

/// The folder of the built programs, for `PATH`.
pub(crate) fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fallbackctl")).parent().unwrap()
}
