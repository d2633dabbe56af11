//! Who owns what, and in which order things happen.
//!
//! One [`model::ModelActor`] per model owns that model's state; the [`router::RouterActor`] owns
//! the table of models and chains; the [`shadow::ShadowActor`] owns the copies of requests that
//! are made in the background; a [`dispatch`] is one request's way along its chain, and a `call` one
//! call on it. Handlers read the clock, ask the domain, do what it says and store the result: a
//! decision found in here is in the wrong place.
//!
//! Everything runs on one single-threaded runtime, so a message costs half a microsecond.

mod call;
pub mod daily_spend;
pub mod dispatch;
pub mod guard;
pub mod model;
pub mod permit;
pub mod router;
pub mod shadow;
pub mod sink;
pub mod table;
pub mod tracing_events;
mod views;
