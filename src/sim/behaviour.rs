//! What a simulated provider does with a call, said by meaning instead of by status code.
//!
//! A test says "this model is overloaded"; which status, which words and which headers that is
//! differs per provider and is the business of the file of that provider. So one script reads the
//! same for all three kinds. Nothing here knows HTTP or looks at a request.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::flow::Flow;

/// What happens to one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Behaviour {
    /// The request is checked as the provider would and answered.
    #[default]
    Ok,
    /// As `Ok`, with this text as the answer.
    Say(String),
    /// As `Ok`, streamed like this where a stream is asked for.
    Stream(Box<Flow>),
    /// An error in the provider's own shape.
    Error(ProviderError),
    /// A complete reply that holds no answer.
    Odd(Odd),
    /// Waits, then does the other thing.
    After(Duration, Box<Behaviour>),
    /// Accepts the request and never answers.
    Hang,
    /// Waits for [`release`](super::Simulator::release), then answers as `Ok`.
    Held,
    /// Reads the request, then resets the connection.
    ResetBeforeHeaders,
    /// Resets the connection as soon as it is accepted. The model is not known by then, so only
    /// scripts for all models can do this; on a connection that is open already it is
    /// `ResetBeforeHeaders`.
    ResetOnConnect,
    /// Half of a good answer, then the connection ends.
    TruncatedBody,
    /// A page of HTML with status 200.
    NotJson,
    /// A page of HTML with status 404, as a wrong address gives.
    Html404,
    /// A good answer with this many blanks before it.
    HugeBody(usize),
    /// The provider's error for a wrong key, with the whole received key in its text.
    EchoKey,
    /// Exactly this, whatever the format.
    Raw {
        /// HTTP status of the reply.
        status: u16,
        /// More headers than `content-length`, names and values.
        headers: Vec<(String, String)>,
        /// The body, which is called JSON.
        body: String,
    },
}

/// An error, by meaning; fields that are set win over what the provider would say.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderError {
    /// What went wrong, by meaning.
    pub meaning: Meaning,
    /// HTTP status, instead of the usual one.
    pub status: Option<u16>,
    /// The provider's code: OpenAI's `code`, Anthropic's `type`, Google's `status`.
    pub code: Option<String>,
    /// The field that is wrong; only OpenAI has a place for it.
    pub param: Option<Box<str>>,
    /// The text for people.
    pub message: Option<String>,
    /// How long to wait: the text of the header, or of Google's `RetryInfo` when it is a number.
    pub retry_after: Option<String>,
    /// More headers, names and values.
    pub headers: Vec<(String, String)>,
}

/// What an error means, whatever the provider calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Too busy at the moment.
    Overloaded,
    /// Broken inside, for any reason.
    ServerError,
    /// Too many requests of this caller.
    RateLimited,
    /// The money is used up.
    Quota,
    /// The key is wrong.
    Auth,
    /// There is no such model.
    ModelNotFound,
    /// The prompt does not fit.
    ContextTooLong,
    /// The prompt is against the rules. Google says that with a 200.
    ContentPolicy,
    /// This model does not take that parameter.
    UnsupportedParam,
    /// The request is wrong and always will be.
    InvalidRequest,
}

/// Replies that look complete and are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Status 200 with an error as the body.
    ErrorIn200,
    /// The provider's filter took the answer away.
    Blocked,
    /// A proper finish without text.
    Empty,
    /// The model itself declines.
    Refusal,
    /// The model made something unusable. Anthropic has no such reply; there it is `Empty`.
    Glitch,
}

impl Behaviour {
    /// The service is too busy to answer.
    pub fn overloaded() -> Self {
        Self::error(Meaning::Overloaded)
    }

    /// Something is broken inside the service.
    pub fn server_error() -> Self {
        Self::error(Meaning::ServerError)
    }

