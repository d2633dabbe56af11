//! The actor that owns the table of models and chains.
//!
//! It gives each request its chain and lets it be dispatched; it never waits for anybody, and it
//! knows nothing about health. New policies belong into the domain, not here. A panic over a
//! message costs its answer: the table is only read, or replaced whole.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use futures_util::future::join_all;

use super::dispatch::{self, Services};
use super::guard::{Apart, Guarded};
use super::model::liveness::{CheckLiveness, Condition};
use super::model::{SetOverride, Snapshot};
use super::sink::Sink;
use super::table::Table;
use crate::config::Config;
use crate::domain::breaker::OverrideState;
use crate::domain::time::Now;
use crate::protocol::chains::{ChainView, Chains};
use crate::protocol::chat::ChatRequest;
use crate::protocol::health::{BreakerView, ModelHealth};
use crate::protocol::reload::Renewal;
use crate::protocol::reply::ErrorBody;
use crate::protocol::request::{BreakerOp, BreakerSet};

/// The owner of the table.
pub(crate) struct RouterActor {
    table: Rc<Table>,
    services: Rc<Services>,
}

/// Answer this request into this sink.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Route {
    pub request: Box<ChatRequest>,
    pub sink: Sink,
    pub arrived: Now,
    pub peer_uid: Option<u32>,
}

/// All models' health by name.
pub(crate) type ModelsHealth = BTreeMap<Arc<str>, ModelHealth>;

/// How are all models doing?
#[derive(Message)]
#[rtype(result = "ModelsHealth")]
pub(crate) struct AskHealth(pub Option<Duration>);

/// Which order would every task take?
#[derive(Message)]
#[rtype(result = "Chains")]
pub(crate) struct AskChains;

/// Override a circuit, or let it go.
#[derive(Message)]
#[rtype(result = "Result<BreakerView, ErrorBody>")]
pub(crate) struct SetBreaker {
    pub op: BreakerOp,
    pub peer_uid: Option<u32>,
}

/// Is everybody alive? The owner of each model answers for itself.
#[derive(Message)]
#[rtype(result = "Liveness")]
pub(crate) struct CheckAllModels;

/// The models by name, each with its condition; `None` for one whose owner did not answer.
pub(crate) type Liveness = Vec<(Arc<str>, Option<Condition>)>;

/// Take a changed configuration, which has no mistakes.
#[derive(Message)]
#[rtype(result = "Renewal")]
pub(crate) struct Reload(pub Box<Config>);

impl RouterActor {
    /// A router over `table`, whose requests are dispatched with `services`.
    pub(crate) fn new(table: Table, services: Services) -> RouterActor {
        RouterActor { table: Rc::new(table), services: Rc::new(services) }
    }
}

impl Actor for RouterActor {
    type Context = Context<Self>;
}

impl Handler<Route> for RouterActor {
    type Result = Guarded<()>;

    fn handle(&mut self, route: Route, _: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            actix::spawn(dispatch::run(self.table.clone(), self.services.clone(), route));
        })
    }
}

impl Handler<AskHealth> for RouterActor {
    type Result = Apart<ModelsHealth>;

    fn handle(&mut self, ask: AskHealth, _: &mut Context<Self>) -> Self::Result {
        let (table, services) = (self.table.clone(), self.services.clone());
        Apart::of(async move {
            let asked = table.models().map(async |model| {
                let health = model.actor.send(Snapshot { window: ask.0 }).await.ok()?;
                let learned = services.provider.learned(model.name());
                Some((model.name().clone(), ModelHealth { learned, ..health }))
            });
            join_all(asked).await.into_iter().flatten().collect()
        })
    }
}

impl Handler<CheckAllModels> for RouterActor {
    type Result = Apart<Liveness>;

    fn handle(&mut self, _: CheckAllModels, _: &mut Context<Self>) -> Self::Result {
        let table = self.table.clone();
        Apart::of(async move {
            let asked = table.models().map(async |model| {
                (model.name().clone(), model.actor.send(CheckLiveness).await.ok())
            });
            let mut liveness = join_all(asked).await;
            liveness.sort_by(|one, other| one.0.cmp(&other.0));
            liveness
        })
    }
}

impl Handler<AskChains> for RouterActor {
    type Result = Apart<Chains>;

    fn handle(&mut self, _: AskChains, _: &mut Context<Self>) -> Self::Result {
        let (table, services) = (self.table.clone(), self.services.clone());
        let now = services.clock.now().wall;
        Apart::of(async move {
            let mut chains = BTreeMap::new();
            for chain in table.chains() {
                let needs = chain.usual_needs(table.request().max_tokens, now);
                let left = services.shadows.left(&needs, now);
                let availabilities = chain.availabilities(&needs, left).await;
                let (order, left_out) = chain.view(&availabilities);
                let budget = chain.config.ceilings.daily_budget;
                let configured = chain.models.iter().map(|model| model.name().clone()).collect();
                chains.insert(
                    chain.task.clone(),
                    ChainView {
                        configured,
                        order,
                        left_out,
                        daily_budget_usd: budget,
                        spent_today_usd: budget.map(|_| chain.daily_spend.spent(now)),
                    },
                );
            }
            Chains { chains }
        })
    }
}

impl Handler<Reload> for RouterActor {
    type Result = Guarded<Renewal>;

    fn handle(&mut self, reload: Reload, _: &mut Context<Self>) -> Self::Result {
        Guarded::of(|| {
            let Services { clock, recorder, rebuilds, .. } = &*self.services;
            let (table, renewal) = self.table.renewed(&reload.0, clock, recorder, rebuilds);
            // Requests under way keep the table they began with.
            self.table = Rc::new(table);
            renewal
        })
    }
}

impl Handler<SetBreaker> for RouterActor {
    type Result = Apart<Result<BreakerView, ErrorBody>>;

    fn handle(&mut self, ask: SetBreaker, _: &mut Context<Self>) -> Self::Result {
        let table = self.table.clone();
        Apart::of(async move {
            let set = match ask.op.set {
                BreakerSet::Open => Some((OverrideState::Open, ask.op.during)),
                BreakerSet::Closed => Some((OverrideState::Closed, ask.op.during)),
                BreakerSet::Auto => None,
            };
            let wanted = SetOverride { set, peer_uid: ask.peer_uid };
            let told = table.model(&ask.op.model)?.actor.send(wanted).await;
            told.map_err(|_| ErrorBody::internal("the daemon lost this order"))
        })
    }
}
