//! What is too dear is left out, and said to be.

use serde_json::{Value, json};

use super::rig::{Rig, pass, play};
use super::script::fails;
use crate::actors::router::AskChains;
use crate::domain::fault::Fault;

/// A call costs 0.0035 with the primary `a`, twice that with `b`, and a tenth with `c`.
fn chain(keys: &str) -> String {
    let model = |name: &str, provider: &str, input: &str, output: &str| {
        format!(
            "[models.{name}]\nprovider = \"{provider}\"\nmodel_id = \"{name}\"\n\
             cost_per_1k_input = {input}\ncost_per_1k_output = {output}\n"
        )
    };
    let models = [
        model("a", "p", "0.0025", "0.010"),
        model("b", "q", "0.005", "0.020"),
        model("c", "r", "0.00025", "0.001"),
    ];
    format!("{}[chains.default]\nmodels = [\"a\", \"b\", \"c\"]\n{keys}", models.concat())
}

/// Who was left out as too dear.
fn dear(reply: &Value) -> Vec<&str> {
    let attempts = reply["attempts"].as_array().unwrap().iter();
    let skipped = attempts.filter(|attempt| attempt["reason"] == "too_dear");
    skipped.map(|attempt| attempt["model"].as_str().unwrap()).collect()
}

#[test]
fn a_model_dearer_than_the_factor_is_left_out() {
    play(async || {
        for (factor, left_out, answers) in [("1.9", vec!["b"], "c"), ("2", vec![], "b")] {
            let rig = Rig::new(&chain(&format!("max_cost_factor = {factor}")));
            rig.script.always("a", fails(Fault::Tls));
            let reply = rig.hello().await;
            assert_eq!((dear(&reply), &reply["model_used"]), (left_out, &json!(answers)));
        }
    });
}

#[test]
fn an_amount_of_the_chain_and_one_of_the_request_are_ceilings_alike() {
    play(async || {
        let rig = Rig::new(&chain("max_cost_usd = 0.015"));
        let ask = async |request: Value| {
            let reply = rig.ask(request).await;
            (dear(&reply).join(" "), reply["model_used"].as_str().map(str::to_owned))
        };
        // A thousand tokens of answer cost 0.01, 0.02 and 0.001.
        assert_eq!(ask(json!({})).await, ("b".to_owned(), Some("a".to_owned())));
        let less = ask(json!({ "max_cost_usd": 0.002 })).await;
        assert_eq!(less, ("a b".to_owned(), Some("c".to_owned())));
        let more = ask(json!({ "max_cost_usd": 1, "models": ["b"] })).await;
        assert_eq!(more, ("b".to_owned(), None), "whose models they are does not matter");
    });
}

#[test]
fn a_spent_budget_leaves_what_is_no_dearer_than_the_primary_until_the_day_is_over() {
    play(async || {
        let rig = Rig::new(&chain("daily_budget_usd = 0.0105"));
        rig.script.always("a", fails(Fault::Tls));
        let mut used = Vec::new();
        for _ in 0..3 {
            let reply = rig.hello().await;
            used.push((dear(&reply).len(), reply["model_used"].as_str().unwrap().to_owned()));
        }
        let told = |left_out: usize, model: &str| (left_out, model.to_owned());
        assert_eq!(used, [told(0, "b"), told(0, "b"), told(1, "c")], "0.007 each");
        let plan = rig.ask(json!({ "plan": true })).await;
        assert!(plan.to_string().contains(r#""reason":"too_dear""#), "{plan}");
        let chains = rig.router.send(AskChains).await.unwrap();
        let chain = serde_json::to_value(&chains.chains["default"]).unwrap();
        assert_eq!(chain["daily_budget_usd"], 0.0105);
        assert_eq!(chain["spent_today_usd"], 0.01435);
        assert_eq!(chain["left_out"][1]["reason"], "too_dear");
        pass(86_400.0).await;
        assert_eq!(rig.hello().await["model_used"], "b", "the next day");
    });
}
