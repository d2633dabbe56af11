//! The log: one line per request, per call and per change, and what stands in them.

use serde_json::{Value, json};

use super::rig::{Rig, THREE, lines, pass, play};
use super::script::{fails, fails_with};
use crate::domain::fault::Fault;
use crate::protocol::request::BreakerSet;
use crate::provider::Failure;

fn column(lines: &[&Value], name: &str) -> Vec<Value> {
    lines.iter().map(|line| line[name].clone()).collect()
}

#[test]
fn every_request_and_every_call_has_exactly_one_line() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::Overloaded));
        let reply = rig.ask(json!({ "task": "default" })).await;
        rig.ask(json!({ "models": ["z"] })).await;
        rig.ask(json!({ "plan": true })).await;
        let log = rig.log().await;
        let calls = lines(&log, "call");
        assert_eq!(column(&calls, "model_name"), ["a", "a", "b"]);
        assert_eq!(column(&calls, "success"), [false, false, true]);
        assert_eq!(column(&calls, "verdict"), ["failure", "failure", "success"]);
        assert_eq!(column(&calls, "counted"), [true, true, true]);
        assert_eq!(column(&calls, "kind"), ["live", "live", "live"]);
        assert_eq!(column(&calls, "primary"), ["a", "a", "a"]);
        assert_eq!(calls[0]["error_type"], "overloaded");
        assert_eq!(calls[2]["error_type"], json!(null));
        assert_eq!(calls[2]["input_tokens"], 1000);
        assert!(calls.iter().all(|line| line["request_id"] == reply["request_id"]));
        let requests = lines(&log, "request");
        assert_eq!(column(&requests, "error"), [json!(null), json!("unknown_model")]);
        assert_eq!(requests[0]["request_id"], reply["request_id"]);
        assert_eq!(requests[0]["model_used"], "b");
        assert_eq!((&requests[0]["calls"], &requests[0]["fallback_count"]), (&json!(3), &json!(1)));
    });
}

#[test]
fn changes_of_circuit_order_and_health_are_told_once() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..6 {
            rig.hello().await;
        }
        pass(301.0).await;
        rig.script.heal();
        rig.hello().await;
        rig.hello().await;
        let log = rig.log().await;
        let breaker = lines(&log, "breaker");
        let steps: Vec<_> = breaker.iter().map(|line| (&line["from"], &line["to"])).collect();
        let expected = [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
            .map(|(f, t)| (json!(f), json!(t)));
        assert_eq!(steps, expected.iter().map(|(f, t)| (f, t)).collect::<Vec<_>>());
        assert_eq!(breaker[0]["reason"], "3 consecutive failures, the last one bad_body");
        assert!(breaker[0]["retry_at"].is_string());
        let order = lines(&log, "order");
        assert_eq!(column(&order, "order"), [json!(["b", "c"]), json!(["a", "b", "c"])]);
        assert_eq!(order[0]["left_out"], json!([{ "model": "a", "reason": "circuit_open" }]));
        assert!(lines(&log, "degraded").is_empty(), "three calls do not degrade");
    });
}

#[test]
fn degradation_is_told_when_it_begins_and_when_it_ends() {
    play(async || {
        let text = "[breaker]\nfailures = 0\nfailure_rate = 0.0\n";
        let rig = Rig::new(&format!("{text}{THREE}"));
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..7 {
            rig.hello().await;
        }
        pass(620.0).await;
        rig.hello().await;
        let log = rig.log().await;
        let degraded = lines(&log, "degraded");
        assert_eq!(column(&degraded, "degraded"), [true, false]);
        assert_eq!((&degraded[0]["success_rate"], &degraded[0]["calls"]), (&json!(0.0), &json!(5)));
        let order = lines(&log, "order");
        assert_eq!(column(&order, "order"), [json!(["b", "c", "a"]), json!(["a", "b", "c"])]);
    });
}

#[test]
fn overrides_are_told_with_who_set_them() {
    play(async || {
        let rig = Rig::new(THREE);
        let minute = Some(std::time::Duration::from_secs(60));
        rig.set_override("a", BreakerSet::Open, minute).await;
        pass(61.0).await;
        rig.hello().await;
        let log = rig.log().await;
        let breaker = lines(&log, "breaker");
        assert_eq!(column(&breaker, "reason"), ["override: forced open", "override ended"]);
        assert_eq!(breaker[0]["peer_uid"], 7);
        assert_eq!(column(&breaker, "to"), ["open", "closed"]);
    });
}

#[test]
fn no_line_holds_a_message_of_a_caller_or_what_nobody_has_to_see_to() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::ServerError));
        let content = json!([{ "role": "user", "content": "planted-prompt" }]);
        rig.ask(json!({ "messages": content })).await;
        let log = Value::from(rig.log().await).to_string();
        assert!(!log.contains("planted-prompt") && !log.contains("the provider says"));
        assert!(!log.contains("answers"), "nor of the answer");
    });
}

#[test]
fn a_reason_that_somebody_has_to_see_to_is_told_without_what_it_quotes() {
    play(async || {
        for fault in [Fault::Auth, Fault::QuotaExhausted, Fault::ModelNotFound, Fault::Connect] {
            let rig = Rig::new(THREE);
            let said = "my planted prompt of five words";
            let failure = Failure::new(fault, format!("no: {said}"));
            rig.script.once("a", fails_with(failure));
            rig.ask(json!({ "messages": [{ "role": "user", "content": said }] })).await;
            let log = rig.log().await;
            assert_eq!(column(&lines(&log, "call"), "message")[0], "no: …", "{fault}");
        }
    });
}
