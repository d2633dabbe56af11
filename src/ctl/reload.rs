//! `fallbackctl reload`: the daemon reads its configuration again, whole or not at all.

use serde_json::json;

use super::Session;
use super::connect::{SOON, exchange};
use super::failure::CommandError;
use super::screen::Screen;
use crate::protocol::reload::{Reloaded, Renewal};

pub(super) const EXAMPLES: &str = "\
Examples:
  fallbackctl reload
  fallbackd --check && fallbackctl reload

With one mistake in the file nothing changes, and all mistakes are listed (exit code 78).";

/// Asks for a reload and says what changed.
pub(super) fn run(session: &Session, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    if let Some(reloaded) = exchange(session, &json!({"op": "reload"}), SOON, screen)? {
        write!(screen.out, "{}", render(&reloaded))?;
    }
    Ok(())
}

fn render(reloaded: &Reloaded) -> String {
    let Renewal { kept, added, removed } = &reloaded.models;
    let mut lines = vec![format!("configuration read again: {kept} models kept their state")];
    for (names, what) in [(added, "new"), (removed, "gone")] {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    if !reloaded.needs_restart.is_empty() {
        let keys = reloaded.needs_restart.join(", ");
        lines.push(format!("changed, but only a restart makes it so: {keys}"));
    }
    lines.extend(reloaded.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_is_new_gone_and_waiting() {
        let reply = json!({"models": {"kept": 2, "added": ["a"], "removed": ["b", "c"]},
            "needs_restart": ["daemon.socket"], "warnings": []});
        assert_eq!(
            render(&serde_json::from_value(reply).unwrap()),
            "configuration read again: 2 models kept their state\nnew: a\ngone: b, c\n\
             changed, but only a restart makes it so: daemon.socket\n"
        );
    }
}
