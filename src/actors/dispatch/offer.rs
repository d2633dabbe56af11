//! What becomes of a request after its reply: it may be copied to a model that nobody has called
//! for a while, or that recovers.

use super::super::shadow::{FinishedRequest, Reference};
use super::Dispatch;
use super::attempt_log::AttemptLog;
use crate::domain::compare::Text;
use crate::protocol::answer::Finish;
use crate::protocol::log::AnswerFacts;
use crate::protocol::reply::{Answered, AttemptOutcome, ErrorBody, ErrorCode};

/// The request as it is offered for a copy, if it is fit for one and of any use.
pub(super) fn facts(
    dispatch: &Dispatch<'_>,
    result: Result<&Answered, &ErrorBody>,
    log: &AttemptLog,
) -> Option<FinishedRequest> {
    let Dispatch { services, chain, assignment, .. } = dispatch;
    let (shadows, models) = (&services.shadows, &chain.models);
    let answered = is_fit(result)?;
    if !shadows.wants(models, &assignment.needs, answered, services.clock.mono()) {
        return None;
    }
    let calls = log.attempts().iter().filter(|a| a.outcome != AttemptOutcome::Skipped);
    let compared = result.ok().filter(|_| shadows.compares());
    Some(FinishedRequest {
        label: assignment.label.clone(),
        models: models.clone(),
        called: calls.map(|attempt| attempt.model.clone()).collect(),
        needs: assignment.needs,
        temperature: assignment.temperature,
        accept: chain.config.accept.clone(),
        answered,
        answer: compared.map(|answered| reference(answered, log)),
    })
}

/// The answer as it is remembered for a comparison.
fn reference(answered: &Answered, log: &AttemptLog) -> Reference {
    let mut attempts = log.attempts().iter().rev();
    let call = attempts.find(|attempt| attempt.outcome == AttemptOutcome::Answered);
    Reference {
        model: answered.model_used.clone(),
        facts: AnswerFacts {
            latency_ms: call.and_then(|call| call.latency_ms).unwrap_or(answered.latency_ms),
            input_tokens: answered.usage.input_tokens,
            output_tokens: answered.usage.output_tokens,
            cost_usd: answered.cost_usd,
            finish_reason: answered.finish_reason,
        },
        text: Text::of(answered.content.as_deref().unwrap_or_default()),
    }
}

/// Whether a request was answered; `None` if nobody else should see it either, because it was
/// refused, given up, or can never work.
fn is_fit(result: Result<&Answered, &ErrorBody>) -> Option<bool> {
    match result {
        Ok(answered) => (answered.finish_reason != Finish::Refused).then_some(true),
        Err(error) => matches!(
            error.code,
            ErrorCode::NoModelAvailable | ErrorCode::AllModelsFailed | ErrorCode::DeadlineExceeded
        )
        .then_some(false),
    }
}
