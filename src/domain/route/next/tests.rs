//! Courses that requests take: what is tried, what is waited for, how it ends.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::progress::RouteRules;
use super::*;
use crate::domain::pace::Backoff;

const SECOND: Duration = Duration::from_secs(1);

fn candidate(provider: &str, context_window: Option<u64>) -> Candidate {
    Candidate {
        provider: provider.into(),
        context_window,
        backoff: Backoff { base: SECOND, cap: 8 * SECOND },
        max_repeats: 1,
        longest_hint: 3 * SECOND,
    }
}

fn at(seconds: u32) -> Mono {
    Mono(seconds * SECOND)
}

fn rules(deadline: u32) -> RouteRules {
    RouteRules { deadline: at(deadline), refusal_falls_back: false, break_interrupts: false }
}

fn progress(models: usize, deadline: u32) -> Progress {
    Progress::new((0..models).collect(), None, rules(deadline))
}

fn failed(at: usize, fault: Fault) -> FailedCall {
    FailedCall::new(at, fault)
}

fn fails(progress: &mut Progress, chain: &[Candidate], failed: FailedCall, now: Mono) -> Next {
    progress.learn(&chain[failed.at], failed.fault, now, 0.0);
    progress.next(Happened::Failed(failed), chain, now, 0.0)
}

fn call(at: usize) -> Next {
    Next::Try { at, early: false }
}

#[test]
fn a_server_error_is_repeated_once_and_then_the_next_provider_is_asked_at_once() {
    let chain = [candidate("p", None), candidate("q", None)];
    let mut progress = progress(2, 60);
    assert_eq!(progress.next(Happened::Ranked, &chain, at(0), 0.0), call(0));
    let error = failed(0, Fault::ServerError);
    let wait = Next::Wait { at: 0, wait: SECOND };
    assert_eq!(fails(&mut progress, &chain, error, at(0)), wait);
    assert_eq!(progress.next(Happened::Waited, &chain, at(1), 0.0), call(0));
    assert_eq!(fails(&mut progress, &chain, error, at(1)), call(1));
    let end = Next::Finish(NoAnswer::Exhausted);
    assert_eq!(fails(&mut progress, &chain, failed(1, Fault::Tls), at(2)), end);
}

#[test]
fn another_model_of_a_provider_in_trouble_waits_and_a_circuit_that_opens_ends_the_wait() {
    let chain = [candidate("p", None), candidate("p", None), candidate("q", None)];
    let mut progress = progress(3, 60);
    progress.next(Happened::Ranked, &chain, at(0), 0.0);
    let stop = FailedCall { should_retry: Some(false), ..failed(0, Fault::Overloaded) };
    let wait = Next::Wait { at: 1, wait: SECOND };
    assert_eq!(fails(&mut progress, &chain, stop, at(0)), wait);
    let passed = progress.next(Happened::Opened, &chain, at(0), 0.0);
    assert!(
        matches!(passed, Next::PassOver { at: 1, skip } if skip.reason == SkipReason::CircuitOpen)
    );
    assert_eq!(progress.next(Happened::PassedOver, &chain, at(0), 0.0), call(2));
}

#[test]
fn a_hint_that_is_short_enough_is_waited_for_and_a_longer_one_is_not() {
    for (hint, waits) in [(3, true), (4, false)] {
        let chain = [candidate("p", None), candidate("q", None)];
        let mut progress = progress(2, 60);
        progress.next(Happened::Ranked, &chain, at(0), 0.0);
        let hinted_hold = Some(hint * SECOND);
        let limited = FailedCall { hinted_hold, ..failed(0, Fault::RateLimited) };
        let next = fails(&mut progress, &chain, limited, at(0));
        let wait = Next::Wait { at: 0, wait: hint * SECOND };
        assert_eq!(next, if waits { wait } else { call(1) });
    }
}

#[test]
fn no_model_as_small_is_asked_with_a_prompt_that_was_too_long() {
    let chain = [candidate("p", Some(8)), candidate("q", Some(8)), candidate("r", Some(9))];
    let mut progress = progress(3, 60);
    progress.next(Happened::Ranked, &chain, at(0), 0.0);
    let passed = fails(&mut progress, &chain, failed(0, Fault::ContextTooLong), at(0));
    assert!(
        matches!(passed, Next::PassOver { at: 1, skip } if skip.reason == SkipReason::Incapable)
    );
    assert_eq!(progress.next(Happened::PassedOver, &chain, at(0), 0.0), call(2));
}

