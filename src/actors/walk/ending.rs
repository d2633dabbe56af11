//! What to tell a caller whom nobody answered.

use super::trail::Trail;
use super::{Answered, ErrorBody, ErrorCode, Walk, rank};
use crate::domain::fault::{Fault, Next};
use crate::domain::need::SkipReason;
use crate::domain::time::millis;
use crate::protocol::reply::{Attempt, AttemptOutcome};

impl Walk<'_> {
    /// The error for a request that is at the end of its chain; or the refusal, if a model did
    /// answer with one.
    pub(super) async fn nobody_answered(
        &self,
        trail: &mut Trail,
    ) -> Result<Box<Answered>, ErrorBody> {
        if let Some(mut refusal) = trail.take_refusal() {
            refusal.latency_ms = millis(self.means.clock.mono().since(self.arrived.mono));
            return Ok(refusal);
        }
        if trail.faults().contains(&Fault::Refused) {
            return Err(ErrorBody::new(ErrorCode::Refused, last_message(trail)));
        }
        if self.left().is_zero() {
            let message = format!(
                "no model answered within the request's {}; {}",
                humantime::format_duration(self.deadline.since(self.arrived.mono)),
                "allow more with `timeout`"
            );
            return Err(ErrorBody::new(ErrorCode::DeadlineExceeded, message));
        }
        if self.too_long_for_all(trail) {
            let message = "no model of the chain takes a prompt this long; shorten it, or add a \
                           model with a larger context window to the chain";
            return Err(ErrorBody::new(ErrorCode::ContextTooLong, message));
        }
        let standings = self.chain.standings(&self.needs, self.left_for_copies()).await;
        let again = rank::earliest(&standings).map(millis);
        let (code, message) = match trail.calls() {
            0 => (ErrorCode::NoModelAvailable, self.left_out(trail)),
            _ => (ErrorCode::AllModelsFailed, all_failed(trail)),
        };
        Err(ErrorBody::new(code, message).again_after(again))
    }

    /// Whether the prompt's length is all that is wrong.
    fn too_long_for_all(&self, trail: &Trail) -> bool {
        let too_small = |attempt: &Attempt| match attempt.outcome {
            AttemptOutcome::Failed => {
                matches!(attempt.error_type, Some(Fault::ContextTooLong | Fault::TooLarge))
            }
            AttemptOutcome::Skipped => {
                let named = |model: &&super::ModelHandle| *model.name() == attempt.model;
                let window = self.chain.models.iter().find(named);
                let window = window.and_then(|model| model.config.context_window);
                let known = window.is_some_and(|window| (self.needs.bytes / 6) as u64 > window);
                let too_small = |fault: &Fault| fault.meaning().next == Next::NotAsSmall;
                let passed_over = trail.faults().iter().any(too_small);
                attempt.reason == Some(SkipReason::Incapable) && (known || passed_over)
            }
            AttemptOutcome::Answered | AttemptOutcome::Cancelled => false,
        };
        !trail.attempts().is_empty() && trail.attempts().iter().all(too_small)
    }

    fn left_out(&self, trail: &Trail) -> String {
        if self.chain.models.is_empty() {
            return "no model is configured; add one to the configuration and restart".to_owned();
        }
        let reasons = trail.attempts().iter().filter_map(|attempt| {
            let reason = words(attempt.reason?);
            Some(format!("{}: {reason}", attempt.model))
        });
        let reasons: Vec<String> = reasons.collect();
        format!("no model of the chain may be called now ({})", reasons.join("; "))
    }
}

fn all_failed(trail: &Trail) -> String {
    let failed = trail.attempts().iter().filter_map(|attempt| {
        let fault = attempt.error_type?;
        Some(match attempt.status {
            Some(status) => format!("{}: {fault} ({status})", attempt.model),
            None => format!("{}: {fault}", attempt.model),
        })
    });
    let failed: Vec<String> = failed.collect();
    format!("every model that was tried failed ({})", failed.join("; "))
}

fn last_message(trail: &Trail) -> String {
    let refused = |attempt: &&Attempt| attempt.error_type == Some(Fault::Refused);
    let last = trail.attempts().iter().rev().find(refused);
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
