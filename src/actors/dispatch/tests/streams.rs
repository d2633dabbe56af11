//! What callers hear of answers under way, and what becomes of streams that break.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::rig::{Rig, THREE, code, lines, pass, play, tried};
use super::script::{calls_a_tool, fails, hangs, says, silent, well};
use crate::domain::fault::Fault;

fn streamed() -> Value {
    json!({ "stream": true })
}

/// What was heard, one word per event.
fn words(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let word = |event: &Value| match event["event"].as_str().unwrap() {
        "start" => format!("<{}>", text(&event["model_used"])),
        "restart" => format!("<{} {}>", text(&event["reason"]), text(&event["model_used"])),
        "delta" => text(&event["content"]),
        other => format!("<{other}>"),
    };
    events.iter().map(word).collect()
}

async fn heard(rig: &Rig, request: Value) -> (Vec<String>, Value) {
    let (events, reply) = rig.send(request).heard().await;
    (words(&events), reply)
}

#[test]
fn text_is_told_as_it_arrives() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", says("The sky is blue"));
        let (began, mut asked) = (Instant::now(), rig.send(streamed()));
        assert_eq!(asked.event(began).await.1["model_used"], "a");
        for (at, word) in [(0.1, "The "), (0.2, "sky "), (0.3, "is "), (0.4, "blue")] {
            let (when, event) = asked.event(began).await;
            assert_eq!((when, &event["content"]), (at, &json!(word)));
        }
        let reply = asked.reply().await;
        assert_eq!(reply["content"], "The sky is blue");
        let unstreamed = rig.hello().await;
        for same in ["content", "finish_reason", "model_used", "usage", "cost_usd", "primary"] {
            assert_eq!(reply[same], unstreamed[same], "{same}");
        }
    });
}

#[test]
fn who_does_not_ask_for_events_gets_none() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", says("The sky").then(fails(Fault::StreamCut)));
        rig.script.always("b", says("The sea"));
        let (events, reply) = heard(&rig, json!({})).await;
        assert!(events.is_empty());
        assert_eq!(reply["content"], "The sea");
    });
}

#[test]
fn an_answer_that_was_not_told_in_pieces_is_told_at_its_end() {
    play(async || {
        let rig = Rig::new(THREE);
        let (events, _) = heard(&rig, streamed()).await;
        assert_eq!(events, ["<a>", "a answers"]);
        rig.script.always("a", says("The sky").and_untold(" is blue"));
        let (events, _) = heard(&rig, streamed()).await;
        assert_eq!(events, ["<a>", "The ", "sky", " is blue"]);
    });
}

#[test]
fn a_long_text_is_told_in_small_events() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", says("x").and_untold(&"€".repeat(5000)));
        let (events, reply) = heard(&rig, streamed()).await;
        assert!(events.iter().all(|event| event.len() <= 4096));
        assert_eq!(events.len(), 5);
        assert_eq!(reply["content"].as_str().unwrap().len(), 15_001);
    });
}

#[test]
fn tools_are_told_when_the_answer_is_complete() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", calls_a_tool());
        let (events, reply) = heard(&rig, streamed()).await;
        assert_eq!(events, ["<a>", "<tool_call>"]);
        assert_eq!(
            (&reply["content"], &reply["finish_reason"]),
            (&json!(null), &json!("tool_calls"))
        );
        // With the name of its maker, so that nobody else gets it back.
        assert_eq!(reply["reasoning_content"], "hm");
        let kept = json!({ "kind": "openai", "model": "a", "signature": "s" });
        assert_eq!(reply["provider_data"], kept);
    });
}

#[test]
fn a_model_that_breaks_before_its_text_is_never_heard_of() {
    play(async || {
        for broken in [
            silent(),
            fails(Fault::StreamCut),
            says("").thinking(3).then(fails(Fault::BadBody)),
            says("").thinking(3).then(hangs()),
        ] {
            let rig = Rig::new(THREE);
            rig.script.always("a", broken);
            rig.script.always("b", says("The sea"));
            let (events, reply) = heard(&rig, streamed()).await;
            assert_eq!(events, ["<b>", "The ", "sea"]);
            assert_eq!(rig.health("a").await["success_rate"], 0.0, "{reply}");
        }
    });
}

#[test]
fn a_rescue_repeats_nothing_that_was_delivered() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", says("The sky is ").then(fails(Fault::StreamCut)));
        rig.script.always("b", says("The sky is blue today"));
        let (events, reply) = heard(&rig, streamed()).await;
        assert_eq!(
            events,
            ["<a>", "The ", "sky ", "blue ", "today"][..3]
                .iter()
                .chain(&["is ", "blue ", "today"])
                .copied()
                .collect::<Vec<_>>()
        );
        assert_eq!(tried(&reply), ["a stream_cut", "b answered"]);
        assert_eq!(reply["model_used"], "b");
    });
}

