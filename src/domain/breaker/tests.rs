//! Claims about the breaker, as examples.

use super::*;
use crate::domain::time::{Mono, Wall};

mod background;
mod properties;

const MINUTE: Duration = Duration::from_secs(60);
const ASK: Ask = Ask { lease: MINUTE, by: Asker::Caller };
const EARLY: Ask = Ask { lease: MINUTE, by: Asker::Nearest };
const NONE: Judged = Judged { success: 0, failure: 0 };

fn rules() -> Rules {
    Rules {
        failures: 3,
        open_for: 5 * MINUTE,
        open_for_max: 30 * MINUTE,
        blocked_for: 15 * MINUTE,
        failure_rate: 0.5,
        rate_min_calls: 10,
        probe: Prober::Caller,
        probe_every: Duration::from_secs(15),
    }
}

fn start() -> Now {
    Now { mono: Mono(Duration::ZERO), wall: Wall(1_800_000_000_000) }
}

fn breaker() -> Breaker {
    Breaker::new(rules(), 10 * MINUTE, start())
}

fn fail(breaker: &mut Breaker, now: Now) -> Settled {
    let (permit, _) = breaker.admit(ASK, now).unwrap();
    breaker.settle(permit, CallFinding::Failure(Fault::Overloaded), NONE, 0.0, now)
}

fn lose(breaker: &mut Breaker, permit: CircuitPermit, now: Now) -> Option<Change> {
    breaker.settle(permit, CallFinding::Nothing, NONE, 0.0, now).change
}

fn opened(now: Now) -> Breaker {
    let mut breaker = breaker();
    (0..3).for_each(|_| drop(fail(&mut breaker, now)));
    breaker
}

fn left(breaker: &Breaker, now: Now) -> Duration {
    breaker.refusal(Asker::Caller, now).unwrap().unwrap()
}

#[test]
fn it_opens_exactly_at_the_third_failure_for_exactly_five_minutes() {
    let mut breaker = breaker();
    assert_eq!(fail(&mut breaker, start()).change, None);
    assert_eq!(fail(&mut breaker, start()).change, None);
    let change = fail(&mut breaker, start()).change.unwrap();
    assert_eq!((change.from, change.to), (State::Closed, State::Open));
    assert_eq!(change.retry_at, Some(start().wall.plus(5 * MINUTE)));
    assert!(breaker.admit(ASK, start().plus(5 * MINUTE - Duration::from_millis(1))).is_err());
    assert!(breaker.admit(ASK, start().plus(5 * MINUTE)).is_ok());
}

#[test]
fn a_success_resets_the_run_and_neutral_results_do_not() {
    let mut breaker = breaker();
    for finding in
        [CallFinding::Success, CallFinding::Alive, CallFinding::Nothing, CallFinding::Hold]
    {
        let mut breaker = breaker.clone();
        fail(&mut breaker, start());
        fail(&mut breaker, start());
        let (permit, _) = breaker.admit(ASK, start()).unwrap();
        breaker.settle(permit, finding, NONE, 0.0, start());
        let opens = fail(&mut breaker, start()).change.is_some();
        assert_eq!(opens, finding != CallFinding::Success, "{finding:?}");
    }
    assert_eq!(fail(&mut breaker, start()).change, None);
}

#[test]
fn a_bad_failure_rate_opens_it_and_is_silent_below_the_minimum() {
    let judged = |success, failure| Judged { success, failure };
    for (before, opens) in [
        (judged(4, 4), false),
        (judged(5, 4), true),
        (judged(6, 3), false),
        (judged(50, 48), false),
        (judged(50, 49), true),
    ] {
        let mut breaker = breaker();
        let (permit, _) = breaker.admit(ASK, start()).unwrap();
        let finding = CallFinding::Failure(Fault::Timeout);
        let settled = breaker.settle(permit, finding, before, 0.0, start());
        assert_eq!(settled.change.is_some(), opens, "{before:?}");
    }
}

#[test]
fn half_open_admits_exactly_one_probe() {
    let now = start().plus(5 * MINUTE);
    let mut breaker = opened(start());
    let (probe, change) = breaker.admit(ASK, now).unwrap();
    assert_eq!(change.unwrap().to, State::HalfOpen);
    for _ in 0..40 {
        assert!(breaker.admit(ASK, now).is_err());
    }
    let closed = breaker.settle(probe, CallFinding::Success, NONE, 0.0, now).change.unwrap();
    assert_eq!((closed.from, closed.to), (State::HalfOpen, State::Closed));
}

