//! Callers who leave, and faults of our own: what they cost, and what they must not.

use serde_json::json;

use super::rig::{Rig, THREE, code, lines, pass, play, tried};
use super::script::{fails, hangs, panics, well};
use crate::domain::fault::Fault;

#[test]
fn a_caller_who_leaves_ends_the_call_and_gives_its_permit_back() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", hangs());
        for _ in 0..12 {
            let asked = rig.send(json!({}));
            pass(1.0).await;
            assert_eq!(rig.health("a").await["in_flight"], 1);
            drop(asked);
            pass(0.001).await;
            assert_eq!(rig.health("a").await["in_flight"], 0);
        }
        assert!(rig.script.made().iter().all(|made| made.dropped));
        assert_eq!(rig.script.count("b"), 0, "nobody goes on for a client that is gone");
        let health = rig.health("a").await;
        assert_eq!((&health["success_rate"], &health["total_calls"]), (&json!(1.0), &json!(12)));
        assert_eq!(health["last_error"], json!(null));
        let log = rig.log().await;
        let calls = lines(&log, "call");
        assert_eq!(calls.len(), 12);
        for call in calls {
            assert_eq!((&call["verdict"], &call["success"]), (&json!("neutral"), &json!(false)));
            assert_eq!(call["error_type"], "cancelled");
            assert_eq!(call["latency_ms"], 1000);
        }
        let requests = lines(&log, "request");
        assert_eq!(requests.len(), 12);
        assert!(requests.iter().all(|line| line["error"] == "cancelled"));
    });
}

#[test]
fn a_cancelled_request_is_answered_with_what_was_tried() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::BadBody).after(100));
        rig.script.always("b", hangs());
        let asked = rig.send(json!({}));
        pass(1.0).await;
        let reply = asked.cancelled().await;
        assert_eq!(code(&reply), "cancelled");
        assert_eq!(tried(&reply), ["a bad_body", "b cancelled"]);
        assert_eq!(reply["attempts"][1]["latency_ms"], 900);
        assert_eq!(rig.health("b").await["in_flight"], 0);
        let log = rig.log().await;
        let order: Vec<_> = log.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(order[1..], ["call", "call", "request"], "a call is told before its request");
    });
}

#[test]
fn a_caller_may_leave_during_a_wait() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::Overloaded));
        let asked = rig.send(json!({}));
        pass(0.1).await;
        let reply = asked.cancelled().await;
        assert_eq!(tried(&reply), ["a overloaded"]);
        assert_eq!(rig.script.made().len(), 1);
    });
}

#[test]
fn a_probe_whose_caller_left_gives_its_slot_to_the_next() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..3 {
            rig.hello().await;
        }
        pass(301.0).await;
        rig.script.always("a", hangs());
        let probe = rig.send(json!({}));
        pass(1.0).await;
        assert_eq!(tried(&rig.hello().await)[0], "a circuit_open");
        drop(probe);
        pass(0.001).await;
        rig.script.always("a", well());
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn a_panic_costs_its_own_request_and_nothing_else() {
    play(async || {
        let rig = Rig::new(THREE);
        let other = rig.send(json!({ "models": ["b"] }));
        rig.script.once("a", panics().after(10));
        let reply = rig.hello().await;
        assert_eq!((code(&reply), tried(&reply)), ("internal", vec!["a cancelled".to_owned()]));
        assert_eq!(other.reply().await["ok"], true);
        assert_eq!(rig.health("a").await["in_flight"], 0);
        assert_eq!(rig.hello().await["model_used"], "a");
        let log = rig.log().await;
        let errors: Vec<_> =
            lines(&log, "request").iter().map(|line| line["error"].clone()).collect();
        assert_eq!(errors, [json!(null), json!("internal"), json!(null)]);
    });
}
