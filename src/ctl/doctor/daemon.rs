//! The daemon itself: which one it is, whether its models can be called, how its recorder does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::super::circuit::Obstacles;
use super::super::connect::Link;
use super::super::failure::CommandError;
use super::super::{health, text};
use super::CheckResult;
use crate::clock::{Clock, wall};
use crate::protocol::control::Ping;
use crate::protocol::health::Health;
use crate::protocol::status::RecorderStatus;

const CHECK: &str = "daemon";

/// How long all questions together may take: a daemon that is well answers within milliseconds,
/// and who asks what is wrong should not wait for it.
const PATIENCE: Duration = Duration::from_secs(3);

const SILENT: &str = "`journalctl -u fallbackd` may say why, and one that is still starting needs a \
                      moment; one that was stopped goes on after `kill -CONT` with its process id; \
                      else `systemctl restart fallbackd`";

/// What became of a question.
#[derive(Debug)]
enum QueryResult<T> {
    Given(T),
    /// It was not: why, and what to do.
    Missing(String, String),
    /// There is no connection to ask over.
    Unreached,
}

/// What the daemon answered.
#[derive(Debug)]
pub(super) struct DaemonReplies {
    ping: QueryResult<Ping>,
    health: QueryResult<Health>,
}

impl DaemonReplies {
    /// The reply to `ping`, if there was one.
    pub(super) fn ping(&self) -> Option<&Ping> {
        match &self.ping {
            QueryResult::Given(reply) => Some(reply),
            QueryResult::Missing(..) | QueryResult::Unreached => None,
        }
    }

    /// The reply to `health`, if there was one.
    pub(super) fn health(&self) -> Option<&Health> {
        match &self.health {
            QueryResult::Given(reply) => Some(reply),
            QueryResult::Missing(..) | QueryResult::Unreached => None,
        }
    }
}

/// Asks for `ping` and `health` at once.
pub(super) fn ask(socket: &Path) -> DaemonReplies {
    let (ping, health) = (question(socket, "ping"), question(socket, "health"));
    let clock = Clock::system();
    let ping = answer(&ping, PATIENCE);
    DaemonReplies { ping, health: answer(&health, PATIENCE.saturating_sub(clock.mono().0)) }
}

fn answer<T>(told: &mpsc::Receiver<QueryResult<T>>, patience: Duration) -> QueryResult<T> {
    told.recv_timeout(patience).unwrap_or_else(|_| {
        let what = format!("it did not answer within {}", humantime::format_duration(PATIENCE));
        QueryResult::Missing(what, SILENT.to_owned())
    })
}

/// Asks on a thread of its own, which is left to itself when it takes too long, also over
/// connecting; it ends with this process.
fn question<T: DeserializeOwned + Send + 'static>(
    socket: &Path,
    op: &'static str,
) -> mpsc::Receiver<QueryResult<T>> {
    let (tell, told) = mpsc::sync_channel(1);
    let socket = socket.to_owned();
    thread::spawn(move || tell.send(asked(&socket, op)));
    told
}

fn asked<T: DeserializeOwned>(socket: &Path, op: &str) -> QueryResult<T> {
    let Ok(mut link) = Link::open(socket, None) else { return QueryResult::Unreached };
    match link.ask(&json!({ "op": op })) {
        Ok(found) => QueryResult::Given(found),
        Err(CommandError::Unreachable { why, hint, .. }) => QueryResult::Missing(why, hint),
        Err(failure @ CommandError::Misread(_)) => {
            QueryResult::Missing("its reply cannot be understood".to_owned(), failure.hint())
        }
        Err(failure) => QueryResult::Missing(failure.to_string(), failure.hint()),
    }
}

/// Reads what the daemon answered.
pub(super) fn look(answers: &DaemonReplies) -> Vec<CheckResult> {
    let (ping, health) = match (&answers.ping, &answers.health) {
        (QueryResult::Given(ping), QueryResult::Given(health)) => (ping, health),
        (QueryResult::Missing(why, todo), _) | (_, QueryResult::Missing(why, todo)) => {
            let what = format!("it takes connections, but {why}");
            return vec![CheckResult::wrong(CHECK, what, todo.as_str())];
        }
        (QueryResult::Unreached, _) | (_, QueryResult::Unreached) => {
            return vec![CheckResult::skipped(
                CHECK,
                "it cannot be reached, so it cannot be asked",
            )];
        }
    };
    let mut findings = vec![version(ping)];
    findings.extend(keys(health));
    findings.extend(circuits(health));
    findings.push(recorder(&health.recorder));
    findings
}

fn version(ping: &Ping) -> CheckResult {
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = &ping.version;
    let what = format!("fallbackd {theirs} answers, up {}", text::span(ping.uptime_ms));
    if theirs == ours {
        return CheckResult::ok(CHECK, what);
    }
    let todo = "restart the daemon, if it was updated: `systemctl restart fallbackd`";
    CheckResult::warning(CHECK, format!("{what}; this is fallbackctl {ours}"), todo)
}

/// Models that cannot be called, one finding for each reason.
fn keys(health: &Health) -> Vec<CheckResult> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, model) in &health.models {
        if let Some(reason) = &model.misconfigured {
            reasons.entry(reason).or_default().push(name);
        }
    }
    let all = health.models.len();
    let usable = all - reasons.values().map(Vec::len).sum::<usize>();
    let todo = "give the key to the daemon (not to this shell) as `api_key` says, then restart it; \
                or remove the models";
    let mut findings = Vec::new();
    if usable > 0 {
        findings.push(CheckResult::ok("keys", format!("{usable} of {all} models can be called")));
    } else {
        findings.push(CheckResult::wrong("keys", "no model can be called", todo));
    }
    findings.extend(reasons.into_iter().map(|(reason, models)| {
        CheckResult::warning("keys", format!("{reason}: {}", models.join(", ")), todo)
    }));
    findings
}

