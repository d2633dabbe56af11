//! The actor of one model: the only owner of that model's circuit, window, hold and limits.
//!
//! It reads the clock, asks [`ModelState`] what to do, tells the recorder what happened, and
//! answers. It never calls a provider and knows no other model.
//!
//! A panic on the way costs the message that was handled. The state may be half-changed then, so
//! the next message finds a new one made from what was stored: not at once, because that needs the
//! clock and the domain too, and what panics again there is one more loss like the first. A call's
//! end is told to the new state once more, so that every call is logged and counted.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use tokio::sync::watch;

use super::guard::{Guarded, Rebuilds};
use super::permit::{Admitted, CallLabel, Permit, Places};
use super::{tracing_events, views};
use crate::clock::Clock;
use crate::domain::bill::Tariff;
use crate::domain::breaker::{Ask, Asker, Change, Override, State};
use crate::domain::fault::Fault;
use crate::domain::model::{
    Admission, Availability, Changes, Ended, Kept, ModelState, Settings, Settlement,
};
use crate::domain::need::{Needs, Skip};
use crate::domain::time::{Deadline, Mono, Now, millis};
use crate::protocol::health::{BreakerView, ModelHealth};
use crate::protocol::log::{
    BreakerEvent, BreakerReplay, CallEvent, CallReplay, DegradedEvent, Event,
};
use crate::recorder::{ModelKey, Recorder, Row};

pub mod liveness;

/// The owner of one model's state.
pub(crate) struct ModelActor {
    state: ModelState,
    key: ModelKey,
    clock: Clock,
    recorder: Recorder,
    /// Tells those who wait to call this model that its circuit has opened, and until when.
    open_until: watch::Sender<OpenUntil>,
    /// What the state is rebuilt from.
    kept: Kept,
    /// Whether a panic may have left the state half-changed.
    poisoned: bool,
    /// How many states were rebuilt: permits of an earlier one are worth less.
    generation: u64,
    /// Permits that are not settled yet, whichever state gave them.
    running: u32,
    /// The places of copies of requests under way.
    copies: Places,
    rebuilds: Rebuilds,
}

/// Until when a circuit is open; `None` while it is not. It is past its time without being told
/// again: the circuit is half-open then.
pub(crate) type OpenUntil = Option<Deadline>;

/// How does the model stand towards a request?
#[derive(Message)]
#[rtype(result = "Availability")]
pub(crate) struct AskAvailability(pub Needs);

/// May this call be made?
#[derive(Message)]
#[rtype(result = "Result<Permit, Skip>")]
pub(crate) struct Admit {
    pub needs: Needs,
    /// How long a probe may take before its slot is given to another.
    pub lease: Duration,
    /// Whether it asks to be the one early probe when every circuit is open.
    pub early: bool,
    pub label: CallLabel,
    pub tariff: Tariff,
}

/// A call ended. How long nobody will call this model because it asked for a pause?
#[derive(Message)]
#[rtype(result = "Option<Duration>")]
pub(crate) struct Settle {
    pub(super) admitted: Admitted,
    pub(super) ended: Ended,
}

/// A call that has ended and is neither logged nor kept yet.
struct EndedCall {
    began: Mono,
    label: CallLabel,
    ended: Ended,
}

/// A person sets the circuit, or gives it back.
#[derive(Message)]
#[rtype(result = "BreakerView")]
pub(crate) struct SetOverride {
    /// What to set, and for how long; `None` lets the breaker decide again.
    pub set: Option<(crate::domain::breaker::OverrideState, Option<Duration>)>,
    pub peer_uid: Option<u32>,
}

/// New settings for a model that stays.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Reconfigure {
    pub settings: Settings,
    /// Whether its provider's key has changed, which ends an opening that waited for a person.
    pub cured: bool,
}

/// How is the model doing?
#[derive(Message)]
#[rtype(result = "ModelHealth")]
pub(crate) struct Snapshot {
    /// How far back to look; its own window when absent.
    pub window: Option<Duration>,
}

impl ModelActor {
    /// An actor for `state`. Those who wait to call it watch what is returned beside it.
    pub(crate) fn new(
        state: ModelState,
        key: ModelKey,
        clock: Clock,
        recorder: Recorder,
        rebuilds: Rebuilds,
    ) -> (ModelActor, watch::Receiver<OpenUntil>) {
        let now = clock.now();
        let kept = Kept::of(&state, now);
        let (open_until, watched) = watch::channel(open_until(&state, now));
        let (poisoned, generation, running) = (false, 0, 0);
        let actor = ModelActor {
            state,
            key,
            clock,
            recorder,
            open_until,
            kept,
            poisoned,
            generation,
            running,
            copies: Places::default(),
            rebuilds,
        };
        (actor, watched)
    }

