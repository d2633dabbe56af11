//! A socket that the service manager made, and keeps while this process is restarted.
//!
//! It stands in for the one that we would make ourselves. The path, its permissions and its end
//! are the service manager's: nothing here changes or removes them. Clients who connect while no
//! daemon runs wait in the socket's queue until the next one takes them in.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;

use crate::config::Env;

/// The socket handed over by the service manager, if there is one. The variables that announce it
/// are removed: they are meant for this process alone. Call before any thread is started.
///
/// # Errors
/// When what was handed over is not a listening Unix stream socket.
pub(super) fn socket(env: &Env) -> io::Result<Option<UnixListener>> {
    // A variable that is left over from a parent process announces nothing to us.
    let ours = env.var("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
    if !ours {
        return Ok(None);
    }
    let mut given = ListenFd::from_env();
    let Some(listener) = given.take_unix_listener(0)? else { return Ok(None) };
    if given.len() > 1 {
        tracing::warn!(sockets = given.len(), "only the first socket of the unit is served");
    }
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
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