    /// Too many requests; the text is passed on as it is, so that dates and nonsense can be sent.
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        let mut reply = ProviderError::new(Meaning::RateLimited);
        reply.retry_after = retry_after.map(str::to_owned);
        Self::Error(reply)
    }

    /// The money is used up.
    pub fn quota() -> Self {
        Self::error(Meaning::Quota)
    }

    /// The key is wrong.
    pub fn auth() -> Self {
        Self::error(Meaning::Auth)
    }

    /// There is no model of this name.
    pub fn model_not_found() -> Self {
        Self::error(Meaning::ModelNotFound)
    }

    /// The prompt does not fit.
    pub fn context_too_long() -> Self {
        Self::error(Meaning::ContextTooLong)
    }

    /// The prompt is against the rules.
    pub fn content_policy() -> Self {
        Self::error(Meaning::ContentPolicy)
    }

    /// This model does not take some parameter.
    pub fn unsupported_param() -> Self {
        Self::error(Meaning::UnsupportedParam)
    }

    /// The request is wrong.
    pub fn invalid_request() -> Self {
        Self::error(Meaning::InvalidRequest)
    }

    /// A page of HTML instead of an API.
    pub fn html_404() -> Self {
        Self::Html404
    }

    /// Status 200 with an error as the body.
    pub fn error_in_200() -> Self {
        Self::Odd(Odd::ErrorIn200)
    }

    /// The filter took the answer away.
    pub fn blocked_200() -> Self {
        Self::Odd(Odd::Blocked)
    }

    /// A proper finish without text.
    pub fn empty() -> Self {
        Self::Odd(Odd::Empty)
    }

    /// The model declines to answer.
    pub fn refusal() -> Self {
        Self::Odd(Odd::Refusal)
    }

    /// The model made something unusable.
    pub fn malformed_glitch() -> Self {
        Self::Odd(Odd::Glitch)
    }

    /// An error with this status, in the provider's shape and words for it.
    pub fn status(status: u16) -> Self {
        let meaning = match status {
            401 => Meaning::Auth,
            402 => Meaning::Quota,
            404 => Meaning::ModelNotFound,
            429 => Meaning::RateLimited,
            503 | 529 => Meaning::Overloaded,
            500..=599 => Meaning::ServerError,
            _ => Meaning::InvalidRequest,
        };
        Self::Error(ProviderError { status: Some(status), ..ProviderError::new(meaning) })
    }

    /// Whether it ends in an answer, or in something that stands for one.
    pub(super) fn is_an_answer(&self) -> bool {
        matches!(self, Self::Ok | Self::Say(_) | Self::Odd(_) | Self::Held | Self::TruncatedBody)
    }

    /// A good answer after this long.
    pub fn delay(time: Duration) -> Self {
        Self::Ok.after(time)
    }

    /// The same, after this long.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self::After(time, Box::new(self))
    }

    fn error(meaning: Meaning) -> Self {
        Self::Error(ProviderError::new(meaning))
    }
}

impl ProviderError {
    /// The provider's usual reply for this.
    pub fn new(meaning: Meaning) -> Self {
        Self {
            meaning,
            status: None,
            code: None,
            param: None,
            message: None,
            retry_after: None,
            headers: Vec::new(),
        }
    }

    /// The usual reply with another text.
    pub(super) fn saying(meaning: Meaning, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(meaning) }
    }

    /// A request that is wrong, and what the provider says about it.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::saying(Meaning::InvalidRequest, message)
    }
}

/// Refuses a request as one that is wrong, saying this about it.
pub(super) fn refused<T>(message: impl Into<String>) -> Result<T, ProviderError> {
    Err(ProviderError::invalid(message))
}

/// The scripts of one simulator. One-shot entries go first, and what is said for a model goes
/// before what is said for all.
#[derive(Debug, Default)]
pub(super) struct Script {
    all: BehaviourQueue,
    models: HashMap<String, BehaviourQueue>,
}

#[derive(Debug, Default)]
struct BehaviourQueue {
    once: VecDeque<Behaviour>,
    always: Option<Behaviour>,
}

impl Script {
    pub(super) fn set(&mut self, model: Option<&str>, behaviour: Behaviour) {
        self.line(model).always = Some(behaviour);
    }

    pub(super) fn push(&mut self, model: Option<&str>, behaviour: Behaviour) {
        self.line(model).once.push_back(behaviour);
    }

    /// Takes what the next call of this model gets.
    pub(super) fn take(&mut self, model: &str) -> Behaviour {
        let mut own = self.models.get_mut(model);
        if let Some(next) = own.as_mut().and_then(|line| line.once.pop_front()) {
            return next;
        }
        if let Some(next) = self.all.once.pop_front() {
            return next;
        }
        own.and_then(|line| line.always.clone())
            .or_else(|| self.all.always.clone())
            .unwrap_or_default()
    }

    /// Whether a connection accepted now is to be reset; uses up a one-shot entry.
    pub(super) fn take_reset_on_connect(&mut self) -> bool {
        match self.all.once.front() {
            Some(Behaviour::ResetOnConnect) => self.all.once.pop_front().is_some(),
            Some(_) => false,
            None => self.all.always == Some(Behaviour::ResetOnConnect),
        }
    }

    fn line(&mut self, model: Option<&str>) -> &mut BehaviourQueue {
        match model {
            Some(model) => self.models.entry(model.to_owned()).or_default(),
            None => &mut self.all,
        }
    }
}
