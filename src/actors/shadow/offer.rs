//! A request that is over, offered for a copy.

use std::sync::Arc;

use actix::Message;

use crate::actors::permit::CallLabel;
use crate::actors::table::ModelHandle;
use crate::domain::accept::Accept;
use crate::domain::compare::Text;
use crate::domain::need::Needs;
use crate::protocol::chat::ChatRequest;
use crate::protocol::log::AnswerFacts;

/// A request that is over.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Offer {
    /// The request. It is not copied, only pointed to.
    pub(super) request: Arc<ChatRequest>,
    pub(super) facts: FinishedRequest,
}

/// What is to be known of a request that is over.
pub(crate) struct FinishedRequest {
    /// What the log tells about its calls.
    pub label: CallLabel,
    pub models: Vec<ModelHandle>,
    pub called: Vec<Arc<str>>,
    pub needs: Needs,
    /// Its temperature, with the default filled in.
    pub temperature: Option<f64>,
    pub accept: Option<Arc<Accept>>,
    /// Whether it got an answer. One that did not can still test a model that recovers.
    pub answered: bool,
    /// Its answer, if a copy's is to be compared with it.
    pub answer: Option<Reference>,
}

/// The answer that a caller got.
pub(crate) struct Reference {
    pub model: Arc<str>,
    pub facts: AnswerFacts,
    pub text: Text,
}
