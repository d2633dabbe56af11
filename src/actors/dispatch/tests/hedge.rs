//! A second call beside one that takes long.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::rig::{ONE_PROVIDER, Rig, THREE, code, lines, pass, play, tried};
use super::script::{Step, fails, hangs, limited, says, silent, well};
use crate::domain::fault::Fault;

/// A rig whose chain is hedged after two seconds, with prices.
fn hedged(text: &str) -> Rig {
    let chain = "default = { models = [\"a\", \"b\", \"c\"], hedge_after = \"2s\" }";
    let text = text.replace("default = [\"a\", \"b\", \"c\"]", chain);
    let price = "cost_per_1k_input = 1.0\ncost_per_1k_output = 4.0";
    let priced = |text: String, model: &str| {
        let id = format!("model_id = \"{model}\"");
        text.replace(&id, &format!("{id}\n{price}"))
    };
    Rig::new(&["a", "b", "c"].into_iter().fold(text, priced))
}

fn began(rig: &Rig) -> Vec<(String, f64)> {
    rig.script.made().into_iter().map(|made| (made.model, made.at.as_secs_f64())).collect()
}

fn called(model: &str, at: f64) -> (String, f64) {
    (model.to_owned(), at)
}

#[test]
fn a_model_that_delivers_in_time_is_alone() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.always("a", says("The sky is blue").every(1900));
        assert_eq!(tried(&rig.ask(json!({ "stream": true })).await), ["a answered"]);
        rig.script.always("a", well().after(1900));
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
        rig.script.always("a", says("").thinking(50).then(says("")).and_untold("yes"));
        assert_eq!(tried(&rig.hello().await), ["a answered"], "reasoning is content");
    });
}

#[test]
fn the_faster_of_two_goes_on_and_the_other_is_cancelled() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.always("a", silent());
        rig.script.always("b", says("The sea").every(500));
        let reply = rig.ask(json!({ "stream": true })).await;
        assert_eq!(began(&rig), [called("a", 0.0), called("b", 2.0)]);
        assert_eq!(tried(&reply), ["a cancelled", "b answered"]);
        assert_eq!((&reply["latency_ms"], &reply["fallback_count"]), (&json!(3000), &json!(0)));
        assert_eq!(reply["attempts"][0]["latency_ms"], 2500, "cancelled by the first word");
        assert_eq!(reply["used_fallback"], true);
        assert!(rig.script.made()[0].dropped);
        for model in ["a", "b"] {
            let health = rig.health(model).await;
            assert_eq!((&health["success_rate"], &health["in_flight"]), (&json!(1.0), &json!(0)));
        }
        let paid = reply["cost_usd"].as_f64().unwrap();
        let all = reply["request_cost_usd"].as_f64().unwrap();
        let log = rig.log().await;
        let calls = lines(&log, "call");
        let told = |call: &Value| {
            (call["model_name"].clone(), call["kind"].clone(), call["error_type"].clone())
        };
        assert_eq!(told(calls[0]), (json!("a"), json!("hedge"), json!("cancelled")));
        assert_eq!(told(calls[1]), (json!("b"), json!("hedge"), json!(null)));
        let in_vain = calls[0]["cost_usd"].as_f64().unwrap();
        assert!(in_vain > 0.0 && (all - paid - in_vain).abs() < 1e-9);
        assert_eq!(calls[0]["cost_estimated"], true);
    });
}

#[test]
fn the_first_may_still_win() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.always("a", says("The sky is blue").every(2500));
        rig.script.always("b", silent());
        let reply = rig.ask(json!({ "stream": true })).await;
        assert_eq!(tried(&reply), ["a answered", "b cancelled"]);
        assert_eq!(
            (&reply["used_fallback"], &reply["latency_ms"]),
            (&json!(false), &json!(10_000))
        );
        let log = rig.log().await;
        let kinds: Vec<_> = lines(&log, "call").iter().map(|call| call["kind"].clone()).collect();
        assert_eq!(kinds, ["hedge", "live"], "b was in vain");
    });
}

#[test]
fn if_one_fails_the_other_goes_on_and_if_both_do_the_chain() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.always("a", fails(Fault::BadBody).after(4000));
        rig.script.always("b", well().after(5000));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a bad_body", "b answered"]);
        assert_eq!((&reply["latency_ms"], &reply["fallback_count"]), (&json!(7000), &json!(1)));
        rig.script.always("a", well().after(5000));
        rig.script.always("b", fails(Fault::ServerError).after(1000));
        assert_eq!(tried(&rig.hello().await), ["a answered", "b server_error"]);
        rig.script.always("a", fails(Fault::ServerError).after(2500));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply)[..2], ["a server_error", "b server_error"]);
        assert_eq!(reply["model_used"], "c");
    });
}

#[test]
fn who_failed_beside_another_is_not_repeated_in_its_place() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.always("a", fails(Fault::BadBody).after(2500));
        rig.script.always("b", fails(Fault::ServerError).after(4000));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a bad_body", "b server_error", "c answered"]);
    });
}

