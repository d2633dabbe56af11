//! Repeats and the pauses before them, to the millisecond.

use std::time::Duration;

use serde_json::json;

use super::rig::{ONE_PROVIDER, Rig, THREE, code, pass, play, tried};
use super::script::{Made, fails, fails_with};
use crate::domain::fault::{Again, Fault};
use crate::provider::Failure;

/// Between a wait and the full one less a quarter, with a millisecond for the timer.
fn within(wait: Duration, full_ms: u64) -> bool {
    let ms = wait.as_secs_f64() * 1000.0;
    ms >= full_ms as f64 * 0.75 - 1.0 && ms <= full_ms as f64 + 2.0
}

fn gaps(made: &[Made]) -> Vec<Duration> {
    made.windows(2).map(|two| two[1].at - two[0].at).collect()
}

#[test]
fn repeats_wait_twice_as_long_each_time_less_a_quarter_at_most() {
    play(async || {
        let text = "[retry]\nmax = 6\n[breaker]\nfailures = 0\nfailure_rate = 0.0\n";
        let mut different = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let rig = Rig::new(&format!("{text}{THREE}"));
            rig.script.always("a", fails(Fault::ServerError));
            rig.hello().await;
            let gaps = gaps(&rig.script.made_to("a"));
            assert_eq!(gaps.len(), 6);
            for (gap, full) in gaps.iter().zip([500, 1000, 2000, 4000, 8000, 8000]) {
                assert!(within(*gap, full), "{gap:?} of {full} ms");
            }
            different.insert(gaps[4]);
        }
        assert!(different.len() > 5, "waits are spread");
    });
}

#[test]
fn every_fault_is_repeated_and_passed_on_as_the_table_says() {
    play(async || {
        for &fault in Fault::ALL {
            let meaning = fault.meaning();
            // Not something a provider's answer can be.
            if matches!(fault, Fault::Cancelled | Fault::Refused) {
                continue;
            }
            let rig = Rig::new(THREE);
            rig.script.always("a", fails(fault));
            let reply = rig.hello().await;
            let calls = if meaning.again == Again::Repeat { 2 } else { 1 };
            assert_eq!(rig.script.count("a"), calls, "{fault}");
            let stops = meaning.next == crate::domain::fault::AfterFault::No;
            assert_eq!(rig.script.count("b"), usize::from(!stops), "{fault}");
            assert_eq!(reply["ok"], !stops, "{fault}");
        }
    });
}

#[test]
fn as_many_repeats_are_made_as_configured_and_none_with_zero() {
    play(async || {
        for max in [0, 1, 2] {
            let rig = Rig::new(&format!("[retry]\nmax = {max}\n{THREE}"));
            rig.script.always("a", fails(Fault::EmptyAnswer));
            let reply = rig.hello().await;
            assert_eq!(rig.script.count("a"), max + 1);
            assert_eq!(reply["attempts"].as_array().unwrap().len(), max + 2);
            assert_eq!(reply["fallback_count"], 1);
        }
    });
}

#[test]
fn a_provider_that_forbids_the_repeat_is_obeyed() {
    play(async || {
        let rig = Rig::new(THREE);
        let mut failure = Failure::new(Fault::ServerError, "no");
        failure.should_retry = Some(false);
        rig.script.always("a", fails_with(failure));
        assert_eq!(tried(&rig.hello().await), ["a server_error", "b answered"]);
    });
}

#[test]
fn one_provider_is_given_a_pause_between_its_models_and_others_are_asked_at_once() {
    play(async || {
        for (text, paused) in [(ONE_PROVIDER, true), (THREE, false)] {
            for fault in [Fault::Overloaded, Fault::ServerError, Fault::Connect, Fault::Reset] {
                let rig = Rig::new(&format!("[retry]\nmax = 0\n{text}"));
                rig.script.always("a", fails(fault));
                rig.hello().await;
                let gap = gaps(&rig.script.made())[0];
                assert_eq!(within(gap, 500), paused, "{fault}: {gap:?}");
                assert_eq!(gap.is_zero(), !paused, "{fault}: {gap:?}");
            }
        }
        let rig = Rig::new(ONE_PROVIDER);
        rig.script.always("a", fails(Fault::BadBody));
        rig.hello().await;
        assert!(gaps(&rig.script.made())[0].is_zero(), "a bad body is no sign of load");
    });
}

#[test]
fn who_waits_to_repeat_leaves_when_the_circuit_opens() {
    play(async || {
        let text = "[retry]\nbase = \"60s\"\ncap = \"60s\"\n";
        let rig = Rig::new(&format!("{text}{THREE}"));
        rig.script.always("a", fails(Fault::Overloaded));
        let waiting = rig.send(json!({}));
        pass(1.0).await;
        let second = rig.send(json!({}));
        pass(1.0).await;
        assert_eq!(rig.script.names(), ["a", "a"]);
        let third = rig.ask(json!({})).await;
        for reply in [third, waiting.reply().await, second.reply().await] {
            assert_eq!(tried(&reply), ["a overloaded", "b answered"]);
            assert!(reply["latency_ms"].as_u64().unwrap() <= 2001, "{}", reply["latency_ms"]);
        }
        assert_eq!(rig.script.count("a"), 3);
    });
}

#[test]
fn a_request_that_one_model_refuses_is_answered_by_the_next() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::InvalidRequest));
        assert_eq!(tried(&rig.hello().await), ["a invalid_request", "b answered"]);
        assert_eq!(rig.health("a").await["success_rate"], 1.0, "it is not the model's fault");
    });
}

#[test]
fn a_request_that_everybody_refuses_fails_with_every_reason() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::InvalidRequest));
        rig.script.always("b", fails(Fault::UnsupportedParam));
        rig.script.always("c", fails(Fault::InvalidRequest));
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "invalid_request");
        let reasons = "a: the provider says invalid_request; b: the provider says \
                       unsupported_param; c: the provider says invalid_request";
        assert_eq!(reply["error"]["message"], reasons);
    });
}

#[test]
fn with_an_outage_among_the_refusals_it_may_work_later() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::InvalidRequest));
        rig.script.always("b", fails(Fault::BadBody));
        rig.script.always("c", fails(Fault::InvalidRequest));
        assert_eq!(code(&rig.hello().await), "all_models_failed");
    });
}

#[test]
fn when_everybody_fails_every_call_is_told() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::Overloaded));
        rig.script.always("b", fails(Fault::Auth));
        rig.script.always("c", fails(Fault::BadBody));
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "all_models_failed");
        assert_eq!(tried(&reply), ["a overloaded", "a overloaded", "b auth", "c bad_body"]);
        assert_eq!(reply["attempts"][2]["message"], "the provider says auth");
    });
}
