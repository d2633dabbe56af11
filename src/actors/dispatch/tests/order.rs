//! Who is asked, in which order, and what the reply says about it.

use serde_json::json;

use super::rig::{ONE_PROVIDER, Rig, THREE, code, pass, play, tried};
use super::script::{fails, well};
use crate::domain::fault::Fault;
use crate::protocol::request::BreakerSet;

#[test]
fn the_first_model_of_the_chain_answers_when_all_is_well() {
    play(async || {
        let rig = Rig::new(THREE);
        let reply = rig.hello().await;
        assert_eq!(reply["content"], "a answers");
        assert_eq!((&reply["model_used"], &reply["primary"]), (&json!("a"), &json!("a")));
        assert_eq!((&reply["fallback_count"], &reply["used_fallback"]), (&json!(0), &json!(false)));
        assert_eq!((&reply["provider"], &reply["model_id"]), (&json!("p"), &json!("a")));
        assert_eq!(tried(&reply), ["a answered"]);
        assert_eq!(rig.script.names(), ["a"]);
    });
}

#[test]
fn models_are_asked_in_chain_order_until_one_answers() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::BadBody).after(100));
        rig.script.always("b", fails(Fault::Tls).after(50));
        rig.script.always("c", well().after(25));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["a bad_body", "b tls", "c answered"]);
        assert_eq!((&reply["fallback_count"], &reply["used_fallback"]), (&json!(2), &json!(true)));
        let took: Vec<_> = (0..3).map(|at| reply["attempts"][at]["latency_ms"].clone()).collect();
        assert_eq!(took, [100, 50, 25], "another provider is asked at once");
        assert_eq!(reply["latency_ms"], 175);
    });
}

#[test]
fn a_degraded_model_is_asked_last_and_comes_back_when_its_failures_are_old() {
    play(async || {
        let text = "[breaker]\nfailures = 0\nfailure_rate = 0.0\n[retry]\nmax = 0\n";
        let rig = Rig::new(&format!("{text}{THREE}"));
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..5 {
            assert_eq!(rig.hello().await["model_used"], "b");
        }
        assert_eq!(rig.health("a").await["degraded"], true);
        rig.script.heal();
        assert_eq!(tried(&rig.hello().await), ["b answered"]);
        let plan = rig.ask(json!({ "plan": true })).await;
        let order: Vec<_> =
            plan["order"].as_array().unwrap().iter().map(|p| p["model"].clone()).collect();
        assert_eq!(order, ["b", "c", "a"]);
        assert_eq!(plan["order"][2]["reason"], "degraded: 0 of 5 calls worked");
        pass(620.0).await;
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn four_failures_do_not_degrade_a_model_and_a_fifth_does() {
    play(async || {
        let text = "[breaker]\nfailures = 0\nfailure_rate = 0.0\n";
        let rig = Rig::new(&format!("{text}{THREE}"));
        rig.script.always("a", fails(Fault::BadBody));
        for calls in 1..=5 {
            rig.hello().await;
            assert_eq!(rig.health("a").await["degraded"], calls == 5, "after {calls} calls");
        }
    });
}

#[test]
fn a_request_may_bring_its_own_chain() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("c", fails(Fault::BadBody));
        let reply = rig.ask(json!({ "models": ["c", "a"] })).await;
        assert_eq!(tried(&reply), ["c bad_body", "a answered"]);
        assert_eq!((&reply["primary"], &reply["used_fallback"]), (&json!("c"), &json!(true)));
    });
}

#[test]
fn unknown_models_and_tasks_are_named() {
    play(async || {
        let rig = Rig::new(&format!("[request]\nunknown_task = \"reject\"\n{THREE}"));
        let reply = rig.ask(json!({ "models": ["a", "z"] })).await;
        assert_eq!(code(&reply), "unknown_model");
        assert!(reply["error"]["message"].as_str().unwrap().contains("\"z\""));
        let reply = rig.ask(json!({ "task": "poetry" })).await;
        assert_eq!(code(&reply), "unknown_task");
        assert_eq!(tried(&rig.ask(json!({ "task": "default" })).await), ["a answered"]);
        assert_eq!(rig.script.names(), ["a"]);
    });
}

#[test]
fn one_name_stands_for_a_task_or_for_the_chain_that_a_model_begins() {
    play(async || {
        let rig = Rig::new(&format!("{THREE}other = [\"b\", \"c\"]\n"));
        for (name, task, primary, models) in [
            ("other", "other", "b", 2),
            ("default", "default", "a", 3),
            ("a", "default", "a", 3),
            ("b", "other", "b", 2),
            ("c", "default", "c", 1),
        ] {
            let plan = rig.ask(json!({ "model": name, "plan": true })).await;
            let told = (&plan["task"], &plan["primary"], plan["order"].as_array().unwrap().len());
            assert_eq!(told, (&json!(task), &json!(primary), models), "{name}");
        }
        let reply = rig.ask(json!({ "model": "gpt-5" })).await;
        assert_eq!(code(&reply), "unknown_model");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains("\"gpt-5\"") && message.contains("a, b, c, default, other"));
    });
}

#[test]
fn an_unknown_task_uses_the_default_chain_and_says_so() {
    play(async || {
        let rig = Rig::new(&format!("{THREE}\npoetry = [\"c\"]"));
        let reply = rig.ask(json!({ "task": "prose" })).await;
        assert_eq!((&reply["task"], &reply["model_used"]), (&json!("default"), &json!("a")));
        let reply = rig.ask(json!({ "task": "poetry" })).await;
        assert_eq!((&reply["task"], &reply["model_used"]), (&json!("poetry"), &json!("c")));
    });
}

#[test]
fn without_chains_models_are_asked_by_priority() {
    play(async || {
        let models: String = [("a", 3), ("b", 1), ("c", 2)]
            .map(|(name, priority)| {
                format!(
                    "[models.{name}]\nprovider = \"{}\"\nmodel_id = \"{name}\"\n\
                     priority = {priority}\n",
                    match name {
                        "a" => "p",
                        "b" => "q",
                        _ => "r",
                    }
                )
            })
            .concat();
        let rig = Rig::new(&models);
        rig.script.always("b", fails(Fault::BadBody));
        rig.script.always("c", fails(Fault::BadBody));
        let reply = rig.ask(json!({ "task": "anything" })).await;
        assert_eq!(tried(&reply), ["b bad_body", "c bad_body", "a answered"]);
        assert_eq!((&reply["task"], &reply["primary"]), (&json!("default"), &json!("b")));
    });
}

#[test]
fn a_plan_calls_nobody_and_gives_a_reason_for_every_model() {
    play(async || {
        let rig = Rig::new(ONE_PROVIDER);
        rig.set_override("b", BreakerSet::Open, None).await;
        let plan = rig.ask(json!({ "plan": true })).await;
        assert_eq!(plan["order"][0], json!({ "model": "a", "reason": "healthy" }));
        assert_eq!(plan["order"][1]["model"], "c");
        assert_eq!(
            plan["left_out"],
            json!([{ "model": "b", "reason": "circuit_open", "retry_in_ms": null }])
        );
        assert!(rig.script.made().is_empty());
    });
}

#[test]
fn what_the_ranking_left_out_stands_first_in_the_attempts() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.set_override("b", BreakerSet::Open, None).await;
        rig.script.always("a", fails(Fault::Reset));
        let reply = rig.hello().await;
        assert_eq!(tried(&reply), ["b circuit_open", "a reset", "a reset", "c answered"]);
        assert_eq!(reply["fallback_count"], 1, "a model counts once, however often it was called");
    });
}
