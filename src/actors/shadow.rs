//! The actor that owns the copies of requests: which are made, what they may cost, how many there
//! are at once.
//!
//! A request that has been answered is offered here, after its reply. A share of them is sent to
//! one backup as well, so that a backup is known to work before it is needed; and a model whose
//! circuit is open is tried with one, so that no caller has to. Whether a copy may be sent is
//! decided by the model's own actor, as for every call. Nobody waits for anything that happens
//! here, and nothing that happens here reaches a caller.
//!
//! Callers come first: with half of `limits.in_flight` under way no more copies are made, and those
//! under way are given up. Probes, of which there is one per model at most, go on.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use tokio::task::AbortHandle;

use self::copy::CopyServices;
use self::gate::Gate;
use super::guard::Guarded;
use super::model::AskAvailability;
use super::table::ModelHandle;
use crate::domain::ledger::CallKind;
use crate::domain::model::Availability;
use crate::domain::need::{Needs, SkipReason};
use crate::domain::price::Nano;
use crate::domain::shadow::{AutomaticBudget, Backup, oldest, sampled};
use crate::domain::time::Wall;
use crate::protocol::calendar::Day;

mod copy;
mod day;
mod gate;
mod offer;

pub(crate) use day::{SpentOnDay, from_ledger};
pub(crate) use gate::{Busy, Shadows, Terms};
pub(crate) use offer::{FinishedRequest, Offer, Reference};

/// The owner of all copies of requests.
pub(crate) struct ShadowActor {
    terms: Terms,
    budget: AutomaticBudget,
    services: Rc<CopyServices>,
    gate: Rc<Gate>,
    spent: SpentOnDay,
    /// Whether the ledger is being asked what was spent, and whether its answer is out of date
    /// because something was spent meanwhile.
    asking: Option<Dated>,
    in_flight: Vec<CopyInFlight>,
    number: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dated {
    Valid,
    Stale,
}

/// A copy under way.
struct CopyInFlight {
    number: u64,
    kind: CallKind,
    model: Arc<str>,
    reserved: Nano,
    task: AbortHandle,
}

/// A request and how the models that could take a copy of it stand.
#[derive(Message)]
#[rtype(result = "()")]
struct Look {
    offer: Arc<Offer>,
    sampled: bool,
    availabilities: Vec<(ModelHandle, Availability)>,
}

/// What the ledger says was spent on a day.
#[derive(Message)]
#[rtype(result = "()")]
struct Known {
    day: (Wall, Wall),
    spent: Option<Nano>,
}

/// A copy is over, whatever became of it.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CopySettled {
    number: u64,
    cost: Nano,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Renew(pub Terms);

/// Give up all copies, because the daemon ends.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Cease;

impl ShadowActor {
    fn publish(&self) {
        self.gate.publish(&self.terms, self.budget);
    }

    /// Asks the ledger what was spent today, unless that is known.
    fn ask_ledger(&mut self, now: Wall, context: &Context<ShadowActor>) {
        if self.asking.is_some() || !self.budget.is_stale(now) {
            return;
        }
        self.asking = Some(Dated::Valid);
        let day = Day::of(now, &self.terms.zone);
        let spent = (self.spent)(day, self.terms.zone.clone());
        let (day, actor) = ((day.start, day.end), context.address());
        actix::spawn(async move { actor.do_send(Known { day, spent: spent.await }) });
    }

    /// Sends one copy, if there is money for it.
    fn start_copy(
        &mut self,
        kind: CallKind,
        offer: &Arc<Offer>,
        model: &ModelHandle,
        availability: &Availability,
        address: Addr<ShadowActor>,
    ) {
        let reserved = availability.copy.cost;
        if !self.budget.reserve(reserved, self.services.clock.now().wall) {
            return;
        }
        self.number += 1;
        let settles = copy::SettlesCopy::new(self.number, address);
        let (services, offer) = (self.services.clone(), offer.clone());
        let task = actix::spawn(copy::send(services, offer, model.clone(), kind, settles));
        self.in_flight.push(CopyInFlight {
            number: self.number,
            kind,
            model: model.name().clone(),
            reserved,
            task: task.abort_handle(),
        });
        self.publish();
    }

    /// Tries every recovering model that is due.
    fn probe(&mut self, look: &Look, address: &Addr<ShadowActor>) {
        let now = self.services.clock.mono();
        for (model, availability) in &look.availabilities {
            let Some(wait) = availability.copy.probe_in else { continue };
            self.gate.quiet(model.name(), wait, now);
            let kept_out = availability.skip.map(|skip| skip.reason);
            let by_its_circuit = kept_out.is_none_or(|reason| reason == SkipReason::CircuitOpen);
            if wait.is_zero() && by_its_circuit {
                self.start_copy(CallKind::Probe, &look.offer, model, availability, address.clone());
            }
        }
    }