#[test]
fn half_an_answer_ends_a_request_that_wants_no_other_unless_its_time_is_over() {
    for (now, end) in [(0, NoAnswer::Interrupted), (60, NoAnswer::Exhausted)] {
        let chain = [candidate("p", None)];
        let rules = RouteRules { break_interrupts: true, ..rules(60) };
        let mut progress = Progress::new(VecDeque::from([0]), None, rules);
        progress.next(Happened::Ranked, &chain, at(0), 0.0);
        let cut = FailedCall { delivered: true, ..failed(0, Fault::StreamCut) };
        assert_eq!(fails(&mut progress, &chain, cut, at(now)), Next::Finish(end));
    }
}

#[test]
fn a_refusal_goes_to_the_caller_or_to_the_next_model_as_the_request_says() {
    for (refusal_falls_back, next) in [(false, Next::Finish(NoAnswer::Refused)), (true, call(1))] {
        let chain = [candidate("p", None), candidate("q", None)];
        let rules = RouteRules { refusal_falls_back, ..rules(60) };
        let mut progress = Progress::new(VecDeque::from([0, 1]), None, rules);
        progress.next(Happened::Ranked, &chain, at(0), 0.0);
        assert_eq!(fails(&mut progress, &chain, failed(0, Fault::Refused), at(0)), next);
    }
}

#[test]
fn the_nearest_model_is_tried_early_only_if_nobody_could_be_called() {
    let chain = [candidate("p", None), candidate("q", None)];
    let mut progress = Progress::new(VecDeque::new(), Some(1), rules(60));
    let early = Next::Try { at: 1, early: true };
    assert_eq!(progress.next(Happened::Ranked, &chain, at(0), 0.0), early);
    let skip = Skip::new(SkipReason::CircuitOpen);
    let end = progress.next(Happened::NotAdmitted(skip), &chain, at(0), 0.0);
    assert_eq!(end, Next::Finish(NoAnswer::Exhausted));
}

#[test]
fn an_outrun_model_is_asked_again_when_the_faster_one_fails() {
    let chain = [candidate("p", None), candidate("q", None)];
    let mut progress = progress(2, 60);
    progress.next(Happened::Ranked, &chain, at(0), 0.0);
    assert!(progress.may_hedge());
    assert_eq!(progress.spare(&chain, at(1)), Spare::Try { at: 1 });
    progress.hedged();
    progress.give_back(0);
    assert!(!progress.may_hedge(), "one call beside another is enough");
    assert_eq!(fails(&mut progress, &chain, failed(1, Fault::StreamCut), at(2)), call(0));
}

proptest! {
    /// Whatever fails however: no model is called more often than it may be, no wait outlives the
    /// deadline, everybody in the order has a turn, and there is an end.
    #[test]
    fn every_course_keeps_the_rules_and_ends(
        faults in prop::collection::vec((0..Fault::ALL.len(), 0_u32..5, any::<bool>()), 40),
        models in 1_usize..5,
        deadline in 1_u32..40,
    ) {
        let chain: Vec<_> = (0..models).map(|at| candidate(["p", "q"][at % 2], None)).collect();
        let mut progress = progress(models, deadline);
        let (mut now, mut faults) = (Mono(Duration::ZERO), faults.into_iter().cycle());
        let (mut calls, mut turns) = (vec![0; models], vec![false; models]);
        let mut happened = Happened::Ranked;
        for _ in 0..200 {
            let (fault, wait, opens) = faults.next().unwrap();
            happened = match progress.next(happened, &chain, now, 0.5) {
                Next::Try { at, .. } => {
                    (calls[at], turns[at]) = (calls[at] + 1, true);
                    prop_assert!(calls[at] <= 2, "one repeat at most");
                    now = now.plus(wait * SECOND / 2);
                                    progress.learn(&chain[at], Fault::ALL[fault], now, 0.5);
                    let hinted_hold = Some(wait * SECOND);
                    Happened::Failed(FailedCall { hinted_hold, ..failed(at, Fault::ALL[fault]) })
                }
                Next::Wait { at, wait } => {
                    turns[at] = true;
                    prop_assert!(now.plus(wait) < Mono(deadline * SECOND), "no wait outlives it");
                    now = now.plus(wait);
                    if opens { Happened::Opened } else { Happened::Waited }
                }
                Next::PassOver { at, .. } => {
                    turns[at] = true;
                    Happened::PassedOver
                }
                Next::Finish(why) => {
                    let all = turns.iter().all(|had| *had);
                    prop_assert!(all || why != NoAnswer::Exhausted, "{turns:?}");
                    return Ok(());
                }
            };
        }
        prop_assert!(false, "it never ends");
    }
}
