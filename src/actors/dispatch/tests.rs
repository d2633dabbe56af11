//! Requests dispatched to a scripted provider on paused time: the rules of routing, from outside.
//!
//! Real actors, a real configuration text and a real recorder; only the network and the clock are
//! played. A test says what each model does with its next calls, asks, and looks at the reply, at
//! who was called when, at health and at the log. An hour passes in a millisecond.
//!
//! Nothing here looks into an actor. What can be shown on a state machine alone is tested in
//! [`crate::domain`].

mod accept;
mod alike;
mod cancel;
mod ceilings;
mod circuit;
mod deadline;
mod early;
mod hedge;
mod holds;
mod limits;
mod log;
mod money;
mod order;
mod panics;
mod refusals;
mod retry;
mod rig;
mod script;
mod shadow;
mod simulation;
mod streams;
