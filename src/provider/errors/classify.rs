//! Which fault a failed answer is, for all providers at once.
//!
//! Status codes alone do not tell: 429 may mean money, 400 may mean a wrong key, 403 a blocked
//! prompt. So what the body is about is asked first ([`Topic`]), its codes before its texts, and
//! the status decides what the words leave open. A 4xx of which nothing is known is an
//! [`Fault::InvalidRequest`], which is held against nobody. What follows from a fault is not
//! decided here but in [`crate::domain::fault`].

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::hint;
use super::redact::Secrets;
use super::shape::{self, ErrorDetails};
use super::topic::{self, Topic};
use crate::domain::fault::Fault;
use crate::domain::time::Wall;
use crate::provider::Failure;

/// Where Amazon's services name their exceptions; the body often says the words alone.
const ERROR_TYPE: &str = "x-amzn-errortype";

/// A whole answer that is no success.
pub(crate) struct ErrorResponse<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    /// Its body, as much as was read.
    pub(crate) body: &'a [u8],
}

impl ErrorResponse<'_> {
    /// What it says about the error.
    fn error(&self) -> ErrorDetails {
        let mut error = shape::read(self.body);
        if let Some(name) = self.headers.get(ERROR_TYPE).and_then(|name| name.to_str().ok()) {
            error.add_name(name);
        }
        error
    }
}

/// What a failed answer is.
pub(crate) fn classify(reply: &ErrorResponse<'_>, secrets: &Secrets, now: Wall) -> Failure {
    let error = reply.error();
    let (now, headers) = (Some(now), hint::of_headers(reply.headers));
    let asked = hint::asked(&headers, now).or_else(|| error.asked(now));
    let fault = fault(reply.status, &error, is_soon(asked));
    let asked = match fault {
        Fault::RateLimited => asked.or_else(|| hint::from_limits(&headers, now)),
        _ => asked,
    };
    let retry_after = asked.or_else(|| wait(fault, &error, now));
    let should_retry = hint::should_retry(reply.headers);
    Failure { retry_after, should_retry, ..failure(error, fault, reply.status, secrets) }
}

/// What an error within a 200 is: its own number or words stand for the status.
pub(crate) fn in_success(error: &serde_json::Value, secrets: &Secrets) -> Failure {
    let error = shape::from_error(error);
    let status = error.number.filter(|number| (400..600).contains(number));
    let status = status.unwrap_or_else(|| status_of_words(&error));
    let fault = fault(status, &error, is_soon(error.asked(None)));
    let retry_after = error.asked(None).or_else(|| wait(fault, &error, None));
    Failure { retry_after, ..failure(error, fault, 200, secrets) }
}

/// Whether waiting cures it. A quota that is whole again tomorrow is used up today.
fn is_soon(asked: Option<Duration>) -> bool {
    asked.is_some_and(|wait| wait <= Duration::from_secs(3600))
}

/// The same failure with the wait that it asks for until a time, once it is known what time it is.
pub(crate) fn timed(failure: Failure, now: Wall) -> Failure {
    let now = Some(now);
    let told = failure.told.as_ref().filter(|_| failure.retry_after.is_none());
    let wait = told.and_then(|error| error.asked(now).or_else(|| wait(failure.fault, error, now)));
    Failure { retry_after: failure.retry_after.or(wait), ..failure }
}

/// How long an error asks to wait by its limits or in words, where waiting cures the fault.
fn wait(fault: Fault, error: &ErrorDetails, now: Option<Wall>) -> Option<Duration> {
    match fault {
        Fault::RateLimited => error.limits(now).or_else(|| hint::from_text(&error.message()?, now)),
        Fault::Overloaded => hint::from_text(&error.message()?, now),
        _ => None,
    }
}

fn failure(error: ErrorDetails, fault: Fault, status: u16, secrets: &Secrets) -> Failure {
    let message = message(&error, fault, status);
    let message = Some(secrets.clean(&message)).filter(|clean| !clean.is_empty());
    let message = message.unwrap_or_else(|| unexplained(status));
    let code = error.best_code().and_then(|code| secrets.code(code));
    let certain = is_certain(fault, status, &error);
    let told = Some(Box::new(error));
    Failure { code, certain, told, ..Failure::new(fault, message).with_status(status) }
}

/// Whether a fault that blocks its model is beyond doubt, so that no other request would fare better.
fn is_certain(fault: Fault, status: u16, error: &ErrorDetails) -> bool {
    match fault {
        Fault::QuotaExhausted if is_about_this_price(error) => false,
        Fault::QuotaExhausted if status == 402 && !error.html => true,
        Fault::QuotaExhausted => error.per_day || error.names(Topic::Money),
        Fault::Auth => error.names(Topic::Key),
        Fault::ModelNotFound => error.names(Topic::Model),
        Fault::BadEndpoint => error.says("unknown_url"),
        _ => true,
    }
}

/// Money is left, but not for a request as large as this one.
fn is_about_this_price(error: &ErrorDetails) -> bool {
    let texts = error.texts();
    [" can only afford", " fewer max tokens", " lower max tokens"].iter().any(|p| texts.say(p))
}

fn message(error: &ErrorDetails, fault: Fault, status: u16) -> String {
    let said = error.message();
    match fault {
        Fault::BadEndpoint if (300..400).contains(&status) => {
            format!("HTTP {status}: redirects are not followed; check base_url")
        }
        Fault::BadEndpoint => {
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            format!("no such API at this address (HTTP {status}); check base_url{said}")
        }
        _ => said.unwrap_or_else(|| unexplained(status)),
    }
}

fn unexplained(status: u16) -> String {
    format!("HTTP {status} without an explanation")
}

