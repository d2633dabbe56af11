//! Copies in numbers: shares, ages, budgets and intervals.

use proptest::prelude::*;

use super::*;
use crate::domain::time::Mono;

fn at(seconds: u64) -> Now {
    Now { mono: Mono(Duration::from_secs(seconds)), wall: Wall(seconds * 1000) }
}

fn backup(place: usize, data: Option<u64>) -> Backup {
    Backup { copies: 0, data: data.map(Wall), place }
}

#[test]
fn the_backup_with_the_oldest_data_is_chosen_and_none_at_all_is_oldest() {
    assert_eq!(oldest([backup(1, Some(70)), backup(2, Some(30)), backup(3, Some(50))]), Some(2));
    assert_eq!(oldest([backup(1, Some(0)), backup(2, None)]), Some(2));
    assert_eq!(oldest([backup(2, Some(5)), backup(1, Some(5))]), Some(1), "the chain decides");
    assert_eq!(oldest([]), None);
}

#[test]
fn a_backup_that_is_answering_a_copy_is_not_the_one_with_the_oldest_data() {
    let busy = Backup { copies: 1, ..backup(1, None) };
    assert_eq!(oldest([busy, backup(2, Some(90))]), Some(2));
}

#[test]
fn probes_come_regularly_and_more_seldom_once_five_minutes_have_passed() {
    let mut schedule = Schedule::begin(Duration::from_secs(15), false, at(0));
    let mut times = Vec::new();
    for second in 0..600 {
        if schedule.left(at(second)).is_zero() {
            schedule.probed(Duration::from_secs(second), false, at(second));
            times.push(second);
        }
    }
    assert_eq!(times[..3], [15, 30, 45]);
    assert_eq!(times[19..], [300, 323, 357, 408, 468, 528, 588]);
}

#[test]
fn what_waits_for_a_person_is_probed_every_five_minutes() {
    let mut schedule = Schedule::begin(Duration::from_secs(15), true, at(0));
    assert_eq!(schedule.left(at(0)), Duration::from_secs(300));
    schedule.probed(Duration::from_secs(900), true, at(900));
    assert_eq!(schedule.left(at(900)), Duration::from_secs(300));
}

#[test]
fn nothing_is_spent_before_the_ledger_has_spoken_nor_on_a_day_it_has_not_spoken_of() {
    let mut budget = AutomaticBudget::new(Nano(100));
    assert!(!budget.reserve(Nano(0), Wall(5)) && budget.is_stale(Wall(5)));
    budget.spent((Wall(0), Wall(10)), Nano(60));
    assert_eq!(budget.left(Wall(9)), Some(Nano(40)));
    assert_eq!(budget.left(Wall(10)), None, "another day");
}

#[test]
fn what_is_set_aside_cannot_be_spent_twice_and_comes_back() {
    let mut budget = AutomaticBudget::new(Nano(100));
    budget.spent((Wall(0), Wall(10)), Nano(0));
    assert!(budget.reserve(Nano(70), Wall(1)));
    assert!(!budget.reserve(Nano(40), Wall(1)));
    budget.settle(Nano(70), Nano(10));
    assert!(budget.reserve(Nano(40), Wall(1)));
}

#[test]
fn a_free_model_may_be_called_when_nothing_is_left() {
    let mut budget = AutomaticBudget::new(Nano(0));
    budget.spent((Wall(0), Wall(10)), Nano(0));
    assert!(budget.reserve(Nano(0), Wall(1)));
    assert!(!budget.reserve(Nano(1), Wall(1)));
}

proptest! {
    #[test]
    fn a_budget_is_never_exceeded_by_calls_that_cost_what_was_expected(
        limit in 0u64..1000,
        calls in prop::collection::vec((0u64..300, any::<bool>()), 0..50),
    ) {
        let mut budget = AutomaticBudget::new(Nano(limit));
        budget.spent((Wall(0), Wall(10)), Nano(0));
        let (mut spent, mut running) = (0, Vec::new());
        for (cost, ends) in calls {
            if budget.reserve(Nano(cost), Wall(1)) {
                running.push(cost);
            }
            if ends && let Some(cost) = running.pop() {
                budget.settle(Nano(cost), Nano(cost));
                spent += cost;
            }
            prop_assert!(spent + running.iter().sum::<u64>() <= limit);
        }
    }

    #[test]
    fn the_share_of_sampled_requests_is_the_rate(rate in 0.0f64..=1.0) {
        let taken = (0..1000).filter(|at| sampled(rate, f64::from(*at) / 1000.0)).count();
        prop_assert!((taken as f64 - rate * 1000.0).abs() <= 1.0);
    }

    #[test]
    fn probes_are_never_closer_than_configured_nor_rarer_than_a_minute_or_that(
        every in 1u64..200,
        steps in prop::collection::vec(1u64..100, 1..100),
    ) {
        let mut schedule = Schedule::begin(Duration::from_secs(every), false, at(0));
        let (mut now, mut last) = (0, 0);
        for step in steps {
            now += step;
            let wait = schedule.left(at(now));
            prop_assert!(now + wait.as_secs() >= last + every);
            prop_assert!(wait.as_secs() <= every.max(60));
            if wait.is_zero() {
                schedule.probed(Duration::from_secs(now), false, at(now));
                last = now;
            }
        }
    }

    #[test]
    fn copies_in_turn_reach_every_backup_before_any_a_second_time(count in 1usize..6) {
        let mut data = vec![None; count];
        let mut sent = vec![0; count];
        for moment in 0..60 {
            let backups = data.iter().enumerate().map(|(place, at)| backup(place, *at));
            let chosen = oldest(backups).unwrap();
            data[chosen] = Some(moment);
            sent[chosen] += 1;
            prop_assert!(sent.iter().max().unwrap() - sent.iter().min().unwrap() <= 1);
        }
    }
}
