//! Panics in the actors: what they cost, what is rebuilt, and when it is too much.
//!
//! The clock panics on demand. Every handler of a model's owner reads it, and a new model's too.

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::rig::{Rig, THREE, code, configured, faults, lines, pass, play, tried};
use super::script::{fails, hangs, limited, well};
use crate::actors::router::{AskHealth, Reload, SetBreaker};
use crate::domain::fault::Fault;
use crate::domain::rebuilds::MOST;
use crate::protocol::request::{BreakerOp, BreakerSet};

impl Rig {
    /// Loses the state of a model.
    async fn lose(&self, model: &str) {
        let asked = self.send(json!({ "plan": true, "models": [model] }));
        faults(0, 1);
        asked.reply().await;
    }
}

#[test]
fn a_model_lost_while_it_is_asked_is_passed_over_once() {
    play(async || {
        let rig = Rig::new(THREE);
        let asked = rig.send(json!({}));
        faults(0, 1);
        assert_eq!(tried(&asked.reply().await), ["a busy", "b answered"]);
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn a_model_lost_while_it_admits_is_passed_over_once_and_counts_no_call() {
    play(async || {
        let rig = Rig::new(THREE);
        let asked = rig.send(json!({}));
        // Behind the three questions for the ranking.
        faults(3, 1);
        assert_eq!(tried(&asked.reply().await), ["a busy", "b answered"]);
        let health = rig.health("a").await;
        assert_eq!((&health["in_flight"], &health["total_calls"]), (&json!(0), &json!(0)));
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn a_call_whose_end_met_a_panic_is_answered_logged_and_counted_once() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", well().after(1000));
        let asked = rig.send(json!({}));
        pass(0.5).await;
        faults(0, 1);
        assert_eq!(tried(&asked.reply().await), ["a answered"]);
        let health = rig.health("a").await;
        assert_eq!((&health["in_flight"], &health["total_calls"]), (&json!(0), &json!(1)));
        assert_eq!(health["avg_latency_ms"], 1000.0);
        let log = rig.log().await;
        let calls = lines(&log, "call");
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0]["counted"], false, "the state that admitted it is gone");
    });
}

#[test]
fn a_call_whose_end_cannot_be_told_at_all_is_answered_and_gives_its_place_back() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", well().after(1000));
        let asked = rig.send(json!({}));
        pass(0.5).await;
        faults(0, 2);
        assert_eq!(asked.reply().await["model_used"], "a");
        let health = rig.health("a").await;
        assert_eq!((&health["in_flight"], &health["total_calls"]), (&json!(0), &json!(0)));
    });
}

#[test]
fn a_rebuilt_model_has_its_circuit_and_its_window_as_stored() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.hello().await;
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..3 {
            rig.hello().await;
        }
        let without_last_error = |mut health: Value| {
            health["last_error"] = json!(null);
            health
        };
        let before = without_last_error(rig.health("a").await);
        assert_eq!(before["breaker"]["state"], "open");
        rig.lose("a").await;
        assert_eq!(without_last_error(rig.health("a").await), before);
        rig.script.heal();
        pass(299.0).await;
        assert_eq!(tried(&rig.hello().await)[0], "a circuit_open");
        pass(2.0).await;
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
        assert_eq!(rig.state("a").await, "closed");
    });
}

#[test]
fn a_run_of_failures_goes_on_through_a_rebuild() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::BadBody));
        for count in 1..=3 {
            rig.lose("a").await;
            rig.hello().await;
            assert_eq!(rig.health("a").await["breaker"]["consecutive_failures"], count);
        }
        assert_eq!(rig.state("a").await, "open");
    });
}

#[test]
fn calls_under_way_keep_their_places_and_other_models_never_notice() {
    play(async || {
        let text = THREE.replace("model_id = \"a\"", "model_id = \"a\"\nmax_in_flight = 4");
        let rig = Rig::new(&text);
        rig.script.always("a", well().after(1000));
        rig.script.always("b", well().after(1000));
        let to_a: Vec<_> = (0..4).map(|_| rig.send(json!({}))).collect();
        let to_b: Vec<_> = (0..4).map(|_| rig.send(json!({ "models": ["b"] }))).collect();
        rig.script.once("c", limited(Some(60_000)));
        rig.ask(json!({ "models": ["c"], "timeout": "1s" })).await;
        pass(0.5).await;
        rig.lose("a").await;
        assert_eq!(rig.health("a").await["in_flight"], 4);
        assert_eq!(tried(&rig.hello().await)[0], "a busy");
        for asked in to_a.into_iter().chain(to_b) {
            assert_eq!(asked.reply().await["ok"], true);
        }
        assert_eq!(rig.health("a").await["in_flight"], 0);
        assert_ne!(rig.health("c").await["hold_until"], json!(null), "the others keep theirs");
        assert_eq!(rig.hello().await["model_used"], "a");
        let log = rig.log().await;
        let calls = lines(&log, "call");
        let uncounted = calls.iter().filter(|call| call["counted"] == false);
        let uncounted: Vec<_> = uncounted.map(|call| &call["model_name"]).collect();
        assert_eq!(calls.len(), 11);
        assert_eq!(uncounted, ["a"; 4], "only what the lost state had admitted");
    });
}

