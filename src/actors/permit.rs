//! The right to make one call, as a value that cannot be forgotten.
//!
//! A permit is settled exactly once. Dropping it unsettled, because the caller left or a task was
//! lost, reports the call as cancelled. So cancelling a request is dropping its future, and no lost
//! task can jam a half-open circuit.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use super::model::{ModelActor, Settle};
use crate::domain::bill::{Heard, Tariff};
use crate::domain::breaker::Asker;
use crate::domain::fault::Fault;
use crate::domain::ledger::CallKind;
use crate::domain::model::{Admission, Ended, Ending};
use crate::domain::time::{Mono, millis};

/// What the log tells about a call beyond its outcome.
#[derive(Clone, Debug)]
pub(crate) struct CallLabel {
    pub request_id: Arc<str>,
    pub task: Arc<str>,
    /// First model of the configured chain.
    pub primary: Arc<str>,
    pub kind: CallKind,
}

/// The right to make one call.
#[must_use = "a permit that is dropped reports its call as cancelled"]
pub(crate) struct Permit {
    /// `None` once it is settled.
    admitted: Option<Admitted>,
    model: Addr<ModelActor>,
    tariff: Tariff,
    heard: Heard,
    first_token_ms: Option<u64>,
    /// Hears when a caller needs the place of this call.
    displaced: Option<oneshot::Receiver<()>>,
}

/// What the model's owner has to know of a call that it admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) admission: Admission,
    /// Which of the owner's states admitted it.
    pub(super) generation: u64,
    pub(super) began: Mono,
    pub(super) label: CallLabel,
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

impl Permit {
    pub(super) fn new(
        admitted: Admitted,
        tariff: Tariff,
        model: Addr<ModelActor>,
        displaced: Option<oneshot::Receiver<()>>,
    ) -> Permit {
        let (admitted, heard, first_token_ms) = (Some(admitted), Heard::default(), None);
        Permit { admitted, model, tariff, heard, first_token_ms, displaced }
    }

    /// Resolves when a caller needs the place of this call; never for a caller's own, nor for one
    /// that was asked before.
    pub(super) fn displaced(&mut self) -> impl Future<Output = ()> + use<> {
        let displaced = self.displaced.take();
        async move {
            let told = match displaced {
                Some(displaced) => displaced.await.is_ok(),
                None => false,
            };
            if !told {
                // An owner that is gone needs no place.
                std::future::pending().await
            }
        }
    }

    /// Takes note of content: so many bytes of text, or other life. `after` says how long after the
    /// call's beginning, and is asked for the first of it alone.
    pub(super) fn hear(&mut self, bytes: usize, after: impl FnOnce() -> Duration) {
        if !std::mem::replace(&mut self.heard.any, true) {
            self.first_token_ms = Some(millis(after()));
        }
        self.heard.bytes += bytes;
    }

    /// What was heard until now.
    pub(super) fn heard(&self) -> Heard {
        self.heard
    }

    /// What its call is billed by.
    pub(super) fn tariff(&self) -> Tariff {
        self.tariff
    }

    /// How long the first content took.
    pub(super) fn first_token_ms(&self) -> Option<u64> {
        self.first_token_ms
    }

    /// Takes note that another call for the same request was faster.
    pub(super) fn in_vain(&mut self) {
        if let Some(admitted) = &mut self.admitted {
            admitted.label.kind = CallKind::Hedge;
        }
    }

    /// The end of a call that is given up now.
    pub(super) fn owed(&self) -> Ended {
        let fault = Ending { excused: true, ..Ending::new(Fault::Cancelled) };
        let (usage, cost) = self.tariff.failed(fault.fault, None, self.heard);
        let first_token_ms = self.first_token_ms;
        Ended { fault: Some(fault), usage, cost, first_token_ms, ..Ended::default() }
    }

    /// Reports how the call ended; gives any pause that it caused. `None` also when the report was
    /// lost to a fault of our own, which must not lose the caller's answer.
    pub(super) async fn settle(mut self, ended: Ended) -> Option<Duration> {
        let admitted = self.admitted.take()?;
        self.model.send(Settle { admitted, ended }).await.ok()?
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(admitted) = self.admitted.take() {
            self.model.do_send(Settle { admitted, ended: self.owed() });
        }
    }
}
