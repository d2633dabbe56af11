//! Claims about the rolling window, most of them against a naive recount.

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

fn sample(verdict: Verdict) -> Sample {
    let answered_ms = (verdict == Verdict::Success).then_some(100);
    Sample { verdict, counted: true, answered_ms, kind: CallKind::Live }
}

fn at(seconds: u64) -> Wall {
    Wall(1_800_000_000_000 + seconds * 1000)
}

#[test]
fn calls_leave_the_window_when_they_are_older_than_it() {
    let mut window = Window::new(WINDOW, DAY);
    window.record(sample(Verdict::Failure), at(0));
    window.record(sample(Verdict::Success), at(300));
    assert_eq!(window.judged(WINDOW, at(599)), Judged { success: 1, failure: 1 });
    assert_eq!(window.judged(WINDOW, at(620)), Judged { success: 1, failure: 0 });
    assert_eq!(window.judged(WINDOW, at(920)), Judged::default());
}

#[test]
fn a_new_judging_period_forgets_earlier_calls_of_the_same_bucket() {
    let mut window = Window::new(WINDOW, DAY);
    for _ in 0..3 {
        window.record(sample(Verdict::Failure), at(1));
    }
    window.judge_from(at(2));
    window.record(sample(Verdict::Success), at(3));
    assert_eq!(window.judged(WINDOW, at(4)), Judged { success: 1, failure: 0 });
    assert_eq!(window.total(WINDOW, at(4)).decided(), Judged { success: 1, failure: 3 });
}

#[test]
fn calls_the_circuit_took_no_notice_of_are_shown_but_not_judged() {
    let mut window = Window::new(WINDOW, DAY);
    window.record(Sample { counted: false, ..sample(Verdict::Failure) }, at(0));
    assert_eq!(window.judged(WINDOW, at(0)), Judged::default());
    assert_eq!(window.total(WINDOW, at(0)).failure, 1);
}

#[test]
fn neutral_and_held_calls_are_counted_but_decide_nothing() {
    let mut window = Window::new(WINDOW, DAY);
    window.record(sample(Verdict::Neutral), at(0));
    window.record(sample(Verdict::Held), at(0));
    assert_eq!(window.total(WINDOW, at(0)).calls(), 2);
    assert_eq!(window.total(WINDOW, at(0)).decided().success_rate(), 1.0);
}

#[test]
fn old_buckets_are_merged_and_expired_ones_dropped() {
    let mut window = Window::new(WINDOW, DAY);
    for second in (0..3 * 86_400).step_by(10) {
        window.record(sample(Verdict::Success), at(second));
    }
    let most = (FINE_SPAN_MS / FINE_MS) + (COARSE_MS / FINE_MS) * 2 + 86_400_000 / COARSE_MS;
    assert!(window.len() as u64 <= most, "{} buckets", window.len());
    let day = window.total(DAY, at(3 * 86_400 - 10)).success;
    assert!((8_610..=8_650).contains(&day), "{day} calls in a day of one per ten seconds");
}

#[test]
fn after_a_step_back_new_calls_are_still_judged() {
    let mut window = Window::new(WINDOW, DAY);
    window.record(sample(Verdict::Failure), at(7200));
    window.judge_from(at(7200));
    window.record(sample(Verdict::Failure), at(0));
    window.record(sample(Verdict::Failure), at(20));
    assert_eq!(window.judged(WINDOW, at(20)).failure, 2);
}

proptest! {
    /// Time may jump by anything, backwards too, and gaps may exceed any bucket count.
    #[test]
    fn the_window_equals_a_naive_recount(
        steps in prop::collection::vec((-5_000_000i64..5_000_000_000, 0u8..4), 1..80),
    ) {
        let mut window = Window::new(WINDOW, Duration::from_secs(1 << 40));
        let mut all = Vec::new();
        let mut now = 1_800_000_000_000i64;
        for (step, kind) in steps {
            // Most steps are small, so that calls meet in one window.
            now = (now + if step % 3 == 0 { step } else { step % 100_000 }).max(0);
            let verdict =
                [Verdict::Success, Verdict::Failure, Verdict::Neutral, Verdict::Held][kind as usize];
            let wall = Wall(now as u64);
            window.record(sample(verdict), wall);
            all.push((wall.0 - wall.0 % FINE_MS, verdict));
            let oldest = wall.0.saturating_sub(610_000);
            let count = |wanted| all.iter()
                .filter(|&&(start, verdict)| verdict == wanted && start <= wall.0 && start > oldest)
                .count() as u64;
            let judged = window.total(WINDOW, wall).decided();
            prop_assert_eq!(judged.success, count(Verdict::Success));
            prop_assert_eq!(judged.failure, count(Verdict::Failure));
        }
    }

    #[test]
    fn what_is_judged_does_not_depend_on_who_asked_before(
        steps in prop::collection::vec((-30_000i64..60_000, 0u8..5), 1..80),
    ) {
        let mut window = Window::new(WINDOW, DAY);
        let mut now = 1_800_000_000_000i64;
        for (step, kind) in steps {
            now += step;
            let wall = Wall(now as u64);
            match kind {
                0 => _ = window.record(sample(Verdict::Success), wall),
                1 => _ = window.record(sample(Verdict::Failure), wall),
                2 => _ = window.judge_from(wall),
                _ => {}
            }
            for width in [WINDOW, Duration::from_millis(25_500)] {
                let afresh = window.sum_judged(width, wall);
                prop_assert_eq!(window.judged(width, wall), afresh);
            }
        }
    }
}
