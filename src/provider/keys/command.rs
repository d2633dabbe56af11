//! A key that a command prints.
//!
//! The command runs without a shell and within a time limit. One run serves all who wait. It happens
//! in a task of its own, so a caller that leaves ends no run. When it runs is decided in
//! [`crate::domain::renewal`].

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::config::key::{LONGEST, usable};
use crate::domain::renewal::{Freshness, Need};
use crate::domain::time::Mono;
use crate::provider::errors::redact::Secrets;
use crate::provider::program::{self, Bounds, ProgramError};

/// Longest time that a command may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Most characters of it that are shown.
const HINT: usize = 120;

/// A command, and the key that it printed last.
pub(super) struct CommandKey {
    shared: Arc<Runner>,
}

/// What the task of a run shares with those who wait for it.
struct Runner {
    argv: Vec<String>,
    started: Instant,
    state: Mutex<Latest>,
    /// How many runs have ended.
    runs: watch::Sender<u64>,
}

struct Latest {
    renewal: Freshness,
    key: Option<SecretString>,
    /// Why the last run gave none.
    failed: Option<String>,
}

impl CommandKey {
    pub(super) fn new(argv: &[String], refresh: Duration) -> CommandKey {
        let renewal = Freshness::new(refresh, LIMIT);
        let shared = Runner {
            argv: argv.to_vec(),
            started: Instant::now(),
            state: Mutex::new(Latest { renewal, key: None, failed: None }),
            runs: watch::Sender::new(0),
        };
        CommandKey { shared: Arc::new(shared) }
    }

    /// Runs the command before anybody needs its key, where there is a runtime to do so.
    pub(super) fn prefetch(&self) {
        if tokio::runtime::Handle::try_current().is_ok()
            && self.shared.lock().renewal.before_use(self.shared.now()) == Need::Run
        {
            self.shared.begin();
        }
    }

    /// The key for a call, which is waited for if there is none that is good; or why there is none.
    pub(super) async fn key(&self) -> Result<SecretString, String> {
        let need = self.shared.lock().renewal.before_use(self.shared.now());
        self.satisfy(need).await;
        let state = self.shared.lock();
        match (&state.key, &state.failed) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some(failed)) => Err(failed.clone()),
            (None, None) => Err(format!("its command {} is not over", name(&self.shared.argv))),
        }
    }

    /// Has a newer key printed after this one was refused, if that may be.
    pub(super) async fn renew(&self) {
        let need = self.shared.lock().renewal.after_refusal(self.shared.now());
        self.satisfy(need).await;
    }

    async fn satisfy(&self, need: Need) {
        let mut runs = self.shared.runs.subscribe();
        if matches!(need, Need::Run | Need::Beside) {
            self.shared.begin();
        }
        if matches!(need, Need::Run | Need::Wait) {
            // The sender lives as long as this does.
            let _ = timeout(LIMIT * 2, runs.changed()).await;
        }
    }
}

impl Runner {
    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Mono {
        Mono(self.started.elapsed())
    }

    /// Begins a run in a task of its own.
    fn begin(self: &Arc<Runner>) {
        self.lock().renewal.begin(self.now());
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let printed = run(&shared.argv, LIMIT).await;
            shared.end(printed);
            shared.runs.send_modify(|runs| *runs += 1);
        });
    }

    fn end(&self, printed: Result<SecretString, String>) {
        let now = self.now();
        let mut state = self.lock();
        state.renewal.end(printed.is_ok(), now);
        match printed {
            Ok(key) => {
                state.key = Some(key);
                state.failed = None;
            }
            Err(why) => {
                let program = name(&self.argv);
                if state.failed.is_none() {
                    tracing::warn!(program, "the command for a key {why}");
                }
                state.failed = Some(format!("its command {program} {why}"));
            }
        }
    }
}

/// The program without its folder; its arguments may be nobody's business.
fn name(argv: &[String]) -> &str {
    let name = argv.first().and_then(|program| Path::new(program).file_name()?.to_str());
    name.unwrap_or("without a name")
}

/// Runs a command once, no longer than `limit`; the key it prints, or what became of it.
async fn run(argv: &[String], limit: Duration) -> Result<SecretString, String> {
    let (program, arguments) = argv.split_first().ok_or("has no program")?;
    let mut command = Command::new(program);
    command.args(arguments);
    let printed = program::run(command, Bounds { time: limit, output: LONGEST }).await;
    let printed = printed.map_err(|error| words(error, limit))?;
    let printed = String::from_utf8(printed).map_err(|_| "printed no text")?;
    usable(&printed).map_err(|why| format!("printed a key that {why}"))
}

fn words(error: ProgramError, limit: Duration) -> String {
    match error {
        ProgramError::NotStarted(error) => format!("cannot be started: {error}"),
        ProgramError::TooSlow => {
            format!("did not end within {}", humantime::format_duration(limit))
        }
        ProgramError::Lost(error) => format!("was lost: {error}"),
        ProgramError::Failed { status, complaint } => {
            format!("failed ({status}){}", hint(&complaint))
        }
        ProgramError::TooMuch => "printed more than a key".to_owned(),
    }
}

/// The last line of what a command complains about, cut short and without what looks like a key.
fn hint(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let clean = Secrets::default().clean(last);
    let short: String = clean.chars().take(HINT).collect();
    if short.is_empty() { short } else { format!(": {short}") }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    async fn shell(script: &str) -> Result<String, String> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&argv, LIMIT).await.map(|key| key.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn what_a_command_prints_is_the_key() {
        assert_eq!(shell("echo; echo ' token-1 '").await, Ok("token-1".to_owned()));
    }

    #[tokio::test]
    async fn a_command_that_fails_says_how_and_shows_no_secret() {
        let failed = shell("echo planted; echo token: planted-1 >&2; exit 3").await.unwrap_err();
        assert_eq!(failed, "failed (exit status: 3): token: [hidden]");
        let killed = shell("kill -9 $$").await.unwrap_err();
        assert!(killed.contains("signal: 9"), "{killed}");
        let absent = run(&["/no/such/program".to_owned()], LIMIT).await.unwrap_err();
        assert!(absent.starts_with("cannot be started: "), "{absent}");
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused() {
        assert_eq!(shell("true").await, Err("printed a key that is empty".to_owned()));
        assert!(shell("echo two words").await.is_err());
        assert!(shell("printf '\\377'").await.is_err());
        let much = shell("yes | tr -d '\\n' | head -c 1000000").await;
        assert_eq!(much, Err("printed more than a key".to_owned()));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_said_to_be_too_slow() {
        let argv = ["/bin/sh", "-c", "sleep 1000"].map(str::to_owned);
        let failed = run(&argv, Duration::from_millis(300)).await.err();
        assert_eq!(failed.as_deref(), Some("did not end within 300ms"));
    }

    #[tokio::test]
    async fn a_long_complaint_stops_no_command() {
        let script = "yes | head -c 1000000 >&2; echo key-1";
        assert_eq!(shell(script).await, Ok("key-1".to_owned()));
    }
}
