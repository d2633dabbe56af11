//! Which fault a failed answer is, for all providers at once.
//!
//! Status codes alone do not tell: 429 may mean money, 400 may mean a wrong key, 403 a blocked
//! prompt. So the exact words of the body are looked at first, then the status. What follows from
//! a fault is not decided here but in [`crate::domain::fault`].

use reqwest::header::HeaderMap;

use super::hint;
use super::redact::Secrets;
use super::shape::{self, ErrorBody};
use crate::domain::fault::Fault;
use crate::domain::time::Wall;
use crate::provider::Failure;

/// Money, and other limits that waiting a little does not lift.
const MONEY: [&str; 12] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "linked_organization_spend_limit_reached",
    "insufficient_balance",
];

const MONEY_TEXTS: [&str; 4] =
    ["usage limit", "spend limit", "credit balance is too low", "insufficient balance"];

const POLICY: [&str; 4] = [
    "content_filter",
    "content_policy_violation",
    "invalid_prompt",
    "ResponsibleAIPolicyViolation",
];

const POLICY_TEXTS: [&str; 2] = ["our safety system", "content filtering policy"];

const CONTEXT: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

const CONTEXT_TEXTS: [&str; 8] = [
    "maximum context length is",
    "prompt is too long",
    "exceed context limit",
    "exceeds the maximum number of tokens allowed",
    "exceeds the available context size",
    "is longer than the model's context length",
    "input tokens exceed the configured limit",
    "input token count exceeds the maximum",
];

const AUTH: [&str; 6] = [
    "API_KEY_INVALID",
    "FAILED_PRECONDITION",
    "invalid_api_key",
    "authentication_error",
    "permission_error",
    "UNAUTHENTICATED",
];

const NO_MODEL: [&str; 5] = [
    "model_not_found",
    "not_found_error",
    "DeploymentNotFound",
    "invalid_model",
    "OperationNotSupported",
];

const UNSUPPORTED: [&str; 4] =
    ["unsupported_parameter", "unsupported_value", "unknown_parameter", "not_supported_error"];

const UNSUPPORTED_TEXTS: [&str; 9] = [
    "cannot both be specified",
    "is deprecated for this model",
    "prefill",
    "does not support",
    "not supported",
    "extra inputs are not permitted",
    "unrecognized request argument",
    "unknown name",
    "thought_signature",
];

const OVERLOADED: [&str; 7] = [
    "overloaded_error",
    "server_is_overloaded",
    "service_unavailable_error",
    "unavailable_error",
    "UNAVAILABLE",
    "capacity_exceeded",
    "slow_down",
];

const RATE: [&str; 5] = [
    "rate_limit_exceeded",
    "rate_limit_error",
    "throttling_error",
    "ramp_limit_exceeded",
    "RESOURCE_EXHAUSTED",
];

/// A whole answer that is no success.
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    /// Its body, as much as was read.
    pub(crate) body: &'a [u8],
}

/// What a failed answer is.
pub(crate) fn classify(reply: &Reply<'_>, secrets: &Secrets, now: Wall) -> Failure {
    let error = shape::read(reply.body);
    let hint = hint::from_headers(reply.headers, now).or(error.retry_delay);
    let mut failure = describe(&error, reply.status, fault(reply.status, &error, hint.is_some()));
    failure.message = shown(&failure, secrets);
    failure.code = error.best_code().and_then(|code| secrets.code(code));
    failure.retry_after = hint;
    failure.should_retry = hint::should_retry(reply.headers);
    failure
}

/// What an error within a 200 is: its own number or words stand for the status.
pub(crate) fn in_success(error: &serde_json::Value, secrets: &Secrets) -> Failure {
    let error = shape::from_error(error);
    let status = error.number.filter(|number| (400..600).contains(number));
    let status = status.unwrap_or_else(|| status_of_words(&error));
    let mut failure = describe(&error, 200, fault(status, &error, error.retry_delay.is_some()));
    failure.message = shown(&failure, secrets);
    failure.code = error.best_code().and_then(|code| secrets.code(code));
    failure.retry_after = error.retry_delay;
    failure
}

fn describe(error: &ErrorBody, status: u16, fault: Fault) -> Failure {
    let said = error.message.as_deref();
    let message = match fault {
        Fault::BadEndpoint if (300..400).contains(&status) => {
            format!("HTTP {status}: redirects are not followed; check base_url")
        }
        Fault::BadEndpoint => {
            format!("no such API at this address (HTTP {status}); check base_url{}", tail(said))
        }
        _ => said.map_or_else(|| unexplained(status), str::to_owned),
    };
    Failure::new(fault, message).with_status(status)
}