    /// Does `work` on a sound state; a panic costs its answer, and the state.
    fn guarded<R>(&mut self, work: impl FnOnce(&mut ModelActor, Now) -> R) -> Guarded<R> {
        let worked = Guarded::of(|| {
            let now = self.clock.now();
            if self.poisoned {
                self.rebuild(now);
            }
            work(self, now)
        });
        if worked.0.is_none() {
            self.poisoned = true;
            self.rebuilds.note(&self.kept.settings().name, self.clock.mono());
        }
        worked
    }

    fn rebuild(&mut self, now: Now) {
        self.state = self.kept.rebuilt(self.running, now);
        self.generation += 1;
        self.poisoned = false;
        self.open_until.send_replace(open_until(&self.state, now));
    }

    /// Takes a call's end, admitted by `admission`. What is left in `unlogged` was neither logged
    /// nor kept. Gives any pause that the model asked for.
    fn settle(
        &mut self,
        admission: Admission,
        unlogged: &mut Option<EndedCall>,
        now: Now,
    ) -> Option<Duration> {
        let call = unlogged.as_ref()?;
        let latency_ms = millis(now.mono.since(call.began));
        let fault = call.ended.fault.as_ref().map(|failure| failure.fault);
        let mut settlement = self.state.settle(admission, &call.ended, latency_ms, now);
        let changes = std::mem::take(&mut settlement.changes);
        self.publish_call(unlogged.take()?, settlement, latency_ms, now);
        self.publish(changes, fault, now);
        self.state.hold_until(now).map(|until| until.left(now))
    }

    /// Logs and stores what changed beside a call; `fault` is what that call failed with.
    fn publish(&mut self, changes: Changes, fault: Option<Fault>, now: Now) {
        for change in changes.circuit {
            self.publish_change(change, None, fault, now);
        }
        if let Some((degraded, judged)) = changes.degraded {
            let event = DegradedEvent {
                model_name: self.state.settings().name.clone(),
                degraded,
                success_rate: judged.success_rate(),
                calls: judged.calls(),
            };
            self.recorder.record(now.wall, Event::Degraded(event), None);
        }
    }

    fn publish_change(
        &mut self,
        change: Change,
        peer_uid: Option<u32>,
        fault: Option<Fault>,
        now: Now,
    ) {
        let model = &self.state.settings().name;
        tracing_events::circuit(model, &change, fault);
        let overridden = self.state.circuit(now).overridden;
        let stored = self.state.stored(now);
        let event = BreakerEvent {
            model_name: model.clone(),
            from: change.from,
            to: change.to,
            reason: change.reason,
            retry_at: change.retry_at,
            overridden: overridden.map(|overridden| overridden.set),
            peer_uid,
            replay: BreakerReplay { identity: self.key.identity, stored: stored.clone() },
        };
        let row = Row::Breaker { model: self.key.clone(), stored };
        self.recorder.record(now.wall, Event::Breaker(event), [row]);
        self.kept.keep_circuit(&self.state, now);
        self.open_until.send_replace(open_until(&self.state, now));
    }

    fn publish_call(&mut self, call: EndedCall, settlement: Settlement, latency_ms: u64, now: Now) {
        let EndedCall { label, ended, .. } = call;
        let cost = ended.cost;
        let (start, bucket) = settlement.bucket;
        let stored = settlement.run_changed.then(|| self.state.stored(now));
        let failure = ended.fault;
        let answered = failure.is_none();
        let usage = ended.usage;
        let event = CallEvent {
            model_name: self.state.settings().name.clone(),
            success: answered,
            latency_ms,
            first_token_ms: ended.first_token_ms,
            error_type: failure.as_ref().map(|failure| failure.fault),
            status: failure.as_ref().and_then(|failure| failure.status),
            code: failure.as_ref().and_then(|failure| failure.code.clone()),
            message: failure.and_then(|failure| failure.message),
            verdict: settlement.verdict,
            counted: settlement.counted,
            request_id: label.request_id,
            task: label.task,
            primary: label.primary,
            kind: label.kind,
            input_tokens: usage.map(|usage| usage.input_tokens),
            output_tokens: usage.map(|usage| usage.output_tokens),
            cached_tokens: usage.map(|usage| usage.cached_tokens).filter(|&tokens| tokens > 0),
            cost_usd: cost.amount,
            primary_cost_usd: cost.primary.filter(|_| answered),
            cost_estimated: cost.estimated,
            replay: CallReplay {
                identity: self.key.identity,
                bucket: start,
                stored: stored.clone(),
            },
        };
        tracing_events::call(&event);
        self.kept.keep_call(start, &bucket, &self.state, now);
        let model = self.key.clone();
        let circuit = stored.map(|stored| Row::Breaker { model: model.clone(), stored });
        let bucket = Row::Bucket { model, start, bucket };
        self.recorder.record(now.wall, Event::Call(event), [bucket].into_iter().chain(circuit));
    }
}

