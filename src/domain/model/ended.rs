//! How a call ended, as its model's health sees it.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::bill::Cost;
use crate::domain::fault::Fault;
use crate::domain::price::Usage;

#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub fault: Option<Ending>,
    pub usage: Option<Usage>,
    pub cost: Cost,
    /// How long the first content of a streamed answer took.
    pub first_token_ms: Option<u64>,
    pub retry_after: Option<Duration>,
    /// A random number from 0 to 1.
    pub chance: f64,
    /// The request that it was made for.
    pub request: Arc<str>,
}

/// A failure, as health sees it.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub fault: Fault,
    pub status: Option<u16>,
    pub code: Option<String>,
    /// What the provider said, where the log tells it: masked, at most 200 characters.
    pub message: Option<String>,
    /// Whether a fault that blocks the model is beyond doubt.
    pub certain: bool,
    /// Whether another provider failed at the same request before, as this one did.
    pub shared: bool,
    /// Whether it is the caller's own doing (deadline, departure) and held against nobody.
    pub excused: bool,
}

impl Ending {
    /// A failure of which nothing but its kind is known.
    pub(crate) fn new(fault: Fault) -> Ending {
        let (status, code, message) = (None, None, None);
        Ending { fault, status, code, message, certain: true, shared: false, excused: false }
    }
}
