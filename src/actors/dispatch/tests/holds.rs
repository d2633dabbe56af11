//! Pauses after a 429: who waits, who moves on, and that everybody respects them.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::rig::{ONE_PROVIDER, Rig, THREE, code, pass, play, tried};
use super::script::{Step, fails, fails_with, limited, well};
use crate::domain::fault::Fault;
use crate::provider::Failure;

#[test]
fn a_short_hint_is_waited_for_and_the_same_model_called_again() {
    play(async || {
        for hint in [1000, 1500, 3000] {
            let rig = Rig::new(THREE);
            rig.script.once("a", limited(Some(hint)));
            let reply = rig.hello().await;
            assert_eq!(tried(&reply), ["a rate_limited", "a answered"]);
            let waited = reply["latency_ms"].as_u64().unwrap();
            assert!((hint..=hint + 2).contains(&waited), "{waited} for {hint}");
            assert_eq!(reply["fallback_count"], 0);
        }
    });
}

#[test]
fn a_hint_below_a_second_is_a_second() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.once("a", limited(Some(20)));
        let waited = rig.hello().await["latency_ms"].as_u64().unwrap();
        assert!((1000..=1002).contains(&waited), "{waited}");
    });
}

#[test]
fn a_longer_hint_moves_on_at_once_and_every_caller_sees_the_hold() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", limited(Some(3001)));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a rate_limited", "b answered"]);
        assert_eq!(reply["latency_ms"], 0);
        pass(1.0).await;
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a rate_limited", "b answered"]);
        assert_eq!(reply["attempts"][0]["outcome"], "skipped");
        assert_eq!(reply["attempts"][0]["retry_in_ms"], 2001);
        assert_eq!(rig.script.count("a"), 1);
        pass(2.002).await;
        rig.hello().await;
        assert_eq!(rig.script.count("a"), 2);
        let health = rig.health("a").await;
        assert_eq!(health["breaker"]["state"], "closed", "a hold is no failure");
        assert_eq!((&health["success_rate"], &health["total_calls"]), (&json!(1.0), &json!(2)));
    });
}

#[test]
fn a_later_shorter_hint_does_not_shorten_the_hold() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.once("a", limited(Some(60_000)).after(100));
        rig.script.once("a", limited(Some(2000)).after(200));
        let both = [rig.send(json!({})), rig.send(json!({}))];
        let replies = join_all(both.into_iter().map(|asked| asked.reply())).await;
        for reply in replies {
            assert_eq!(tried(&reply), ["a rate_limited", "b answered"], "nobody waits a minute");
        }
        pass(50.0).await;
        assert_eq!(tried(&rig.hello().await)[0], "a rate_limited");
        assert_eq!(rig.script.count("a"), 2);
    });
}

#[test]
fn without_a_hint_the_hold_doubles_from_two_seconds_to_a_minute() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", limited(None));
        for (round, seconds) in [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0].into_iter().enumerate() {
            assert_eq!(tried(&rig.hello().await), ["a rate_limited", "b answered"]);
            assert_eq!(rig.script.count("a"), round + 1, "no hint is not waited for");
            pass(seconds - 0.01).await;
            rig.hello().await;
            assert_eq!(rig.script.count("a"), round + 1);
            pass(0.02).await;
        }
        rig.script.heal();
        rig.hello().await;
        rig.script.always("a", limited(None));
        rig.hello().await;
        pass(2.01).await;
        rig.script.heal();
        assert_eq!(tried(&rig.hello().await), ["a answered"], "an answer makes it short again");
    });
}

#[test]
fn many_calls_refused_together_without_a_hint_make_one_short_hold() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", limited(None).after(100));
        let asked: Vec<_> = (0..20).map(|_| rig.send(json!({}))).collect();
        join_all(asked.into_iter().map(|asked| asked.reply())).await;
        assert_eq!(rig.script.count("a"), 20);
        rig.script.heal();
        pass(2.01).await;
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn a_hint_that_does_not_fit_the_deadline_is_not_waited_for() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", limited(Some(2500)));
        let reply = rig.ask(json!({ "timeout": "2s" })).await;
        assert_eq!(tried(&reply), ["a rate_limited", "b answered"]);
        assert_eq!(reply["latency_ms"], 0);
    });
}

#[test]
fn a_wait_for_a_hint_counts_as_a_repeat() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", limited(Some(1000)));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a rate_limited", "a rate_limited", "b answered"]);
        let rig = Rig::new(&format!("[retry]\nmax = 0\n{THREE}"));
        rig.script.always("a", limited(Some(1000)));
        assert_eq!(tried(&rig.hello().await), ["a rate_limited", "b answered"]);
    });
}

#[test]
fn who_waits_for_a_hint_leaves_when_the_circuit_opens() {
    play(async || {
        let rig = Rig::new(&format!("[breaker]\nfailures = 1\n{THREE}"));
        rig.script.once("a", fails(Fault::Reset).after(1000));
        let failing = rig.send(json!({}));
        pass(0.001).await;
        rig.script.once("a", limited(Some(3000)));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a rate_limited", "b answered"]);
        assert_eq!(reply["latency_ms"], 999);
        assert_eq!(tried(&failing.reply().await), ["a reset", "b answered"]);
    });
}

#[test]
fn a_hold_at_one_model_gives_its_provider_a_pause_and_no_other() {
    play(async || {
        for (text, at_once) in [(ONE_PROVIDER, false), (THREE, true)] {
            let rig = Rig::new(text);
            rig.script.always("a", limited(Some(60_000)));
            let reply = rig.hello().await;
            assert_eq!(reply["model_used"], "b");
            assert_eq!(reply["latency_ms"] == 0, at_once);
        }
    });
}

#[test]
fn when_all_are_on_hold_the_reply_says_until_when() {
    play(async || {
        let rig = Rig::new(THREE);
        for (model, hint) in [("a", 30_000), ("b", 20_000), ("c", 40_000)] {
            rig.script.always(model, limited(Some(hint)));
        }
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "all_models_failed");
        assert_eq!(reply["error"]["retry_after_ms"], 20_000);
        pass(5.0).await;
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "no_model_available");
        assert_eq!(reply["error"]["retry_after_ms"], 15_000);
        assert_eq!(rig.script.made().len(), 3);
        rig.script.always("b", well());
        pass(15.0).await;
        assert_eq!(rig.hello().await["model_used"], "b");
    });
}

/// A failure that is no rate limit, with a hint in milliseconds.
fn hinted(fault: Fault, hint_ms: u64) -> Step {
    let retry_after = Some(Duration::from_millis(hint_ms));
    fails_with(Failure { retry_after, ..Failure::new(fault, "later") })
}

#[test]
fn a_hint_of_any_failure_is_waited_for_or_keeps_everybody_away() {
    play(async || {
        for fault in [Fault::Overloaded, Fault::ServerError, Fault::Conflict] {
            let rig = Rig::new(THREE);
            rig.script.once("a", hinted(fault, 2500));
            let reply = rig.hello().await;
            assert_eq!(tried(&reply), [format!("a {fault}"), "a answered".into()]);
            let waited = reply["latency_ms"].as_u64().unwrap();
            assert!((2500..=2502).contains(&waited), "{waited}");
            rig.script.once("a", hinted(fault, 20_000));
            assert_eq!(tried(&rig.hello().await), [format!("a {fault}"), "b answered".into()]);
            assert_eq!(tried(&rig.hello().await), ["a rate_limited", "b answered"]);
            pass(20.01).await;
            assert_eq!(tried(&rig.hello().await), ["a answered"]);
        }
    });
}
