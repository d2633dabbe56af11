//! One request from its arrival to its reply: dispatched, logged, answered, and then offered for a
//! copy. It ends early when its caller leaves, cancels, or the daemon ends.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use ulid::Ulid;

use super::super::router::Route;
use super::super::sink::{ChatAnswer, Stop};
use super::super::table::Table;
use super::attempt_log::AttemptLog;
use super::client_stream::ClientStream;
use super::{Dispatch, Services, offer, wording};
use crate::protocol::reply::{ErrorBody, Outcome};

/// Dispatches a request and delivers its answer.
pub(in super::super) async fn run(table: Rc<Table>, services: Rc<Services>, route: Route) {
    let Route { mut request, mut sink, arrived, peer_uid } = route;
    let chain = table.chain(&request).inspect(|chain| chain.instruct(&mut request));
    let under_way = services.shadows.under_way();
    let chance = (u128::from(fastrand::u64(..)) << 64) | u128::from(fastrand::u64(..));
    let request_id: Arc<str> = Ulid::from_parts(arrived.wall.0, chance).to_string().into();
    let mut log = AttemptLog::new(request_id.clone(), peer_uid);
    let mut offer = None;
    let result = match chain {
        Err(error) => Err(error),
        Ok(chain) => {
            log.of(&chain);
            let id = request_id.clone();
            let dispatch = Dispatch::new(&services, &chain, &request, &table, id, arrived);
            if request.plan {
                let plan = dispatch.plan().await;
                return sink.answer(ChatAnswer::Plan(plan));
            }
            let events = sink.events();
            let client = ClientStream::new(events, dispatch.holds_back());
            let result = tokio::select! {
                biased;
                stop = sink.stopped() => {
                    log.stopped(services.clock.mono());
                    // The call's permit was dropped; its model's owner logs it before the request.
                    tokio::task::yield_now().await;
                    let error = wording::given_up(stop);
                    if stop != Stop::Cancelled {
                        let event = log.event(Err(&error), arrived, services.clock.now());
                        dispatch.record(event);
                        return;
                    }
                    Err(error)
                }
                // A panic must cost no more than its own request, not even that one's line.
                result = AssertUnwindSafe(dispatch.answer(&mut log, client)).catch_unwind() => {
                    match result {
                        Ok(result) => result,
                        Err(_) => {
                            log.stopped(services.clock.mono());
                            tokio::task::yield_now().await;
                            Err(ErrorBody::internal("the daemon lost this request"))
                        }
                    }
                }
            };
            offer = offer::facts(&dispatch, result.as_deref(), &log);
            result
        }
    };
    let now = services.clock.now();
    let event = log.event(result.as_deref(), arrived, now);
    // The reply is a promise that it is in the log, and so are its calls.
    services.recorder.record_and_wait(now.wall, event).await;
    let attempts = log.into_attempts();
    sink.answer(ChatAnswer::Chat(Outcome { request_id, result, attempts }));
    drop(under_way);
    if let Some(facts) = offer {
        services.shadows.offer(request, facts);
    }
}