    /// Sends a copy to the backup of which least is known.
    fn shadow(&mut self, look: &Look, address: Addr<ShadowActor>) {
        let copies = self.in_flight.iter().filter(|in_flight| in_flight.kind == CallKind::Shadow);
        if self.gate.is_busy() || copies.count() >= self.terms.rules.max_in_flight as usize {
            return;
        }
        let backups =
            look.availabilities.iter().enumerate().filter(|(_, (model, availability))| {
                let ready = availability.skip.is_none() && !availability.copy.awaited;
                ready && !look.offer.facts.called.contains(model.name())
            });
        let chosen = oldest(backups.map(|(place, (model, availability))| {
            let copies = self.in_flight.iter().filter(|in_flight| in_flight.model == *model.name());
            Backup { copies: copies.count(), data: availability.copy.data, place }
        }));
        if let Some((model, availability)) = chosen.and_then(|place| look.availabilities.get(place))
        {
            self.start_copy(CallKind::Shadow, &look.offer, model, availability, address);
        }
    }

    fn give_up(&mut self, which: impl Fn(&CopyInFlight) -> bool) {
        // Its end is told by what it drops.
        self.in_flight
            .iter()
            .filter(|in_flight| which(in_flight))
            .for_each(|in_flight| in_flight.task.abort());
    }
}

async fn availabilities(
    models: Vec<ModelHandle>,
    needs: Needs,
) -> Vec<(ModelHandle, Availability)> {
    let mut availabilities = Vec::with_capacity(models.len());
    for model in models {
        // An owner that lost its answer is left alone this time.
        if let Ok(availability) = model.actor.send(AskAvailability(needs)).await {
            availabilities.push((model, availability));
        }
    }
    availabilities
}

impl Actor for ShadowActor {
    type Context = Context<Self>;
}

impl Handler<Offer> for ShadowActor {
    type Result = Guarded<()>;

    fn handle(&mut self, offer: Offer, context: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            self.ask_ledger(self.services.clock.now().wall, context);
            let rate = self.terms.rules.rate;
            let sampled = offer.facts.answered && sampled(rate, fastrand::f64());
            let wanted = |model: &&ModelHandle| sampled || model.open_until.borrow().is_some();
            let models: Vec<_> = offer.facts.models.iter().filter(wanted).cloned().collect();
            if models.is_empty() {
                return;
            }
            let (offer, actor) = (Arc::new(offer), context.address());
            actix::spawn(async move {
                let availabilities = availabilities(models, offer.facts.needs).await;
                actor.do_send(Look { offer, sampled, availabilities });
            });
        })
    }
}

impl Handler<Look> for ShadowActor {
    type Result = Guarded<()>;

    fn handle(&mut self, look: Look, context: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            if self.gate.has_ended() {
                return;
            }
            self.probe(&look, &context.address());
            if look.sampled {
                self.shadow(&look, context.address());
            }
        })
    }
}

impl Handler<Known> for ShadowActor {
    type Result = Guarded<()>;

    fn handle(&mut self, known: Known, context: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            let dated = self.asking.take();
            let Some(spent) = known.spent else { return };
            if dated == Some(Dated::Stale) {
                return self.ask_ledger(self.services.clock.now().wall, context);
            }
            self.budget.spent(known.day, spent);
            self.publish();
        })
    }
}

impl Handler<CopySettled> for ShadowActor {
    type Result = Guarded<()>;

    fn handle(&mut self, landed: CopySettled, _: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            let place =
                self.in_flight.iter().position(|in_flight| in_flight.number == landed.number);
            let Some(place) = place else { return };
            let in_flight = self.in_flight.swap_remove(place);
            self.budget.settle(in_flight.reserved, landed.cost);
            self.asking = self.asking.map(|_| Dated::Stale);
            self.publish();
        })
    }
}

impl Handler<Busy> for ShadowActor {
    type Result = Guarded<()>;

    fn handle(&mut self, _: Busy, _: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| self.give_up(|in_flight| in_flight.kind == CallKind::Shadow))
    }
}

impl Handler<Renew> for ShadowActor {
    type Result = Guarded<()>;

    fn handle(&mut self, Renew(terms): Renew, context: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            self.budget.set_limit(terms.rules.daily_budget);
            if terms.zone != self.terms.zone {
                // Another day may be today.
                self.budget = AutomaticBudget::new(terms.rules.daily_budget);
            }
            self.terms = terms;
            self.publish();
            self.ask_ledger(self.services.clock.now().wall, context);
        })
    }
}

impl Handler<Cease> for ShadowActor {
    type Result = Guarded<()>;

    fn handle(&mut self, _: Cease, _: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            self.give_up(|_| true);
        })
    }
}
