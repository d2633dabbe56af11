//! One deadline over everything, and the share of it that is kept for the models behind.

use serde_json::json;

use super::rig::{ONE_PROVIDER, Rig, THREE, code, play, tried};
use super::script::{fails, hangs, well};
use crate::domain::fault::Fault;

fn seconds(rig: &Rig, model: &str) -> Vec<f64> {
    rig.script.made_to(model).iter().map(|made| made.at.as_secs_f64()).collect()
}

#[test]
fn a_hanging_primary_with_the_default_limits_is_answered_by_the_backup_in_time() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", hangs());
        rig.script.always("b", well().after(30_000));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a timeout", "b answered"]);
        assert_eq!(reply["latency_ms"], 90_000, "a minute for the first, then the backup");
    });
}

#[test]
fn the_backup_answers_within_whatever_deadline_the_caller_sets() {
    play(async || {
        for timeout_ms in [200_u64, 1000, 1999, 2000, 5000, 30_000, 100_000] {
            let rig = Rig::new(THREE);
            rig.script.always("a", hangs());
            rig.script.always("b", well().after(timeout_ms / 5));
            let timeout = format!("{timeout_ms}ms");
            let reply = rig.ask(json!({ "timeout": timeout })).await;
            assert_eq!(tried(&reply), ["a timeout", "b answered"], "{timeout_ms}");
            assert!(reply["latency_ms"].as_u64().unwrap() <= timeout_ms);
        }
    });
}

#[test]
fn an_attempt_gets_sixty_percent_and_the_last_model_all_that_is_left() {
    play(async || {
        let rig = Rig::new(THREE);
        for model in ["a", "b", "c"] {
            rig.script.always(model, hangs());
        }
        let reply = rig.ask(json!({ "timeout": "10s" })).await;
        assert_eq!(code(&reply), "deadline_exceeded");
        assert_eq!(tried(&reply), ["a timeout", "b timeout", "c timeout"]);
        let limits: Vec<_> =
            rig.script.made().iter().map(|made| made.limit.as_secs_f64().round()).collect();
        assert_eq!(limits, [6.0, 2.0, 2.0]);
        let limits: Vec<_> =
            rig.script.made().iter().map(|made| made.limit.as_millis() / 10).collect();
        assert_eq!(limits, [600, 240, 160]);
        assert_eq!(seconds(&rig, "c"), [8.4]);
    });
}

#[test]
fn the_longest_deadline_there_is_is_one_even_at_the_start() {
    play(async || {
        let rig = Rig::new(THREE);
        let reply = rig.ask(json!({ "timeout": u64::MAX })).await;
        assert_eq!(tried(&reply), ["a answered"], "{reply}");
    });
}

#[test]
fn below_two_seconds_half_is_kept() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", hangs());
        rig.ask(json!({ "timeout": "1600ms" })).await;
        assert_eq!(rig.script.made()[0].limit.as_millis(), 800);
        let rig = Rig::new(THREE);
        rig.ask(json!({ "timeout": "2s" })).await;
        assert_eq!(rig.script.made()[0].limit.as_millis(), 1200);
    });
}

#[test]
fn a_passed_deadline_is_held_against_nobody() {
    play(async || {
        let rig = Rig::new("[models.a]\nprovider = \"p\"\nmodel_id = \"a\"\n");
        rig.script.always("a", hangs());
        for _ in 0..12 {
            let reply = rig.ask(json!({ "timeout": "5s" })).await;
            assert_eq!(code(&reply), "deadline_exceeded");
            assert_eq!(reply["attempts"][0]["latency_ms"], 5000);
        }
        let health = rig.health("a").await;
        assert_eq!((&health["success_rate"], &health["total_calls"]), (&json!(1.0), &json!(12)));
        assert_eq!(health["breaker"]["state"], "closed");
        assert_eq!(health["breaker"]["consecutive_failures"], 0);
        assert_eq!(health["last_error"], json!(null));
    });
}

