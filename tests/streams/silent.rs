//! Servers that answer at once and then say nothing, or nothing that counts.

use std::time::Duration;

use fallbackd::sim::{Fate, Flow};

use super::fixture::{ATTEMPT, By, Fixture, Run, SILENCE, Way, good, hello, text_of};

/// Which fault a late answer is, and after how many milliseconds.
pub(crate) fn late(way: Way) -> (&'static str, u64) {
    match way {
        Way::Streamed | Way::Gathered => ("first_token_timeout", SILENCE),
        Way::Plain => ("timeout", ATTEMPT),
    }
}

fn play(flow: &Flow) -> Vec<Run> {
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| primary.set_for(model, flow.clone().into()));
    fixture.play(&hello())
}

#[test]
fn headers_at_once_and_a_late_first_token_cost_the_limit_and_nothing_of_it_is_heard() {
    for run in play(&Flow { first_after: Duration::from_secs(20), ..good() }) {
        let (fault, limit) = late(run.way);
        run.expect(By::Second, &[fault], (1, 1), limit..limit + 500);
        assert!(run.restarts().is_empty());
    }
}

#[test]
fn pings_every_second_change_nothing_about_that() {
    let pings = Some(Duration::from_millis(100));
    for run in play(&Flow { first_after: Duration::from_secs(20), pings, ..good() }) {
        let (fault, limit) = late(run.way);
        run.expect(By::Second, &[fault], (1, 1), limit..limit + 500);
    }
}

#[test]
fn a_first_token_within_the_limit_is_waited_for() {
    for run in play(&Flow { first_after: Duration::from_millis(500), ..good() }) {
        run.expect(By::First, &[], (1, 0), 500..1_000);
    }
}

#[test]
fn a_stall_after_twenty_tokens_is_left_after_the_limit_and_the_text_is_void() {
    let flow = Flow { fate: Some((20, Fate::Stalls)), ..good() };
    for run in play(&flow) {
        let (fault, limit) = match run.way {
            Way::Plain => ("timeout", ATTEMPT),
            _ => ("stream_stalled", SILENCE),
        };
        run.expect(By::Second, &[fault], (1, 1), limit..limit + 1_000);
        if run.way == Way::Streamed {
            assert_eq!(run.restarts(), ["stream_stalled"]);
            assert_eq!(run.heard(), text_of('b'));
        }
    }
}

#[test]
fn a_slow_drip_is_ended_by_nothing_but_the_deadline() {
    // Longer than every limit but the deadline's. A whole answer would have to keep `attempt`.
    let drip = Flow { pace: Duration::from_millis(60), ..good() };
    let runs = play(&drip);
    for run in runs.iter().filter(|run| run.way != Way::Plain) {
        run.expect(By::First, &[], (1, 0), 3_400..4_500);
    }
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| primary.set_for(model, drip.clone().into()));
    let mut request = hello();
    request["timeout"] = "2s".into();
    for run in fixture.play(&request).iter().filter(|run| run.way != Way::Plain) {
        run.expect(By::Error("deadline_exceeded"), &["timeout"], (1, 0), 2_000..2_500);
    }
}
