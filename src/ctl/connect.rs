//! Finding the daemon's socket, and one question and its answer over it.
//!
//! A plain blocking socket of the standard library: a command has one request outstanding, so a
//! runtime would only cost start-up time. Answers of the daemon's own operations are awaited for
//! a few seconds; a chat for as long as its verb says. When the daemon is not there, the error
//! tells the three cases apart that need different actions: not started, ended, not allowed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Group};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Session;
use super::failure::{CommandError, DaemonError};
use super::screen::{Paper, Screen};
use super::text;
use crate::config::{Env, locate};
use crate::protocol::reply::Success;

/// How long the daemon may take over what needs no model.
pub(super) const SOON: Option<Duration> = Some(Duration::from_secs(10));

const START: &str = "start it with `systemctl start fallbackd` or `fallbackd --config FILE`; \
                     `fallbackd --demo --stay` runs one that needs no key";

/// The socket to talk to: the flag, the environment, the configuration, the default.
pub(super) fn socket(flag: Option<&Path>, config: Option<&Path>) -> Result<PathBuf, CommandError> {
    if let (None, Some(file)) = (flag, config) {
        readable(file)?;
    }
    let env = Env::of_process();
    Ok(locate::socket(flag.map(Path::to_owned), config.map(Path::to_owned), &env))
}

/// A configuration that was named must be there, or another daemon's socket might be used. What
/// is wrong inside it is no concern here: the daemon may still run with what it read before.
pub(super) fn readable(file: &Path) -> Result<(), CommandError> {
    // A folder can be opened, but not read.
    let read = std::fs::File::open(file).and_then(|mut file| file.read(&mut [0]));
    read.map(drop).map_err(|error| CommandError::Configuration {
        message: format!("cannot read the configuration {}: {error}", file.display()),
        hint: "name the file the daemon was started with, or use --socket".to_owned(),
    })
}

/// Sends one request and reads what was found. With `--json` the reply is printed as it came and
/// nothing is left to do (`None`); an error reply becomes a failure either way.
pub(super) fn exchange<T: DeserializeOwned>(
    session: &Session,
    request: &Value,
    patience: Option<Duration>,
    screen: &mut Screen<'_>,
) -> Result<Option<T>, CommandError> {
    let mut link = Link::open(&session.socket, patience)?;
    link.send(request)?;
    let (line, reply) = link.reply()?;
    if session.json {
        print_json(&line, screen)?;
    }
    let reply = accept(reply, session.json, screen.notes_paper)?;
    if session.json { Ok(None) } else { found(reply).map(Some) }
}

/// One line of JSON, untouched; a terminal gets it without the control characters that JSON does
/// not escape by itself.
pub(super) fn print_json(line: &str, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    if screen.paper.terminal {
        writeln!(screen.out, "{}", text::clean(line))?;
    } else {
        writeln!(screen.out, "{line}")?;
    }
    Ok(())
}

/// Lets a reply pass that says yes; an error reply becomes a failure that shows what was tried.
pub(super) fn accept(reply: Value, printed: bool, paper: Paper) -> Result<Value, CommandError> {
    let reply = text::tidy(reply);
    match reply.get("ok") {
        Some(Value::Bool(true)) => Ok(reply),
        _ => Err(CommandError::Daemon(DaemonError::read(reply, printed, paper))),
    }
}

/// What a reply that says yes has found.
pub(super) fn found<T: DeserializeOwned>(reply: Value) -> Result<T, CommandError> {
    Ok(Success::<T>::deserialize(reply)?.found)
}

/// A connection to the daemon.
pub(super) struct Link {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Link {
    /// Connects; every answer must come within `patience`.
    pub(super) fn open(socket: &Path, patience: Option<Duration>) -> Result<Link, CommandError> {
        let stream = UnixStream::connect(socket).map_err(|error| unreachable(socket, &error))?;
        stream
            .set_read_timeout(patience)
            .and_then(|()| stream.set_write_timeout(SOON))
            .map_err(|error| unreachable(socket, &error))?;
        Ok(Link { socket: socket.to_owned(), stream: BufReader::new(stream) })
    }

    /// Writes one request. A daemon that hangs up at once may still have said why, so a broken
    /// pipe is left to the reading side.
    pub(super) fn send(&mut self, request: &Value) -> Result<(), CommandError> {
        let line = format!("{request}\n");
        match self.stream.get_mut().write_all(line.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(unreachable(&self.socket, &error))
            }
            _ => Ok(()),
        }
    }

