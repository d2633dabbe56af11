//! Answers that a chain does not accept: paid, told to nobody, and no fault of the provider.

use serde_json::{Value, json};

use super::rig::{Rig, play};
use super::script::{blocked, calls_a_tool, says, silent, well_without_usage};

const CHAIN: &str = r#"
    [models.a]
    provider = "p"
    model_id = "a"
    cost_per_1k_input = 0.0025
    cost_per_1k_output = 0.010
    [models.b]
    provider = "q"
    model_id = "b"
    cost_per_1k_input = 0.0025
    cost_per_1k_output = 0.010
    [chains.default]
    models = ["a", "b"]
"#;

fn chain(accept: &str) -> String {
    format!("{CHAIN}accept = {{ {accept} }}\n")
}

fn tried(reply: &Value) -> Vec<(&str, &Value)> {
    let attempts = reply["attempts"].as_array().unwrap().iter();
    attempts.map(|attempt| (attempt["model"].as_str().unwrap(), &attempt["error_type"])).collect()
}

#[test]
fn a_rejected_answer_is_paid_and_the_next_model_asked() {
    play(async || {
        let rig = Rig::new(&chain("json = true"));
        rig.script.always("a", says("Here is your JSON"));
        rig.script.always("b", says("{}"));
        for _ in 0..5 {
            let reply = rig.hello().await;
            assert_eq!(reply["content"], "{}");
            assert_eq!(tried(&reply), [("a", &json!("rejected")), ("b", &Value::Null)]);
            assert_eq!(reply["attempts"][0]["message"], "the answer is not JSON");
            assert_eq!(reply["request_cost_usd"], 2.0 * reply["cost_usd"].as_f64().unwrap());
        }
        assert_eq!(rig.state("a").await, "closed");
        assert_eq!(rig.health("a").await["success_rate"], 1.0);
        let log = rig.log().await;
        let rejected = log.iter().find(|line| line["error_type"] == "rejected").unwrap();
        assert_eq!(
            (&rejected["success"], &rejected["verdict"]),
            (&json!(false), &json!("success"))
        );
        assert!(rejected["cost_usd"].as_f64().unwrap() > 0.0);
        assert!(!log.iter().any(|line| line.to_string().contains("Here is")));
    });
}

#[test]
fn when_everybody_is_rejected_all_models_have_failed() {
    play(async || {
        let rig = Rig::new(&chain("deny = [\"(?i)as an ai\"], max_chars = 20"));
        rig.script.always("a", says("As an AI, no"));
        rig.script.always("b", says("Twenty characters and one."));
        let reply = rig.hello().await;
        assert_eq!(reply["error"]["code"], "all_models_failed");
        assert_eq!(tried(&reply), [("a", &json!("rejected")), ("b", &json!("rejected"))]);
    });
}

#[test]
fn nothing_of_a_rejected_stream_is_told() {
    play(async || {
        let rig = Rig::new(&chain("json = true"));
        rig.script.always("a", says("Here is your JSON").every(10));
        rig.script.always("b", says("{\"a\": 1}").every(10));
        let (events, reply) = rig.send(json!({ "stream": true })).heard().await;
        let words: String = events.iter().filter_map(|event| event["content"].as_str()).collect();
        assert_eq!((words.as_str(), &reply["content"]), ("{\"a\": 1}", &json!("{\"a\": 1}")));
        assert!(events.iter().all(|event| event["event"] != "restart"), "{events:?}");
    });
}

#[test]
fn refusals_and_tool_calls_are_not_judged_and_estimates_stay_estimates() {
    play(async || {
        let rig = Rig::new(&chain("non_empty = true, json = true"));
        rig.script.always("a", blocked());
        assert_eq!(rig.hello().await["finish_reason"], "refused");
        rig.script.always("a", calls_a_tool());
        assert_eq!(rig.hello().await["finish_reason"], "tool_calls");
        rig.script.always("a", well_without_usage());
        rig.script.always("b", silent());
        assert_eq!(rig.hello().await["ok"], false);
        let log = rig.log().await;
        let of_a =
            log.iter().rev().find(|line| line["model_name"] == "a" && line["event"] == "call");
        let of_a = of_a.unwrap();
        assert_eq!(of_a["cost_estimated"], true, "{of_a}");
        assert!(of_a["cost_usd"].as_f64().unwrap() > 0.0, "{of_a}");
    });
}

#[test]
fn the_system_message_of_a_task_comes_first() {
    play(async || {
        let rig = Rig::new(&format!("{CHAIN}system = \"In one word.\"\n"));
        let system = json!({ "role": "system", "content": "Be kind." });
        let user = json!({ "role": "user", "content": "Hello" });
        rig.ask(json!({ "messages": [system, user] })).await;
        assert_eq!(rig.script.made()[0].systems, ["In one word.", "Be kind."]);
    });
}
