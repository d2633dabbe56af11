//! How a model is judged and waited for: timeouts, retry, breaker and health.
//!
//! These four sections stand at the top of the file for all models, and again below a model for
//! that one alone; what a model does not say, it takes from the top. So each reader gets the
//! values to begin with and does not know which of the two it reads.

use std::time::Duration;

use super::field::Field;
use super::section::Section;
use crate::config::{HealthConfig, Retry, Timeouts};
use crate::domain::breaker::{self, Prober};

/// The four sections, read.
#[derive(Clone)]
pub(super) struct RuleSections {
    pub(super) timeouts: Timeouts,
    pub(super) retry: Retry,
    pub(super) breaker: breaker::Rules,
    pub(super) probe_nearest: bool,
    pub(super) health: HealthConfig,
    pub(super) retention: Duration,
}

/// The sections at the top of the file.
pub(super) fn global(root: &mut Section<'_>) -> RuleSections {
    let mut rules = RuleSections::default();
    let mut section = root.section("health");
    rules.retention = section.or("retention", Field::duration, rules.retention);
    health(section, &mut rules);
    others(root, &mut rules);
    rules
}

/// The same sections below a model, on top of `base`.
pub(super) fn of_model(model: &mut Section<'_>, base: &RuleSections) -> RuleSections {
    let mut rules = base.clone();
    health(model.section("health"), &mut rules);
    others(model, &mut rules);
    rules
}

fn others(parent: &mut Section<'_>, rules: &mut RuleSections) {
    timeouts(parent.section("timeouts"), &mut rules.timeouts);
    retry(parent.section("retry"), &mut rules.retry);
    breaker(parent.section("breaker"), rules);
}

fn timeouts(mut section: Section<'_>, timeouts: &mut Timeouts) {
    timeouts.connect = section.or("connect", Field::duration, timeouts.connect);
    timeouts.first_token = section.or("first_token", Field::duration, timeouts.first_token);
    timeouts.idle = section.or("idle", Field::duration, timeouts.idle);
    timeouts.attempt = section.or("attempt", Field::duration, timeouts.attempt);
}

fn retry(mut section: Section<'_>, retry: &mut Retry) {
    retry.max = section.or("max", |f| f.whole(0), retry.max);
    retry.base = section.or("base", Field::duration, retry.base);
    retry.cap = section.or("cap", Field::duration, retry.cap);
    let wait = &mut retry.wait_for_retry_after;
    *wait = section.or("wait_for_retry_after", Field::duration, *wait);
    section.ordered(("base", retry.base), ("cap", retry.cap));
}

fn breaker(mut section: Section<'_>, rules: &mut RuleSections) {
    let breaker = &mut rules.breaker;
    breaker.failures = section.or("failures", |f| f.whole(0), breaker.failures);
    breaker.open_for = section.or("open_for", Field::duration, breaker.open_for);
    breaker.open_for_max = section.or("open_for_max", Field::duration, breaker.open_for_max);
    breaker.blocked_for = section.or("blocked_for", Field::duration, breaker.blocked_for);
    breaker.failure_rate = section.or("failure_rate", Field::rate, breaker.failure_rate);
    breaker.rate_min_calls = section.or("rate_min_calls", |f| f.whole(1), breaker.rate_min_calls);
    let probers = [("shadow", Prober::Background), ("live", Prober::Caller)];
    breaker.probe = section.or("probe", |f| f.choice(&probers), breaker.probe);
    breaker.probe_every = section.or("probe_every", Field::duration, breaker.probe_every);
    let when_all_open = [("nearest", true), ("fail", false)];
    rules.probe_nearest =
        section.or("when_all_open", |f| f.choice(&when_all_open), rules.probe_nearest);
    section.ordered(("open_for", breaker.open_for), ("open_for_max", breaker.open_for_max));
}

fn health(mut section: Section<'_>, rules: &mut RuleSections) {
    let health = &mut rules.health;
    health.window = section.or("window", Field::duration, health.window);
    health.degraded_below = section.or("degraded_below", Field::rate, health.degraded_below);
    health.min_calls = section.or("min_calls", |f| f.whole(1), health.min_calls);
    section.ordered(("window", health.window), ("retention", rules.retention));
}

impl Default for RuleSections {
    fn default() -> RuleSections {
        let seconds = Duration::from_secs;
        RuleSections {
            timeouts: Timeouts {
                connect: seconds(5),
                first_token: seconds(10),
                idle: seconds(15),
                attempt: seconds(60),
            },
            retry: Retry {
                max: 1,
                base: Duration::from_millis(500),
                cap: seconds(8),
                wait_for_retry_after: seconds(3),
            },
            breaker: breaker::Rules {
                failures: 3,
                open_for: seconds(5 * 60),
                open_for_max: seconds(30 * 60),
                blocked_for: seconds(15 * 60),
                failure_rate: 0.5,
                rate_min_calls: 10,
                probe: Prober::Background,
                probe_every: seconds(15),
            },
            probe_nearest: true,
            health: HealthConfig { window: seconds(10 * 60), degraded_below: 0.8, min_calls: 5 },
            retention: seconds(48 * 3600),
        }
    }
}
