//! The units of systemd: are they there, do they run, how did they end.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use super::CheckResult;

const CHECK: &str = "unit";
/// What systemd is asked about a unit.
const PROPERTIES: [&str; 7] =
    ["LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "NRestarts", "TriggeredBy"];
const UNITS: [&str; 2] = ["fallbackd.service", "fallbackd.socket"];

/// Asks systemd about both units: this user's own for a socket of this user, else the system's.
pub(super) fn look(socket: &Path) -> Vec<CheckResult> {
    if !Path::new("/run/systemd/system").exists() {
        return vec![CheckResult::skipped(CHECK, "systemd does not run this machine")];
    }
    let own = socket.starts_with("/run/user");
    UNITS.map(|unit| ask(unit, if own { &["--user"] } else { &[] })).into()
}

fn ask(unit: &str, words: &[&str]) -> CheckResult {
    let output = Command::new("systemctl")
        .args(words)
        .args(["show", unit, "--no-pager"])
        .args(["-p", &PROPERTIES.join(",")])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            judge(unit, &String::from_utf8_lossy(&output.stdout))
        }
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            CheckResult::skipped(CHECK, format!("systemctl cannot tell about {unit}: {why}"))
        }
        Err(error) => CheckResult::skipped(CHECK, format!("systemctl cannot be run: {error}")),
    }
}

/// What `systemctl show` says about a unit.
fn judge(unit: &str, shown: &str) -> CheckResult {
    let properties: HashMap<&str, &str> =
        shown.lines().filter_map(|line| line.split_once('=')).collect();
    let [load, active, sub, result, file, restarts, triggered] =
        PROPERTIES.map(|name| properties.get(name).copied().unwrap_or_default());
    if load == "not-found" {
        return CheckResult::skipped(CHECK, format!("{unit} is not installed"));
    }
    if load == "masked" {
        let todo = format!("`systemctl unmask {unit}`");
        return CheckResult::wrong(CHECK, format!("{unit} is masked, so it cannot start"), todo);
    }
    let state = format!("{unit} is {active} ({sub}), {file}");
    let why = format!("`journalctl -u {unit} -b` says why; then `systemctl restart {unit}`");
    match active {
        "failed" => CheckResult::wrong(CHECK, format!("{unit} has failed: {result}"), why),
        "active" | "reloading" if restarts.parse().unwrap_or(0) > 0 => CheckResult::warning(
            CHECK,
            format!("{state}, restarted {restarts} times by systemd"),
            why,
        ),
        "active" | "reloading" => CheckResult::ok(CHECK, state),
        // Enabled or not: systemd starts it for its first client.
        _ if triggered.contains(".socket") => {
            CheckResult::ok(CHECK, format!("{state}; its socket starts it"))
        }
        _ if file == "disabled" => {
            CheckResult::warning(CHECK, state, format!("`systemctl enable --now {unit}`"))
        }
        _ => CheckResult::ok(CHECK, state),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckState;
    use super::*;

    #[test]
    fn each_state_of_a_unit_says_what_to_do() {
        let rows = [
            ("LoadState=not-found\nActiveState=inactive", CheckState::Skipped, "not installed"),
            ("LoadState=masked", CheckState::Wrong, "masked"),
            (
                "LoadState=loaded\nActiveState=failed\nResult=exit-code",
                CheckState::Wrong,
                "exit-code",
            ),
            (
                "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\n\
                 UnitFileState=enabled",
                CheckState::Ok,
                "running",
            ),
            ("LoadState=loaded\nActiveState=active\nNRestarts=3", CheckState::Warning, "3 times"),
            (
                "LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled",
                CheckState::Warning,
                "inactive",
            ),
            (
                "LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n\
                 TriggeredBy=fallbackd.socket",
                CheckState::Ok,
                "its socket starts it",
            ),
        ];
        for (shown, state, words) in rows {
            let finding = judge("fallbackd.service", shown);
            assert_eq!(finding.state, state, "{shown}");
            assert!(finding.finding.contains(words), "{}", finding.finding);
        }
    }
}
