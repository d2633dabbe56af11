//! `fallbackctl ping`: is the daemon there, which one is it, and how fast does it answer.

use std::time::Duration;

use serde_json::json;

use super::connect::{SOON, exchange};
use super::failure::CommandError;
use super::screen::Screen;
use super::{Session, text};
use crate::clock::Clock;
use crate::protocol::control::Ping;

pub(super) const EXAMPLES: &str = "\
Examples:
  fallbackctl ping
  fallbackctl ping --json
  until fallbackctl ping >/dev/null 2>&1; do sleep 0.1; done   wait for the daemon";

pub(super) fn run(session: &Session, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let clock = Clock::system();
    if let Some(ping) = exchange(session, &json!({"op": "ping"}), SOON, screen)? {
        writeln!(screen.out, "{}", line(&ping, clock.mono().0))?;
    }
    Ok(())
}

fn line(ping: &Ping, took: Duration) -> String {
    let Ping { version, protocol, uptime_ms, pid, .. } = ping;
    let (up, took) = (text::span(*uptime_ms), took.as_secs_f64() * 1e3);
    format!(
        "fallbackd {version}, protocol {protocol}, up {up}, pid {pid}, answered in {took:.2} ms"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_says_who_answered_and_how_fast() {
        let version = "0.1.0".to_owned();
        let ping = Ping { version, protocol: 1, uptime_ms: 3_723_000, pid: 4711, http: None };
        assert_eq!(
            line(&ping, Duration::from_micros(312)),
            "fallbackd 0.1.0, protocol 1, up 1h 2m, pid 4711, answered in 0.31 ms"
        );
    }
}
