//! One request's way along its chain.
//!
//! The order comes from the domain, the permission for every single call from the model's own
//! actor, the answer from a provider. The walk goes from one to the next under one deadline, keeps
//! what was tried, and stops at once when its sink does: dropping the work in progress closes the
//! upstream connection and gives its permit back.
//!
//! What a failure means is not decided here; see [`crate::domain::fault`].

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ulid::Ulid;

use super::guard::Rebuilds;
use super::permit::CallLabel;
use super::router::Route;
use super::shadow::Shadows;
use super::sink::{Answer, Stop};
use super::table::{Chain, ModelHandle, Table};
use crate::clock::Clock;
use crate::domain::need::Needs;
use crate::domain::rank;
use crate::domain::time::{Mono, Now};
use crate::protocol::chains::PlanView;
use crate::protocol::chat::{ChatRequest, OnRefusal};
use crate::protocol::log::{CallKind, Event, Ranked};
use crate::protocol::reply::{Answered, ErrorBody, ErrorCode, Outcome};
use crate::provider::Provider;
use crate::recorder::Recorder;

mod attempt;
mod ending;
mod flight;
mod hedge;
mod landing;
mod offer;
mod pauses;
#[cfg(test)]
mod tests;
mod trail;
mod turn;
mod voice;

use trail::Trail;
use turn::{Course, Turn};
use voice::Voice;

/// Added to what is left of the deadline to give the lease of a probe: time to report its result.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// What every walk needs.
pub struct Means {
    /// Calls models.
    pub provider: Rc<dyn Provider>,
    /// Takes what happened.
    pub recorder: Recorder,
    /// Tells the time.
    pub clock: Clock,
    /// Counts the states of models that were lost.
    pub rebuilds: Rebuilds,
    /// Makes copies of requests.
    pub shadows: Shadows,
}

/// One request on its way.
struct Walk<'a> {
    means: &'a Means,
    chain: &'a Chain,
    request: &'a ChatRequest,
    needs: Needs,
    label: CallLabel,
    arrived: Now,
    deadline: Mono,
    /// Most tokens and temperature, with the defaults filled in.
    max_tokens: u32,
    temperature: f64,
}

/// An error of the daemon itself.
pub(super) fn internal(what: &str) -> ErrorBody {
    let message = format!("{what}; try again, and report it if it happens again");
    ErrorBody::new(ErrorCode::Internal, message)
}

/// What a request that was given up has come to.
fn given_up(stop: Stop) -> ErrorBody {
    match stop {
        Stop::Ending => ErrorBody::new(ErrorCode::ShuttingDown, "the daemon ended"),
        Stop::Cancelled | Stop::Gone => {
            ErrorBody::new(ErrorCode::Cancelled, "the request was cancelled")
        }
    }
}

/// Walks a request along its chain and delivers its answer.
pub async fn run(table: Rc<Table>, means: Rc<Means>, route: Route) {
    let Route { mut request, mut sink, arrived, peer_uid } = route;
    let chain = table.chain(&request).inspect(|chain| chain.instruct(&mut request));
    let under_way = means.shadows.under_way();
    let chance = (u128::from(fastrand::u64(..)) << 64) | u128::from(fastrand::u64(..));
    let request_id: Arc<str> = Ulid::from_parts(arrived.wall.0, chance).to_string().into();
    let mut trail = Trail::new(request_id.clone(), peer_uid);
    let mut offer = None;
    let result = match chain {
        Err(error) => Err(error),
        Ok(chain) => {
            trail.of(&chain);
            let walk = Walk::new(&means, &chain, &request, (&table, request_id.clone(), arrived));
            if request.plan {
                let plan = walk.plan().await;
                return sink.answer(Answer::Plan(plan)).await;
            }
            let events = request.stream.then(|| sink.events());
            let voice = Voice::new(events, walk.holds_back());
            let result = tokio::select! {
                biased;
                stop = sink.stopped() => {
                    trail.stopped(means.clock.mono());
                    // The call's permit was dropped; its model's owner logs it before the request.
                    tokio::task::yield_now().await;
                    let error = given_up(stop);
                    if stop != Stop::Cancelled {
                        let event = trail.event(Err(&error), arrived, means.clock.now());
                        means.recorder.record(means.clock.now().wall, event, None);
                        return sink.abandon();
                    }
                    Err(error)
                }
                // A panic must cost no more than its own request, not even that one's line.
                result = AssertUnwindSafe(walk.answer(&mut trail, voice)).catch_unwind() => match result {
                    Ok(result) => result,
                    Err(_) => {
                        trail.stopped(means.clock.mono());
                        tokio::task::yield_now().await;
                        Err(internal("the daemon lost this request"))
                    }
                },
            };
            offer = walk.offer(result.as_deref(), &trail);
            result
        }
    };
    let now = means.clock.now();
    let event = trail.event(result.as_deref(), arrived, now);
    // The reply is a promise that it is in the log, and so are its calls.
    means.recorder.record_and_wait(now.wall, event).await;
    let attempts = trail.into_attempts();
    sink.answer(Answer::Chat(Outcome { request_id, result, attempts })).await;
    drop(under_way);
    if let Some(facts) = offer {
        means.shadows.offer(request, facts);
    }
}

