//! The table of models and chains: who can be asked, and in which configured order.
//!
//! It holds addresses and settings, nothing about health.

mod choose;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use futures_util::future::join_all;
use tokio::sync::watch;

use super::daily_spend::{SpendByTask, TaskSpend};
use super::guard::Rebuilds;
use super::model::{AskAvailability, ModelActor, OpenUntil, Reconfigure};
use crate::clock::{Clock, zone};
use crate::config::{self, Config, Model, RequestDefaults};
use crate::domain::minute;
use crate::domain::model::{Availability, CopyAvailability, ModelState, Settings};
use crate::domain::need::{Needs, Skip, SkipReason};
use crate::domain::pace::Backoff;
use crate::domain::price::{Nano, Price};
use crate::domain::rank;
use crate::domain::route::Candidate;
use crate::domain::time::{Wall, millis};
use crate::domain::window::Judged;
use crate::protocol::chains::{LeftOutView, PlaceView};
use crate::protocol::chat::{ChatRequest, Message};
use crate::protocol::field::shown;
use crate::protocol::log::{Event, LeftOut, OrderEvent};
use crate::protocol::reload::Renewal;
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::recorder::{ModelKey, Recorder, Restored};

/// The name of the chain for everybody else.
const DEFAULT: &str = "default";
/// The length of an ordinary request in bytes.
const USUAL_BYTES: usize = 4096;

/// A model, its settings and its owner.
#[derive(Clone)]
pub(crate) struct ModelHandle {
    pub config: Arc<Model>,
    pub actor: Addr<ModelActor>,
    /// Until when its circuit is open, for those who wait to call it.
    pub open_until: watch::Receiver<OpenUntil>,
}

/// A chain of models for one task.
pub(crate) struct Chain {
    pub task: Arc<str>,
    pub models: Vec<ModelHandle>,
    /// The same as the domain decides about them, place by place.
    pub candidates: Vec<Candidate>,
    /// Deadline for requests that bring none.
    pub timeout: Option<Duration>,
    /// How long a call may take to its first content before another is made beside it.
    pub hedge_after: Option<Duration>,
    /// What else is configured for the task.
    pub config: Arc<config::ChainConfig>,
    pub daily_spend: TaskSpend,
    /// The order that was last taken; `None` for chains that a request brought itself.
    last_order: Option<RefCell<Vec<usize>>>,
}

/// All models and chains.
pub(crate) struct Table {
    models: HashMap<Arc<str>, ModelHandle>,
    chains: BTreeMap<Arc<str>, Rc<Chain>>,
    fallback: Rc<Chain>,
    request: RequestDefaults,
    spend_by_task: SpendByTask,
}

impl ModelHandle {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.config.name
    }

    fn candidate(&self) -> Candidate {
        let retry = &self.config.retry;
        Candidate {
            provider: self.config.provider.name.clone(),
            context_window: self.config.context_window,
            backoff: Backoff { base: retry.base, cap: retry.cap },
            max_repeats: retry.max,
            longest_hint: retry.wait_for_retry_after,
        }
    }
}

/// What identifies a model across restarts and changes of settings.
pub(crate) fn model_key(model: &Model) -> ModelKey {
    ModelKey::new(&model.name, &model.provider.base_url, &model.model_id)
}

impl Table {
    /// Starts an actor for every configured model, with what was stored of it.
    pub(crate) fn start(
        config: &Config,
        mut restored: Restored,
        clock: &Clock,
        recorder: &Recorder,
        rebuilds: &Rebuilds,
    ) -> Table {
        let handles = config.models.iter().map(|model| {
            let key = model_key(model);
            let mut state = ModelState::new(settings(model, config.retention), clock.now());
            if let Some(stored) = restored.models.remove(&key) {
                state.restore(stored.breaker.as_ref(), stored.buckets, clock.now());
            }
            handle(model, state, clock, recorder, rebuilds)
        });
        let zone = zone(config.costs.timezone.as_deref());
        let spend_by_task = SpendByTask::new(&restored.today, zone, clock.now().wall);
        Table::of(config, handles.collect(), spend_by_task)
    }

