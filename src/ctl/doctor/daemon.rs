//! The daemon itself: which one it is, whether its models can be called, how its recorder does.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{circuit, health, moment, reply, text};
use super::Finding;

const CHECK: &str = "daemon";

/// Reads what the daemon answered to `ping` and `health`.
pub(super) fn look(ping: Option<&Value>, health: Option<&Value>) -> Vec<Finding> {
    let (Some(ping), Some(health)) = (ping, health) else {
        return vec![Finding::skipped(CHECK, "it does not answer, so it cannot be asked")];
    };
    let mut findings = vec![version(ping)];
    findings.extend(keys(health));
    findings.extend(circuits(health));
    findings.push(recorder(health));
    findings
}

fn version(ping: &Value) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = reply::word(ping, "version").unwrap_or_else(|| "?".to_owned());
    let up = reply::whole(ping, "uptime_ms").map(text::span).unwrap_or_default();
    let what = format!("fallbackd {theirs} answers, up {up}");
    if theirs == ours {
        return Finding::ok(CHECK, what);
    }
    let todo = "restart the daemon, if it was updated: `systemctl restart fallbackd`";
    Finding::warning(CHECK, format!("{what}; this is fallbackctl {ours}"), todo)
}

/// Models that cannot be called, one finding for each reason.
fn keys(health: &Value) -> Vec<Finding> {
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let (mut all, mut usable) = (0, 0);
    for (name, model) in reply::members(health, "models") {
        all += 1;
        match reply::word(model, "misconfigured") {
            Some(reason) => reasons.entry(reason).or_default().push(name),
            None => usable += 1,
        }
    }
    let todo = "give the key to the daemon (not to this shell) as `api_key` says, then restart it; \
                or remove the models";
    let mut findings = Vec::new();
    if usable > 0 {
        findings.push(Finding::ok("keys", format!("{usable} of {all} models can be called")));
    } else {
        findings.push(Finding::wrong("keys", "no model can be called", todo));
    }
    findings.extend(reasons.into_iter().map(|(reason, models)| {
        Finding::warning("keys", format!("{reason}: {}", models.join(", ")), todo)
    }));
    findings
}

/// Models whose circuit is not closed.
fn circuits(health: &Value) -> Vec<Finding> {
    let now = moment::wall();
    let shut = reply::members(health, "models").filter_map(|(name, model)| {
        let is_keyless = reply::present(model, "misconfigured").is_some();
        let why = circuit::explain(model, now).filter(|_| !is_keyless)?;
        let todo = format!("`fallbackctl tail --since 1h --model {name} --failed` shows its calls");
        Some(Finding::warning("circuits", format!("{}: {why}", text::one_line(name)), todo))
    });
    let shut: Vec<Finding> = shut.collect();
    if shut.is_empty() { vec![Finding::ok("circuits", "none is open")] } else { shut }
}

fn recorder(health: &Value) -> Finding {
    let worries = health::worries(health);
    if worries.is_empty() {
        return Finding::ok("recorder", "log and database take what they are given");
    }
    let todo = "look at disk space and permissions below; counts begin anew with a restart";
    Finding::warning("recorder", worries.join(", "), todo)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::State;
    use super::*;

    #[test]
    fn models_without_a_key_are_a_warning_until_none_is_left() {
        let ping = json!({"version": env!("CARGO_PKG_VERSION"), "uptime_ms": 1000});
        let closed = json!({"breaker": {"state": "closed"}});
        let keyless = json!({"misconfigured": "A is not set", "breaker": {"state": "closed"}});
        let some = json!({"models": {"a": closed, "b": keyless}, "recorder": {"late": 0}});
        let states = |health: &Value| {
            let found = look(Some(&ping), Some(health));
            found.into_iter().map(|finding| (finding.check, finding.state)).collect::<Vec<_>>()
        };
        let rest = [("circuits", State::Ok), ("recorder", State::Ok)];
        let mut wanted = vec![("daemon", State::Ok), ("keys", State::Ok), ("keys", State::Warning)];
        wanted.extend(rest);
        assert_eq!(states(&some), wanted);
        let none = json!({"models": {"b": keyless}, "recorder": {}});
        assert_eq!(states(&none)[1], ("keys", State::Wrong));
    }

    #[test]
    fn open_circuits_and_an_unwell_recorder_are_warnings() {
        let ping = json!({"version": "0.0.0"});
        let health = json!({"models": {"a": {"breaker": {"state": "open", "reason": "why"}}},
            "recorder": {"log_error": "disk full"}});
        let found = look(Some(&ping), Some(&health));
        let warnings = found.iter().filter(|finding| finding.state == State::Warning);
        assert_eq!(
            warnings.map(|f| f.check).collect::<Vec<_>>(),
            ["daemon", "circuits", "recorder"]
        );
    }
}
