//! What the service manager is told: ready, reloading, stopping, alive, and how things stand.
//!
//! The protocol is one datagram of `KEY=value` lines to the socket that `NOTIFY_SOCKET` names. It
//! is written here and not taken from a library, because those read the environment with every
//! message, cannot address an abstract socket, and wait for as long as the other side likes.
//!
//! Without a service manager nothing is said. A message that cannot be sent is given up: the
//! daemon serves people, not its manager.

use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;
use std::time::Duration;

use crate::config::Env;

/// How long a full queue of the service manager is waited for; the daemon stands still meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);
/// Longest status, in bytes: it is one line for people.
const STATUS_BYTES: usize = 400;

/// The way to the service manager; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Notifier(Option<Rc<UnixDatagram>>);

impl Notifier {
    /// For a process without a service manager.
    pub(super) fn silent() -> Notifier {
        Notifier(None)
    }

    /// Tells the service manager that `env` names, if it names one.
    pub(super) fn of(env: &Env) -> Notifier {
        let Some(address) = env.var("NOTIFY_SOCKET") else { return Notifier::silent() };
        match connect(address) {
            Ok(socket) => Notifier(Some(Rc::new(socket))),
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told anything");
                Notifier::silent()
            }
        }
    }

    /// Whether nobody is told anything.
    pub(super) fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    /// From now on clients are served, or a reload is over.
    pub(super) fn ready(&self) {
        self.send("READY=1\n");
    }

    /// How things stand, for people.
    pub(super) fn status(&self, status: &str) {
        self.send(&status_line(status));
    }

    /// Everything that must work does.
    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// A reload began at `since_boot` of the machine's monotonic clock. [`Notifier::ready`] ends it.
    /// Both facts go in one datagram, or a newer systemd takes the reload for an older one.
    pub(super) fn reloading(&self, since_boot: Duration) {
        let micros = since_boot.as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// The end takes at least `longer` from now.
    pub(super) fn extend(&self, longer: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}\n", longer.as_micros()));
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

fn connect(address: &str) -> io::Result<UnixDatagram> {
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A status as a line of the protocol: whatever it holds, it is one line.
fn status_line(status: &str) -> String {
    let mut line = String::from("STATUS=");
    for shown in status.chars().map(|one| if one.is_control() { ' ' } else { one }) {
        if line.len() + shown.len_utf8() > STATUS_BYTES {
            break;
        }
        line.push(shown);
    }
    let _ = line.write_char('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 2048];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_message_is_one_datagram_of_the_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::of(&Env::new(7, [("NOTIFY_SOCKET", path.to_str().unwrap())]));
        notifier.ready();
        assert_eq!(heard(&manager), "READY=1\n");
        notifier.status("all is well");
        assert_eq!(heard(&manager), "STATUS=all is well\n");
        notifier.reloading(Duration::from_millis(1500));
        assert_eq!(heard(&manager), "RELOADING=1\nMONOTONIC_USEC=1500000\n");
        notifier.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
        notifier.stopping();
        assert_eq!(heard(&manager), "STOPPING=1\n");
        notifier.extend(Duration::from_secs(15));
        assert_eq!(heard(&manager), "EXTEND_TIMEOUT_USEC=15000000\n");
    }

    #[test]
    fn an_abstract_socket_is_reached_too() {
        let name = format!("fallbackd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::of(&Env::new(7, [("NOTIFY_SOCKET", &*format!("@{name}"))])).alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn a_status_is_one_line_of_limited_length() {
        let line = status_line(&format!("a\nREADY=1{}", "ü".repeat(500)));
        assert!(line.starts_with("STATUS=a READY=1ü"), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.len() <= STATUS_BYTES + 1);
    }

    #[test]
    fn nobody_to_tell_is_no_trouble() {
        let gone = Notifier::of(&Env::new(7, [("NOTIFY_SOCKET", "/nonexistent/notify")]));
        assert!(gone.is_silent());
        gone.alive();
        assert!(Notifier::of(&Env::new(7, [])).is_silent());
    }
}
