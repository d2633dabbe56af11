//! Circuits as callers meet them: opening, the one probe, and coming back.

use futures_util::future::join_all;
use serde_json::json;

use super::rig::{ONE_PROVIDER, Rig, THREE, code, pass, play, tried};
use super::script::{Step, fails, fails_with, limited, well};
use crate::domain::fault::Fault;
use crate::protocol::request::BreakerSet;
use crate::provider::Failure;

#[test]
fn a_primary_that_is_down_is_called_three_times_and_then_not_until_its_probe() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::Overloaded));
        for _ in 0..50 {
            assert_eq!(rig.hello().await["model_used"], "b");
        }
        let made = rig.script.made_to("a");
        assert_eq!(made.len(), 3);
        let opened = made[2].at.as_secs_f64();
        let now = rig.script.made().last().unwrap().at.as_secs_f64();
        pass(opened + 299.9 - now).await;
        assert_eq!(rig.hello().await["model_used"], "b");
        assert_eq!(rig.script.count("a"), 3, "not before its five minutes are over");
        pass(0.2).await;
        assert_eq!(rig.hello().await["model_used"], "b");
        assert_eq!(rig.script.count("a"), 4, "one probe, which is not repeated");
        pass(598.0).await;
        rig.hello().await;
        assert_eq!(rig.script.count("a"), 4, "the second opening is twice as long");
        pass(70.0).await;
        rig.script.heal();
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
        assert_eq!(rig.state("a").await, "closed");
    });
}

#[test]
fn of_forty_callers_at_half_open_exactly_one_is_the_probe_and_all_are_answered() {
    play(async || {
        for recovered in [true, false] {
            let rig = Rig::new(THREE);
            rig.script.always("a", fails(Fault::ServerError));
            for _ in 0..3 {
                rig.hello().await;
            }
            pass(301.0).await;
            let probe = if recovered { well() } else { fails(Fault::ServerError) };
            rig.script.always("a", probe.after(2000));
            rig.script.always("b", well().after(500));
            let asked: Vec<_> = (0..40).map(|_| rig.send(json!({}))).collect();
            let replies = join_all(asked.into_iter().map(|asked| asked.reply())).await;
            assert!(replies.iter().all(|reply| reply["ok"] == true));
            assert_eq!(rig.script.count("a"), 4, "recovered: {recovered}");
            let skipped = replies.iter().filter(|reply| tried(reply)[0] == "a circuit_open");
            assert_eq!(skipped.count(), 39);
            assert_eq!(rig.state("a").await, if recovered { "closed" } else { "open" });
        }
    });
}

#[test]
fn blocking_failures_open_at_once_for_a_quarter_of_an_hour() {
    play(async || {
        for fault in [Fault::QuotaExhausted, Fault::Auth, Fault::ModelNotFound, Fault::BadEndpoint]
        {
            let rig = Rig::new(THREE);
            rig.script.always("a", fails(fault));
            assert_eq!(tried(&rig.hello().await), [format!("a {fault}"), "b answered".into()]);
            let breaker = rig.health("a").await["breaker"].clone();
            assert_eq!((&breaker["state"], &breaker["reason"]), (&json!("open"), &json!(fault)));
            pass(899.0).await;
            rig.hello().await;
            assert_eq!(rig.script.count("a"), 1);
            pass(2.0).await;
            rig.script.always("a", fails(Fault::InvalidRequest));
            rig.hello().await;
            assert_eq!(rig.state("a").await, "half_open", "only a success ends it");
            rig.script.always("a", fails(Fault::Overloaded));
            rig.hello().await;
            let breaker = rig.health("a").await["breaker"].clone();
            assert_eq!((&breaker["state"], &breaker["reason"]), (&json!("open"), &json!(fault)));
            pass(901.0).await;
            rig.script.heal();
            assert_eq!(rig.hello().await["model_used"], "a");
            assert_eq!(rig.state("a").await, "closed");
        }
    });
}

#[test]
fn a_neutral_answer_of_the_provider_closes_the_circuit() {
    play(async || {
        for fault in [Fault::ContextTooLong, Fault::UnsupportedParam, Fault::ModelGlitch] {
            let rig = Rig::new(&format!("[retry]\nmax = 0\n{THREE}"));
            rig.script.always("a", fails(Fault::Reset));
            for _ in 0..3 {
                rig.hello().await;
            }
            pass(301.0).await;
            rig.script.always("a", fails(fault));
            rig.hello().await;
            assert_eq!(rig.state("a").await, "closed", "{fault}");
        }
    });
}

#[test]
fn a_limited_probe_gives_the_slot_back_and_is_called_again_after_a_short_hint() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::Reset));
        for _ in 0..3 {
            rig.hello().await;
        }
        pass(301.0).await;
        rig.script.heal();
        rig.script.once("a", limited(Some(2000)));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a rate_limited", "a answered"]);
        assert_eq!(rig.state("a").await, "closed");
    });
}

#[test]
fn a_half_open_model_is_still_asked_after_a_pause_between_models_of_one_provider() {
    play(async || {
        let rig = Rig::new(&format!("[retry]\nmax = 0\n{ONE_PROVIDER}"));
        rig.script.always("b", fails(Fault::BadBody));
        for _ in 0..3 {
            rig.ask(json!({ "models": ["b", "c"] })).await;
        }
        assert_eq!(rig.state("b").await, "open");
        pass(301.0).await;
        assert_eq!(rig.state("b").await, "half_open");
        rig.script.heal();
        rig.script.once("a", fails(Fault::Overloaded));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a overloaded", "b answered"]);
    });
}

