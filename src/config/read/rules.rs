//! How a model is judged and waited for: timeouts, retry, breaker and health.
//!
//! These four sections stand at the top of the file for all models, and again below a model for
//! that one alone; what a model does not say, it takes from the top. So each reader gets the
//! values to begin with and does not know which of the two it reads.

use std::time::Duration;

use super::field::Field;
use super::section::Section;
use crate::config::{Health, Retry, Timeouts};
use crate::domain::breaker::{self, Prober};

/// The four sections, read.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) timeouts: Timeouts,
    pub(super) retry: Retry,
    pub(super) breaker: breaker::Rules,
    pub(super) probe_nearest: bool,
    pub(super) health: Health,
    pub(super) retention: Duration,
}

/// The sections at the top of the file.
pub(super) fn global(root: &mut Section<'_>) -> Rules {
    let mut rules = Rules::default();
    let mut section = root.section("health");
    rules.retention = section.value("retention", Field::duration).unwrap_or(rules.retention);
    health(section, &mut rules);
    others(root, &mut rules);
    rules
}

/// The same sections below a model, on top of `base`.
pub(super) fn of_model(model: &mut Section<'_>, base: &Rules) -> Rules {
    let mut rules = base.clone();
    health(model.section("health"), &mut rules);
    others(model, &mut rules);
    rules
}

fn others(parent: &mut Section<'_>, rules: &mut Rules) {
    timeouts(parent.section("timeouts"), &mut rules.timeouts);
    retry(parent.section("retry"), &mut rules.retry);
    breaker(parent.section("breaker"), rules);
}

fn timeouts(mut section: Section<'_>, timeouts: &mut Timeouts) {
    set(&mut timeouts.connect, section.value("connect", Field::duration));
    set(&mut timeouts.first_token, section.value("first_token", Field::duration));
    set(&mut timeouts.idle, section.value("idle", Field::duration));
    set(&mut timeouts.attempt, section.value("attempt", Field::duration));
    section.done();
}

fn retry(mut section: Section<'_>, retry: &mut Retry) {
    set(&mut retry.max, section.value("max", |f| f.whole(0)));
    set(&mut retry.base, section.value("base", Field::duration));
    set(&mut retry.cap, section.value("cap", Field::duration));
    let wait = section.value("wait_for_retry_after", Field::duration);
    set(&mut retry.wait_for_retry_after, wait);
    section.ordered(("base", retry.base), ("cap", retry.cap));
    section.done();
}

fn breaker(mut section: Section<'_>, rules: &mut Rules) {
    let breaker = &mut rules.breaker;
    set(&mut breaker.failures, section.value("failures", |f| f.whole(0)));
    set(&mut breaker.open_for, section.value("open_for", Field::duration));
    set(&mut breaker.open_for_max, section.value("open_for_max", Field::duration));
    set(&mut breaker.blocked_for, section.value("blocked_for", Field::duration));
    set(&mut breaker.failure_rate, section.value("failure_rate", Field::rate));
    set(&mut breaker.rate_min_calls, section.value("rate_min_calls", |f| f.whole(1)));
    let probers = [("shadow", Prober::Background), ("live", Prober::Caller)];
    set(&mut breaker.probe, section.value("probe", |f| f.choice(&probers)));
    set(&mut breaker.probe_every, section.value("probe_every", Field::duration));
    let when_all_open = [("nearest", true), ("fail", false)];
    let nearest = section.value("when_all_open", |f| f.choice(&when_all_open));
    set(&mut rules.probe_nearest, nearest);
    let (open_for, open_for_max) = (breaker.open_for, breaker.open_for_max);
    section.ordered(("open_for", open_for), ("open_for_max", open_for_max));
    section.done();
}

fn health(mut section: Section<'_>, rules: &mut Rules) {
    let health = &mut rules.health;
    set(&mut health.window, section.value("window", Field::duration));
    set(&mut health.degraded_below, section.value("degraded_below", Field::rate));
    set(&mut health.min_calls, section.value("min_calls", |f| f.whole(1)));
    section.ordered(("window", health.window), ("retention", rules.retention));
    section.done();
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Default for Rules {
    fn default() -> Rules {
        let seconds = Duration::from_secs;
        Rules {
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
            health: Health { window: seconds(10 * 60), degraded_below: 0.8, min_calls: 5 },
            retention: seconds(48 * 3600),
        }
    }
}
