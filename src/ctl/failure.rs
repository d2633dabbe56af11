//! Why a command did not do what was asked, what to do about it, and the exit code that says so.
//!
//! The codes are those of `sysexits.h`, so that a script can tell "try again later" from "this
//! will never work" without reading a message. Every message names what failed; every hint
//! names a command, a file or a key.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;

use super::screen::{Paper, Screen, Tone};
use super::{attempts, text};
use crate::protocol::id::Id;
use crate::protocol::reply::{ErrorBody, ErrorCode, ErrorReply};

/// The daemon answered with an error, or the result could not be written.
const ERROR: u8 = 1;
/// The command line is wrong.
pub(super) const USAGE: u8 = 2;
/// The daemon cannot be reached.
const UNREACHABLE: u8 = 69;
/// Not now, but later.
const TRY_AGAIN: u8 = 75;
/// The configuration is wrong.
const CONFIGURATION: u8 = 78;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The command line is wrong in a way only we can see.
    #[error("{message}")]
    Usage { message: String, hint: &'static str },
    #[error("cannot reach the daemon at {}: {why}", socket.display())]
    Unreachable { socket: PathBuf, why: String, hint: String },
    /// The daemon answered with an error.
    #[error("{0}")]
    Daemon(DaemonError),
    /// The daemon is of a version that this command does not understand.
    #[error("cannot understand the daemon's reply: {0}")]
    Misread(#[from] serde_json::Error),
    /// The configuration that was named cannot be used.
    #[error("{message}")]
    Configuration { message: String, hint: String },
    /// Something around the daemon is wrong, as was shown.
    #[error("something is wrong")]
    Unwell,
    /// The health log cannot be read.
    #[error("cannot read the health log {}: {why}", path.display())]
    Log { path: PathBuf, why: io::Error },
    /// The result could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

#[derive(Debug, thiserror::Error)]
#[error("{}: {}", error.code.name(), error.message)]
pub(super) struct DaemonError {
    error: ErrorBody,
    /// Printed below the message: the mistakes of a configuration, and what was tried.
    details: String,
    /// The reply was already printed as JSON: only the exit code is left to give.
    printed: bool,
}

impl DaemonError {
    /// Reads an error reply, for notes on `paper`; one without any detail is still told.
    pub(super) fn read(reply: Value, printed: bool, paper: Paper) -> DaemonError {
        let reply = ErrorReply::deserialize(reply).unwrap_or_else(|_| {
            let error = ErrorBody::new(ErrorCode::Internal, "the daemon gave no reason");
            ErrorReply::new(Id::Null, error)
        });
        let error = reply.error;
        let mistakes = error.mistakes.iter().map(|mistake| format!("{}\n", text::clean(mistake)));
        let tried = attempts::render(&reply.attempts.unwrap_or_default(), paper);
        let details = mistakes.chain([tried]).collect();
        DaemonError { error, details, printed }
    }

    /// Whether the daemon's configuration is what is wrong.
    fn is_configuration(&self) -> bool {
        !self.error.mistakes.is_empty()
    }

    fn exit_code(&self) -> u8 {
        match self.error.code {
            _ if self.is_configuration() => CONFIGURATION,
            ErrorCode::NoModelAvailable | ErrorCode::Overloaded | ErrorCode::ShuttingDown => {
                TRY_AGAIN
            }
            _ => ERROR,
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        let advice = match self.error.code {
            _ if self.is_configuration() => "correct the file; `fallbackd --check` reads it again",
            code => advice(code),
        };
        match self.error.retry_after_ms.millis() {
            None => advice.to_owned(),
            Some(wait) => format!("try again in {}; {advice}", text::span(wait)),
        }
    }
}

/// The next step after each kind of error.
fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NoModelAvailable => "`fallbackctl chains` says why each model is left out",
        ErrorCode::AllModelsFailed => "`fallbackctl health` shows how the models are doing",
        ErrorCode::DeadlineExceeded => "give the request more time with `--timeout 2m`",
        ErrorCode::ContextTooLong => "shorten the prompt, or name a larger model with `--model`",
        ErrorCode::UnknownTask => "`fallbackctl chains` lists the tasks that have a chain",
        ErrorCode::UnknownModel => "`fallbackctl health` lists the models",
        ErrorCode::Forbidden => {
            "this is for root, the daemon's own user, and those in `admin_uids` or `admin_gids` of \
             its configuration"
        }
        ErrorCode::Overloaded => "the daemon is at its limits: try again in a moment",
        ErrorCode::ShuttingDown => "the daemon is ending: try again when it is back",
        ErrorCode::UnknownOp => "the daemon may be older than this command: see `fallbackctl ping`",
        ErrorCode::Refused => "reword the prompt, or ask another model with `--model`",
        ErrorCode::Interrupted | ErrorCode::Cancelled => "ask again",
        ErrorCode::LineTooLong => "shorten it, or raise `limits.line_bytes` in the configuration",
        ErrorCode::InvalidRequest => {
            "every model that was asked says what is wrong with it; another one may take it"
        }
        ErrorCode::Internal => "`journalctl -u fallbackd` may say more",
        // A mistake in the request, or a code of a newer daemon.
        ErrorCode::InvalidJson | ErrorCode::BadRequest | ErrorCode::Unknown => {
            "`fallbackctl schema` and fallbackd-protocol(7) say what goes over the socket"
        }
    }
}

impl CommandError {
    /// Tells a person and gives the exit code. A reader of our output that went away, as `head`
    /// does, is no failure.
    pub(super) fn report(&self, screen: &mut Screen<'_>) -> ExitCode {
        if !self.is_silent() {
            // A standard error that cannot be written leaves nobody to tell.
            let _ = self.tell(screen);
        }
        ExitCode::from(self.exit_code())
    }

    fn is_silent(&self) -> bool {
        match self {
            CommandError::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            CommandError::Daemon(error) => error.printed,
            CommandError::Unwell => true,
            _ => false,
        }
    }

    fn tell(&self, screen: &mut Screen<'_>) -> io::Result<()> {
        let name = screen.notes_paper.paint("fallbackctl:", Tone::Bad);
        writeln!(screen.notes, "{name} {self}")?;
        if let CommandError::Daemon(error) = self {
            write!(screen.notes, "{}", error.details)?;
        }
        let hint = self.hint();
        if !hint.is_empty() {
            writeln!(screen.notes, "hint: {hint}")?;
        }
        screen.notes.flush()
    }

    /// What to do about it; empty where nothing helps.
    pub(super) fn hint(&self) -> String {
        match self {
            CommandError::Usage { hint, .. } => (*hint).to_owned(),
            CommandError::Unreachable { hint, .. } | CommandError::Configuration { hint, .. } => {
                hint.clone()
            }
            CommandError::Daemon(error) => error.hint(),
            CommandError::Log { why, .. } if why.kind() == io::ErrorKind::PermissionDenied => {
                "its group may read it: join that with `sudo usermod -aG GROUP $USER` and log in \
                 again; without --since events come over the socket"
                    .to_owned()
            }
            CommandError::Log { .. } => {
                "name it with --log FILE; without --since events come over the socket".to_owned()
            }
            CommandError::Misread(_) => {
                "`fallbackctl ping` tells the daemon's version; use the fallbackctl that came with \
                 it, or --json"
                    .to_owned()
            }
            CommandError::Output(_) => {
                "is the disk full, or the file not yours to write?".to_owned()
            }
            // What to do stands beside each finding.
            CommandError::Unwell => String::new(),
        }
    }

    /// What the process ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            CommandError::Usage { .. } => USAGE,
            CommandError::Unreachable { .. } => UNREACHABLE,
            CommandError::Daemon(error) => error.exit_code(),
            CommandError::Configuration { .. } => CONFIGURATION,
            CommandError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CommandError::Unwell
            | CommandError::Misread(_)
            | CommandError::Log { .. }
            | CommandError::Output(_) => ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(failure: &CommandError) -> String {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let mut screen = Screen {
            out: &mut out,
            paper: Paper::default(),
            notes: &mut notes,
            notes_paper: Paper::default(),
        };
        failure.report(&mut screen);
        String::from_utf8(notes).unwrap()
    }

    fn daemon(code: &str) -> CommandError {
        let error = json!({"code": code, "message": "m", "retry_after_ms": 4200});
        let reply = json!({"id": null, "ok": false, "error": error});
        CommandError::Daemon(DaemonError::read(reply, false, Paper::default()))
    }

    #[test]
    fn codes_that_pass_by_themselves_ask_to_try_again() {
        for code in ["no_model_available", "overloaded", "shutting_down"] {
            assert_eq!(daemon(code).exit_code(), 75, "{code}");
        }
        for code in ["all_models_failed", "bad_request", "forbidden", "something_new"] {
            assert_eq!(daemon(code).exit_code(), 1, "{code}");
        }
    }

    #[test]
    fn an_error_reply_is_told_with_a_hint_and_the_wait() {
        let text = told(&daemon("no_model_available"));
        assert_eq!(
            text,
            "fallbackctl: no_model_available: m\n\
             hint: try again in 4.2 s; `fallbackctl chains` says why each model is left out\n"
        );
    }

    #[test]
    fn an_error_reply_without_any_detail_is_still_told() {
        let text = told(&CommandError::Daemon(DaemonError::read(
            json!({"ok": false}),
            false,
            Paper::default(),
        )));
        assert!(text.starts_with("fallbackctl: internal: the daemon gave no reason\nhint: "));
    }

    #[test]
    fn every_error_of_the_protocol_has_a_next_step_of_its_own() {
        let schema = super::super::schema::document();
        let codes = schema["$defs"]["ErrorCode"]["oneOf"].as_array().unwrap();
        let common = daemon("something_new").hint();
        for code in codes.iter().filter_map(|code| code["const"].as_str()) {
            let is_mistake = matches!(code, "bad_request" | "invalid_json");
            assert_eq!(daemon(code).hint() == common, is_mistake, "{code}");
        }
        assert!(codes.len() > 10);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = CommandError::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(gone.exit_code(), 0);
        assert_eq!(told(&gone), "");
        assert_eq!(CommandError::Output(io::ErrorKind::StorageFull.into()).exit_code(), 1);
    }
}