#[test]
fn a_failed_probe_doubles_the_opening_up_to_the_maximum() {
    let mut breaker = opened(start());
    let mut now = start();
    for minutes in [5, 10, 20, 30, 30] {
        assert_eq!(left(&breaker, now), minutes * MINUTE);
        now = now.plus(minutes * MINUTE);
        let change = fail(&mut breaker, now).change.unwrap();
        assert_eq!((change.from, change.to), (State::HalfOpen, State::Open));
    }
}

#[test]
fn after_a_healthy_window_the_next_opening_is_a_first_one_again() {
    for (closed_for, expected) in [(9 * MINUTE, 10 * MINUTE), (10 * MINUTE, 5 * MINUTE)] {
        let mut breaker = opened(start());
        let now = start().plus(5 * MINUTE);
        let (probe, _) = breaker.admit(ASK, now).unwrap();
        breaker.settle(probe, CallFinding::Success, NONE, 0.0, now);
        let now = now.plus(closed_for);
        (0..3).for_each(|_| drop(fail(&mut breaker, now)));
        assert_eq!(left(&breaker, now), expected);
    }
}

#[test]
fn only_reopenings_are_random_and_by_a_tenth_at_most() {
    let mut breaker = breaker();
    for _ in 0..3 {
        let (permit, _) = breaker.admit(ASK, start()).unwrap();
        breaker.settle(permit, CallFinding::Failure(Fault::Reset), NONE, 1.0, start());
    }
    assert_eq!(left(&breaker, start()), 5 * MINUTE);
    let now = start().plus(5 * MINUTE);
    let (probe, _) = breaker.admit(ASK, now).unwrap();
    breaker.settle(probe, CallFinding::Failure(Fault::Reset), NONE, 1.0, now);
    assert_eq!(left(&breaker, now), 11 * MINUTE);
}