#[test]
fn a_probe_of_a_lost_state_decides_nothing_and_the_next_one_does() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", fails(Fault::BadBody));
        for _ in 0..3 {
            rig.hello().await;
        }
        pass(301.0).await;
        rig.script.once("a", fails(Fault::BadBody).after(1000));
        rig.script.always("a", well());
        let probe = rig.send(json!({}));
        pass(0.5).await;
        rig.lose("a").await;
        assert_eq!(tried(&probe.reply().await), ["a bad_body", "b answered"]);
        assert_eq!(rig.state("a").await, "half_open", "as if the probe had never been");
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
        assert_eq!(rig.state("a").await, "closed");
    });
}

#[test]
fn callers_who_leave_after_a_rebuild_give_their_places_back() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", hangs());
        let asked: Vec<_> = (0..5).map(|_| rig.send(json!({}))).collect();
        pass(0.1).await;
        rig.lose("a").await;
        drop(asked);
        pass(0.001).await;
        assert_eq!(rig.health("a").await["in_flight"], 0);
        assert_eq!(lines(&rig.log().await, "call").len(), 5);
    });
}

#[test]
fn an_order_that_met_a_panic_is_refused_and_can_be_given_again() {
    play(async || {
        let rig = Rig::new(THREE);
        faults(0, 1);
        let op = BreakerOp { model: "a".to_owned(), set: BreakerSet::Open, during: None };
        let answer = rig.router.send(SetBreaker { op, peer_uid: None }).await.unwrap();
        assert_eq!(answer.unwrap_err().code.name(), "internal");
        assert_eq!(rig.state("a").await, "closed");
        rig.set_override("a", BreakerSet::Open, None).await;
        rig.lose("a").await;
        assert_eq!(rig.health("a").await["breaker"]["reason"], "forced open");
    });
}

#[test]
fn a_model_lost_over_new_settings_is_rebuilt_with_them() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.hello().await;
        let text = THREE.replace("model_id = \"a\"", "model_id = \"a\"\nmax_in_flight = 1");
        faults(0, 1);
        let renewal = rig.router.send(Reload(Box::new(configured(&text)))).await.unwrap();
        assert_eq!(renewal.kept, 3);
        rig.script.always("a", well().after(1000));
        let asked = [rig.send(json!({})), rig.send(json!({}))];
        let replies = join_all(asked.map(|asked| asked.reply())).await;
        let used: Vec<_> = replies.iter().map(|reply| &reply["model_used"]).collect();
        assert_eq!(used, ["a", "b"]);
        assert_eq!(rig.health("a").await["total_calls"], 2);
    });
}

#[test]
fn a_panic_over_a_message_to_the_router_costs_that_message() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", well().after(1000));
        let running = rig.send(json!({}));
        pass(0.5).await;
        let text = format!("{THREE}\n[models.new]\nprovider = \"s\"\nmodel_id = \"new\"\n");
        let reload = || Reload(Box::new(configured(&text)));
        faults(0, 1);
        assert!(rig.router.send(reload()).await.is_err(), "its answer is lost");
        assert_eq!(rig.router.send(AskHealth(None)).await.unwrap().len(), 3, "nothing changed");
        assert_eq!(rig.router.send(reload()).await.unwrap().added, ["new".into()]);
        assert_eq!(rig.router.send(AskHealth(None)).await.unwrap().len(), 4);
        assert_eq!(running.reply().await["model_used"], "a");
        assert!(rig.rebuilds.too_many().now_or_never().is_none());
    });
}

#[test]
fn a_fault_before_the_first_model_is_asked_is_answered_internal() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", well().after(1000));
        let asked = rig.send(json!({}));
        pass(0.5).await;
        // The call's end is told; the request's line is not, nor anything after it.
        faults(1, 1);
        assert_eq!(code(&asked.reply().await), "internal");
        assert_eq!(rig.health("a").await["in_flight"], 0);
        assert_eq!(rig.hello().await["model_used"], "a");
    });
}

#[test]
fn the_eleventh_state_lost_within_a_minute_is_too_many() {
    play(async || {
        let rig = Rig::new(THREE);
        for _ in 0..3 {
            for _ in 0..MOST {
                rig.lose("a").await;
            }
            assert!(rig.rebuilds.too_many().now_or_never().is_none());
            pass(60.0).await;
        }
        for _ in 0..MOST {
            rig.lose("a").await;
        }
        // Whichever model it is: they share their faults.
        rig.lose("b").await;
        rig.rebuilds.too_many().await;
        assert_eq!(rig.hello().await["ok"], true, "whoever is still here is served");
    });
}
