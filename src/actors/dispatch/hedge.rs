//! A second call beside one that takes long, for chains with `hedge_after`.
//!
//! The first of the two to deliver content goes on, and the other is cancelled. If one fails, the
//! other goes on alone. There are never more than two calls for a request at once, and a request
//! gets a second one only once.

use tokio::time::timeout;

use super::{Dispatch, DispatchState, Mode, Running};
use crate::domain::ledger::CallKind;
use crate::domain::route::Spare;
use crate::provider::Step;

/// The call to follow to its end: this one, or one that was faster.
pub(super) async fn race<'a>(
    dispatch: &'a Dispatch<'a>,
    mut first: Running<'a>,
    state: &mut DispatchState<'_>,
) -> Running<'a> {
    let after = dispatch.chain.hedge_after.filter(|_| state.progress.may_hedge());
    let Some(after) = after else { return first };
    if timeout(after, first.call.first()).await.is_ok() {
        return first;
    }
    let Some(mut second) = spare(dispatch, state).await else { return first };
    state.progress.hedged();
    let first_is_ready = tokio::select! {
        biased;
        () = first.call.first() => true,
        () = second.call.first() => false,
    };
    let (mut ready, other) = if first_is_ready { (first, second) } else { (second, first) };
    if ready.call.has_failed() {
        if let Step::End(outcome) = ready.call.step().await {
            dispatch.settle(ready, outcome, state).await;
        }
        return other;
    }
    state.progress.give_back(other.at);
    let finished = other.call.outrun();
    dispatch.pay(finished.ended.cost, state.log);
    state.log.cancelled(other.number, dispatch.services.clock.mono());
    finished.permit.settle(finished.ended).await;
    ready
}

/// A call to the next model that takes one.
async fn spare<'a>(
    dispatch: &'a Dispatch<'a>,
    state: &mut DispatchState<'_>,
) -> Option<Running<'a>> {
    loop {
        let now = dispatch.services.clock.mono();
        let (at, skip) = match state.progress.spare(&dispatch.chain.candidates, now) {
            Spare::None => return None,
            Spare::PassOver { at, skip } => (at, skip),
            Spare::Try { at } => {
                let others_behind = state.progress.has_others();
                let mode = Mode { kind: CallKind::Hedge, early: false, others_behind };
                match dispatch.start(at, mode, state).await {
                    Ok(running) => return Some(running),
                    Err(skip) => (at, skip),
                }
            }
        };
        state.log.skipped(dispatch.chain.models[at].name(), skip);
    }
}
