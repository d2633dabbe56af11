//! What a reply says about tokens and money.

use serde_json::json;

use super::rig::{Rig, THREE, play};
use super::script::{blocked, fails, fails_with, well_for, well_without_usage};
use crate::domain::fault::Fault;
use crate::domain::price::{Nano, Usage};
use crate::provider::Failure;

fn priced() -> String {
    let with = |text: String, model: &str, input: &str, output: &str| {
        let id = format!("model_id = \"{model}\"");
        let prices = format!("cost_per_1k_input = {input}\ncost_per_1k_output = {output}");
        text.replace(&id, &format!("{id}\n{prices}"))
    };
    with(with(THREE.to_owned(), "a", "0.0025", "0.010"), "b", "0.003", "0.015")
}

#[test]
fn the_answering_call_the_whole_request_and_the_primary_are_priced() {
    play(async || {
        let rig = Rig::new(&priced());
        let reply = rig.hello().await;
        assert_eq!(reply["usage"]["input_tokens"], 1000);
        for cost in ["cost_usd", "request_cost_usd", "primary_cost_usd"] {
            assert_eq!(reply[cost], 0.0035, "{cost}");
        }
        rig.script.always("a", fails(Fault::Tls));
        let reply = rig.hello().await;
        assert_eq!(reply["cost_usd"], 0.0045);
        assert_eq!(reply["request_cost_usd"], 0.0045, "a failure that was not billed is free");
        assert_eq!(reply["primary_cost_usd"], 0.0035);
        assert_eq!(reply["cost_estimated"], false);
    });
}

#[test]
fn failed_calls_that_were_billed_and_refusals_are_added_to_the_request() {
    play(async || {
        let rig = Rig::new(&priced());
        let usage = Usage { input_tokens: 1000, output_tokens: 0, ..Usage::default() };
        let mut billed = Failure::new(Fault::ModelGlitch, "malformed");
        billed.usage = Some(Box::new(usage));
        rig.script.always("a", fails_with(billed));
        let reply = rig.hello().await;
        assert_eq!(reply["cost_usd"], 0.0045);
        assert_eq!(reply["request_cost_usd"], 0.0095, "two glitches of 0.0025 each");
        rig.script.always("a", blocked());
        let reply = rig.ask(json!({ "on_refusal": "fallback" })).await;
        assert_eq!(reply["request_cost_usd"], 0.0071);
        let log = rig.log().await;
        let requests: Vec<_> = log.iter().filter(|line| line["event"] == "request").collect();
        assert_eq!(requests[0]["request_cost_usd"], 0.0095);
        assert_eq!(requests[1]["request_cost_usd"], 0.0071);
        let calls = log.iter().filter(|line| line["event"] == "call");
        let paid: f64 = calls.map(|line| line["cost_usd"].as_f64().unwrap_or(0.0)).sum();
        assert!((paid - 0.0166).abs() < 1e-9, "{paid}");
    });
}

#[test]
fn what_a_trusted_provider_says_a_call_cost_stands_everywhere() {
    play(async || {
        for (trusted, cost) in [("false", 0.0035), ("true", 0.0042)] {
            let own = format!(
                "[providers.own]\nkind = \"openai\"\nauth = \"none\"\n\
                 base_url = \"http://127.0.0.1:9/own\"\ntrust_cost = {trusted}\n"
            );
            let rig = Rig::new(&(priced().replace("\"p\"", "\"own\"") + &own));
            rig.script.always("a", well_for(Nano(4_200_000)));
            let reply = rig.hello().await;
            for key in ["cost_usd", "request_cost_usd", "primary_cost_usd"] {
                assert_eq!(reply[key], cost, "{key} {trusted}");
            }
            assert_eq!(reply["cost_estimated"], false);
            let log = rig.log().await;
            let call = log.iter().find(|line| line["event"] == "call").unwrap();
            assert_eq!(call["cost_usd"], cost);
        }
    });
}

#[test]
fn without_usage_an_estimate_is_made_and_marked() {
    play(async || {
        let rig = Rig::new(&priced());
        rig.script.always("a", well_without_usage());
        let reply = rig.hello().await;
        assert_eq!(reply["cost_estimated"], true);
        assert!(reply["cost_usd"].as_f64().unwrap() > 0.0);
        assert!(reply["usage"]["input_tokens"].as_u64().unwrap() > 0);
        let log = rig.log().await;
        for line in log.iter().filter(|line| line["event"] == "call" || line["event"] == "request")
        {
            assert_eq!(line["cost_estimated"], true, "{line}");
        }
    });
}

#[test]
fn a_model_without_a_price_costs_null() {
    play(async || {
        let rig = Rig::new(&priced());
        rig.script.always("a", fails(Fault::Tls));
        rig.script.always("b", fails(Fault::Tls));
        let reply = rig.hello().await;
        assert_eq!(reply["model_used"], "c");
        assert_eq!(
            (&reply["cost_usd"], &reply["primary_cost_usd"]),
            (&json!(null), &json!(0.0035))
        );
    });
}