#[test]
fn failures_of_calls_admitted_before_the_opening_do_not_lengthen_it() {
    play(async || {
        let rig = Rig::new(&format!("[retry]\nmax = 0\n{THREE}"));
        rig.script.once("a", fails(Fault::Reset).after(200_000));
        let late = rig.send(json!({ "timeout": "1h" }));
        pass(0.001).await;
        rig.script.always("a", fails(Fault::Reset));
        for _ in 0..3 {
            rig.hello().await;
        }
        let before = rig.health("a").await["breaker"]["retry_at"].clone();
        late.reply().await;
        let health = rig.health("a").await;
        assert_eq!(health["breaker"]["retry_at"], before);
        assert_eq!(health["total_calls"], 4);
        let calls = rig.log().await;
        let counted: Vec<_> =
            calls.iter().filter(|l| l["model_name"] == "a" && l["event"] == "call").collect();
        assert_eq!(counted.iter().filter(|line| line["counted"] == false).count(), 1);
    });
}

#[test]
fn half_of_ten_calls_failing_opens_the_circuit() {
    play(async || {
        let rig = Rig::new(&format!("[retry]\nmax = 0\n[health]\ndegraded_below = 0.0\n{THREE}"));
        for at in 0..9 {
            let step = if at % 2 == 0 { well() } else { fails(Fault::BadBody) };
            rig.script.once("a", step);
            rig.hello().await;
        }
        assert_eq!(rig.state("a").await, "closed", "nine calls are not enough");
        rig.script.once("a", fails(Fault::BadBody));
        rig.hello().await;
        assert_eq!(rig.health("a").await["breaker"]["reason"], "5 of 10 calls failed");
    });
}

#[test]
fn an_overridden_circuit_admits_nobody_or_everybody_until_its_time_is_over() {
    play(async || {
        let rig = Rig::new("[models.a]\nprovider = \"p\"\nmodel_id = \"a\"\n");
        let minute = Some(std::time::Duration::from_secs(60));
        rig.set_override("a", BreakerSet::Open, minute).await;
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "no_model_available");
        assert_eq!(reply["error"]["retry_after_ms"], 60_000);
        assert_eq!(rig.script.count("a"), 0);
        pass(60.0).await;
        assert_eq!(rig.hello().await["ok"], true);
        rig.set_override("a", BreakerSet::Closed, minute).await;
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..5 {
            rig.hello().await;
        }
        assert_eq!(rig.script.count("a"), 6, "forced closed, failures do not open it");
        pass(60.0).await;
        rig.hello().await;
        assert_eq!(rig.state("a").await, "open");
    });
}

/// A page of a firewall, or a bare status: it may be about the one request that met it.
fn doubtful(fault: Fault) -> Step {
    fails_with(Failure { certain: false, ..Failure::new(fault, "blocked") })
}

#[test]
fn one_request_that_looks_blocked_takes_no_working_model_from_the_others() {
    play(async || {
        for fault in [Fault::QuotaExhausted, Fault::Auth, Fault::ModelNotFound, Fault::BadEndpoint]
        {
            let rig = Rig::new(THREE);
            rig.hello().await;
            rig.script.once("a", doubtful(fault));
            assert_eq!(tried(&rig.hello().await), [format!("a {fault}"), "b answered".into()]);
            assert_eq!(tried(&rig.hello().await), ["a answered"], "{fault}");
            rig.script.always("a", doubtful(fault));
            rig.hello().await;
            assert_eq!(rig.state("a").await, "closed", "{fault}");
            rig.hello().await;
            assert_eq!(rig.state("a").await, "open", "two requests say {fault}");
        }
    });
}

#[test]
fn a_model_that_answered_nobody_is_blocked_by_the_first_sign_of_it() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", doubtful(Fault::Auth));
        rig.hello().await;
        assert_eq!(rig.state("a").await, "open");
    });
}

#[test]
fn what_a_caller_adds_to_the_body_makes_any_reason_doubtful() {
    play(async || {
        for extra in [json!({ "a": { "x": 1 } }), json!({ "openai": { "x": 1 } })] {
            let rig = Rig::new(THREE);
            rig.hello().await;
            rig.script.once("a", fails(Fault::ModelNotFound));
            rig.ask(json!({ "extra": extra })).await;
            assert_eq!(rig.state("a").await, "closed");
            rig.script.once("a", fails(Fault::ModelNotFound));
            rig.hello().await;
            assert_eq!(rig.state("a").await, "open", "without additions it is certain");
        }
    });
}

#[test]
fn a_prompt_that_breaks_every_provider_opens_no_circuit_of_models_that_work() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::ServerError));
        rig.hello().await;
        rig.script.always("b", fails(Fault::ServerError));
        rig.script.always("c", fails(Fault::ServerError));
        rig.hello().await;
        let failed = rig.health("b").await["breaker"]["consecutive_failures"].clone();
        assert_eq!(failed, 0, "it answered just now, and another provider failed in the same way");
        let failed = rig.health("c").await["breaker"]["consecutive_failures"].clone();
        assert_eq!(failed, 2, "nothing speaks for a model that answered nobody");
        assert_eq!(rig.state("a").await, "open", "nobody failed before it");
    });
}
