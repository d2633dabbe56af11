//! A request that is over, offered for a copy.

use std::sync::Arc;

use actix::Message;

use crate::actors::table::ModelHandle;
use crate::domain::need::Needs;
use crate::protocol::chat::ChatRequest;

/// A request that is over. Nothing of it is copied but the pointer to it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Offer {
    /// The request.
    pub request: Arc<ChatRequest>,
    /// Its number in the log.
    pub request_id: Arc<str>,
    /// The task it was for.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// The models of its chain.
    pub models: Vec<ModelHandle>,
    /// The models that were called for it.
    pub called: Vec<Arc<str>>,
    /// What it needs of a model.
    pub needs: Needs,
    /// Its temperature, with the default filled in.
    pub temperature: f64,
    /// Whether it got an answer. One that did not can still test a model that recovers.
    pub answered: bool,
}
