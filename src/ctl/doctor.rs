//! `fallbackctl doctor`: is anything wrong around the daemon, and what to do about it.
//!
//! Every check is a file of its own that gives findings; none changes anything, and none makes a
//! call that somebody could be billed for. What cannot be looked at is said out loud, never taken
//! for healthy. Where the daemon answers, it is asked rather than guessed at: keys, for one, are
//! in its surroundings and not in those of the person at the terminal.

mod daemon;
mod disk;
mod http;
mod network;
mod settings;
mod socket;
mod unit;

use serde::Serialize;
use serde_json::json;

use super::connect::readable;
use super::failure::CommandError;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, text};

pub(super) const EXAMPLES: &str = "\
Examples:
  fallbackctl doctor                       everything that can be checked from here
  sudo fallbackctl doctor                  the same with root's rights to look
  fallbackctl doctor --json | jq '.findings[] | select(.state == \"wrong\")'

It sends nothing that could be billed: each provider gets a request without a key. The exit code is 0
when nothing is wrong, 1 when something is; a warning is not wrong.";

/// One thing that was looked at.
#[derive(Debug, PartialEq, Serialize)]
struct CheckResult {
    /// Which part of the surroundings.
    check: &'static str,
    state: CheckState,
    finding: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum CheckState {
    /// As it should be.
    Ok,
    /// Could not be looked at.
    Skipped,
    /// It works, but not as well as it might.
    Warning,
    /// It does not work.
    Wrong,
}

impl CheckResult {
    fn ok(check: &'static str, finding: impl Into<String>) -> CheckResult {
        CheckResult { check, state: CheckState::Ok, finding: finding.into(), todo: None }
    }

    fn skipped(check: &'static str, finding: impl Into<String>) -> CheckResult {
        CheckResult { check, state: CheckState::Skipped, finding: finding.into(), todo: None }
    }

    fn warning(
        check: &'static str,
        finding: impl Into<String>,
        todo: impl Into<String>,
    ) -> CheckResult {
        let todo = Some(todo.into());
        CheckResult { check, state: CheckState::Warning, finding: finding.into(), todo }
    }

    fn wrong(
        check: &'static str,
        finding: impl Into<String>,
        todo: impl Into<String>,
    ) -> CheckResult {
        CheckResult { state: CheckState::Wrong, ..CheckResult::warning(check, finding, todo) }
    }
}

pub(super) use settings::file as config_file;

/// Looks at everything and shows it.
pub(super) fn run(session: &Session, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    // It is looked at here, whoever says where the socket is.
    session.config.as_deref().map_or(Ok(()), readable)?;
    let findings = look(session);
    let wrong = findings.iter().any(|finding| finding.state == CheckState::Wrong);
    if session.json {
        writeln!(screen.out, "{}", json!({ "ok": !wrong, "findings": findings }))?;
    } else {
        write!(screen.out, "{}", render(&findings, screen.paper))?;
    }
    screen.out.flush()?;
    if wrong { Err(CommandError::Unwell) } else { Ok(()) }
}

fn look(session: &Session) -> Vec<CheckResult> {
    let answers = daemon::ask(&session.socket);
    let health = answers.health();
    let mut findings = socket::look(&session.socket);
    findings.extend(unit::look(&session.socket));
    let (settings, config) = settings::look(session, health.is_some());
    findings.extend(settings);
    findings.extend(daemon::look(&answers));
    findings.extend(http::look(config.as_ref(), answers.ping()));
    findings.extend(disk::look(config.as_ref(), health));
    findings.extend(network::look(config.as_ref()));
    findings
}

fn render(findings: &[CheckResult], paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("CHECK"),
        Column::Left("STATE"),
        Column::Wide("FINDING"),
        Column::Wide("WHAT TO DO"),
    ]);
    for finding in findings {
        let state = match finding.state {
            CheckState::Ok => Cell::toned("ok", Tone::Good),
            CheckState::Skipped => Cell::toned("skipped", Tone::Dim),
            CheckState::Warning => Cell::toned("warning", Tone::Warn),
            CheckState::Wrong => Cell::toned("wrong", Tone::Bad),
        };
        let todo = finding.todo.as_deref().map(text::one_line).unwrap_or_default();
        grid.row(vec![
            finding.check.into(),
            state,
            text::one_line(&finding.finding).into(),
            todo.into(),
        ]);
    }
    let [wrong, warnings] = [CheckState::Wrong, CheckState::Warning]
        .map(|state| findings.iter().filter(|finding| finding.state == state).count());
    let last = match (wrong, warnings) {
        (0, 0) => paper.paint("nothing is wrong", Tone::Good),
        (0, _) => paper.paint(&format!("nothing is wrong, {warnings} to look at"), Tone::Warn),
        _ => paper.paint(&format!("{wrong} wrong, {warnings} to look at"), Tone::Bad),
    };
    format!("{}{last}\n", grid.render(paper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_a_row_and_the_last_line_sums_up() {
        let findings = [
            CheckResult::ok("socket", "fine"),
            CheckResult::wrong("keys", "none", "set one"),
            CheckResult::skipped("unit", "no systemd"),
        ];
        let wanted = "\
CHECK   STATE    FINDING                 WHAT TO DO
socket  ok       fine
keys    wrong    none                    set one
unit    skipped  no systemd
1 wrong, 0 to look at
";
        assert_eq!(render(&findings, Paper::default()), wanted);
        assert!(render(&findings[..1], Paper::default()).ends_with("nothing is wrong\n"));
    }
}
