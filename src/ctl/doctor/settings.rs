//! The configuration: its mistakes and warnings, and the keys that it refers to.
//!
//! Whether a key is there is a question about the daemon's surroundings. When the daemon answers,
//! its own word counts and what this shell sees of keys is left out.

use std::path::{Path, PathBuf};

use super::super::Session;
use super::CheckResult;
use crate::config::{self, Config, Env, locate};

const CHECK: &str = "config";

/// Mistakes shown: enough to see what kind of file it is. One that is no TOML has one per line.
const MOST_SHOWN: usize = 20;

/// The system's configuration, for users that have none of their own.
const SYSTEM: &str = "/etc/fallbackd/fallbackd.toml";

/// Reads the configuration that the daemon would read.
pub(super) fn look(session: &Session, daemon_answers: bool) -> (Vec<CheckResult>, Option<Config>) {
    let env = Env::of_process();
    let path = file(session.config.clone(), &env);
    let shown = path.display();
    if !path.exists() {
        let todo = "`fallbackd --config FILE` names one; config/fallbackd.toml is the default";
        let what = format!("there is no configuration at {shown} that this user could see");
        let finding = match daemon_answers {
            true => CheckResult::skipped(CHECK, format!("{what}; the daemon has read its own")),
            false => CheckResult::wrong(CHECK, what, todo),
        };
        return (vec![finding], None);
    }
    match config::load(&path, &env) {
        Ok(loaded) => {
            let findings = of_valid(&loaded, &path, daemon_answers);
            (findings, Some(loaded.config))
        }
        Err(mistakes) => (of_mistakes(mistakes.list, &path), None),
    }
}

fn of_mistakes(list: Vec<config::Finding>, path: &Path) -> Vec<CheckResult> {
    let rest = list.len().saturating_sub(MOST_SHOWN);
    let told = list.into_iter().take(MOST_SHOWN).map(|mistake| {
        let (place, what, hint) = parts(mistake);
        CheckResult::wrong(CHECK, format!("{place}: {what}"), hint)
    });
    let mut findings: Vec<CheckResult> = told.collect();
    if rest > 0 {
        let todo = format!("`fallbackd --check --config {}` shows all", path.display());
        findings.push(CheckResult::wrong(CHECK, format!("and {rest} more"), todo));
    }
    findings
}

/// The one that was named, else this user's own, else the system's.
pub(in super::super) fn file(named: Option<PathBuf>, env: &Env) -> PathBuf {
    let is_named = named.is_some();
    let path = locate::config_file(named, env);
    let system = Path::new(SYSTEM);
    if !is_named && !path.exists() && system.exists() { system.to_owned() } else { path }
}

fn of_valid(loaded: &config::Loaded, path: &Path, daemon_answers: bool) -> Vec<CheckResult> {
    let config = &loaded.config;
    let mut findings = vec![CheckResult::ok(
        CHECK,
        format!(
            "{} is valid (models: {}, chains: {})",
            path.display(),
            config.models.len(),
            config.chains.len()
        ),
    )];
    let missing: Vec<&str> =
        config.models.iter().filter_map(|model| model.provider.misconfigured.as_deref()).collect();
    for warning in &loaded.warnings {
        let is_key = missing.iter().any(|why| warning.message.contains(why));
        if is_key && daemon_answers {
            continue;
        }
        let (place, what, hint) = parts(warning.clone());
        let seen = if is_key { " (as seen from here)" } else { "" };
        let check = if is_key { "keys" } else { CHECK };
        findings.push(CheckResult::warning(check, format!("{place}: {what}{seen}"), hint));
    }
    if !daemon_answers && missing.len() == config.models.len() {
        let todo = "give the daemon at least one key, or configure a local model";
        findings.push(CheckResult::wrong("keys", "no model can be called", todo));
    }
    findings
}

/// Where, what, and what to do.
fn parts(finding: config::Finding) -> (String, String, String) {
    let place = finding.place.map(|place| format!(":{}:{}", place.line, place.column));
    let place = format!("{}{}", finding.file, place.unwrap_or_default());
    (place, finding.message, finding.hint)
}
