//! The daemon itself: which one it is, whether its models can be called, how its recorder does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::connect::Link;
use super::super::failure::{DaemonError, Failure};
use super::super::{circuit, health, moment, reply, text};
use super::Finding;

const CHECK: &str = "daemon";

/// How long all questions together may take: a daemon that is well answers within milliseconds,
/// and who asks what is wrong should not wait for it.
const PATIENCE: Duration = Duration::from_secs(3);

const SILENT: &str = "`journalctl -u fallbackd` may say why, and one that is still starting needs a \
                      moment; one that was stopped goes on after `kill -CONT` with its process id; \
                      else `systemctl restart fallbackd`";

/// What became of a question.
#[derive(Debug)]
enum Answer {
    Given(Value),
    /// It was not: why, and what to do.
    Missing(String, String),
    /// There is no connection to ask over.
    Unreached,
}

/// What the daemon answered.
#[derive(Debug)]
pub(super) struct Answers {
    ping: Answer,
    health: Answer,
}

impl Answers {
    /// The reply to `health`, if there was one.
    pub(super) fn health(&self) -> Option<&Value> {
        match &self.health {
            Answer::Given(reply) => Some(reply),
            Answer::Missing(..) | Answer::Unreached => None,
        }
    }
}

/// Asks for `ping` and `health` at once.
pub(super) fn ask(socket: &Path) -> Answers {
    let ask = |op: &'static str| {
        let (tell, told) = mpsc::sync_channel(1);
        let socket = socket.to_owned();
        // Left to itself when it takes too long, also over connecting; it ends with this process.
        thread::spawn(move || tell.send(question(&socket, op)));
        told
    };
    let (ping, health) = (ask("ping"), ask("health"));
    let (ping, waited) = moment::timed(|| answer(&ping, PATIENCE));
    Answers { ping, health: answer(&health, PATIENCE.saturating_sub(waited)) }
}

fn answer(told: &mpsc::Receiver<Answer>, patience: Duration) -> Answer {
    told.recv_timeout(patience).unwrap_or_else(|_| silent())
}

fn silent() -> Answer {
    let what = format!("it did not answer within {}", humantime::format_duration(PATIENCE));
    Answer::Missing(what, SILENT.to_owned())
}

fn question(socket: &Path, op: &str) -> Answer {
    let Ok(mut link) = Link::open(socket, None) else { return Answer::Unreached };
    match link.send(&json!({ "op": op })).and_then(|()| link.reply()) {
        Ok((_, reply)) if reply::flag(&reply, "ok") => Answer::Given(reply),
        Ok((_, reply)) => {
            let error = DaemonError::read(&reply);
            Answer::Missing(error.to_string(), error.hint())
        }
        Err(Failure::Unreachable { why, hint, .. }) => Answer::Missing(why, hint),
        Err(failure) => Answer::Missing(failure.to_string(), SILENT.to_owned()),
    }
}

/// Reads what the daemon answered.
pub(super) fn look(answers: &Answers) -> Vec<Finding> {
    let (ping, health) = match (&answers.ping, &answers.health) {
        (Answer::Given(ping), Answer::Given(health)) => (ping, health),
        (Answer::Missing(why, todo), _) | (_, Answer::Missing(why, todo)) => {
            let what = format!("it takes connections, but {why}");
            return vec![Finding::wrong(CHECK, what, todo.as_str())];
        }
        (Answer::Unreached, _) | (_, Answer::Unreached) => {
            return vec![Finding::skipped(CHECK, "it cannot be reached, so it cannot be asked")];
        }
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

    fn answers(ping: &Value, health: &Value) -> Answers {
        let given = |reply: &Value| Answer::Given(reply.clone());
        Answers { ping: given(ping), health: given(health) }
    }

    #[test]
    fn who_is_connected_to_and_gives_no_answer_is_wrong_and_who_is_not_there_cannot_be_asked() {
        let given = || Answer::Given(json!({"ok": true}));
        let missing = || Answer::Missing("it is silent".to_owned(), "wake it".to_owned());
        let rows = [
            (missing(), missing(), State::Wrong),
            (given(), missing(), State::Wrong),
            (missing(), Answer::Unreached, State::Wrong),
            (Answer::Unreached, Answer::Unreached, State::Skipped),
            (given(), Answer::Unreached, State::Skipped),
        ];
        for (ping, health, wanted) in rows {
            let found = look(&Answers { ping, health });
            assert_eq!((found.len(), found[0].state), (1, wanted), "{found:?}");
            assert_eq!(found[0].todo.is_some(), wanted == State::Wrong);
        }
    }

    #[test]
    fn models_without_a_key_are_a_warning_until_none_is_left() {
        let ping = json!({"version": env!("CARGO_PKG_VERSION"), "uptime_ms": 1000});
        let closed = json!({"breaker": {"state": "closed"}});
        let keyless = json!({"misconfigured": "A is not set", "breaker": {"state": "closed"}});
        let some = json!({"models": {"a": closed, "b": keyless}, "recorder": {"late": 0}});
        let states = |health: &Value| {
            let found = look(&answers(&ping, health));
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
        let found = look(&answers(&ping, &health));
        let warnings = found.iter().filter(|finding| finding.state == State::Warning);
        assert_eq!(
            warnings.map(|f| f.check).collect::<Vec<_>>(),
            ["daemon", "circuits", "recorder"]
        );
    }
}
