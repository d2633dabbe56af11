//! A request's way along its chain, as a pure machine.
//!
//! [`Progress::next`] is told what happened and says what to do: try a model, wait, pass one over,
//! or finish. Whoever carries that out (an actor) holds no rule of its own. Time and dice are
//! arguments, so a whole outage can be played in a test in no time.
//!
//! What a failure means is not decided here; see [`super::fault`].

mod next;
pub mod outcome;
mod progress;

pub(crate) use next::{FailedCall, Happened, Next, NoAnswer, Spare};
pub(crate) use progress::{Candidate, Progress, RouteRules};
