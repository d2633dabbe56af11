//! `fallbackctl ping`: is the daemon there, which one is it, and how fast does it answer.

use std::time::Duration;

use serde_json::{Value, json};

use super::connect::{SOON, exchange};
use super::failure::Failure;
use super::screen::Screen;
use super::{Session, moment, reply, text};

const EXAMPLES: &str = "\
Examples:
  fallbackctl ping
  fallbackctl ping --json
  until fallbackctl ping >/dev/null 2>&1; do sleep 0.1; done   wait for the daemon";

/// No arguments of its own.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

/// Pings once.
pub(super) fn run(_args: &Args, session: &Session, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let (answer, took) = moment::timed(|| exchange(session, &json!({"op": "ping"}), SOON, screen));
    if let Some(reply) = answer? {
        writeln!(screen.out, "{}", line(&reply, took))?;
    }
    Ok(())
}

fn line(reply: &Value, took: Duration) -> String {
    let mut parts =
        vec![format!("fallbackd {}", reply::word(reply, "version").unwrap_or_else(|| "?".into()))];
    parts.extend(reply::whole(reply, "protocol").map(|number| format!("protocol {number}")));
    parts.extend(reply::whole(reply, "uptime_ms").map(|up| format!("up {}", text::span(up))));
    parts.extend(reply::whole(reply, "pid").map(|pid| format!("pid {pid}")));
    parts.push(format!("answered in {:.2} ms", took.as_secs_f64() * 1e3));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_says_who_answered_and_how_fast() {
        let reply = json!({"id":null,"ok":true,"version":"0.1.0","protocol":1,
                           "uptime_ms":3_723_000,"pid":4711});
        assert_eq!(
            line(&reply, Duration::from_micros(312)),
            "fallbackd 0.1.0, protocol 1, up 1h 2m, pid 4711, answered in 0.31 ms"
        );
        assert_eq!(line(&json!({}), Duration::ZERO), "fallbackd ?, answered in 0.00 ms");
    }
}
