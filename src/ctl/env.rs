//! `fallbackctl env`: the variables with which programs find the daemon's HTTP front.
//!
//! The address is what the daemon says, or its configuration when it does not run; the token is
//! read where the daemon reads it, so whoever may not read it there gets nothing here.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::connect::Link;
use super::failure::CommandError;
use super::screen::Screen;
use super::{Session, doctor};
use crate::config::key::read_file;
use crate::config::{self, Config, Env, locate};
use crate::protocol::control::Ping;

pub(super) const EXAMPLES: &str = "\
Examples:
  eval \"$(fallbackctl env)\"                    this shell's programs ask the daemon
  fallbackctl env >> ~/.profile                every later shell's as well
  fallbackctl env --json

The token is printed in clear. Programs that can use a Unix socket need none of this:
curl --unix-socket /run/fallbackd/fallbackd.sock http://x/v1/models";

/// How long the daemon may take to say where it listens.
const AT_ONCE: Option<std::time::Duration> = Some(std::time::Duration::from_secs(2));

pub(super) fn run(session: &Session, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let env = Env::of_process();
    let path = doctor::config_file(session.config.clone(), &env);
    let config = config::load(&path, &env).ok().map(|loaded| loaded.config);
    let address = told(&session.socket).or_else(|| config.as_ref()?.http.listen);
    let Some(address) = address else { return Err(not_listening(&path)) };
    let token = token(config.as_ref(), &env)?;
    let variables = variables(address, &token);
    if session.json {
        let members = variables.map(|(name, value)| (name.to_owned(), Value::from(value)));
        writeln!(screen.out, "{}", Value::from(Map::from_iter(members)))?;
    } else {
        for (name, value) in variables {
            writeln!(screen.out, "export {name}='{value}'")?;
        }
    }
    Ok(())
}

/// Where the daemon says that it listens.
fn told(socket: &Path) -> Option<SocketAddr> {
    let mut link = Link::open(socket, AT_ONCE).ok()?;
    let ping: Ping = link.ask(&json!({ "op": "ping" })).ok()?;
    ping.http
}

fn not_listening(path: &Path) -> CommandError {
    CommandError::Configuration {
        message: "the daemon does not listen on TCP".to_owned(),
        hint: format!(
            "add `[http]` with `listen = \"127.0.0.1:4141\"` to {} and restart the daemon; programs \
             that can use a Unix socket need no more than its path",
            path.display()
        ),
    }
}

/// The token: where the configuration says, or what the daemon made.
fn token(config: Option<&Config>, env: &Env) -> Result<SecretString, CommandError> {
    if let Some(token) = config.and_then(|config| config.http.token.clone()) {
        return Ok(token);
    }
    let made = match config {
        Some(config) => locate::token_file(&config.daemon.state_dir),
        None => locate::token_file(&locate::state_dir(env)),
    };
    read_file(&made).map_err(|why| CommandError::Configuration {
        message: format!("the token cannot be read: {why}"),
        hint: "the daemon makes it when it first listens; its user and group may read it: \
               `sudo usermod -aG fallbackd $USER`, then log in again"
            .to_owned(),
    })
}

/// The variables that programs of each dialect read.
fn variables(address: SocketAddr, token: &SecretString) -> [(&'static str, String); 4] {
    let token = token.expose_secret();
    [
        ("OPENAI_BASE_URL", format!("http://{address}/v1")),
        ("OPENAI_API_KEY", token.to_owned()),
        ("ANTHROPIC_BASE_URL", format!("http://{address}")),
        ("ANTHROPIC_AUTH_TOKEN", token.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_gets_the_address_in_its_own_form() {
        let address = "[::1]:4141".parse().unwrap();
        let [openai, key, anthropic, token] = variables(address, &SecretString::from("t"));
        assert_eq!(openai, ("OPENAI_BASE_URL", "http://[::1]:4141/v1".to_owned()));
        assert_eq!(anthropic, ("ANTHROPIC_BASE_URL", "http://[::1]:4141".to_owned()));
        assert_eq!((&*key.1, &*token.1), ("t", "t"));
    }
}
