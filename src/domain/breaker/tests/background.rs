//! Copies of requests as probes of an open circuit.

use super::*;

const PROBE: Ask = Ask { lease: MINUTE, by: Asker::Probe };
const EVERY: Duration = Duration::from_secs(15);

fn opened_in_background(fault: Fault) -> Breaker {
    let rules = Rules { probe: Prober::Background, failures: 1, ..rules() };
    let mut breaker = Breaker::new(rules, 10 * MINUTE, start());
    let (permit, _) = breaker.admit(ASK, start()).unwrap();
    breaker.settle(permit, CallFinding::of(fault), NONE, 0.0, start());
    assert_eq!(breaker.state(start()), State::Open);
    breaker
}

fn probe(breaker: &mut Breaker, finding: CallFinding, now: Now) -> Option<Change> {
    let (permit, told) = breaker.admit(PROBE, now).unwrap();
    assert_eq!(told, None, "nobody hears of a probe that has found nothing yet");
    breaker.settle(permit, finding, NONE, 0.0, now).change
}

#[test]
fn a_success_closes_the_circuit_long_before_its_time() {
    let mut breaker = opened_in_background(Fault::Overloaded);
    let now = start().plus(EVERY);
    let change = probe(&mut breaker, CallFinding::Success, now).unwrap();
    assert_eq!((change.from, change.to), (State::Open, State::Closed));
    assert!(breaker.admit(PROBE, now.plus(MINUTE)).is_err(), "a closed circuit needs no probe");
}

#[test]
fn a_failure_changes_nothing_whatever_it_is() {
    let failures = [
        CallFinding::Failure(Fault::Overloaded),
        CallFinding::Block(Fault::Auth),
        CallFinding::Hold,
        CallFinding::Nothing,
    ];
    for finding in failures {
        let mut breaker = opened_in_background(Fault::Overloaded);
        let before = (breaker.status(start()), breaker.openings);
        for at in 1..=15 {
            let now = start().plus(at * MINUTE);
            assert_eq!(probe(&mut breaker, finding, now), None);
        }
        let now = start().plus(5 * MINUTE);
        assert_eq!(breaker.state(now), State::HalfOpen);
        assert_eq!((breaker.status(start()), breaker.openings), before, "{finding:?}");
    }
}

#[test]
fn one_at_a_time_and_no_closer_than_configured() {
    let mut breaker = opened_in_background(Fault::Overloaded);
    assert!(breaker.admit(PROBE, start().plus(EVERY / 2)).is_err(), "not at once");
    let now = start().plus(EVERY);
    let (permit, _) = breaker.admit(PROBE, now).unwrap();
    assert!(breaker.admit(PROBE, now.plus(2 * EVERY)).is_err(), "the first is still under way");
    assert_eq!(lose(&mut breaker, permit, now.plus(2 * EVERY)), None);
    assert!(breaker.admit(PROBE, now.plus(2 * EVERY)).is_ok());
}

#[test]
fn a_probe_under_way_keeps_callers_from_being_another() {
    let mut breaker = opened_in_background(Fault::Overloaded);
    let now = start().plus(5 * MINUTE);
    let (permit, _) = breaker.admit(PROBE, now).unwrap();
    assert!(breaker.admit(ASK, now).is_err());
    assert_eq!(lose(&mut breaker, permit, now), None);
    assert!(breaker.admit(ASK, now).is_ok(), "without a copy a caller may be the probe");
}

#[test]
fn what_waits_for_a_person_is_tried_every_five_minutes_and_only_a_success_closes_it() {
    let mut breaker = opened_in_background(Fault::Auth);
    assert!(breaker.admit(PROBE, start().plus(4 * MINUTE)).is_err());
    let now = start().plus(5 * MINUTE);
    assert_eq!(probe(&mut breaker, CallFinding::Alive, now), None);
    assert!(breaker.admit(PROBE, now.plus(4 * MINUTE)).is_err());
    assert!(probe(&mut breaker, CallFinding::Success, now.plus(5 * MINUTE)).is_some());
}

#[test]
fn copies_of_answered_requests_go_to_closed_circuits_alone() {
    let shadow = Ask { by: Asker::Shadow, ..ASK };
    let mut breaker = opened_in_background(Fault::Overloaded);
    assert!(breaker.admit(shadow, start()).is_err());
    assert!(breaker.admit(shadow, start().plus(60 * MINUTE)).is_err(), "nor half-open ones");
    probe(&mut breaker, CallFinding::Success, start().plus(EVERY));
    assert!(breaker.admit(shadow, start().plus(EVERY)).is_ok());
}

#[test]
fn with_live_probes_there_are_none_in_the_background() {
    let mut breaker = opened(start());
    assert_eq!(breaker.probe_in(start()), None);
    assert!(breaker.admit(PROBE, start().plus(4 * MINUTE)).is_err());
    assert!(!breaker.awaits_copy(start().plus(5 * MINUTE)));
}

#[test]
fn an_overridden_circuit_is_not_probed() {
    let mut breaker = opened_in_background(Fault::Overloaded);
    breaker.set_override(Some(Override { set: OverrideState::Open, until: None }), start());
    assert!(breaker.admit(PROBE, start().plus(5 * MINUTE)).is_err());
}