#[test]
fn the_models_own_limit_is_held_against_it() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", hangs());
        for _ in 0..3 {
            rig.hello().await;
        }
        assert_eq!(rig.state("a").await, "open");
        assert_eq!(seconds(&rig, "a"), [0.0, 60.0, 120.0]);
    });
}

#[test]
fn no_wait_outlives_the_deadline() {
    play(async || {
        let text = "[retry]\nbase = \"60s\"\ncap = \"60s\"\n";
        let rig = Rig::new(&format!("{text}{ONE_PROVIDER}"));
        rig.script.always("a", fails(Fault::Overloaded));
        let reply = rig.ask(json!({ "timeout": "30s" })).await;
        assert_eq!(tried(&reply), ["a overloaded", "b no_time", "c no_time"]);
        assert_eq!(code(&reply), "all_models_failed");
        assert_eq!(rig.script.count("a"), 1, "the repeat would come too late");
        let rig = Rig::new(&format!("{text}{THREE}"));
        rig.script.always("a", fails(Fault::Overloaded));
        let reply = rig.ask(json!({ "timeout": "30s" })).await;
        assert_eq!((&reply["model_used"], &reply["latency_ms"]), (&json!("b"), &json!(0)));
    });
}

#[test]
fn the_chains_deadline_holds_for_requests_without_their_own() {
    play(async || {
        let chain = "default = { models = [\"a\", \"b\", \"c\"], timeout = \"10s\" }";
        let rig = Rig::new(&THREE.replace("default = [\"a\", \"b\", \"c\"]", chain));
        rig.hello().await;
        rig.ask(json!({ "timeout": 20 })).await;
        let limits: Vec<_> = rig.script.made().iter().map(|made| made.limit.as_secs()).collect();
        assert_eq!(limits, [6, 12]);
    });
}

#[test]
fn tokens_and_temperature_are_fitted_to_each_model() {
    play(async || {
        let text = THREE.replace("model_id = \"a\"", "model_id = \"a\"\nmax_tokens = 500");
        let text = text
            .replace("model_id = \"b\"", "model_id = \"b\"\nsupports = { temperature = false }");
        let rig = Rig::new(&text);
        rig.script.always("a", fails(Fault::BadBody));
        rig.script.always("b", fails(Fault::BadBody));
        rig.ask(json!({})).await;
        rig.ask(json!({ "max_tokens": 200, "temperature": 1.5 })).await;
        let asked: Vec<_> =
            rig.script.made().iter().map(|made| (made.max_tokens, made.temperature)).collect();
        assert_eq!(
            asked[..3],
            [(Some(500), Some(0.3)), (Some(1000), None), (Some(1000), Some(0.3))]
        );
        assert_eq!(asked[3..], [(Some(200), Some(1.5)), (Some(200), None), (Some(200), Some(1.5))]);
    });
}

#[test]
fn defaults_may_be_the_models_own_and_no_request_waits_longer_than_it_may() {
    play(async || {
        let own = "[request]\nmax_tokens = \"model\"\ntemperature = \"model\"\ntimeout = \"5s\"\n\
                   timeout_max = \"6s\"\n";
        let text = THREE.replace("model_id = \"a\"", "model_id = \"a\"\nmax_tokens = 500");
        let rig = Rig::new(&format!("{own}{text}"));
        for model in ["a", "b", "c"] {
            rig.script.always(model, fails(Fault::BadBody));
        }
        rig.ask(json!({})).await;
        let asked: Vec<_> =
            rig.script.made().iter().map(|made| (made.max_tokens, made.temperature)).collect();
        assert_eq!(asked, [(Some(500), None), (None, None), (None, None)]);
        rig.script.always("a", hangs());
        let began = tokio::time::Instant::now();
        rig.ask(json!({ "timeout": "1h", "models": ["a"] })).await;
        assert_eq!(began.elapsed().as_secs(), 6);
    });
}
