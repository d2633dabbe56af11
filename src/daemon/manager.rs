//! The service manager that started this process, if one did: what it gave and what it wants.

use std::io;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::activation;
use super::notify::Notifier;
use crate::config::Env;

/// What a service manager has to do with this process.
#[derive(Debug)]
pub struct Manager {
    /// The way to tell it something.
    pub(super) notifier: Notifier,
    /// After how long a silence it takes this process for dead.
    pub(super) silence: Option<Duration>,
    /// The socket that it made for us.
    pub(super) listener: Option<UnixListener>,
}

impl Manager {
    /// No service manager: nobody is told anything, and the socket is our own.
    pub fn none() -> Manager {
        Manager { notifier: Notifier::silent(), silence: None, listener: None }
    }

    /// Whoever the environment says. Call before any thread is started.
    ///
    /// # Errors
    /// When a socket was handed over that clients cannot connect to.
    pub fn of(env: &Env) -> io::Result<Manager> {
        let silence = longest_silence(env, std::process::id());
        Ok(Manager { notifier: Notifier::of(env), silence, listener: activation::socket(env)? })
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
