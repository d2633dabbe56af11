//! What holds for the breaker under any interleaving of callers, clocks, orders and restarts.
//!
//! A seed that failed is written below `proptest-regressions/`, which belongs into the repository:
//! proptest tries what it finds there before anything new.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Wait { mono_ms: u64, wall_ms: i64 },
    Admit { by: Asker },
    Settle { which: usize, finding: CallFinding, chance: f64 },
    Abandon { which: usize },
    Order { set: Option<OverrideState>, for_ms: Option<u64> },
    Restart,
}

fn finding() -> impl Strategy<Value = CallFinding> {
    prop_oneof![
        Just(CallFinding::Success),
        Just(CallFinding::Alive),
        Just(CallFinding::Nothing),
        Just(CallFinding::Hold),
        Just(CallFinding::Failure(Fault::Overloaded)),
        Just(CallFinding::Failure(Fault::Overloaded)),
        Just(CallFinding::Block(Fault::Auth)),
    ]
}

fn asker() -> impl Strategy<Value = Asker> {
    prop_oneof![
        3 => Just(Asker::Caller),
        2 => Just(Asker::Nearest),
        1 => Just(Asker::Shadow),
        3 => Just(Asker::Probe),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..400_000, -100_000i64..400_000)
            .prop_map(|(mono_ms, wall_ms)| Step::Wait { mono_ms, wall_ms }),
        1 => (0u64..5_000_000_000, -5_000_000_000i64..5_000_000_000)
            .prop_map(|(mono_ms, wall_ms)| Step::Wait { mono_ms, wall_ms }),
        6 => asker().prop_map(|by| Step::Admit { by }),
        6 => (0usize..8, finding(), 0.0f64..1.0)
            .prop_map(|(which, finding, chance)| Step::Settle { which, finding, chance }),
        2 => (0usize..8).prop_map(|which| Step::Abandon { which }),
        1 => (
            prop_oneof![
                Just(None),
                Just(Some(OverrideState::Open)),
                Just(Some(OverrideState::Closed))
            ],
            prop::option::of(1u64..1_000_000),
        ).prop_map(|(set, for_ms)| Step::Order { set, for_ms }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// At most one live probe, forced open never admits, only legal transitions, and from every
    /// reachable state somebody is admitted after the longest lease plus the longest opening.
    #[test]
    fn no_interleaving_breaks_the_rules(
        probe in prop_oneof![Just(Prober::Background), Just(Prober::Caller)],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let rules = Rules { probe, ..rules() };
        let mut breaker = Breaker::new(rules.clone(), 10 * MINUTE, start());
        let mut now = start();
        let mut permits: Vec<(CircuitPermit, Now)> = Vec::new();
        for step in steps {
            breaker.expire(now);
            let deadline = match &breaker.phase {
                CircuitPhase::Open { until, .. } => Some(*until),
                CircuitPhase::Closed => None,
            };
            match step {
                Step::Wait { mono_ms, wall_ms } => {
                    now.mono = now.mono.plus(Duration::from_millis(mono_ms));
                    now.wall = Wall(now.wall.0.saturating_add_signed(wall_ms));
                }
                Step::Admit { by } => {
                    // Of the moment before: a probe that is admitted begins another one.
                    let (state, epoch) = (breaker.state(now), breaker.epoch);
                    let set_open =
                        breaker.overridden(now).is_some_and(|it| it.set == OverrideState::Open);
                    if let Ok((permit, _)) = breaker.admit(Ask { by, ..ASK }, now) {
                        prop_assert!(!set_open);
                        let live = |(held, at): &&(CircuitPermit, Now)| held.probe
                            && held.epoch == epoch
                            && !Deadline::after(*at, MINUTE).passed(now);
                        prop_assert_eq!(permits.iter().filter(live).count(), 0);
                        prop_assert_eq!(permit.probe, state != State::Closed);
                        prop_assert!(by != Asker::Shadow || state == State::Closed);
                        let background = Ask { by: Asker::Probe, ..ASK };
                        prop_assert!(breaker.clone().admit(background, now).is_err());
                        permits.push((permit, now));
                    } else {
                        prop_assert!(state != State::Closed || by == Asker::Probe);
                    }
                }
                Step::Settle { which, finding, chance } if !permits.is_empty() => {
                    let (permit, _) = permits.swap_remove(which % permits.len());
                    let stale = permit.epoch != breaker.epoch;
                    let settled = breaker.settle(permit, finding, NONE, chance, now);
                    prop_assert_eq!(settled.counted, !stale);
                    prop_assert!(!stale || settled.change.is_none());
                    if let (Some(before), CircuitPhase::Open { until, .. }) =
                        (deadline, &breaker.phase)
                    {
                        prop_assert!(until.left(now) >= before.left(now), "moved earlier");
                    }
                    if let Some(change) = settled.change {
                        prop_assert!(change.to == State::Open || change.to == State::Closed);
                    }
                }
                Step::Abandon { which } if !permits.is_empty() => {
                    let (permit, _) = permits.swap_remove(which % permits.len());
                    lose(&mut breaker, permit, now);
                }
                Step::Order { set, for_ms } => {
                    let until = for_ms.map(|ms| Deadline::after(now, Duration::from_millis(ms)));
                    breaker.set_override(set.map(|set| Override { set, until }), now);
                }
                Step::Restart => {
                    let stored = breaker.stored(now);
                    let waited = breaker.refusal(Asker::Caller, now);
                    breaker = Breaker::new(rules.clone(), 10 * MINUTE, now);
                    breaker.restore(&stored, now);
                    permits.clear();
                    match (waited, breaker.refusal(Asker::Caller, now)) {
                        (Some(Some(before)), Some(Some(after))) =>
                            prop_assert!(after <= before.max(33 * MINUTE)),
                        (None, Some(_)) => prop_assert!(false, "a restart closed the door"),
                        _ => {}
                    }
                }
                Step::Settle { .. } | Step::Abandon { .. } => {}
            }
        }
        breaker.set_override(None, now);
        let healed = now.plus(33 * MINUTE + MINUTE);
        prop_assert!(breaker.admit(ASK, healed).is_ok(), "nobody is ever admitted again");
    }
}
