//! What to tell a caller whom nobody answered, in words that help.

use super::super::sink::Stop;
use super::Dispatch;
use super::attempt_log::AttemptLog;
use crate::domain::fault::Fault;
use crate::domain::need::SkipReason;
use crate::domain::rank;
use crate::domain::route::NoAnswer;
use crate::domain::route::outcome::{Tried, Unanswered, unanswered};
use crate::domain::time::millis;
use crate::protocol::reply::{Answered, Attempt, ErrorBody, ErrorCode};

/// What a request that was given up has come to.
pub(super) fn given_up(stop: Stop) -> ErrorBody {
    match stop {
        Stop::Ending => ErrorBody::new(ErrorCode::ShuttingDown, "the daemon ended"),
        Stop::Cancelled | Stop::Gone => {
            ErrorBody::new(ErrorCode::Cancelled, "the request was cancelled")
        }
    }
}

impl Dispatch<'_> {
    /// The error for a request that is over; or the refusal, if a model did answer with one.
    pub(super) async fn unanswered(
        &self,
        why: NoAnswer,
        log: &mut AttemptLog,
    ) -> Result<Box<Answered>, ErrorBody> {
        match why {
            NoAnswer::Exhausted | NoAnswer::GivenUp => {}
            NoAnswer::Interrupted => return Err(interrupted(log)),
            NoAnswer::Refused => return Err(ErrorBody::new(ErrorCode::Refused, last_message(log))),
        }
        if let Some(mut refusal) = log.take_refusal() {
            refusal.latency_ms = millis(self.services.clock.mono().since(self.arrived.mono));
            return Ok(refusal);
        }
        let tried: Vec<Tried> = log.attempts().iter().map(|attempt| self.tried(attempt)).collect();
        let left = self.assignment.left();
        let (code, message) = match unanswered(&tried, left.is_zero()) {
            Unanswered::Refused => {
                return Err(ErrorBody::new(ErrorCode::Refused, refusal_message(log)));
            }
            Unanswered::TooLate => {
                let timeout = self.assignment.deadline.since(self.arrived.mono);
                let message = format!(
                    "no model answered within the request's {}; allow more with `timeout`",
                    humantime::format_duration(timeout)
                );
                return Err(ErrorBody::new(ErrorCode::DeadlineExceeded, message));
            }
            Unanswered::TooLong => {
                let message = "no model of the chain takes a prompt this long; shorten it, or add \
                               a model with a larger context window to the chain";
                return Err(ErrorBody::new(ErrorCode::ContextTooLong, message));
            }
            Unanswered::Invalid => {
                return Err(ErrorBody::new(ErrorCode::InvalidRequest, refusals(log)));
            }
            Unanswered::NobodyCalled => (ErrorCode::NoModelAvailable, self.left_out(log)),
            Unanswered::AllFailed => (ErrorCode::AllModelsFailed, all_failed(log)),
        };
        let availabilities = self.availabilities().await;
        let again = rank::earliest(&availabilities).map(millis);
        Err(ErrorBody::new(code, message).again_after(again))
    }

    fn tried(&self, attempt: &Attempt) -> Tried {
        match (attempt.error_type, attempt.reason) {
            (Some(fault), _) => Tried::Failed(fault),
            (None, Some(reason)) => {
                let model = self.chain.models.iter().find(|model| *model.name() == attempt.model);
                let window = model.and_then(|model| model.config.context_window);
                Tried::Skipped { reason, too_small: self.assignment.needs.exceeds(window) }
            }
            (None, None) => Tried::Cancelled,
        }
    }

    fn left_out(&self, log: &AttemptLog) -> String {
        if self.chain.models.is_empty() {
            return "no model is configured; add one to the configuration and restart".to_owned();
        }
        let reasons = log.attempts().iter().filter_map(|attempt| {
            let reason = words(attempt.reason?);
            Some(format!("{}: {reason}", attempt.model))
        });
        let reasons: Vec<String> = reasons.collect();
        format!("no model of the chain may be called now ({})", reasons.join("; "))
    }
}

fn interrupted(log: &AttemptLog) -> ErrorBody {
    let what = log.last_failure().map(|failed| {
        let fault = failed.error_type.map_or("", Fault::name);
        let said = failed.message.as_deref().unwrap_or_default();
        (failed.model.clone(), format!("{fault}: {said}"))
    });
    let (model, why) = what.unwrap_or_default();
    let message = format!(
        "the stream of {model} broke after a part of the answer was delivered ({why}); ask again, \
         or leave out `on_interrupt` to go on with another model"
    );
    ErrorBody::new(ErrorCode::Interrupted, message)
}

fn all_failed(log: &AttemptLog) -> String {
    let failed = log.attempts().iter().filter_map(|attempt| {
        let fault = attempt.error_type?;
        Some(match attempt.status {
            Some(status) => format!("{}: {fault} ({status})", attempt.model),
            None => format!("{}: {fault}", attempt.model),
        })
    });
    let failed: Vec<String> = failed.collect();
    format!("every model that was tried failed ({})", failed.join("; "))
}

/// What each model that was asked has against the request, the first one first.
fn refusals(log: &AttemptLog) -> String {
    let failed = log.attempts().iter().filter(|attempt| attempt.error_type.is_some());
    let said: Vec<(&str, &str)> = failed
        .map(|attempt| (&*attempt.model, attempt.message.as_deref().unwrap_or_default()))
        .collect();
    match said.as_slice() {
        [(_, alone)] => (*alone).to_owned(),
        said => {
            let said: Vec<String> =
                said.iter().map(|(model, why)| format!("{model}: {why}")).collect();
            said.join("; ")
        }
    }
}

fn last_message(log: &AttemptLog) -> String {
    log.last_failure().and_then(|failed| failed.message.clone()).unwrap_or_default()
}

fn refusal_message(log: &AttemptLog) -> String {
    let mut attempts = log.attempts().iter().rev();
    let last = attempts.find(|attempt| attempt.error_type == Some(Fault::Refused));
    last.and_then(|attempt| attempt.message.clone())
        .unwrap_or_else(|| "refused by content policy".to_owned())
}

fn words(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::CircuitOpen => "its circuit is open",
        SkipReason::RateLimited => "on hold after a rate limit, or at its limit per minute",
        SkipReason::Incapable => "cannot serve this request",
        SkipReason::Busy => "at its `max_in_flight`",
        SkipReason::Misconfigured => "its key is missing; see `fallbackd --check`",
        SkipReason::TooDear => "too dear for this request or chain",
        SkipReason::NoTime => "no time left for it",
    }
}