    /// Asks one question, for those who show no error reply.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> Result<T, CommandError> {
        self.send(request)?;
        found(accept(self.reply()?.1, false, Paper::default())?)
    }

    /// Reads the reply to the one request sent.
    pub(super) fn reply(&mut self) -> Result<(String, Value), CommandError> {
        self.reply_after(|_, _| Ok(()))
    }

    /// The same for a stream: the events before the reply go to `heard`.
    pub(super) fn reply_after(
        &mut self,
        mut heard: impl FnMut(&str, &Value) -> Result<(), CommandError>,
    ) -> Result<(String, Value), CommandError> {
        loop {
            match self.next()? {
                Some((line, value)) if value.get("ok").is_some() => return Ok((line, value)),
                Some((line, value)) if value.get("event").is_some() => heard(&line, &value)?,
                Some(_) => return Err(self.broken("what answers there is not fallbackd")),
                None => return Err(self.broken("the connection was closed without an answer")),
            }
        }
    }

    /// From now on the next line may take as long as it likes.
    pub(super) fn wait_for_ever(&mut self) -> Result<(), CommandError> {
        let result = self.stream.get_ref().set_read_timeout(None);
        result.map_err(|error| unreachable(&self.socket, &error))
    }

    /// The next line; `None` when the daemon closed the connection.
    pub(super) fn next(&mut self) -> Result<Option<(String, Value)>, CommandError> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(unreachable(&self.socket, &error)),
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let value = serde_json::from_str(&line)
            .map_err(|_| self.broken("what answers there does not speak JSON lines"))?;
        Ok(Some((line, value)))
    }

    fn broken(&self, why: &str) -> CommandError {
        CommandError::Unreachable {
            socket: self.socket.clone(),
            why: why.to_owned(),
            hint: "`journalctl -u fallbackd` may say why; is it fallbackd's socket?".to_owned(),
        }
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> CommandError {
    let (why, hint) = match error.kind() {
        io::ErrorKind::NotFound => {
            let hint = elsewhere(socket, &locate::system_socket()).unwrap_or(START.into());
            ("no such socket, it is not running".to_owned(), hint)
        }
        io::ErrorKind::ConnectionRefused => {
            ("nobody listens there any more, it has ended".to_owned(), START.into())
        }
        io::ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), permission_hint(socket))
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => (
            "it is there and did not answer in time".to_owned(),
            "`journalctl -u fallbackd` may say why".to_owned(),
        ),
        _ => (error.to_string(), "name the socket with --socket or FALLBACKD_SOCKET".to_owned()),
    };
    CommandError::Unreachable { socket: socket.to_owned(), why, hint }
}

/// Points to the daemon of the system, if there is one that was not asked.
fn elsewhere(asked: &Path, system: &Path) -> Option<String> {
    (asked != system && system.exists()).then(|| {
        format!("for the daemon of this system, `export FALLBACKD_SOCKET={}`", system.display())
    })
}

/// Names the group that may use the socket, where it can be seen.
fn permission_hint(socket: &Path) -> String {
    let group = std::fs::metadata(socket)
        .ok()
        .and_then(|meta| Group::from_gid(Gid::from_raw(meta.gid())).ok().flatten())
        .filter(|group| !group.gid.as_raw().eq(&0));
    match group {
        Some(group) => format!(
            "join its group with `sudo usermod -aG {} $USER`, then log in again",
            group.name
        ),
        None => "join the group named by `socket_group` in the daemon's configuration \
                 (`sudo usermod -aG GROUP $USER`), then log in again"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_everything_else() {
        let flag = Path::new("/somewhere/else.sock");
        assert_eq!(socket(Some(flag), Some(Path::new("/no/such/file"))).unwrap(), flag);
    }

    #[test]
    fn a_configuration_that_was_named_must_be_there() {
        let missing = socket(None, Some(Path::new("/no/such/file"))).unwrap_err();
        assert_eq!(missing.exit_code(), 78);
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(socket(None, Some(dir.path())).unwrap_err().exit_code(), 78, "a folder");
        let file = dir.path().join("broken.toml");
        std::fs::write(&file, "[daemon").unwrap();
        assert!(socket(None, Some(&file)).is_ok());
    }

    #[test]
    fn json_is_untouched_in_a_pipe_and_harmless_on_a_terminal() {
        for (terminal, wanted) in [(false, "{\"a\":\"\u{9b}2Jb\"}\n"), (true, "{\"a\":\"b\"}\n")] {
            let (mut out, mut notes) = (Vec::new(), Vec::new());
            let paper = Paper { terminal, ..Paper::default() };
            let mut screen =
                Screen { out: &mut out, paper, notes: &mut notes, notes_paper: Paper::default() };
            print_json("{\"a\":\"\u{9b}2Jb\"}", &mut screen).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn each_way_of_not_reaching_it_names_the_socket_and_a_way_out() {
        let rows = [
            (io::ErrorKind::NotFound, "systemctl start fallbackd"),
            (io::ErrorKind::ConnectionRefused, "fallbackd --config"),
            (io::ErrorKind::PermissionDenied, "usermod -aG"),
            (io::ErrorKind::WouldBlock, "journalctl"),
            (io::ErrorKind::InvalidInput, "--socket"),
        ];
        let socket = locate::system_socket();
        for (kind, wanted) in rows {
            let failure = unreachable(&socket, &kind.into());
            assert!(failure.to_string().contains("/run/fallbackd/fallbackd.sock"));
            assert_eq!(failure.exit_code(), 69);
            let CommandError::Unreachable { hint, .. } = failure else { panic!("another failure") };
            assert!(hint.contains(wanted), "{kind:?}: {hint}");
        }
    }

    #[test]
    fn who_looks_in_the_wrong_place_is_told_of_the_systems_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("system.sock");
        assert_eq!(elsewhere(Path::new("/x/y.sock"), &system), None);
        std::fs::write(&system, "").unwrap();
        let hint = elsewhere(Path::new("/x/y.sock"), &system).unwrap();
        assert!(hint.contains(&format!("FALLBACKD_SOCKET={}", system.display())), "{hint}");
        assert_eq!(elsewhere(&system, &system), None);
    }
}
