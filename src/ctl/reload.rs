//! `fallbackctl reload`: the daemon reads its configuration again, whole or not at all.

use serde_json::{Value, json};

use super::connect::{SOON, exchange};
use super::failure::Failure;
use super::screen::Screen;
use super::{Session, reply};

const EXAMPLES: &str = "\
Examples:
  fallbackctl reload
  fallbackd --check && fallbackctl reload

With one mistake in the file nothing changes, and all mistakes are listed (exit code 78).";

/// No arguments of its own.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

/// Asks for a reload and says what changed.
pub(super) fn run(_args: &Args, session: &Session, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if let Some(reply) = exchange(session, &json!({"op": "reload"}), SOON, screen)? {
        write!(screen.out, "{}", render(&reply))?;
    }
    Ok(())
}

fn render(reply: &Value) -> String {
    let none = Value::Null;
    let models = reply.get("models").unwrap_or(&none);
    let kept = reply::whole(models, "kept").unwrap_or_default();
    let mut lines = vec![format!("configuration read again: {kept} models kept their state")];
    for (key, what) in [("added", "new"), ("removed", "gone")] {
        let names = reply::words(models, key);
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    let restart = reply::words(reply, "needs_restart");
    if !restart.is_empty() {
        lines.push(format!("changed, but only a restart makes it so: {}", restart.join(", ")));
    }
    lines.extend(
        reply::words(reply, "warnings").into_iter().map(|warning| format!("warning: {warning}")),
    );
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_is_new_gone_and_waiting() {
        let reply = json!({"ok": true, "models": {"kept": 2, "added": ["a"], "removed": ["b", "c"]},
            "needs_restart": ["daemon.socket"], "warnings": []});
        assert_eq!(
            render(&reply),
            "configuration read again: 2 models kept their state\nnew: a\ngone: b, c\n\
             changed, but only a restart makes it so: daemon.socket\n"
        );
    }
}
