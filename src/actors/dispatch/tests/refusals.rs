//! Content policy: an answer by default, a reason to ask the next model when the caller wants it.

use serde_json::json;

use super::rig::{Rig, THREE, code, pass, play, tried};
use super::script::{blocked, fails, well};
use crate::domain::fault::Fault;

const PRICES: &str = "cost_per_1k_input = 0.001\ncost_per_1k_output = 0.001";

fn priced() -> String {
    let three = THREE.replace("model_id = \"a\"", &format!("model_id = \"a\"\n{PRICES}"));
    three.replace("model_id = \"b\"", &format!("model_id = \"b\"\n{PRICES}"))
}

#[test]
fn a_refusal_is_an_answer_by_default() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", blocked());
        let reply = rig.hello().await;
        assert_eq!((&reply["ok"], &reply["finish_reason"]), (&json!(true), &json!("refused")));
        assert_eq!(tried(&reply), ["a answered"]);
        rig.script.always("a", fails(Fault::Refused));
        let reply = rig.hello().await;
        assert_eq!(code(&reply), "refused");
        assert_eq!(reply["error"]["message"], "the provider says refused");
        assert_eq!(tried(&reply), ["a refused"]);
        assert_eq!(rig.script.names(), ["a", "a"]);
        assert_eq!(rig.health("a").await["success_rate"], 1.0, "the provider works");
    });
}

#[test]
fn on_request_the_next_model_is_asked() {
    play(async || {
        for refusal in [blocked(), fails(Fault::Refused)] {
            let rig = Rig::new(THREE);
            rig.script.always("a", refusal);
            let reply = rig.ask(json!({ "on_refusal": "fallback" })).await;
            assert_eq!(tried(&reply), ["a refused", "b answered"]);
            assert_eq!(
                (&reply["finish_reason"], &reply["fallback_count"]),
                (&json!("stop"), &json!(1))
            );
        }
    });
}

#[test]
fn a_refusal_counts_as_a_success_even_for_a_probe() {
    play(async || {
        for refusal in [blocked(), fails(Fault::Refused)] {
            let rig = Rig::new(THREE);
            rig.script.always("a", fails(Fault::Auth));
            rig.hello().await;
            pass(901.0).await;
            rig.script.always("a", refusal);
            rig.ask(json!({ "on_refusal": "fallback" })).await;
            assert_eq!(rig.state("a").await, "closed");
        }
    });
}

#[test]
fn the_refusal_is_the_answer_when_nobody_else_gives_one() {
    play(async || {
        let rig = Rig::new(&priced());
        rig.script.always("a", blocked().after(100));
        rig.script.always("b", blocked().after(200));
        rig.script.always("c", fails(Fault::BadBody).after(300));
        let reply = rig.ask(json!({ "on_refusal": "fallback" })).await;
        assert_eq!((&reply["ok"], &reply["finish_reason"]), (&json!(true), &json!("refused")));
        assert_eq!(reply["model_used"], "b");
        assert_eq!(tried(&reply), ["a refused", "b answered", "c bad_body"]);
        assert_eq!(reply["latency_ms"], 600, "until its answer, not until the refusal");
        assert_eq!(
            (&reply["cost_usd"], &reply["request_cost_usd"]),
            (&json!(0.00101), &json!(0.00202))
        );
    });
}

#[test]
fn refusals_as_errors_by_all_are_one_refusal() {
    play(async || {
        let rig = Rig::new(THREE);
        for model in ["a", "b", "c"] {
            rig.script.always(model, fails(Fault::Refused));
        }
        let reply = rig.ask(json!({ "on_refusal": "fallback" })).await;
        assert_eq!(code(&reply), "refused");
        assert_eq!(tried(&reply), ["a refused", "b refused", "c refused"]);
        rig.script.always("c", well());
        assert_eq!(rig.ask(json!({ "on_refusal": "fallback" })).await["model_used"], "c");
    });
}