impl<'a> Walk<'a> {
    fn new(
        means: &'a Means,
        chain: &'a Chain,
        request: &'a ChatRequest,
        (table, request_id, arrived): (&Table, Arc<str>, Now),
    ) -> Walk<'a> {
        let defaults = table.request();
        let timeout = request.timeout.or(chain.timeout).unwrap_or(defaults.timeout);
        let max_tokens = request.max_tokens.unwrap_or(defaults.max_tokens);
        Walk {
            means,
            chain,
            request,
            needs: chain.limited(request.needs(max_tokens), arrived.wall),
            label: CallLabel {
                request_id,
                task: chain.task.clone(),
                primary: chain.primary(),
                kind: CallKind::Live,
                began: arrived.mono,
            },
            arrived,
            deadline: arrived.mono.plus(timeout),
            max_tokens,
            temperature: request.temperature.unwrap_or(defaults.temperature),
        }
    }

    async fn plan(&self) -> PlanView {
        let standings = self.chain.standings(&self.needs, self.left_for_copies()).await;
        let (order, left_out) = self.chain.view(&standings);
        PlanView {
            request_id: self.label.request_id.clone(),
            task: self.chain.task.clone(),
            primary: self.label.primary.clone(),
            order,
            left_out,
        }
    }

    /// Whether no text is told before the whole answer is known to be the one.
    fn holds_back(&self) -> bool {
        self.request.on_refusal == OnRefusal::Fallback || self.chain.config.accept.is_some()
    }

    /// Finds an answer, and tells it to the end.
    async fn answer(&self, trail: &mut Trail, voice: Voice) -> Result<Box<Answered>, ErrorBody> {
        let mut course = Course::new(voice);
        let answered = self.find(&mut course, trail).await?;
        // From here on its caller's own pace counts, as it does for the reply.
        course.voice.end(&answered).await;
        Ok(answered)
    }

    async fn find(
        &self,
        course: &mut Course,
        trail: &mut Trail,
    ) -> Result<Box<Answered>, ErrorBody> {
        let standings = self.chain.standings(&self.needs, self.left_for_copies()).await;
        if let Some(event) = self.chain.reordered(&standings) {
            self.record(event);
        }
        let ranking = rank::rank(&standings);
        for &(at, skip) in &ranking.left_out {
            trail.skipped(self.chain.models[at].name(), skip);
        }
        trail.ranked(ranking.order.iter().map(|&at| Ranked {
            model: self.chain.models[at].name().clone(),
            reason:
                (standings[at].degraded || standings[at].probed).then(|| standings[at].reason()),
        }));
        course.order = ranking.order.into();
        while let Some(at) = course.order.pop_front() {
            match self.turn(&self.chain.models[at], course, trail).await {
                Turn::Answered(answered) => return Ok(answered),
                Turn::Stop(error) => return Err(error),
                Turn::Next => {}
            }
        }
        if trail.calls() == 0
            && let Some(at) = rank::nearest(&standings)
        {
            match self.early(&self.chain.models[at], course, trail).await {
                Turn::Answered(answered) => return Ok(answered),
                Turn::Stop(error) => return Err(error),
                Turn::Next => {}
            }
        }
        self.nobody_answered(trail).await
    }

    /// What is left of the request's deadline.
    fn left(&self) -> Duration {
        self.deadline.since(self.means.clock.mono())
    }

    fn record(&self, event: Event) {
        self.means.recorder.record(self.means.clock.now().wall, event, None);
    }
}