    /// A table for a changed configuration. A model whose identity stays keeps its actor, and with
    /// it its window, its circuit and its running calls; one that goes lives on until its last
    /// call has ended; a new one starts with nothing known about it.
    pub(crate) fn renewed(
        &self,
        config: &Config,
        clock: &Clock,
        recorder: &Recorder,
        rebuilds: &Rebuilds,
    ) -> (Table, Renewal) {
        let mut renewal = Renewal::default();
        let handles = config.models.iter().map(|model| {
            let known = self.models.get(&model.name);
            let Some(old) = known.filter(|old| model_key(&old.config) == model_key(model)) else {
                renewal.added.push(model.name.clone());
                let state = ModelState::new(settings(model, config.retention), clock.now());
                return handle(model, state, clock, recorder, rebuilds);
            };
            let new = Reconfigure {
                settings: settings(model, config.retention),
                cured: !old.config.provider.has_keys_of(&model.provider),
            };
            old.actor.do_send(new);
            renewal.kept += 1;
            ModelHandle { config: model.clone(), ..old.clone() }
        });
        let spend_by_task = self.spend_by_task.renewed(zone(config.costs.timezone.as_deref()));
        let table = Table::of(config, handles.collect(), spend_by_task);
        let gone =
            |name: &&Arc<str>| !table.models.contains_key(*name) || renewal.added.contains(*name);
        renewal.removed = self.models.keys().filter(gone).cloned().collect();
        renewal.removed.sort();
        (table, renewal)
    }

    fn of(config: &Config, handles: Vec<ModelHandle>, spend_by_task: SpendByTask) -> Table {
        let all = || handles.iter().cloned();
        let models: HashMap<Arc<str>, ModelHandle> =
            all().map(|handle| (handle.name().clone(), handle)).collect();
        let chains: BTreeMap<Arc<str>, Rc<Chain>> = config
            .chains
            .iter()
            .map(|(task, chain)| {
                let task: Arc<str> = task.as_str().into();
                let handles = chain.models.iter().filter_map(|name| models.get(name)).cloned();
                let daily_spend = spend_by_task.of(&task);
                (
                    task.clone(),
                    Chain::configured(task, handles.collect(), chain.clone(), daily_spend),
                )
            })
            .collect();
        let fallback = chains.get(DEFAULT).cloned().unwrap_or_else(|| {
            let daily_spend = spend_by_task.of(&DEFAULT.into());
            Chain::configured(DEFAULT.into(), all().collect(), Arc::default(), daily_spend)
        });
        Table { models, chains, fallback, request: config.request.clone(), spend_by_task }
    }

    pub(crate) fn model(&self, name: &str) -> Result<&ModelHandle, ErrorBody> {
        self.models.get(name).ok_or_else(|| {
            let mut known: Vec<&str> = self.models.keys().map(|name| &**name).collect();
            known.sort_unstable();
            let name = shown(name, 80);
            let message = format!("there is no model {name}; configured are {}", known.join(", "));
            ErrorBody::new(ErrorCode::UnknownModel, message)
        })
    }

    /// All models, by name.
    pub(crate) fn models(&self) -> impl Iterator<Item = &ModelHandle> {
        self.models.values()
    }

    /// All chains, the one for everybody else included.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &Rc<Chain>> {
        let implicit = (!self.chains.contains_key(DEFAULT)).then_some(&self.fallback);
        self.chains.values().chain(implicit)
    }

    pub(crate) fn request(&self) -> &RequestDefaults {
        &self.request
    }
}

impl Chain {
    fn configured(
        task: Arc<str>,
        models: Vec<ModelHandle>,
        config: Arc<config::ChainConfig>,
        daily_spend: TaskSpend,
    ) -> Rc<Chain> {
        let (timeout, hedge_after) = (config.timeout, config.hedge_after);
        let candidates = models.iter().map(ModelHandle::candidate).collect();
        let last_order = Some(RefCell::new((0..models.len()).collect()));
        Rc::new(Chain {
            task,
            models,
            candidates,
            timeout,
            hedge_after,
            config,
            daily_spend,
            last_order,
        })
    }

    /// Puts the task's system message before all others.
    pub(crate) fn instruct(&self, request: &mut ChatRequest) {
        if let Some(system) = &self.config.system {
            request.bytes += system.len();
            request.messages.insert(0, Message::system(system));
        }
    }

    /// What a request needs, under this chain's ceilings.
    pub(crate) fn limited(&self, needs: Needs, now: Wall) -> Needs {
        self.config.ceilings.over(needs, self.primary_price(), self.daily_spend.spent(now))
    }

    /// What an ordinary request needs, for those who want to know the order without one: a page
    /// of prompt, and the longest answer by default.
    pub(crate) fn usual_needs(&self, max_tokens: Option<u32>, now: Wall) -> Needs {
        if self.config.ceilings.is_none() {
            return Needs::default();
        }
        self.limited(Needs { bytes: USUAL_BYTES, max_tokens, ..Needs::default() }, now)
    }

