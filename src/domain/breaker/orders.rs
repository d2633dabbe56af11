//! What people do to a circuit: order a state, let the order end, put right what was wrong.

use super::{Breaker, Change, Force, Override, Phase, State};
use crate::domain::time::Now;

impl Breaker {
    /// Obeys a person: a state for a while, for ever, or (`None`) the breaker's own again.
    pub(crate) fn order(&mut self, order: Option<Override>, now: Now) -> Change {
        let from = self.state(now);
        self.forced = order;
        self.epoch += 1;
        self.probe = None;
        if order.is_some_and(|order| order.set == Force::Closed) {
            self.phase = Phase::Closed;
            self.run = 0;
        }
        self.since = now;
        let reason = match order.map(|order| order.set) {
            Some(Force::Open) => "override: forced open",
            Some(Force::Closed) => "override: forced closed",
            None => "override removed",
        };
        self.changed(from, reason.to_owned(), now)
    }

    /// Ends an order whose time is over.
    pub(crate) fn expire(&mut self, now: Now) -> Option<Change> {
        let over = self.forced?.until?.passed(now);
        over.then(|| {
            let from = match self.forced.take() {
                Some(Override { set: Force::Open, .. }) => State::Open,
                _ => State::Closed,
            };
            self.epoch += 1;
            self.since = now;
            self.changed(from, "override ended".to_owned(), now)
        })
    }

    /// Closes a circuit that was open for a reason that needs a person.
    pub(crate) fn cure(&mut self, now: Now) -> Option<Change> {
        let blocked = matches!(self.phase, Phase::Open { blocked: true, .. });
        (blocked && self.forced(now).is_none()).then(|| {
            let change = self.close(now);
            Change { reason: "its provider was reconfigured".to_owned(), ..change }
        })
    }
}
