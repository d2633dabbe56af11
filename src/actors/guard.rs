//! What a panic in an actor costs: the message it was handling, and nothing else.
//!
//! actix lets a panicking handler take its actor with it: the mailbox closes, nobody is told, and
//! every handle to the model points at nothing for ever. Replacing the actor would mean replacing
//! its address in the table, in every table that requests under way still hold, and in every
//! permit. So the panic is stopped inside the handler instead, the actor lives on under its
//! address, and whoever sent the message sees the same closed answer as from an actor that is gone.
//!
//! What the panic may have left half-changed must not be used again. A model's owner makes a new
//! state from what was stored (see [`super::model`]) and counts that with [`Rebuilds`]; the router
//! only ever replaces its table whole.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};
use futures_util::FutureExt;
use tokio::sync::watch;

use crate::domain::rebuilds;
use crate::domain::time::Mono;

/// A handler's answer; `None` when it was lost to a panic, which its sender sees as a closed
/// mailbox.
pub(crate) struct Guarded<R>(pub(super) Option<R>);

/// An answer that takes a while, worked out in a task of its own: a panic in there loses it alone.
pub(crate) struct Apart<R>(Pin<Box<dyn Future<Output = R>>>);

/// Counts the rebuilds of all models, and tells when they have become too many.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilds(Rc<Counted>);

#[derive(Debug)]
struct Counted {
    recent: RefCell<rebuilds::RecentRebuilds>,
    too_many: watch::Sender<bool>,
}

impl<R> Guarded<R> {
    /// Does `work`, and survives its panic. What it may leave half-changed is the caller's to mend.
    pub(super) fn of(work: impl FnOnce() -> R) -> Guarded<R> {
        Guarded(catch_unwind(AssertUnwindSafe(work)).ok())
    }
}

impl<A: Actor, M: Message> MessageResponse<A, M> for Guarded<M::Result> {
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<M::Result>>) {
        deliver(self.0, sender);
    }
}

impl<R> Apart<R> {
    /// The answer that `work` will give. It changes nothing that others use.
    pub(super) fn of(work: impl Future<Output = R> + 'static) -> Apart<R> {
        Apart(Box::pin(work))
    }
}

impl<A: Actor, M: Message> MessageResponse<A, M> for Apart<M::Result> {
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<M::Result>>) {
        actix::spawn(async move {
            deliver(AssertUnwindSafe(self.0).catch_unwind().await.ok(), sender);
        });
    }
}

fn deliver<R>(answer: Option<R>, sender: Option<OneshotSender<R>>) {
    if let (Some(answer), Some(sender)) = (answer, sender) {
        // A sender that no longer waits needs no answer.
        let _ = sender.send(answer);
    }
}

impl Rebuilds {
    pub(crate) fn none() -> Rebuilds {
        let (too_many, _) = watch::channel(false);
        Rebuilds(Rc::new(Counted { recent: RefCell::default(), too_many }))
    }

    /// Takes note that the state of `model` was lost.
    pub(super) fn note(&self, model: &str, now: Mono) {
        tracing::error!(
            model,
            "a fault of our own in the model's owner; its state is rebuilt from what was stored"
        );
        if self.0.recent.borrow_mut().note(now) {
            self.0.too_many.send_replace(true);
        }
    }

    /// Resolves when so many states were lost within a minute that the daemon should end.
    pub(crate) async fn too_many(&self) {
        let mut told = self.0.too_many.subscribe();
        // The sender lives as long as we do.
        let _ = told.wait_for(|too_many| *too_many).await;
    }
}