/// The message without secrets; one of which nothing can be shown is as good as none.
fn shown(failure: &Failure, secrets: &Secrets) -> String {
    let clean = secrets.clean(&failure.message);
    match failure.status {
        Some(status) if clean.is_empty() => unexplained(status),
        _ => clean,
    }
}

fn unexplained(status: u16) -> String {
    format!("HTTP {status} without an explanation")
}

fn tail(said: Option<&str>) -> String {
    said.map(|said| format!(": {said}")).unwrap_or_default()
}

fn status_of_words(error: &ErrorBody) -> u16 {
    let any = |words: &[&str]| words.iter().any(|word| error.says(word));
    match () {
        () if any(&RATE) => 429,
        () if any(&OVERLOADED) => 503,
        () if any(&AUTH) => 401,
        () if any(&NO_MODEL) => 404,
        () if any(&["invalid_request_error", "INVALID_ARGUMENT"]) => 400,
        () => 502,
    }
}

fn fault(status: u16, error: &ErrorBody, hinted: bool) -> Fault {
    if let Some(fault) = by_words(status, error) {
        return fault;
    }
    match status {
        400 | 422 => rejected(error),
        401 | 403 | 451 => Fault::Auth,
        402 if hinted => Fault::RateLimited,
        402 => Fault::QuotaExhausted,
        404 | 410 if error.is_api_error && !wrong_address(error) => Fault::ModelNotFound,
        408 | 424 | 499 => Fault::ServerError,
        409 => Fault::Conflict,
        413 if error.says("rate_limit_exceeded") => Fault::RateLimited,
        413 => Fault::TooLarge,
        429 => Fault::RateLimited,
        498 | 503 | 529 => Fault::Overloaded,
        501 if error.is_api_error => Fault::UnsupportedParam,
        501 => Fault::BadEndpoint,
        500..600 if OVERLOADED.iter().any(|word| error.says(word)) => Fault::Overloaded,
        500..600 => Fault::ServerError,
        404 | 405 | 410 | 415 | 300..400 => Fault::BadEndpoint,
        400..500 if error.is_api_error => Fault::InvalidRequest,
        400..500 => Fault::BadEndpoint,
        _ => Fault::BadBody,
    }
}

/// Words that tell more than the status does.
fn by_words(status: u16, error: &ErrorBody) -> Option<Fault> {
    let any = |words: &[&str]| words.iter().any(|word| error.says(word));
    let texts = |texts: &[&str]| says_text(error, texts);
    let client_error = (400..500).contains(&status);
    if client_error && (any(&POLICY) || error.moderated || texts(&POLICY_TEXTS)) {
        return Some(Fault::Refused);
    }
    let may_be_long =
        matches!(status, 400 | 413 | 422 | 500) && !error.says("string_above_max_length");
    if may_be_long && (any(&CONTEXT) || texts(&CONTEXT_TEXTS) || counts_tokens(error)) {
        return Some(Fault::ContextTooLong);
    }
    let money = any(&MONEY) || (status == 429 && error.per_day);
    if client_error && (money || (status != 429 && texts(&MONEY_TEXTS))) {
        return Some(Fault::QuotaExhausted);
    }
    None
}

/// A 400 or 422: whose fault it is.
fn rejected(error: &ErrorBody) -> Fault {
    let any = |words: &[&str]| words.iter().any(|word| error.says(word));
    match () {
        () if error.html => Fault::BadEndpoint,
        () if any(&AUTH) || says_text(error, &["api key not valid"]) => Fault::Auth,
        () if any(&NO_MODEL) || says_text(error, &["invalid model name"]) => Fault::ModelNotFound,
        () if error.says("tool_use_failed") => Fault::ModelGlitch,
        () if any(&RATE) => Fault::RateLimited,
        () if any(&UNSUPPORTED) || says_text(error, &UNSUPPORTED_TEXTS) => Fault::UnsupportedParam,
        () => Fault::InvalidRequest,
    }
}

fn wrong_address(error: &ErrorBody) -> bool {
    error.says("unknown_url") || says_text(error, &["invalid url", "unknown request url"])
}

fn says_text(error: &ErrorBody, texts: &[&str]) -> bool {
    let Some(message) = &error.message else { return false };
    let lower = message.to_ascii_lowercase();
    texts.iter().any(|text| lower.contains(text))
}

/// Servers that give two numbers instead of a known sentence.
fn counts_tokens(error: &ErrorBody) -> bool {
    let both = |one: &str, two: &str| says_text(error, &[one]) && says_text(error, &[two]);
    both("current length is", "while limit is") || both("maximum input length is", "tokens")
}

#[cfg(test)]
mod tests;
