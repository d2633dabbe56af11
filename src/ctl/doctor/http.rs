//! The HTTP front on TCP: does it listen where the configuration says, and may this user use it.

use crate::config::key::read_file;
use crate::config::{Config, locate};
use crate::protocol::control::Ping;

use super::CheckResult;

const CHECK: &str = "http";

/// Compares what the daemon says with what its configuration wants.
pub(super) fn look(config: Option<&Config>, ping: Option<&Ping>) -> Vec<CheckResult> {
    let wanted = config.and_then(|config| config.http.listen);
    let Some(ping) = ping else { return Vec::new() };
    let listening = match (ping.http, wanted) {
        (None, None) => {
            let what = "programs that speak HTTP are served on the socket; not on TCP";
            return vec![CheckResult::ok(CHECK, what)];
        }
        (None, Some(wanted)) => {
            let what = format!("the daemon does not listen on {wanted}, as `http.listen` says");
            let todo = "`systemctl restart fallbackd`: a reload does not begin to listen";
            return vec![CheckResult::warning(CHECK, what, todo)];
        }
        (Some(address), Some(wanted)) if address != wanted => {
            let what = format!("the daemon listens on {address}, and `http.listen` is {wanted}");
            let todo = "`systemctl restart fallbackd`, or change fallbackd-http.socket";
            return vec![CheckResult::warning(CHECK, what, todo)];
        }
        (Some(address), _) => {
            let what = format!("listens on {address}; `fallbackctl env` prints what programs need");
            CheckResult::ok(CHECK, what)
        }
    };
    let token = config.filter(|config| config.http.token.is_none());
    let unread =
        token.and_then(|config| read_file(&locate::token_file(&config.daemon.state_dir)).err());
    let unread = unread.map(|why| {
        let todo = "run this as the daemon's user or with its group";
        CheckResult::skipped(CHECK, format!("the token cannot be read from here ({why}): {todo}"))
    });
    std::iter::once(listening).chain(unread).collect()
}

#[cfg(test)]
mod tests {
    use super::super::CheckState;
    use super::*;

    #[test]
    fn a_daemon_that_listens_elsewhere_than_configured_is_a_warning() {
        let ping = |http: Option<&str>| Ping {
            version: String::new(),
            protocol: 1,
            uptime_ms: 1,
            pid: 1,
            http: http.map(|address| address.parse().unwrap()),
        };
        let config = |listen: &str| {
            let text = format!("[http]\n{listen}\n[http.token]\nenv = \"T\"\n");
            let env = crate::config::Env::new(7, [("T", "some-token-of-the-tests")]);
            crate::config::parse(&text, "x", &env).unwrap().config
        };
        let here = config("listen = \"127.0.0.1:1\"");
        let states = |config: &Config, ping: &Ping| look(Some(config), Some(ping))[0].state;
        assert_eq!(states(&here, &ping(Some("127.0.0.1:1"))), CheckState::Ok);
        assert_eq!(states(&here, &ping(Some("127.0.0.1:2"))), CheckState::Warning);
        assert_eq!(states(&here, &ping(None)), CheckState::Warning);
        assert_eq!(states(&config(""), &ping(None)), CheckState::Ok);
        assert!(look(Some(&here), None).is_empty());
    }
}