#[test]
fn a_rescue_with_another_text_begins_anew() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", says("The sky is blue").then(hangs()));
        rig.script.always("b", says("The sea is ").then(fails(Fault::BadBody)));
        rig.script.always("c", says("The"));
        let (events, reply) = heard(&rig, streamed()).await;
        let told = [
            "<a>",
            "The ",
            "sky ",
            "is ",
            "blue",
            "<stream_stalled b>",
            "The sea ",
            "is ",
            "<bad_body c>",
            "The",
        ];
        assert_eq!(events, told);
        assert_eq!(tried(&reply), ["a stream_stalled", "b bad_body", "c answered"]);
        for model in ["a", "b"] {
            assert_eq!(rig.health(model).await["success_rate"], 0.0, "rescued or not");
        }
    });
}

#[test]
fn an_answer_without_text_voids_what_was_delivered() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", says("The sky").then(fails(Fault::StreamCut)));
        rig.script.always("b", calls_a_tool());
        let (events, reply) = heard(&rig, streamed()).await;
        assert_eq!(events, ["<a>", "The ", "sky", "<stream_cut b>", "<tool_call>"]);
        assert_eq!(reply["content"], json!(null));
    });
}

#[test]
fn a_caller_who_wants_no_other_answer_is_told_that_it_broke() {
    play(async || {
        let rig = Rig::new(THREE);
        let fail = json!({ "stream": true, "on_interrupt": "fail" });
        rig.script.always("a", says("The sky is").then(fails(Fault::StreamCut)));
        let (_, reply) = heard(&rig, fail.clone()).await;
        assert_eq!((code(&reply), tried(&reply)), ("interrupted", vec!["a stream_cut".to_owned()]));
        rig.script.always("a", says("").thinking(1).then(fails(Fault::StreamCut)));
        assert_eq!(heard(&rig, fail.clone()).await.1["model_used"], "b", "nothing was delivered");
        rig.script.always("a", says("The sky is").then(hangs()));
        let late = json!({ "stream": true, "on_interrupt": "fail", "timeout": "5s" });
        assert_eq!(code(&heard(&rig, late).await.1), "deadline_exceeded");
    });
}

#[test]
fn the_same_model_repeats_a_delivered_answer_only_if_nobody_else_can() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.once("a", says("The sky is").then(fails(Fault::Overloaded)));
        rig.script.once("b", fails(Fault::Overloaded));
        rig.script.always("b", says("The sky is blue"));
        let (_, reply) = heard(&rig, streamed()).await;
        let order = ["a overloaded", "b overloaded", "b answered"];
        assert_eq!(tried(&reply), order, "who delivered nothing is repeated as always");
        rig.script.once("a", says("The sky is").then(fails(Fault::Overloaded)));
        rig.script.always("a", says("The sea"));
        let alone = json!({ "stream": true, "models": ["a"] });
        let (events, reply) = heard(&rig, alone).await;
        assert_eq!(tried(&reply), ["a overloaded", "a answered"]);
        assert_eq!(events.last().unwrap(), "The sea");
    });
}

#[test]
fn text_is_held_back_where_a_refusal_is_no_answer() {
    play(async || {
        let rig = Rig::new(THREE);
        let request = json!({ "stream": true, "on_refusal": "fallback" });
        rig.script.always("a", says("I will not").then(super::script::blocked()));
        rig.script.always("b", says("The sky is").then(fails(Fault::StreamCut)));
        rig.script.always("c", says("The sea"));
        let (events, reply) = heard(&rig, request.clone()).await;
        assert_eq!(events, ["<c>", "The sea"]);
        assert_eq!(tried(&reply), ["a refused", "b stream_cut", "c answered"]);
        rig.script.always("c", fails(Fault::BadBody));
        let (events, reply) = heard(&rig, request).await;
        assert_eq!(events, ["<a>", "I will not"], "the refusal is the answer after all");
        assert_eq!((&reply["ok"], &reply["finish_reason"]), (&json!(true), &json!("refused")));
    });
}

#[test]
fn a_stream_that_delivers_is_ended_by_nothing_but_the_deadline() {
    play(async || {
        let rig = Rig::new(THREE);
        let long = "x ".repeat(40);
        rig.script.always("a", says(&long).every(10_000));
        rig.script.once("a", says(&long).every(9_000));
        let (_, reply) = heard(&rig, json!({ "stream": true, "timeout": "10m" })).await;
        assert_eq!((&reply["model_used"], &reply["latency_ms"]), (&json!("a"), &json!(360_000)));
        let (_, reply) = heard(&rig, json!({ "timeout": "10m" })).await;
        assert_eq!(tried(&reply), ["a first_token_timeout", "b answered"]);
        rig.script.always("a", says(&long).every(9_000));
        for _ in 0..3 {
            let (_, reply) = heard(&rig, json!({ "stream": true, "timeout": "1m" })).await;
            assert_eq!(code(&reply), "deadline_exceeded");
            assert_eq!(tried(&reply), ["a timeout", "b no_time", "c no_time"]);
        }
        let health = rig.health("a").await;
        assert_eq!(health["breaker"]["consecutive_failures"], 1, "{health}");
    });
}

