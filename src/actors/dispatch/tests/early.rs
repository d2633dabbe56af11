//! When every circuit is open: one early probe, and a quick answer for all others.

use futures_util::future::join_all;
use serde_json::json;

use super::rig::{Rig, THREE, code, pass, play, tried};
use super::script::{fails, limited, well};
use crate::domain::fault::Fault;
use crate::protocol::request::BreakerSet;

/// A rig on which every circuit is open: `a` for five minutes from second 0, `b` from second
/// 10 and `c` from second 20.
async fn all_open(settings: &str) -> Rig {
    let rig = Rig::new(&format!("[retry]\nmax = 0\n[breaker]\nfailures = 1\n{settings}\n{THREE}"));
    for model in ["a", "b", "c"] {
        rig.script.always(model, fails(Fault::BadBody));
        rig.ask(json!({ "models": [model] })).await;
        pass(10.0).await;
    }
    rig
}

#[test]
fn one_request_probes_the_model_nearest_to_recovery_and_the_rest_fail_at_once() {
    play(async || {
        let rig = all_open("").await;
        for model in ["a", "b", "c"] {
            rig.script.always(model, well().after(1000));
        }
        let asked: Vec<_> = (0..10).map(|_| rig.send(json!({}))).collect();
        let replies = join_all(asked.into_iter().map(|asked| asked.reply())).await;
        let answered: Vec<_> = replies.iter().filter(|reply| reply["ok"] == true).collect();
        assert_eq!(answered.len(), 1);
        let expected = ["a circuit_open", "b circuit_open", "c circuit_open", "a answered"];
        assert_eq!(tried(answered[0]), expected);
        assert_eq!(rig.script.made().len(), 4);
        for failed in replies.iter().filter(|reply| reply["ok"] == false) {
            assert_eq!(code(failed), "no_model_available");
            assert!(failed["attempts"].as_array().unwrap().len() == 3);
        }
        assert_eq!(rig.state("a").await, "closed", "a success closes");
    });
}

#[test]
fn a_model_is_probed_early_once_per_interval_and_no_failure_lengthens_its_opening() {
    play(async || {
        let rig = all_open("").await;
        let before = rig.health("a").await["breaker"]["retry_at"].clone();
        let calls = rig.script.made().len();
        for _ in 0..4 {
            rig.hello().await;
        }
        let names = rig.script.names();
        assert_eq!(names[calls..], ["a", "b", "c"], "each once, the nearest first");
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "no_model_available");
        assert_eq!(reply["error"]["retry_after_ms"], 15_000);
        pass(15.0).await;
        rig.hello().await;
        assert_eq!(rig.script.names().len(), calls + 4);
        assert_eq!(rig.health("a").await["breaker"]["retry_at"], before);
    });
}

#[test]
fn with_fail_nobody_probes_early_and_the_next_opening_is_told() {
    play(async || {
        let rig = all_open("when_all_open = \"fail\"").await;
        let calls = rig.script.made().len();
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "no_model_available");
        assert_eq!(reply["error"]["retry_after_ms"], 270_000, "the model that opened first");
        assert_eq!(rig.script.made().len(), calls);
    });
}

#[test]
fn overridden_blocked_and_held_models_are_never_probed_early() {
    play(async || {
        let rig = Rig::new(&format!("[retry]\nmax = 0\n[breaker]\nfailures = 2\n{THREE}"));
        rig.set_override("a", BreakerSet::Open, None).await;
        rig.script.always("b", fails(Fault::Auth));
        rig.script.once("c", limited(Some(400_000)).after(10));
        rig.script.always("c", fails(Fault::Reset));
        let three: Vec<_> = (0..3).map(|_| rig.send(json!({ "models": ["c"] }))).collect();
        join_all(three.into_iter().map(|asked| asked.reply())).await;
        rig.hello().await;
        assert_eq!(rig.state("c").await, "open");
        let calls = rig.script.made().len();
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a circuit_open", "b circuit_open", "c circuit_open"]);
        assert_eq!(rig.script.made().len(), calls);
    });
}

#[test]
fn an_early_probe_needs_that_nobody_else_could_be_asked() {
    play(async || {
        let rig = Rig::new(&format!("[retry]\nmax = 0\n[breaker]\nfailures = 1\n{THREE}"));
        for model in ["a", "b", "c"] {
            rig.script.always(model, fails(Fault::BadBody));
        }
        rig.ask(json!({ "models": ["a"] })).await;
        let reply = rig.ask(json!({ "models": ["a", "b"] })).await;
        assert_eq!(tried(&reply), ["a circuit_open", "b bad_body"]);
        assert_eq!(code(&reply), "all_models_failed");
    });
}

#[test]
fn early_probes_keep_their_distance_even_when_the_circuit_opens_anew() {
    play(async || {
        let text = "[retry]\nmax = 0\n[breaker]\nfailures = 1\nopen_for_max = \"5m\"\n";
        let rig = Rig::new(&format!("{text}[models.a]\nprovider = \"p\"\nmodel_id = \"a\"\n"));
        rig.script.always("a", fails(Fault::BadBody).after(2000));
        rig.hello().await;
        pass(299.0).await;
        assert_eq!(tried(&rig.hello().await), ["a circuit_open", "a bad_body"], "an early probe");
        assert_eq!(rig.state("a").await, "open", "which failed after the opening's time");
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a circuit_open"], "the last one was two seconds ago");
        assert_eq!(reply["error"]["retry_after_ms"], 13_000);
    });
}