#[test]
fn results_of_an_earlier_state_change_nothing() {
    let mut breaker = breaker();
    let slow = breaker.admit(ASK, start()).unwrap().0;
    let slower = breaker.admit(ASK, start()).unwrap().0;
    (0..3).for_each(|_| drop(fail(&mut breaker, start())));
    let late = breaker.settle(slow, CallFinding::Success, NONE, 0.0, start());
    assert_eq!(late, Settled { counted: false, change: None });
    let now = start().plus(5 * MINUTE);
    let (probe, _) = breaker.admit(ASK, now).unwrap();
    breaker.settle(probe, CallFinding::Success, NONE, 0.0, now);
    let late = breaker.settle(slower, CallFinding::Block(Fault::Auth), NONE, 0.0, now);
    assert_eq!(late, Settled { counted: false, change: None });
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn blocking_reasons_open_at_once_without_growth_and_only_a_success_ends_them() {
    let mut breaker = breaker();
    let mut now = start();
    for _ in 0..3 {
        let (permit, _) = breaker.admit(ASK, now).unwrap();
        let change = breaker.settle(permit, CallFinding::Block(Fault::Auth), NONE, 1.0, now).change;
        assert_eq!(change.unwrap().reason, "auth");
        assert_eq!(left(&breaker, now), 15 * MINUTE);
        now = now.plus(15 * MINUTE);
    }
    let (probe, _) = breaker.admit(ASK, now).unwrap();
    assert_eq!(breaker.settle(probe, CallFinding::Alive, NONE, 0.0, now).change, None);
    assert_eq!(breaker.state(now), State::HalfOpen);
    let (probe, _) = breaker.admit(ASK, now).unwrap();
    breaker.settle(probe, CallFinding::Success, NONE, 0.0, now);
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn a_cure_ends_only_what_needed_a_person() {
    let mut blocked = breaker();
    let (permit, _) = blocked.admit(ASK, start()).unwrap();
    blocked.settle(permit, CallFinding::Block(Fault::Auth), NONE, 0.0, start());
    assert_eq!(blocked.cure(start()).unwrap().to, State::Closed);
    let mut failing = opened(start());
    assert_eq!(failing.cure(start()), None);
    assert_eq!(failing.state(start()), State::Open);
}

#[test]
fn a_neutral_answer_to_the_probe_closes_and_a_hold_gives_the_slot_back() {
    let now = start().plus(5 * MINUTE);
    let mut breaker = opened(start());
    let (probe, _) = breaker.admit(ASK, now).unwrap();
    assert_eq!(breaker.settle(probe, CallFinding::Hold, NONE, 0.0, now).change, None);
    let (probe, _) = breaker.admit(ASK, now).unwrap();
    let change = breaker.settle(probe, CallFinding::Alive, NONE, 0.0, now).change.unwrap();
    assert_eq!(change.to, State::Closed);
}

#[test]
fn three_wasted_probes_pause_for_a_tenth_of_the_base_time() {
    let now = start().plus(5 * MINUTE);
    let mut breaker = opened(start());
    for _ in 0..2 {
        let (probe, _) = breaker.admit(ASK, now).unwrap();
        assert_eq!(lose(&mut breaker, probe, now), None);
    }
    let (probe, _) = breaker.admit(ASK, now).unwrap();
    assert_eq!(lose(&mut breaker, probe, now).unwrap().to, State::Open);
    assert_eq!(left(&breaker, now), MINUTE / 2);
}

#[test]
fn a_lost_probe_gives_its_slot_back_when_its_lease_ends() {
    let now = start().plus(5 * MINUTE);
    let mut breaker = opened(start());
    let (lost, _) = breaker.admit(ASK, now).unwrap();
    let later = now.plus(MINUTE);
    let (_second, _) = breaker.admit(ASK, later).unwrap();
    let late = breaker.settle(lost, CallFinding::Success, NONE, 0.0, later);
    assert!(!late.counted, "the lost probe came back after its lease");
}

#[test]
fn an_early_probe_closes_on_success_and_its_failure_changes_nothing() {
    let mut breaker = opened(start());
    let now = start().plus(MINUTE);
    assert!(breaker.admit(ASK, now).is_err());
    let (probe, _) = breaker.admit(EARLY, now).unwrap();
    assert!(breaker.admit(EARLY, now).is_err(), "one at a time");
    let failed = breaker.settle(probe, CallFinding::Failure(Fault::Connect), NONE, 1.0, now);
    assert_eq!(failed.change, None);
    assert_eq!(left(&breaker, now), 4 * MINUTE);
    assert!(breaker.admit(EARLY, now.plus(Duration::from_secs(14))).is_err());
    let later = now.plus(Duration::from_secs(15));
    let (probe, _) = breaker.admit(EARLY, later).unwrap();
    let change = breaker.settle(probe, CallFinding::Success, NONE, 0.0, later).change.unwrap();
    assert_eq!((change.from, change.to), (State::Open, State::Closed));
}

#[test]
fn blocked_and_overridden_circuits_are_never_probed_early() {
    let mut blocked = breaker();
    let (permit, _) = blocked.admit(ASK, start()).unwrap();
    blocked.settle(permit, CallFinding::Block(Fault::QuotaExhausted), NONE, 0.0, start());
    assert!(blocked.admit(EARLY, start()).is_err());
    let mut overridden = breaker();
    overridden.set_override(Some(Override { set: OverrideState::Open, until: None }), start());
    assert!(overridden.admit(EARLY, start()).is_err());
    assert_eq!(overridden.early_in(start()), None);
}

#[test]
fn overrides_hold_until_they_end_and_forced_closed_still_counts() {
    let mut breaker = opened(start());
    let until = Some(Deadline::after(start(), MINUTE));
    let change =
        breaker.set_override(Some(Override { set: OverrideState::Closed, until }), start());
    assert_eq!((change.from, change.to), (State::Open, State::Closed));
    (0..5).for_each(|_| assert_eq!(fail(&mut breaker, start()).change, None));
    assert_eq!(breaker.status(start()).consecutive_failures, 5);
    let later = start().plus(MINUTE);
    assert!(breaker.expire(later).is_some());
    assert!(fail(&mut breaker, later).change.is_some());
    breaker.set_override(Some(Override { set: OverrideState::Open, until: None }), later);
    assert!(breaker.admit(ASK, later.plus(1000 * MINUTE)).is_err());
}

#[test]
fn a_restart_keeps_the_deadline_and_never_makes_it_longer_than_legal() {
    let stored = opened(start()).stored(start());
    let after = |wall_ms: i64| Now {
        mono: Mono(Duration::ZERO),
        wall: Wall(start().wall.0.saturating_add_signed(wall_ms)),
    };
    let wait = |now| {
        let mut restored = breaker();
        restored.restore(&stored, now);
        restored.refusal(Asker::Caller, now)
    };
    assert_eq!(wait(after(60_000)), Some(Some(4 * MINUTE)));
    assert_eq!(wait(after(300_000)), None, "due: the next caller probes");
    let stepped_back = wait(after(-86_400_000)).unwrap().unwrap();
    assert!(stepped_back <= (30 * MINUTE).mul_f64(1.1), "{stepped_back:?}");
}

#[test]
fn a_clock_put_back_before_a_restart_makes_no_order_longer() {
    let mut before = breaker();
    let until = Some(Deadline::after(start(), 10 * MINUTE));
    before.set_override(Some(Override { set: OverrideState::Open, until }), start());
    let mut now = start().plus(4 * MINUTE);
    now.wall = now.wall.minus(600 * MINUTE);
    let stored = before.stored(now);
    let mut after = breaker();
    after.restore(&stored, now);
    assert_eq!(left(&after, now), 6 * MINUTE);
}
