//! The actor of one model: the only owner of that model's circuit, window, hold and limits.
//!
//! It reads the clock, asks [`ModelState`] what to do, tells the recorder what happened, and
//! answers. It never calls a provider and knows no other model.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};
use tokio::sync::watch;

use super::permit::{CallLabel, Cost, Permit};
use super::views;
use crate::clock::Clock;
use crate::domain::breaker::{Ask, Change, Override, State};
use crate::domain::model::{Admission, Changes, Ended, ModelState, Settings, Settlement, Standing};
use crate::domain::need::{Needs, Skip, Verdict};
use crate::domain::time::{Deadline, Now, millis};
use crate::protocol::view::{BreakerView, ModelHealth};
use crate::recorder::event::{
    BreakerEvent, BreakerReplay, CallEvent, CallReplay, DegradedEvent, Event,
};
use crate::recorder::{ModelKey, Recorder, Row};

/// The owner of one model's state.
pub struct ModelActor {
    state: ModelState,
    key: ModelKey,
    clock: Clock,
    recorder: Recorder,
    /// Tells those who wait to call this model that its circuit has opened, and until when.
    open_until: watch::Sender<OpenUntil>,
}

/// Until when a circuit is open; `None` while it is not. It is past its time without being told
/// again: the circuit is half-open then.
pub type OpenUntil = Option<Deadline>;

/// How does the model stand towards a request?
#[derive(Message)]
#[rtype(result = "Standing")]
pub struct AskStanding(pub Needs);

/// May this call be made?
#[derive(Message)]
#[rtype(result = "Result<Permit, Skip>")]
pub struct Admit {
    /// What the request needs.
    pub needs: Needs,
    /// How long a probe may take before its slot is given to another.
    pub lease: Duration,
    /// Whether it asks to be the one early probe when every circuit is open.
    pub early: bool,
    /// For the log.
    pub label: CallLabel,
}

/// A call ended.
#[derive(Message)]
#[rtype(result = "Settled")]
pub struct Settle {
    pub(super) admission: Admission,
    pub(super) call: FinishedCall,
}

/// A call as it ended, for health and for the log.
pub(super) struct FinishedCall {
    pub(super) label: CallLabel,
    pub(super) ended: Ended,
    pub(super) cost: Cost,
}

/// What became of a call's result.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// What it means for the model's health.
    pub verdict: Verdict,
    /// How long nobody will call this model because it asked for a pause.
    pub hold_left: Option<Duration>,
}

/// A person's order for the circuit.
#[derive(Message)]
#[rtype(result = "BreakerView")]
pub struct Order {
    /// What to set, and for how long; `None` lets the breaker decide again.
    pub set: Option<(crate::domain::breaker::Force, Option<Duration>)>,
    /// Who ordered it.
    pub peer_uid: Option<u32>,
}

/// New settings for a model that stays.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconfigure {
    /// The settings.
    pub settings: Settings,
    /// Whether its provider's key has changed, which ends an opening that waited for a person.
    pub cured: bool,
}

/// How is the model doing?
#[derive(Message)]
#[rtype(result = "ModelHealth")]
pub struct Snapshot {
    /// How far back to look; its own window when absent.
    pub window: Option<Duration>,
}

impl ModelActor {
    /// An actor for `state`. Those who wait to call it watch what is returned beside it.
    pub fn new(
        state: ModelState,
        key: ModelKey,
        clock: Clock,
        recorder: Recorder,
    ) -> (ModelActor, watch::Receiver<OpenUntil>) {
        let (open_until, watched) = watch::channel(open_until(&state, clock.now()));
        (ModelActor { state, key, clock, recorder, open_until }, watched)
    }

