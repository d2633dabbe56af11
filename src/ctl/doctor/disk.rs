//! Where the daemon writes: is there room, and may this user read the log.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::CheckResult;
use crate::config::Config;
use crate::protocol::health::Health;
use nix::sys::statvfs::statvfs;

const MIB: u64 = 1 << 20;
/// Below this, the next minutes of a busy daemon may not fit.
const TOO_LITTLE: u64 = 64 * MIB;
/// What is asked for where the configuration cannot be read: the defaults of log and database.
const USUAL: u64 = 64 * MIB + 2 * 256 * MIB;

/// Looks at the folders of the log and the database.
pub(super) fn look(config: Option<&Config>, health: Option<&Health>) -> Vec<CheckResult> {
    let told = health.map(|health| &health.recorder.log).filter(|log| !log.is_empty());
    let configured = config.map(|config| config.daemon.health_log.clone());
    let log = told.map(PathBuf::from).or(configured);
    // A database may be rewritten beside the old one.
    let wanted = config.map_or(USUAL, |config| {
        config.log.max_size.saturating_add(config.store.max_size.saturating_mul(2))
    });
    let mut findings = Vec::new();
    if let Some(log) = &log {
        findings.push(readable(log));
        findings.push(room("log", log.parent().unwrap_or(log), wanted));
    }
    if let Some(config) = config {
        findings.push(room("state", &config.daemon.state_dir, wanted));
    }
    if findings.is_empty() {
        let why = "neither daemon nor configuration says where log and database are";
        findings.push(CheckResult::skipped("disk", why));
    }
    findings
}

/// Whether this user may use `fallbackctl tail --since`.
fn readable(log: &Path) -> CheckResult {
    let shown = log.display();
    match File::open(log) {
        Ok(_) => CheckResult::ok("log", format!("{shown} can be read")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            CheckResult::skipped("log", format!("{shown} is not there yet"))
        }
        Err(error) => CheckResult::warning(
            "log",
            format!("{shown}: {error}; `fallbackctl tail --since` cannot read it"),
            "join the group of the log (`ls -l` shows it), then log in again",
        ),
    }
}

/// Free space where `folder` is, or will be.
fn room(what: &'static str, folder: &Path, wanted: u64) -> CheckResult {
    let mut at = folder;
    let stat = loop {
        match (statvfs(at), at.parent()) {
            (Ok(stat), _) => break stat,
            (Err(_), Some(parent)) => at = parent,
            (Err(error), None) => {
                return CheckResult::skipped("disk", format!("{}: {error}", folder.display()));
            }
        }
    };
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    let shown = format!("{what}: {} MiB free for {}", free / MIB, folder.display());
    let todo =
        "free some space; a full disk stops no answer, but the log and the windows have gaps";
    if stat.files() > 0 && stat.files_available() == 0 {
        return CheckResult::wrong("disk", format!("{shown}, but no inode is"), todo);
    }
    match free {
        _ if free < TOO_LITTLE => CheckResult::wrong("disk", shown, todo),
        _ if free < wanted => {
            let todo = format!("`log.max_size` and `store.max_size` may need {} MiB", wanted / MIB);
            CheckResult::warning("disk", shown, todo)
        }
        _ => CheckResult::ok("disk", shown),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::CheckState;
    use super::*;

    #[test]
    fn room_is_looked_for_where_the_folder_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let future = folder.path().join("not/yet/there");
        assert_eq!(room("log", &future, 0).state, CheckState::Ok);
        assert_eq!(room("log", &future, u64::MAX).state, CheckState::Warning);
    }

    #[test]
    fn without_any_word_on_where_to_look_it_says_so() {
        assert_eq!(look(None, None)[0].state, CheckState::Skipped);
        let reply = json!({"models": {}, "recorder": {"log": "/no/such/folder/health.jsonl"}});
        let health: Health = serde_json::from_value(reply).unwrap();
        let checks: Vec<_> = look(None, Some(&health)).iter().map(|found| found.check).collect();
        assert_eq!(checks, ["log", "disk"]);
    }
}
