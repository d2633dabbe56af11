//! The process: started, asked, signalled, and in any case ended with its test.
//!
//! It is ready when it answers `ping`. Its standard error goes to a file, which a failing test
//! shows. Only this very process is ever signalled.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::{Value, json};

use super::{Client, Setup, eventually};

/// A running daemon.
pub(crate) struct Daemon {
    pub(crate) setup: Setup,
    child: Child,
}

/// A daemon that has ended; its folder is still there.
pub(crate) struct Ended {
    pub(crate) setup: Setup,
    pub(crate) status: ExitStatus,
}

impl Ended {
    /// Starts it again on the same files.
    pub(crate) fn restart(self) -> Daemon {
        Daemon::start(self.setup)
    }

    /// What it said on standard error, over all its lives.
    pub(crate) fn stderr(&self) -> String {
        stderr(&self.setup)
    }
}

/// A command for the daemon's program in the surroundings of a setup.
pub(crate) fn fallbackd(setup: &Setup) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackd"));
    command
        .env_clear()
        .env("HOME", setup.folder())
        .env("FALLBACKD_LOG", "debug")
        .envs(setup.env.iter().cloned())
        .arg("--config")
        .arg(setup.config())
        .stdin(Stdio::null());
    command
}

/// The exit code of a program that must have ended by itself.
pub(crate) fn exit_code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

impl Daemon {
    /// Starts the daemon on what `setup` has written, and waits until it serves.
    pub(crate) fn start(setup: Setup) -> Daemon {
        let command = fallbackd(&setup);
        Daemon::started(setup, command)
    }

    /// The same on a socket that a service manager made. A shell gives it the number and the
    /// variables that the protocol wants.
    pub(crate) fn start_on(setup: Setup, listener: &UnixListener) -> Daemon {
        let plain = fallbackd(&setup);
        let mut command = Command::new("/bin/sh");
        let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
        command.args(["-c", script]).arg(plain.get_program()).args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(OwnedFd::from(listener.try_clone().unwrap()));
        Daemon::started(setup, command)
    }

    fn started(setup: Setup, command: Command) -> Daemon {
        let mut daemon = Daemon::spawn(setup, command);
        eventually("the daemon answers", || {
            assert_eq!(daemon.child.try_wait().unwrap(), None, "the daemon ended at once");
            let answers = UnixStream::connect(daemon.socket()).is_ok();
            answers.then(|| daemon.client().ask_ok(&json!({ "op": "ping" })))
        });
        daemon
    }

    fn spawn(setup: Setup, mut command: Command) -> Daemon {
        let mut file = std::fs::OpenOptions::new();
        let file = file.create(true).append(true).open(stderr_path(&setup)).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Daemon { setup, child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.setup.socket()
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket())
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, line: &Value) -> Value {
        self.client().ask(line)
    }

    /// The same, for a request that must be answered well.
    pub(crate) fn ask_ok(&self, line: &Value) -> Value {
        self.client().ask_ok(line)
    }

    /// What `health` says about one model.
    pub(crate) fn health_of(&self, model: &str) -> Value {
        self.ask_ok(&json!({ "op": "health" }))["models"][model].clone()
    }

    /// The health log so far. A last line that is still being written is left out.
    pub(crate) fn log(&self) -> Vec<Value> {
        events(&self.setup.log())
    }

    /// The events of one kind in the health log so far.
    pub(crate) fn logged(&self, event: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["event"] == event).collect()
    }

    /// Waits until the health log has so many events of a kind, and gives them.
    pub(crate) fn wait_logged(&self, event: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} lines of {event}"), || {
            Some(self.logged(event)).filter(|lines| lines.len() >= count)
        })
    }

    /// What it said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        stderr(&self.setup)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> Ended {
        let status = eventually("the daemon ends", || self.child.try_wait().unwrap());
        self.ended(status)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// Ends it without giving it a chance to do anything.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.ended(status)
    }

    fn ended(mut self, status: ExitStatus) -> Ended {
        let setup = std::mem::replace(&mut self.setup, Setup::new());
        Ended { setup, status }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = stderr(&self.setup);
            let from = said.len().saturating_sub(4000);
            let tail = String::from_utf8_lossy(&said.as_bytes()[from..]).into_owned();
            let _ = writeln!(std::io::stderr(), "--- the daemon's last words\n{tail}---");
        }
    }
}

/// The whole lines of a log, as JSON.
pub(crate) fn events(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn stderr(setup: &Setup) -> String {
    std::fs::read_to_string(stderr_path(setup)).unwrap_or_default()
}

fn stderr_path(setup: &Setup) -> PathBuf {
    setup.folder().join("stderr.txt")
}
