//! What people who look after the machine are told about models and requests.
//!
//! One line when a model is out and one when it is back, however often it was tried in between;
//! whatever happens per request is for those who look for a fault. The names of the fields are
//! those of the health log, in a journal in capitals: `MODEL`, `TASK`, `REQUEST_ID`, `ERROR_TYPE`.
//! No field can hold a key or message content.

use tracing::field::display;

use crate::domain::breaker::{Change, State};
use crate::domain::fault::Fault;
use crate::protocol::calendar::rfc3339;
use crate::protocol::log::{CallEvent, RequestEvent};
use crate::protocol::reply::ErrorCode;

/// Target of what deserves more notice than an ordinary line: tracing has no level for it.
pub(crate) const NOTICE: &str = "notice";

/// A circuit changed; `fault` is the failure that did it, if one did.
pub(super) fn circuit(model: &str, change: &Change, fault: Option<Fault>) {
    let Change { from, to, reason, retry_at } = change;
    let error_type = fault.map(display);
    let retry_at = retry_at.map(rfc3339).map(display);
    match (from, to) {
        (State::Closed, State::Open | State::HalfOpen) => tracing::info!(
            target: NOTICE, model, error_type, %reason, retry_at, "a model is out"
        ),
        (State::Open | State::HalfOpen, State::Closed) => {
            tracing::info!(target: NOTICE, model, %reason, "a model is back");
        }
        _ => {
            let (from, to) = (from.name(), to.name());
            tracing::debug!(model, error_type, from, to, %reason, retry_at, "a circuit changed");
        }
    }
}

pub(super) fn call(call: &CallEvent) {
    tracing::debug!(
        model = &*call.model_name,
        task = &*call.task,
        request_id = &*call.request_id,
        error_type = call.error_type.map(display),
        latency_ms = call.latency_ms,
        "a call ended"
    );
}

pub(super) fn request(request: &RequestEvent) {
    tracing::debug!(
        model = request.model_used.as_deref(),
        task = &*request.task,
        request_id = &*request.request_id,
        error_type = request.error.map(ErrorCode::name),
        latency_ms = request.latency_ms,
        "a request ended"
    );
}
