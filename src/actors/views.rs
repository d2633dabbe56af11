//! What people are shown of a model's state.

use std::time::Duration;

use crate::domain::breaker::{State, Status};
use crate::domain::model::ModelState;
use crate::domain::time::{Now, millis};
use crate::domain::window::Bucket;
use crate::protocol::calendar::rfc3339;
use crate::protocol::health::{
    BreakerView, EvidenceView, LastErrorView, ModelHealth, OverrideView,
};

/// A model's health over the last `window`.
pub(super) fn health(state: &ModelState, window: Duration, now: Now) -> ModelHealth {
    let total = state.total(window, now);
    let answered = total.latency.count();
    let average = |sum: u64| (answered > 0).then(|| sum as f64 / answered as f64);
    ModelHealth {
        success_rate: total.decided().success_rate(),
        avg_latency_ms: average(total.latency_sum_ms),
        p50_ms: total.latency.percentile(0.50),
        p95_ms: total.latency.percentile(0.95),
        total_calls: total.calls(),
        degraded: state.degraded(),
        in_flight: state.in_flight(),
        misconfigured: state.settings().misconfigured.clone(),
        last_error: state.last_error().map(|last| LastErrorView {
            error_type: last.ending.fault,
            status: last.ending.status,
            code: last.ending.code.clone(),
            at: rfc3339(last.at),
        }),
        breaker: circuit(&state.circuit(now)),
        hold_until: state.hold_until(now).map(|until| rfc3339(until.wall())),
        ready: is_ready(state, now),
        evidence: evidence(state, &total, now),
        learned: Vec::new(),
    }
}

fn is_ready(state: &ModelState, now: Now) -> bool {
    let closed = state.circuit(now).state == State::Closed;
    closed && state.settings().misconfigured.is_none() && state.hold_until(now).is_none()
}

fn evidence(state: &ModelState, total: &Bucket, now: Now) -> EvidenceView {
    let (at, by) = state.evidence().proven.unzip();
    let (shadow, probe) = (u64::from(total.shadow), u64::from(total.probe));
    EvidenceView {
        proven_at: at.map(rfc3339),
        proven_ago_ms: at.map(|at| millis(now.wall.since(at))),
        proven_by: by,
        live: total.decided().calls().saturating_sub(shadow + probe),
        shadow,
        probe,
    }
}

pub(super) fn circuit(status: &Status) -> BreakerView {
    BreakerView {
        state: status.state,
        reason: status.reason.clone(),
        since: rfc3339(status.since),
        retry_at: status.retry_at.map(rfc3339),
        consecutive_failures: status.consecutive_failures,
        overridden: status.overridden.map(|overridden| OverrideView {
            set: overridden.set,
            until: overridden.until.map(|until| rfc3339(until.wall())),
        }),
    }
}