    /// Name of the first model; empty for an empty chain.
    pub(crate) fn primary(&self) -> Arc<str> {
        self.models.first().map_or_else(|| "".into(), |model| model.name().clone())
    }

    /// Price of the first model, if it has one.
    pub(crate) fn primary_price(&self) -> Option<Price> {
        self.models.first().and_then(|model| model.config.price)
    }

    /// Asks all models at once how they stand. `left` may be spent on a copy of the request, so that
    /// no caller has to test a model; `None` if there can be no copy.
    pub(crate) async fn availabilities(
        &self,
        needs: &Needs,
        left: Option<Nano>,
    ) -> Vec<Availability> {
        let asked = self.models.iter().map(|model| model.actor.send(AskAvailability(*needs)));
        let answers = join_all(asked).await;
        // An owner whose answer was lost is left out; the rest of the chain serves.
        let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(|_| unanswered()));
        let mut availabilities: Vec<_> = answers.collect();
        rank::spare_callers(&mut availabilities, left);
        availabilities
    }

    /// The order over this chain, with a reason for every model.
    pub(crate) fn view(
        &self,
        availabilities: &[Availability],
    ) -> (Vec<PlaceView>, Vec<LeftOutView>) {
        let ranking = rank::rank(availabilities);
        let name = |at: usize| self.models[at].name().clone();
        let place =
            |&at: &usize| PlaceView { model: name(at), reason: availabilities[at].reason() };
        let left_out = ranking.left_out.iter().map(|&(at, skip)| LeftOutView {
            model: name(at),
            reason: skip.reason,
            retry_in_ms: skip.retry_in.map(millis),
        });
        (ranking.order.iter().map(place).collect(), left_out.collect())
    }

    /// The event to log when health gives this chain another order than before. What only this one
    /// request cannot use is no change of order.
    pub(crate) fn reordered(&self, availabilities: &[Availability]) -> Option<Event> {
        let last = self.last_order.as_ref()?;
        let order = health_order(availabilities);
        if order == *last.borrow() {
            return None;
        }
        last.replace(order.clone());
        let name = |at: usize| self.models[at].name().clone();
        let left_out = availabilities.iter().enumerate().filter_map(|(at, availability)| {
            unhealthy(availability).map(|skip| LeftOut { model: name(at), reason: skip.reason })
        });
        Some(Event::Order(OrderEvent {
            task: self.task.clone(),
            order: order.into_iter().map(name).collect(),
            left_out: left_out.collect(),
        }))
    }
}

fn handle(
    model: &Arc<Model>,
    state: ModelState,
    clock: &Clock,
    recorder: &Recorder,
    rebuilds: &Rebuilds,
) -> ModelHandle {
    let key = model_key(model);
    let (clock, recorder, rebuilds) = (clock.clone(), recorder.clone(), rebuilds.clone());
    let (actor, open_until) = ModelActor::new(state, key, clock, recorder, rebuilds);
    ModelHandle { config: model.clone(), actor: actor.start(), open_until }
}

fn settings(model: &Model, retention: Duration) -> Settings {
    Settings {
        name: model.name.clone(),
        misconfigured: model.provider.misconfigured.clone(),
        abilities: model.supports,
        context_window: model.context_window,
        max_tokens: model.max_tokens,
        price: model.price,
        max_in_flight: model.max_in_flight,
        per_minute: minute::PerMinute {
            requests: model.requests_per_minute,
            tokens: model.tokens_per_minute,
        },
        breaker: model.breaker.clone(),
        probe_nearest: model.probe_nearest,
        window: model.health.window,
        degraded_below: model.health.degraded_below,
        min_calls: model.health.min_calls,
        retention,
    }
}

/// What holds for a model whose owner gave no answer.
fn unanswered() -> Availability {
    Availability {
        skip: Some(Skip::new(SkipReason::Busy)),
        degraded: false,
        judged: Judged::default(),
        probed: false,
        early_in: None,
        copy: CopyAvailability::default(),
    }
}

/// Why a model's health leaves it out, whatever a request needs.
fn unhealthy(availability: &Availability) -> Option<Skip> {
    availability.skip.filter(|skip| {
        matches!(
            skip.reason,
            SkipReason::CircuitOpen | SkipReason::RateLimited | SkipReason::Misconfigured
        )
    })
}

/// The places of the models that health does not leave out, degraded ones last.
fn health_order(availabilities: &[Availability]) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..availabilities.len()).filter(|at| unhealthy(&availabilities[*at]).is_none()).collect();
    order.sort_by_key(|at| availabilities[*at].degraded);
    order
}