fn open_until(state: &ModelState, now: Now) -> OpenUntil {
    let circuit = state.circuit(now);
    let left = circuit.retry_at.map_or(Duration::MAX, |at| at.since(now.wall));
    (circuit.state == State::Open).then(|| Deadline::after(now, left))
}

impl Actor for ModelActor {
    type Context = Context<Self>;
}

impl Handler<AskAvailability> for ModelActor {
    type Result = Guarded<Availability>;

    fn handle(&mut self, ask: AskAvailability, _: &mut Context<Self>) -> Self::Result {
        self.guarded(|model, now| {
            let (availability, changes) = model.state.availability(&ask.0, now);
            model.publish(changes, None, now);
            availability
        })
    }
}

impl Handler<Admit> for ModelActor {
    type Result = Guarded<Result<Permit, Skip>>;

    fn handle(&mut self, admit: Admit, context: &mut Context<Self>) -> Self::Result {
        let Admit { needs, lease, early, label, tariff } = admit;
        let by = Asker::of(label.kind, early);
        let admitted = self.guarded(|model, now| {
            let (admitted, changes) = model.state.admit(&needs, Ask { lease, by }, now);
            model.publish(changes, None, now);
            (admitted, now.mono)
        });
        Guarded(admitted.0.map(|(admitted, began)| {
            let admission = admitted?;
            self.running += 1;
            let displaced = self.copies.place(&admission, by);
            let admitted = Admitted { admission, generation: self.generation, began, label };
            Ok(Permit::new(admitted, tariff, context.address(), displaced))
        }))
    }
}

impl Handler<Settle> for ModelActor {
    type Result = Guarded<Option<Duration>>;

    fn handle(&mut self, settle: Settle, _: &mut Context<Self>) -> Self::Result {
        let Settle { admitted: Admitted { admission, generation, began, label }, ended } = settle;
        let kind = label.kind;
        let mut unlogged = Some(EndedCall { began, label, ended });
        let mut hold = self.guarded(|model, now| {
            let known = generation == model.generation;
            let admission = if known { admission } else { Admission::stale(kind) };
            model.settle(admission, &mut unlogged, now)
        });
        if unlogged.is_some() {
            hold =
                self.guarded(|model, now| model.settle(Admission::stale(kind), &mut unlogged, now));
        }
        // Only now: until here, a state that was rebuilt had to know of this call.
        self.running = self.running.saturating_sub(1);
        hold
    }
}

impl Handler<SetOverride> for ModelActor {
    type Result = Guarded<BreakerView>;

    fn handle(&mut self, asked: SetOverride, _: &mut Context<Self>) -> Self::Result {
        self.guarded(|model, now| {
            let set = asked.set.map(|(set, during)| Override {
                set,
                until: during.map(|during| Deadline::after(now, during)),
            });
            let change = model.state.set_override(set, now);
            model.publish_change(change, asked.peer_uid, None, now);
            views::circuit(&model.state.circuit(now))
        })
    }
}

impl Handler<Reconfigure> for ModelActor {
    type Result = Guarded<()>;

    fn handle(&mut self, new: Reconfigure, _: &mut Context<Self>) -> Self::Result {
        // First of all: a state that is lost on the way is rebuilt under the new settings.
        self.kept.configure(new.settings.clone());
        self.guarded(|model, now| {
            let changes = model.state.reconfigure(new.settings, new.cured, now);
            model.publish(changes, None, now);
        })
    }
}

impl Handler<Snapshot> for ModelActor {
    type Result = Guarded<ModelHealth>;

    fn handle(&mut self, ask: Snapshot, _: &mut Context<Self>) -> Self::Result {
        let looked = self.guarded(|model, now| {
            let window = ask.window.unwrap_or(model.state.settings().window);
            // Looking changes nothing, so a panic over it spoils nothing.
            Guarded::of(|| views::health(&model.state, window, now))
        });
        Guarded(looked.0.and_then(|health| health.0))
    }
}
