//! The service manager that started this process, if one did: what it gave and what it wants.
//!
//! A socket that it made, and keeps while this process is restarted, stands in for the one that we
//! would make ourselves. The path, its permissions and its end are the service manager's: nothing
//! here changes or removes them. Clients who connect while no daemon runs wait in the socket's queue
//! until the next one takes them in.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use listenfd::ListenFd;

use super::notify::Notifier;
use crate::config::Env;

/// What a service manager has to do with this process.
#[derive(Debug)]
pub struct Manager {
    /// The way to tell it something.
    pub(super) notifier: Notifier,
    /// After how long a silence it takes this process for dead.
    pub(super) silence: Option<Duration>,
    /// The sockets that it made for us.
    pub(super) sockets: Sockets,
}

/// Sockets that are served as they are.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) lines: Option<UnixListener>,
    /// The one called `http`, for programs that take a URL.
    pub(super) http: Option<TcpListener>,
}

/// The name of the socket for HTTP in its unit.
const HTTP: &str = "http";

impl Manager {
    /// No service manager: nobody is told anything, and the socket is our own.
    pub fn none() -> Manager {
        Manager { notifier: Notifier::silent(), silence: None, sockets: Sockets::default() }
    }

    /// Whoever the environment says. Call before any thread is started.
    ///
    /// # Errors
    /// When a socket was handed over that clients cannot connect to.
    pub fn of(env: &Env) -> io::Result<Manager> {
        let silence = longest_silence(env, std::process::id());
        Ok(Manager { notifier: Notifier::of(env), silence, sockets: sockets(env)? })
    }
}

/// The sockets handed over by the service manager, if there are any. The variables that announce
/// them are removed: they are meant for this process alone. Call before any thread is started.
///
/// # Errors
/// When what was handed over is not a listening socket of its kind.
fn sockets(env: &Env) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    // A variable that is left over from a parent process announces nothing to us.
    let ours = env.var("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
    if !ours {
        return Ok(sockets);
    }
    let mut given = ListenFd::from_env();
    let names: Vec<&str> = env.var("LISTEN_FDNAMES").unwrap_or_default().split(':').collect();
    for at in 0..given.len() {
        if names.get(at) == Some(&HTTP) {
            sockets.http = given.take_tcp_listener(at)?;
        } else if sockets.lines.is_none() {
            sockets.lines = given.take_unix_listener(at)?;
        } else {
            tracing::warn!(sockets = given.len(), "only the first socket of the unit is served");
        }
    }
    if let Some(listener) = &sockets.lines {
        listener.set_nonblocking(true)?;
    }
    if let Some(listener) = &sockets.http {
        listener.set_nonblocking(true)?;
        if !listener.local_addr()?.ip().is_loopback() {
            let what = "the socket called http must listen on 127.0.0.1 or [::1] alone";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
    }
    Ok(sockets)
}

/// Tells when clients who follow the configuration look for the socket elsewhere.
pub(super) fn compare(listener: &UnixListener, expected: &Path) {
    let address = listener.local_addr().ok();
    let Some(path) = address.as_ref().and_then(|address| address.as_pathname()) else { return };
    if path != expected {
        tracing::warn!(
            "the service manager's socket is {}, but the configuration says {}: clients that \
             follow it do not find this daemon",
            path.display(),
            expected.display()
        );
    }
}

/// How long a silence may last, when somebody watches the process `pid`.
fn longest_silence(env: &Env, pid: u32) -> Option<Duration> {
    let ours = env.var("WATCHDOG_PID").is_none_or(|watched| watched == pid.to_string());
    let micros: u64 = env.var("WATCHDOG_USEC").filter(|_| ours)?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_ours_only_if_it_watches_this_process() {
        let of = |vars: &[(&str, &str)]| longest_silence(&Env::new(7, vars.iter().copied()), 42);
        let second = Some(Duration::from_secs(1));
        assert_eq!(of(&[("WATCHDOG_USEC", "1000000")]), second);
        assert_eq!(of(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "42")]), second);
        assert_eq!(of(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "43")]), None);
        assert_eq!(of(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(of(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(of(&[]), None);
    }
}