#[test]
fn reasoning_is_life_and_models_that_reason_may_think_longer() {
    play(async || {
        let text =
            THREE.replace("\"b\"\n    [", "\"b\"\n    supports = { reasoning = true }\n    [");
        let rig = Rig::new(&text);
        for model in ["a", "b"] {
            rig.script.always(model, says("Yes").thinking(30).after(8000));
        }
        let reply = rig.ask(json!({ "models": ["a", "b"] })).await;
        assert_eq!((&reply["model_used"], &reply["latency_ms"]), (&json!("a"), &json!(38_100)));
        rig.ask(json!({ "models": ["b", "a"] })).await;
        rig.ask(json!({ "models": ["a", "b"], "reasoning_effort": "low" })).await;
        let first: Vec<_> =
            rig.script.made().iter().map(|made| made.limits.first.as_secs()).collect();
        assert_eq!(first, [10, 60, 60]);
        assert_eq!(rig.script.made()[0].limits.idle.as_secs(), 15);
        assert_eq!(rig.script.made()[0].limits.whole.as_secs(), 300);
    });
}

#[test]
fn a_caller_who_reads_slowly_is_read_for_slowly_and_held_against_nobody() {
    play(async || {
        let rig = Rig::new(THREE);
        let long = "word ".repeat(100);
        rig.script.always("a", says(&long).every(1));
        let (began, mut asked) = (Instant::now(), rig.send(json!({ "stream": true })));
        asked.event(began).await;
        pass(200.0).await;
        assert_eq!(rig.health("a").await["in_flight"], 1, "its stream waits");
        let reply = asked.reply().await;
        assert_eq!(reply["content"], long);
        assert_eq!(reply["latency_ms"].as_u64().unwrap() / 1000, 200);
        let mut asked = rig.send(json!({ "stream": true, "timeout": "30s" }));
        asked.event(began).await;
        pass(60.0).await;
        assert_eq!(rig.health("a").await["in_flight"], 0, "the deadline holds for them, too");
        assert_eq!(code(&asked.reply().await), "deadline_exceeded");
        assert_eq!(rig.health("a").await["success_rate"], 1.0);
    });
}

#[test]
fn a_broken_stream_is_billed_by_what_was_heard_of_it() {
    play(async || {
        let price = "cost_per_1k_input = 1.0\ncost_per_1k_output = 4.0";
        let rig =
            Rig::new(&THREE.replace("model_id = \"a\"", &format!("model_id = \"a\"\n{price}")));
        rig.script.once("a", says("Four letter words are ").then(fails(Fault::StreamCut)));
        rig.script.once("a", fails(Fault::StreamCut));
        rig.script.always("b", well());
        rig.ask(streamed()).await;
        rig.hello().await;
        let log = rig.log().await;
        let calls = lines(&log, "call");
        let bytes = calls[0]["input_tokens"].as_u64().unwrap();
        assert_eq!(
            (calls[0]["output_tokens"].as_u64(), &calls[0]["cost_estimated"]),
            (Some(6), &json!(true))
        );
        let cost = calls[0]["cost_usd"].as_f64().unwrap();
        assert!((cost - (bytes as f64 + 24.0) / 1000.0).abs() < 1e-9, "{cost}");
        assert_eq!(calls[2]["cost_usd"], json!(null), "whose answer never began");
        let requests = lines(&log, "request");
        assert!(requests[0]["request_cost_usd"].as_f64().unwrap() >= cost);
    });
}

#[test]
fn the_first_token_of_a_stream_is_in_the_log_with_its_end() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.once("a", says("The sky is blue").thinking(2));
        rig.hello().await;
        rig.hello().await;
        let log = rig.log().await;
        let times: Vec<_> = lines(&log, "call")
            .iter()
            .map(|call| (call["first_token_ms"].as_u64(), call["latency_ms"].as_u64().unwrap()))
            .collect();
        assert_eq!(times, [(Some(1000), 2400), (None, 0)]);
    });
}

#[test]
fn a_caller_may_leave_in_the_middle_of_a_stream() {
    play(async || {
        let rig = Rig::new(THREE);
        rig.script.always("a", says(&"word ".repeat(100)));
        for leave in [true, false] {
            let (began, mut asked) = (Instant::now(), rig.send(streamed()));
            for _ in 0..5 {
                asked.event(began).await;
            }
            if leave {
                drop(asked);
            } else {
                assert_eq!(code(&asked.cancelled().await), "cancelled");
            }
            pass(0.001).await;
            assert_eq!(rig.health("a").await["in_flight"], 0);
        }
        assert!(rig.script.made().iter().all(|made| made.dropped && made.model == "a"));
        assert_eq!(rig.health("a").await["success_rate"], 1.0);
        let log = rig.log().await;
        for call in lines(&log, "call") {
            assert_eq!(
                (&call["error_type"], &call["cost_estimated"]),
                (&json!("cancelled"), &json!(true))
            );
            assert!(call["output_tokens"].as_u64() >= Some(5), "what was heard is paid: {call}");
            assert_eq!(call["first_token_ms"], 100);
        }
    });
}
