//! What everybody else sees of the copies: whether one may be made, and where requests are offered.
//!
//! The owner publishes its terms and its budget here, so that a dispatch knows without asking whether
//! a copy of its request may be sent, and a request that is of no use to it costs nothing.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Message};
use jiff::tz::TimeZone;

use super::{Cease, CopyServices, FinishedRequest, Offer, Renew, ShadowActor, SpentOnDay};
use crate::actors::table::ModelHandle;
use crate::clock::Clock;
use crate::domain::need::Needs;
use crate::domain::price::Nano;
use crate::domain::shadow::{AutomaticBudget, ShadowRules};
use crate::domain::time::{Mono, Wall};
use crate::protocol::chat::ChatRequest;
use crate::provider::Provider;
use crate::recorder::Recorder;

/// A recovering model is looked at this often, whoever asks for it.
const LOOK: Duration = Duration::from_secs(1);

/// What is configured about copies.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub rules: ShadowRules,
    /// Whose days the budget is for.
    pub zone: TimeZone,
    /// Requests under way from which on the daemon is busy.
    pub busy_at: usize,
}

/// The way to the owner of the copies; clones share everything.
#[derive(Clone)]
pub(crate) struct Shadows {
    actor: Addr<ShadowActor>,
    gate: Rc<Gate>,
}

/// So many callers wait that copies have to give way.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Busy;

/// What the owner tells, and what is counted for it.
pub(super) struct Gate {
    rules: Cell<ShadowRules>,
    budget: Cell<AutomaticBudget>,
    busy_at: Cell<usize>,
    under_way: Cell<usize>,
    ended: Cell<bool>,
    /// Until when a recovering model need not be looked at. At most one entry per model.
    quiet: RefCell<HashMap<Arc<str>, Mono>>,
}

/// A request under way.
pub(crate) struct UnderWay(Rc<Gate>);

impl Shadows {
    /// Starts the owner of the copies. They are made with `provider`, and `spent` says what they
    /// have cost on a day.
    pub(crate) fn start(
        terms: Terms,
        provider: Rc<dyn Provider>,
        recorder: &Recorder,
        clock: &Clock,
        spent: SpentOnDay,
    ) -> Shadows {
        let budget = AutomaticBudget::new(terms.rules.daily_budget);
        let gate = Rc::new(Gate {
            rules: Cell::new(terms.rules),
            budget: Cell::new(budget),
            busy_at: Cell::new(terms.busy_at),
            under_way: Cell::new(0),
            ended: Cell::new(false),
            quiet: RefCell::default(),
        });
        let now = clock.now().wall;
        let (recorder, clock) = (recorder.clone(), clock.clone());
        let services = Rc::new(CopyServices { provider, recorder, clock });
        let mut owner = ShadowActor {
            terms,
            budget,
            services,
            gate: gate.clone(),
            spent,
            asking: None,
            in_flight: Vec::new(),
            number: 0,
        };
        let actor = Actor::create(|context| {
            owner.ask_ledger(now, context);
            owner
        });
        Shadows { actor, gate }
    }

    /// What may be spent on a copy of a request; `None` if none may be sent at all.
    pub(crate) fn left(&self, needs: &Needs, now: Wall) -> Option<Nano> {
        let allowed = self.gate.rules.get().tools || !needs.tools;
        let works = self.actor.connected() && !self.gate.ended.get();
        self.gate.budget.get().left(now).filter(|_| allowed && works)
    }

    /// Counts a request as under way until what is returned is dropped.
    pub(crate) fn under_way(&self) -> UnderWay {
        let count = self.gate.under_way.get() + 1;
        self.gate.under_way.set(count);
        if count == self.gate.busy_at.get() {
            self.actor.do_send(Busy);
        }
        UnderWay(self.gate.clone())
    }

    /// Whether a request that uses these models is of any use to the owner of the copies.
    pub(crate) fn wants(
        &self,
        models: &[ModelHandle],
        needs: &Needs,
        answered: bool,
        now: Mono,
    ) -> bool {
        let sampled = answered && self.gate.rules.get().rate > 0.0;
        let allowed = self.gate.rules.get().tools || !needs.tools;
        allowed && (sampled || models.iter().any(|model| self.gate.is_recovering(model, now)))
    }

    /// Whether answers are to be compared, for which the caller's has to be known.
    pub(crate) fn compares(&self) -> bool {
        self.gate.rules.get().compare
    }

    /// Offers a request that was answered. It is let go if the owner is behind.
    pub(crate) fn offer(&self, request: Box<ChatRequest>, facts: FinishedRequest) {
        // Another request will do as well.
        let _ = self.actor.try_send(Offer { request: request.into(), facts });
    }

    pub(crate) fn renew(&self, terms: Terms) {
        self.actor.do_send(Renew(terms));
    }

    /// Gives up all copies and makes no more.
    pub(crate) async fn cease(&self) {
        self.gate.ended.set(true);
        // An owner that is gone has no copies either.
        let _ = self.actor.send(Cease).await;
    }
}

impl Gate {
    pub(super) fn publish(&self, terms: &Terms, budget: AutomaticBudget) {
        self.rules.set(terms.rules);
        self.busy_at.set(terms.busy_at);
        self.budget.set(budget);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.under_way.get() >= self.busy_at.get()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Takes note that a model is to be probed no sooner than `wait` from now.
    pub(super) fn quiet(&self, model: &Arc<str>, wait: Duration, now: Mono) {
        self.quiet.borrow_mut().insert(model.clone(), now.plus(wait.min(LOOK)));
    }

    /// Whether a model has a circuit that was opened, and may be looked at again.
    fn is_recovering(&self, model: &ModelHandle, now: Mono) -> bool {
        model.open_until.borrow().is_some() && !self.is_quiet(model.name(), now)
    }

    fn is_quiet(&self, model: &str, now: Mono) -> bool {
        self.quiet.borrow().get(model).is_some_and(|until| now < *until)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get().saturating_sub(1));
    }
}