fn status_of_words(error: &ErrorDetails) -> u16 {
    let any = |words: &[&str]| words.iter().any(|word| error.says(word));
    match topic(error) {
        Some(Topic::Rate) => 429,
        Some(Topic::Busy) => 503,
        Some(Topic::Key) => 401,
        Some(Topic::Model) => 404,
        Some(_) => 400,
        None if any(&["UNAVAILABLE"]) => 503,
        None if any(&["not_found_error", "NOT_FOUND"]) => 404,
        None if any(&["invalid_request_error", "INVALID_ARGUMENT", "ValidationException"]) => 400,
        None => 502,
    }
}

/// What the error is about. A code is more exact than a text, but for the two that providers also
/// give to refused prompts, unpaid bills and missing features: "permission" and "not found".
fn topic(error: &ErrorDetails) -> Option<Topic> {
    let of_codes = topic::of(&error.codes());
    match of_codes {
        None | Some(Topic::Key | Topic::Model) => topic_of_texts(error).or(of_codes),
        of_codes => of_codes,
    }
}

/// What the texts are about. The caller's own words stand in some of them, a tool called
/// `get_credit_balance` for one: what would block the model or refuse the prompt must be said without
/// them.
fn topic_of_texts(error: &ErrorDetails) -> Option<Topic> {
    match topic::of(&error.texts())? {
        Topic::Policy | Topic::Money | Topic::Key | Topic::Model | Topic::Rate => {
            topic::of(&error.reasons())
        }
        other => Some(other),
    }
}

fn fault(status: u16, error: &ErrorDetails, hinted: bool) -> Fault {
    match status {
        402 if hinted => Fault::RateLimited,
        402 => Fault::QuotaExhausted,
        408 | 424 | 499 => Fault::ServerError,
        409 => Fault::Conflict,
        429 => too_many(error),
        300..400 | 405 | 415 => Fault::BadEndpoint,
        400..500 => client_error(status, error),
        500..600 => server_error(status, error),
        _ => Fault::BadBody,
    }
}

/// A 429: too many for now, unless it is money. Some speak of quota and billing in both cases, so
/// a text counts only when no wait can cure what it says.
fn too_many(error: &ErrorDetails) -> Fault {
    let incurable = [
        " insufficient balance",
        " insufficient credit",
        " balance is insufficient",
        " credit balance",
        " not enough balance",
        " arrear",
        " overdue",
        " recharge",
        " hard limit",
        "余额",
        "欠费",
        "充值",
    ];
    let texts = error.texts();
    let money = error.codes().are_about(Topic::Money)
        || error.per_day
        || incurable.iter().any(|phrase| texts.say(phrase));
    if money {
        Fault::QuotaExhausted
    } else if error.says("ModelNotReadyException") {
        Fault::Overloaded
    } else {
        Fault::RateLimited
    }
}

/// A 4xx: whose fault it is.
fn client_error(status: u16, error: &ErrorDetails) -> Fault {
    let is_path = matches!(status, 404 | 410) && wrong_address(error);
    let about = topic(error).filter(|_| !is_path && !error.html);
    match (about, status) {
        _ if error.moderated => Fault::Refused,
        (Some(Topic::Policy), _) => Fault::Refused,
        (Some(Topic::Money), _) => Fault::QuotaExhausted,
        (Some(Topic::Model), _) => Fault::ModelNotFound,
        (Some(Topic::Key), _) | (_, 401) => Fault::Auth,
        (Some(Topic::Glitch), _) => Fault::ModelGlitch,
        (Some(Topic::Rate), _) => Fault::RateLimited,
        (Some(Topic::Context), _) if error.says("string_above_max_length") => Fault::InvalidRequest,
        (Some(Topic::Context), _) => Fault::ContextTooLong,
        (Some(Topic::Size), _) => Fault::TooLarge,
        (Some(Topic::Busy), _) | (_, 498) => Fault::Overloaded,
        (Some(Topic::Feature), _) => Fault::UnsupportedParam,
        (None, 403 | 451) => Fault::Auth,
        (None, 404 | 410) if error.is_api_error && !is_path => Fault::ModelNotFound,
        (None, 404 | 410) => Fault::BadEndpoint,
        (None, 413 | 414 | 431) => Fault::TooLarge,
        (None, 400) if error.html => Fault::BadEndpoint,
        (None, _) => Fault::InvalidRequest,
    }
}

/// A 5xx. What is wrong with one request is told by a few servers in this way, too.
fn server_error(status: u16, error: &ErrorDetails) -> Fault {
    let codes = error.codes();
    match (topic(error), status) {
        (Some(Topic::Policy), _) => Fault::Refused,
        (_, 503 | 529) => Fault::Overloaded,
        (Some(Topic::Busy), _) => Fault::Overloaded,
        // A type that says whose fault it is, and a gateway's word for it, stand above texts.
        (_, 502 | 504) => Fault::ServerError,
        _ if codes.say(" server error") || codes.say(" internal") => Fault::ServerError,
        _ if error.says("UNAVAILABLE") || error.says("slow_down") => Fault::Overloaded,
        (Some(Topic::Context), _) => Fault::ContextTooLong,
        (Some(Topic::Glitch), _) => Fault::ModelGlitch,
        (Some(Topic::Feature), _) => Fault::UnsupportedParam,
        (_, 501) if error.is_api_error => Fault::UnsupportedParam,
        (_, 501) => Fault::BadEndpoint,
        _ => Fault::ServerError,
    }
}

fn wrong_address(error: &ErrorDetails) -> bool {
    let texts = error.texts();
    let codes = ["unknown_url", "UnknownOperationException"];
    codes.into_iter().any(|code| error.says(code))
        || texts.say(" invalid url")
        || texts.say(" unknown request url")
}

#[cfg(test)]
mod tests;