/// Models whose circuit is not closed.
fn circuits(health: &Health) -> Vec<CheckResult> {
    let now = wall();
    let shut = health.models.iter().filter_map(|(name, model)| {
        let why = Obstacles::from(model).explain(now).filter(|_| model.misconfigured.is_none())?;
        let todo = format!("`fallbackctl tail --since 1h --model {name} --failed` shows its calls");
        Some(CheckResult::warning("circuits", format!("{name}: {why}"), todo))
    });
    let shut: Vec<CheckResult> = shut.collect();
    if shut.is_empty() { vec![CheckResult::ok("circuits", "none is open")] } else { shut }
}

fn recorder(recorder: &RecorderStatus) -> CheckResult {
    let worries = health::worries(recorder);
    if worries.is_empty() {
        return CheckResult::ok("recorder", "log and database take what they are given");
    }
    let todo = "look at disk space and permissions below; counts begin anew with a restart";
    CheckResult::warning("recorder", worries.join(", "), todo)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use serde_json::Value;

    use super::super::CheckState;
    use super::*;

    fn ping(version: &str) -> QueryResult<Ping> {
        QueryResult::Given(Ping {
            version: version.to_owned(),
            protocol: 1,
            uptime_ms: 1000,
            pid: 1,
            http: None,
        })
    }

    fn health(models: &Value, recorder: &Value) -> QueryResult<Health> {
        let reply = json!({"models": models, "recorder": recorder});
        QueryResult::Given(serde_json::from_value(reply).unwrap())
    }

    /// A model of which nothing more is known.
    fn model(misconfigured: Option<&str>, state: &str) -> Value {
        json!({"success_rate": 1.0, "total_calls": 0, "degraded": false, "in_flight": 0,
            "misconfigured": misconfigured, "ready": false,
            "breaker": {"state": state, "reason": "why", "since": "", "consecutive_failures": 0},
            "evidence": {"live": 0, "shadow": 0, "probe": 0}})
    }

    fn well() -> QueryResult<Health> {
        health(&json!({}), &json!({"store": "ok"}))
    }

    fn missing<T>() -> QueryResult<T> {
        QueryResult::Missing("it is silent".to_owned(), "wake it".to_owned())
    }

    #[test]
    fn who_is_connected_to_and_gives_no_answer_is_wrong_and_who_is_not_there_cannot_be_asked() {
        let rows = [
            (missing(), missing(), CheckState::Wrong),
            (ping("x"), missing(), CheckState::Wrong),
            (missing(), QueryResult::Unreached, CheckState::Wrong),
            (QueryResult::Unreached, QueryResult::Unreached, CheckState::Skipped),
            (ping("x"), QueryResult::Unreached, CheckState::Skipped),
            (missing(), well(), CheckState::Wrong),
        ];
        for (ping, health, wanted) in rows {
            let found = look(&DaemonReplies { ping, health });
            assert_eq!((found.len(), found[0].state), (1, wanted), "{found:?}");
            assert_eq!(found[0].todo.is_some(), wanted == CheckState::Wrong);
        }
    }

    #[test]
    fn models_without_a_key_are_a_warning_until_none_is_left() {
        let states = |models: &Value| {
            let health = health(models, &json!({"store": "ok"}));
            let found = look(&DaemonReplies { ping: ping(env!("CARGO_PKG_VERSION")), health });
            found.into_iter().map(|finding| (finding.check, finding.state)).collect::<Vec<_>>()
        };
        let (closed, keyless) = (model(None, "closed"), model(Some("A is not set"), "closed"));
        let rest = [("circuits", CheckState::Ok), ("recorder", CheckState::Ok)];
        let mut wanted = vec![
            ("daemon", CheckState::Ok),
            ("keys", CheckState::Ok),
            ("keys", CheckState::Warning),
        ];
        wanted.extend(rest);
        assert_eq!(states(&json!({"a": closed, "b": keyless})), wanted);
        assert_eq!(states(&json!({"b": keyless}))[1], ("keys", CheckState::Wrong));
    }

    #[test]
    fn open_circuits_and_an_unwell_recorder_are_warnings() {
        let recorder = json!({"store": "ok", "log_error": "disk full"});
        let health = health(&json!({"a": model(None, "open")}), &recorder);
        let found = look(&DaemonReplies { ping: ping("0.0.0"), health });
        let warnings = found.iter().filter(|finding| finding.state == CheckState::Warning);
        assert_eq!(
            warnings.map(|f| f.check).collect::<Vec<_>>(),
            ["daemon", "circuits", "recorder"]
        );
    }

    #[test]
    fn a_reply_of_another_version_is_told_from_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("d.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let said = |reply: &str| {
            let asked = thread::spawn({
                let socket = socket.clone();
                move || asked::<Ping>(&socket, "ping")
            });
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(&stream).read_line(&mut String::new()).unwrap();
            stream.write_all(reply.as_bytes()).unwrap();
            match asked.join().unwrap() {
                QueryResult::Missing(why, todo) => (why, todo),
                _ => ("nothing is missing".to_owned(), String::new()),
            }
        };
        let (why, todo) = said("{\"id\":null,\"ok\":true}\n");
        assert_eq!(why, "its reply cannot be understood");
        assert!(todo.contains("came with it"), "{todo}");
        let error = r#"{"code":"shutting_down","message":"the daemon is ending"}"#;
        let (why, _) = said(&format!("{{\"id\":null,\"ok\":false,\"error\":{error}}}\n"));
        assert!(why.contains("the daemon is ending"), "{why}");
    }
}