    /// Logs and stores what changed beside a call.
    fn publish(&self, changes: Changes, peer_uid: Option<u32>, now: Now) {
        for change in changes.circuit {
            self.publish_change(change, peer_uid, now);
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

    fn publish_change(&self, change: Change, peer_uid: Option<u32>, now: Now) {
        let model = &self.state.settings().name;
        let (from, to) = (change.from.name(), change.to.name());
        tracing::info!(model = %model, from, to, reason = %change.reason, "circuit changed");
        let forced = self.state.circuit(now).forced;
        let stored = self.state.stored(now);
        let event = BreakerEvent {
            model_name: model.clone(),
            from,
            to,
            reason: change.reason,
            retry_at: change.retry_at,
            forced: forced.map(|forced| views::force(forced.set)),
            peer_uid,
            replay: BreakerReplay { identity: self.key.identity, stored: stored.clone() },
        };
        let row = Row::Breaker { model: self.key.clone(), stored };
        self.recorder.record(now.wall, Event::Breaker(event), [row]);
        self.open_until.send_replace(open_until(&self.state, now));
    }

    fn publish_call(&self, call: FinishedCall, settlement: Settlement, now: Now) {
        let FinishedCall { label, ended, cost } = call;
        let (start, bucket) = settlement.bucket;
        let stored = settlement.run_changed.then(|| self.state.stored(now));
        let failure = ended.fault;
        let answered = failure.is_none();
        let usage = ended.usage;
        let event = CallEvent {
            model_name: self.state.settings().name.clone(),
            success: answered,
            latency_ms: ended.latency_ms,
            error_type: failure.as_ref().map(|failure| failure.fault),
            status: failure.as_ref().and_then(|failure| failure.status),
            code: failure.and_then(|failure| failure.code),
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

impl Handler<AskStanding> for ModelActor {
    type Result = MessageResult<AskStanding>;

    fn handle(&mut self, ask: AskStanding, _: &mut Context<Self>) -> Self::Result {
        let now = self.clock.now();
        let (standing, changes) = self.state.standing(&ask.0, now);
        self.publish(changes, None, now);
        MessageResult(standing)
    }
}

impl Handler<Admit> for ModelActor {
    type Result = MessageResult<Admit>;

    fn handle(&mut self, admit: Admit, context: &mut Context<Self>) -> Self::Result {
        let now = self.clock.now();
        let ask = Ask { lease: admit.lease, early: admit.early };
        let (admitted, changes) = self.state.admit(&admit.needs, ask, now);
        self.publish(changes, None, now);
        let label = CallLabel { began: now.mono, ..admit.label };
        MessageResult(admitted.map(|admission| Permit::new(admission, label, context.address())))
    }
}

impl Handler<Settle> for ModelActor {
    type Result = MessageResult<Settle>;

    fn handle(&mut self, settle: Settle, _: &mut Context<Self>) -> Self::Result {
        let now = self.clock.now();
        let Settle { admission, mut call } = settle;
        call.ended.latency_ms = millis(now.mono.since(call.label.began));
        let mut settlement = self.state.settle(admission, &call.ended, now);
        let changes = std::mem::take(&mut settlement.changes);
        let verdict = settlement.verdict;
        self.publish_call(call, settlement, now);
        self.publish(changes, None, now);
        let hold_left = self.state.hold_until(now).map(|until| until.left(now));
        MessageResult(Settled { verdict, hold_left })
    }
}

impl Handler<Order> for ModelActor {
    type Result = MessageResult<Order>;

    fn handle(&mut self, order: Order, _: &mut Context<Self>) -> Self::Result {
        let now = self.clock.now();
        let order_until = |during| Deadline::after(now, during);
        let set = order.set.map(|(set, during)| Override { set, until: during.map(order_until) });
        let change = self.state.order(set, now);
        self.publish_change(change, order.peer_uid, now);
        MessageResult(views::circuit(&self.state.circuit(now)))
    }
}

impl Handler<Reconfigure> for ModelActor {
    type Result = ();

    fn handle(&mut self, new: Reconfigure, _: &mut Context<Self>) {
        let now = self.clock.now();
        let changes = self.state.reconfigure(new.settings, new.cured, now);
        self.publish(changes, None, now);
    }
}

impl Handler<Snapshot> for ModelActor {
    type Result = MessageResult<Snapshot>;

    fn handle(&mut self, ask: Snapshot, _: &mut Context<Self>) -> Self::Result {
        let now = self.clock.now();
        let window = ask.window.unwrap_or(self.state.settings().window);
        MessageResult(views::health(&self.state, window, now))
    }
}
