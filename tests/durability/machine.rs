//! A machine with one provider, one configuration, and a daemon that comes and goes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fallbackd::clock::Clock;
use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest time that anything may take before a test gives up.
const LONG: Duration = Duration::from_secs(60);

/// Everything but the daemon.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
    pub(crate) provider: Background,
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) socket: PathBuf,
    /// From starting the program to its first answer.
    pub(crate) started_in: Duration,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let provider = Background::start(Kind::OpenAi).unwrap();
        provider.keep(0);
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine { dir, provider };
        fs::write(machine.dir.path().join("fallbackd.toml"), machine.config()).unwrap();
        machine
    }

    fn config(&self) -> String {
        let dir = self.dir.path().display();
        let mut text = format!(
            "[daemon]\nsocket = \"{dir}/s\"\nstate_dir = \"{dir}/disk/state\"\n\
             health_log = \"{dir}/disk/log/health.jsonl\"\n\
             [log]\nmax_size = \"256KiB\"\nkeep = 400\n\
             [breaker]\nfailures = 4\nopen_for = \"300ms\"\nopen_for_max = \"1s\"\n\
             [shadow]\nrate = 0\n[retry]\nmax = 0\nbase = \"1ms\"\ncap = \"1ms\"\n\
             [health]\nwindow = \"1h\"\n\
             [providers.sim]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key = {{ env = \"KEY\" }}\n",
            self.provider.base_url()
        );
        for (name, input, output) in
            [("a", "0.0025", "0.01"), ("b", "0.00015", "0.0006"), ("c", "0.000333", "0.00177")]
        {
            text.push_str(&format!(
                "[models.{name}]\nprovider = \"sim\"\nmodel_id = \"{name}\"\n\
                 cost_per_1k_input = {input}\ncost_per_1k_output = {output}\n"
            ));
        }
        text + "[chains]\ndefault = [\"a\", \"b\", \"c\"]\nother = [\"b\", \"c\"]\n"
    }

    pub(crate) fn boot(&self) -> Daemon {
        let clock = Clock::system();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackd"));
        command
            .arg("--config")
            .arg(self.dir.path().join("fallbackd.toml"))
            .env_clear()
            .env("KEY", "any-key-will-do")
            .env("FALLBACKD_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let socket = self.dir.path().join("s");
        let mut daemon =
            Daemon { child: command.spawn().unwrap(), socket, started_in: Duration::ZERO };
        while UnixStream::connect(&daemon.socket).is_err() {
            assert!(daemon.child.try_wait().unwrap().is_none(), "the daemon did not start");
            assert!(clock.mono().0 < LONG, "the daemon does not serve");
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(daemon.ask(&json!({"op": "ping"}))["ok"], true);
        daemon.started_in = clock.mono().0;
        daemon
    }

    /// Has clients ask until `enough`, while the provider fails now and then; gives what they were
    /// answered.
    pub(crate) fn load(&self, socket: &Path, enough: impl FnOnce()) -> Vec<Value> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..6)
                .map(|number| {
                    let stop = &stop;
                    scope.spawn(move || client(socket, number, stop))
                })
                .collect();
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    self.provider.push_for("a", Behaviour::overloaded());
                    self.provider.push_for("b", Behaviour::server_error());
                    thread::sleep(Duration::from_millis(3));
                }
            });
            enough();
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        })
    }

    /// Where the daemon keeps everything but its socket.
    pub(crate) fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.disk().join("state")
    }

    /// The files of the log, the oldest first.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        let dir = self.disk().join("log");
        let number = |path: &PathBuf| {
            let name = path.extension().and_then(|end| end.to_str());
            name.and_then(|end| end.parse().ok()).unwrap_or(0u32)
        };
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> = entries.collect();
        paths.sort_by_key(number);
        paths.reverse();
        paths
    }
}

/// Sends request after request on one connection, a few at a time, until told to stop or cut off.
fn client(socket: &Path, number: usize, stop: &AtomicBool) -> Vec<Value> {
    let mut replies = Vec::new();
    let Ok(stream) = UnixStream::connect(socket) else { return replies };
    let mut lines = BufReader::new(&stream);
    let mut text = String::new();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut batch = String::new();
        for place in 0..4 {
            let content = "word ".repeat(1 + (turn * 7 + place * 3 + number) % 40);
            let task = if place == 3 { "other" } else { "default" };
            let messages = json!([{"role": "user", "content": content}]);
            batch += &json!({"id": place, "task": task, "messages": messages}).to_string();
            batch.push('\n');
        }
        if (&stream).write_all(batch.as_bytes()).is_err() {
            break;
        }
        for _ in 0..4 {
            text.clear();
            // What a kill cut off is no reply.
            match lines.read_line(&mut text) {
                Ok(_) if text.ends_with('\n') => replies.push(serde_json::from_str(&text).unwrap()),
                _ => return replies,
            }
        }
    }
    replies
}

impl Daemon {
    /// Sends one line and reads one.
    pub(crate) fn ask(&self, line: &Value) -> Value {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        (&stream).write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut reply = String::new();
        BufReader::new(&stream).read_line(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap()
    }

    /// Ends it as nobody could foresee.
    pub(crate) fn kill(&mut self) {
        // SIGKILL; it may be dead already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies a directory and what is below it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