#[test]
fn a_request_is_hedged_once() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.always("a", fails(Fault::BadBody).after(2500));
        rig.script.always("b", says("The").every(500).then(fails(Fault::StreamCut)));
        rig.script.always("c", well().after(8000));
        let reply = rig.ask(json!({ "stream": true })).await;
        let order = ["a bad_body", "b stream_cut", "c answered"];
        assert_eq!(tried(&reply), order, "{reply}");
        assert_eq!(rig.script.most_at_once(), 2);
    });
}

#[test]
fn who_was_outrun_may_still_rescue_the_answer() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.once("a", silent());
        rig.script.always("a", says("The sea is wide"));
        rig.script.always("b", says("The sea ").then(fails(Fault::StreamCut)));
        let reply = rig.ask(json!({ "stream": true, "models": ["a", "b"] })).await;
        assert_eq!(tried(&reply), ["a cancelled", "b stream_cut", "a answered"]);
        assert_eq!(reply["content"], "The sea is wide");
    });
}

#[test]
fn models_that_take_no_call_are_passed_over_and_troubled_providers_left_in_peace() {
    play(async || {
        let rig = hedged(&THREE.replace("\"b\"\n    [", "\"b\"\n    max_in_flight = 1\n    ["));
        rig.script.always("b", hangs());
        let busy = rig.send(json!({ "models": ["b"] }));
        pass(0.1).await;
        rig.script.always("a", silent());
        let reply = rig.hello().await;
        assert_eq!(reply["model_used"], "c");
        assert_eq!(tried(&reply), ["b busy", "a cancelled", "c answered"]);
        drop(busy);
        let rig = hedged(&format!(
            "[retry]\nbase = \"30s\"\ncap = \"30s\"\nmax = 0\n{}",
            ONE_PROVIDER.replace("\"p\"\n    model_id = \"b\"", "\"q\"\n    model_id = \"b\""),
        ));
        rig.script.always("a", fails(Fault::ServerError));
        rig.script.always("b", well().after(4000));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a server_error", "b answered"]);
    });
}

#[test]
fn a_hold_ends_nothing_and_a_probe_that_was_outrun_gives_its_slot_back() {
    play(async || {
        let rig = hedged(&format!("[retry]\nmax = 0\n{THREE}"));
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..3 {
            rig.hello().await;
        }
        pass(301.0).await;
        rig.script.always("a", silent());
        assert_eq!(tried(&rig.hello().await), ["a cancelled", "b answered"]);
        assert_eq!(rig.state("a").await, "half_open");
        rig.script.always("a", well());
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
        assert_eq!(rig.state("a").await, "closed");
    });
}

#[test]
fn a_caller_who_leaves_ends_both_calls() {
    play(async || {
        let rig = hedged(THREE);
        rig.script.always("a", silent());
        rig.script.always("b", silent());
        let asked = rig.send(json!({}));
        pass(3.0).await;
        let reply = asked.cancelled().await;
        assert_eq!(tried(&reply), ["a cancelled", "b cancelled"]);
        let latencies: Vec<_> =
            (0..2).map(|at| reply["attempts"][at]["latency_ms"].clone()).collect();
        assert_eq!(latencies, [3000, 1000]);
        assert!(rig.script.made().iter().all(|made| made.dropped));
        for model in ["a", "b"] {
            assert_eq!(rig.health(model).await["in_flight"], 0);
        }
    });
}

#[test]
fn whatever_two_calls_do_there_are_never_three_and_each_is_settled_once() {
    let mut hedges = 0;
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let mut step = move || -> Step {
            let step = match rng.u32(..8) {
                0 => well(),
                1 => fails(Fault::ALL[rng.usize(..Fault::ALL.len())]),
                2 => hangs(),
                3 => silent(),
                4 => limited(Some(rng.u64(1..5000))),
                5 => says("The sky is blue").every(rng.u64(1..4000)),
                6 => says("The sky").every(rng.u64(1..4000)).then(fails(Fault::StreamCut)),
                _ => says("The sea").every(rng.u64(1..4000)).then(hangs()),
            };
            step.after(rng.u64(..5000))
        };
        play(async || {
            let rig = hedged(THREE);
            for model in ["a", "b", "c"] {
                (0..3).for_each(|_| rig.script.once(model, step()));
            }
            let asked = rig.send(json!({ "stream": true, "timeout": "1m" }));
            let reply = tokio::time::timeout(Duration::from_secs(61), asked.reply()).await.unwrap();
            assert!(rig.script.most_at_once() <= 2, "{seed}: {reply}");
            hedges += rig.script.most_at_once() - 1;
            assert!(reply["ok"] == true || code(&reply) != "internal", "{seed}: {reply}");
            pass(1.0).await;
            for model in ["a", "b", "c"] {
                assert_eq!(rig.health(model).await["in_flight"], 0, "{seed}: {reply}");
            }
            let made = rig.script.made().len();
            let attempts = reply["attempts"].as_array().unwrap();
            let calls = attempts.iter().filter(|attempt| attempt["outcome"] != "skipped").count();
            let log = rig.log().await;
            assert_eq!((lines(&log, "call").len(), calls), (made, made), "{seed}: {reply}");
        });
    }
    assert!(hedges > 100, "too tame: {hedges}");
}
