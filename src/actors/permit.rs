//! The right to make one call, as a value that cannot be forgotten.
//!
//! A permit is settled exactly once. Dropping it unsettled, because the caller left or a task was
//! lost, reports the call as cancelled. So cancelling a request is dropping its future, and no lost
//! task can jam a half-open circuit.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use super::model::{FinishedCall, ModelActor, Settle, Settled};
use crate::domain::breaker::Asker;
use crate::domain::fault::Fault;
use crate::domain::model::{Admission, Ended, Ending};
use crate::domain::price::{Nano, Usage};
use crate::domain::time::{Mono, millis};
use crate::protocol::log::CallKind;

/// What the log tells about a call beyond its outcome.
#[derive(Clone, Debug)]
pub struct CallLabel {
    /// The request it is made for.
    pub request_id: Arc<str>,
    /// The request's task.
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    /// Why it is made.
    pub kind: CallKind,
    /// When it began.
    pub began: Mono,
}

/// The right to make one call.
#[must_use = "a permit that is dropped reports its call as cancelled"]
pub struct Permit {
    admitted: Option<(Admission, CallLabel)>,
    first_token_ms: Option<u64>,
    /// What it has come to by now, if it is dropped.
    owed: Option<(Usage, Cost)>,
    /// Which of the model's states admitted it.
    life: u64,
    model: Addr<ModelActor>,
    /// Hears when a caller needs the place of this call.
    displaced: Option<oneshot::Receiver<()>>,
}

/// The places that copies of requests take among a model's calls at once: each is told when a
/// caller needs it.
#[derive(Default)]
pub(super) struct Places(Vec<oneshot::Sender<()>>);

impl Places {
    /// Makes room for a caller, and lets a copy hear when it has to.
    pub(super) fn place(
        &mut self,
        admission: &Admission,
        by: Asker,
    ) -> Option<oneshot::Receiver<()>> {
        self.0.retain(|copy| !copy.is_closed());
        if admission.displaces
            && let Some(copy) = self.0.pop()
        {
            // One that has just ended has made room by itself.
            let _ = copy.send(());
        }
        matches!(by, Asker::Shadow | Asker::Probe).then(|| {
            let (sender, displaced) = oneshot::channel();
            self.0.push(sender);
            displaced
        })
    }
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The amount, where there is a price.
    pub amount: Option<Nano>,
    /// What the primary would have cost for the same tokens.
    pub primary: Option<Nano>,
    /// Whether tokens were estimated.
    pub estimated: bool,
}

impl Permit {
    pub(super) fn new(
        (admission, life): (Admission, u64),
        label: CallLabel,
        model: Addr<ModelActor>,
    ) -> Permit {
        Permit {
            admitted: Some((admission, label)),
            first_token_ms: None,
            owed: None,
            life,
            model,
            displaced: None,
        }
    }

    /// The same for a call that gives way to callers.
    pub(super) fn giving_way(mut self, displaced: Option<oneshot::Receiver<()>>) -> Permit {
        self.displaced = displaced;
        self
    }

    /// Resolves when a caller needs the place of this call; never for a caller's own.
    pub async fn displaced(&mut self) {
        let told = match self.displaced.take() {
            Some(displaced) => displaced.await.is_ok(),
            None => false,
        };
        if !told {
            // An owner that is gone needs no place.
            std::future::pending().await
        }
    }

    /// Takes note of how long the first content of a streamed answer took.
    pub fn began_to_answer(&mut self, after: Duration) {
        self.first_token_ms = Some(millis(after));
    }

    /// Takes note of what a call has come to that is not at its end.
    pub fn owes(&mut self, usage: Usage, cost: Cost) {
        self.owed = Some((usage, cost));
    }

    /// Takes note that another call for the same request was faster.
    pub fn in_vain(&mut self) {
        if let Some((_, label)) = &mut self.admitted {
            label.kind = CallKind::Hedge;
        }
    }

    /// Reports how the call ended. `None` when the report was lost to a fault of our own, which must
    /// not lose the caller's answer.
    pub async fn settle(mut self, ended: Ended, cost: Cost) -> Option<Settled> {
        let (admission, label) = self.admitted.take()?;
        let first_token_ms = self.first_token_ms;
        let call = FinishedCall { label, ended, cost, first_token_ms };
        self.model.send(Settle { admission, life: self.life, call }).await.ok()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some((admission, label)) = self.admitted.take() else { return };
        let fault = Ending { fault: Fault::Cancelled, status: None, code: None, excused: true };
        let (usage, cost) = self.owed.unzip();
        let ended =
            Ended { fault: Some(fault), latency_ms: 0, usage, retry_after: None, chance: 0.0 };
        let (cost, first_token_ms) = (cost.unwrap_or_default(), self.first_token_ms);
        let call = FinishedCall { label, ended, cost, first_token_ms };
        self.model.do_send(Settle { admission, life: self.life, call });
    }
}
