//! Is the owner of a model alive, and may the model be called?
//!
//! The cheapest question there is: it changes nothing, and nothing is worked out for it.

use actix::{Context, Handler, Message};

use super::ModelActor;
use crate::actors::guard::Guarded;
use crate::domain::breaker::State;

/// How is the model, in one word?
#[derive(Message)]
#[rtype(result = "Condition")]
pub(crate) struct CheckLiveness;

/// Whether a model may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Up,
    /// Its circuit is open, or being tried.
    CircuitOpen,
    /// It lacks something that a person must give it.
    Misconfigured,
}

impl Handler<CheckLiveness> for ModelActor {
    type Result = Guarded<Condition>;

    fn handle(&mut self, _: CheckLiveness, _: &mut Context<Self>) -> Self::Result {
        self.guarded(|model, now| match model.state.circuit(now).state {
            _ if model.state.settings().misconfigured.is_some() => Condition::Misconfigured,
            State::Closed => Condition::Up,
            State::Open | State::HalfOpen => Condition::CircuitOpen,
        })
    }
}
