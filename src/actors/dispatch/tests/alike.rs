//! Copies are called, timed and billed as callers' calls are: there is one rule for all of them.

use serde_json::{Value, json};

use super::rig::{Rig, lines, pass, play};
use super::script::{fails, says, well_without_usage};
use crate::domain::fault::Fault;

/// Two models of one price; the second gets a copy of every answered request.
fn rig() -> Rig {
    let model = |name: &str, provider: &str| {
        format!(
            "[models.{name}]\nprovider = \"{provider}\"\nmodel_id = \"{name}\"\n\
             cost_per_1k_input = 0.001\ncost_per_1k_output = 0.002\n"
        )
    };
    let models = [model("a", "p"), model("b", "q")].concat();
    let limits = "[timeouts]\nfirst_token = \"20s\"\nattempt = \"7s\"\n[retry]\nmax = 0\n";
    Rig::new(&format!("[shadow]\nrate = 1\n{limits}{models}[chains]\ndefault = [\"a\", \"b\"]\n"))
}

/// The lines of the calls that `b` got: one for a caller after `a` had failed, one as a copy.
fn both_kinds(log: &[Value]) -> [&Value; 2] {
    ["live", "shadow"].map(|kind| {
        let calls = lines(log, "call");
        let call = calls.iter().find(|call| call["kind"] == kind && call["model_name"] == "b");
        *call.unwrap_or_else(|| panic!("no {kind} call to b"))
    })
}

fn bill(call: &Value) -> Value {
    let fields = ["input_tokens", "output_tokens", "cost_usd", "cost_estimated", "error_type"];
    fields.iter().map(|field| call[field].clone()).collect()
}

#[test]
fn a_copy_has_the_limits_of_a_callers_call() {
    play(async || {
        let rig = rig();
        rig.hello().await;
        pass(1.0).await;
        let made = rig.script.made();
        assert_eq!(made[0].limits.first, made[1].limits.first, "no more than an attempt");
        assert_eq!(made[0].limits.idle, made[1].limits.idle);
        assert_eq!(made[0].limits.complete, made[1].limits.complete);
    });
}

#[test]
fn a_broken_copy_is_billed_like_a_broken_call() {
    play(async || {
        let rig = rig();
        let broken = says("one two three ").then(fails(Fault::StreamCut));
        rig.script.once("a", fails(Fault::Tls));
        rig.script.always("b", broken);
        rig.hello().await;
        rig.hello().await;
        pass(5.0).await;
        let log = rig.log().await;
        let [live, copy] = both_kinds(&log);
        assert_eq!(bill(live), bill(copy));
        assert_eq!((&live["output_tokens"], &live["cost_estimated"]), (&json!(4), &json!(true)));
    });
}

#[test]
fn an_estimate_is_marked_as_one_whoever_the_call_was_for() {
    play(async || {
        let rig = rig();
        rig.script.once("a", fails(Fault::Tls));
        rig.script.always("b", well_without_usage());
        rig.hello().await;
        rig.hello().await;
        pass(1.0).await;
        let log = rig.log().await;
        let [live, copy] = both_kinds(&log);
        assert_eq!(bill(live), bill(copy));
        assert_eq!(live["cost_estimated"], true);
    });
}
