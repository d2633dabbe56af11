//! Copies of requests: who gets one, what they may not do, and how they bring a model back.

use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{Rig, THREE, code, lines, pass, play, tried};
use super::script::{fails, hangs, panics, says, well};
use crate::domain::fault::Fault;

/// Copies of every answered request, to free models.
const ALWAYS: &str = "[shadow]\nrate = 1\n";
/// No copies, and circuits that are tried in the background.
const PROBES: &str =
    "[shadow]\nrate = 0\n[retry]\nmax = 0\n[breaker]\nprobe = \"shadow\"\nfailures = 1\n";

fn kinds(log: &[Value], kind: &str) -> Vec<String> {
    let calls = lines(log, "call").into_iter().filter(|line| line["kind"] == kind);
    calls.map(|line| line["model_name"].as_str().unwrap().to_owned()).collect()
}

/// Opens the circuit of `a` and lets it fail from then on.
async fn a_is_down(settings: &str) -> Rig {
    let rig = Rig::new(&format!("{settings}\n{THREE}"));
    rig.script.always("a", fails(Fault::Overloaded));
    rig.hello().await;
    assert_eq!(rig.state("a").await, "open");
    rig
}

#[test]
fn after_an_outage_of_a_minute_callers_are_back_within_twenty_seconds_and_met_three_failures() {
    play(async || {
        let text = "[shadow]\nrate = 0\n[breaker]\nprobe = \"shadow\"\nopen_for = \"5m\"\n";
        let rig = Rig::new(&format!("{text}{THREE}"));
        rig.script.always("a", fails(Fault::Overloaded));
        let mut back = None;
        for second in (0..100).step_by(4) {
            if second == 60 {
                rig.script.heal();
            }
            let sent = rig.clock.mono();
            let reply = rig.hello().await;
            assert_eq!(reply["ok"], true, "the backup serves");
            if reply["model_used"] == "a" {
                back.get_or_insert(second);
            }
            let took = rig.clock.mono().since(sent);
            pass(4.0 - took.as_secs_f64()).await;
        }
        let back = back.expect("callers are back at a");
        assert!((60..=80).contains(&back), "{back}");
        let log = rig.log().await;
        let failed = lines(&log, "call").into_iter().filter(|line| line["success"] == false);
        let live = failed.filter(|line| line["kind"] == "live").count();
        assert_eq!(live, 3, "the failures that opened the circuit");
        let probes = kinds(&log, "probe");
        assert!((4..=5).contains(&probes.len()) && probes.iter().all(|model| model == "a"));
    });
}

#[test]
fn a_share_of_the_requests_is_copied_and_spread_over_the_backups_by_age() {
    for seed in [1, 2] {
        fastrand::seed(seed);
        play(async || {
            let rig = Rig::new(&format!("[shadow]\nrate = 0.05\n{THREE}"));
            for _ in 0..20_000 {
                rig.hello().await;
                pass(0.05).await;
            }
            assert_eq!(rig.script.count("a"), 20_000);
            let (b, c) = (rig.script.count("b"), rig.script.count("c"));
            // Three standard deviations of 20,000 throws at 0.05.
            let (mean, spread) = (1000.0, 3.0 * (20_000.0f64 * 0.05 * 0.95).sqrt());
            assert!(((b + c) as f64 - mean).abs() <= spread, "seed {seed}: {b} + {c}");
            assert!(b.abs_diff(c) <= 1, "the one with the older data: {b} and {c}");
        });
    }
}

#[test]
fn what_becomes_of_copies_is_seen_by_no_caller() {
    for step in [fails(Fault::ServerError), fails(Fault::Auth), hangs(), panics(), well()] {
        play(async || {
            let rig = Rig::new(&format!("{ALWAYS}{THREE}"));
            rig.script.always("b", step.clone());
            rig.script.always("c", step.clone());
            for _ in 0..20 {
                let before = rig.clock.mono();
                let reply = rig.hello().await;
                assert_eq!(reply["model_used"], "a", "{reply}");
                assert_eq!(reply["request_cost_usd"], reply["cost_usd"]);
                assert_eq!(rig.clock.mono(), before, "nobody waits");
                pass(1.0).await;
            }
            assert!(rig.script.count("b") > 0);
            pass(100.0).await;
            assert_eq!(rig.health("b").await["in_flight"], 0);
        });
    }
}

#[test]
fn a_copy_is_a_call_like_any_other_to_its_models_health_and_marked_in_the_log() {
    play(async || {
        let rig = Rig::new(&format!("{ALWAYS}[retry]\nmax = 0\n{THREE}"));
        rig.script.always("b", fails(Fault::BadBody));
        for _ in 0..6 {
            rig.hello().await;
            pass(1.0).await;
        }
        assert_eq!(rig.health("b").await["breaker"]["state"], "open", "known before it is needed");
        rig.hello().await;
        pass(1.0).await;
        let evidence = &rig.health("c").await["evidence"];
        assert_eq!((&evidence["shadow"], &evidence["live"]), (&json!(4), &json!(0)));
        assert_eq!(
            (&evidence["proven_by"], &evidence["proven_ago_ms"]),
            (&json!("shadow"), &json!(1000))
        );
        let log = rig.log().await;
        assert_eq!(kinds(&log, "shadow"), ["b", "c", "b", "c", "b", "c", "c"]);
        assert_eq!(lines(&log, "request").len(), 7);
    });
}

#[test]
fn answers_are_compared_without_a_word_of_them_in_the_log() {
    play(async || {
        let rig = Rig::new(&format!("{ALWAYS}compare = true\n{THREE}"));
        rig.script.once("b", well().after(250));
        rig.script.once("c", fails(Fault::ModelGlitch));
        rig.hello().await;
        pass(1.0).await;
        rig.hello().await;
        pass(1.0).await;
        let log = rig.log().await;
        let found = lines(&log, "comparison");
        let (b, c) = (found[0], found[1]);
        assert_eq!((&b["model_used"], &b["backup"]), (&json!("a"), &json!("b")));
        assert_eq!(b["shadow"]["latency_ms"], 250);
        assert_eq!(b["live"]["output_tokens"], 100);
        let agreement = json!({ "same_json": true, "length_ratio": 1.0, "similarity": 0.5 });
        assert_eq!(b["agreement"], agreement, "\"a answers\" and \"b answers\"");
        assert_eq!((&c["shadow"], &c["error_type"]), (&Value::Null, &json!("model_glitch")));
        assert!(!log.iter().any(|line| line.to_string().contains("answers")));
    });
}

#[test]
fn a_copys_answer_is_held_to_the_checks_of_its_chain() {
    play(async || {
        let chains = "[chains]\n    default = [\"a\", \"b\", \"c\"]";
        let checked = "[chains.default]\nmodels = [\"a\", \"b\"]\naccept = { json = true }";
        let rig = Rig::new(&format!("{ALWAYS}{}", THREE.replace(chains, checked)));
        rig.script.always("a", says("{}"));
        rig.script.always("b", says("Here it is: {}"));
        rig.hello().await;
        pass(1.0).await;
        let log = rig.log().await;
        let copy = *lines(&log, "call").last().unwrap();
        assert_eq!((&copy["kind"], &copy["error_type"]), (&json!("shadow"), &json!("rejected")));
        assert_eq!(copy["verdict"], "success", "it is no fault of the provider");
    });
}

#[test]
fn only_requests_that_may_be_copied_are() {
    play(async || {
        let rig = Rig::new(&format!("{ALWAYS}tools = false\n{THREE}"));
        let tool = json!([{ "type": "function", "function": { "name": "f" } }]);
        rig.ask(json!({ "tools": tool })).await;
        rig.ask(json!({ "plan": true })).await;
        rig.ask(json!({ "models": ["a"] })).await;
        rig.script.once("a", fails(Fault::Refused));
        rig.hello().await;
        rig.script.once("a", super::script::blocked());
        rig.hello().await;
        pass(10.0).await;
        assert_eq!(rig.script.names(), ["a"; 4]);
        for tools in ["", "tools = true\n", "tools = \"functions\"\n"] {
            let rig = Rig::new(&format!("{ALWAYS}{tools}{THREE}"));
            rig.ask(json!({ "tools": tool })).await;
            pass(10.0).await;
            assert_eq!(rig.script.names(), ["a", "b"]);
        }
    });
}

#[test]
fn no_more_copies_are_under_way_than_allowed_and_none_beyond_a_models_limits() {
    play(async || {
        let text = THREE.replace("model_id = \"c\"", "model_id = \"c\"\nmax_in_flight = 1");
        let rig = Rig::new(&format!("{ALWAYS}max_in_flight = 3\n{text}"));
        rig.script.always("b", hangs());
        rig.script.always("c", hangs());
        for _ in 0..10 {
            rig.hello().await;
            pass(0.1).await;
        }
        assert_eq!((rig.script.count("b"), rig.script.count("c")), (2, 1));
    });
}

#[test]
fn a_caller_who_needs_a_copys_place_gets_it() {
    play(async || {
        let text = THREE.replace("model_id = \"b\"", "model_id = \"b\"\nmax_in_flight = 1");
        let rig = Rig::new(&format!("{ALWAYS}{text}"));
        rig.script.once("b", hangs());
        rig.hello().await;
        pass(1.0).await;
        assert_eq!(rig.health("b").await["in_flight"], 1);
        let reply = rig.ask(json!({ "models": ["b"] })).await;
        assert_eq!(reply["ok"], true);
        assert!(rig.script.made_to("b")[0].dropped);
        pass(1.0).await;
        assert_eq!(rig.health("b").await["in_flight"], 0);
    });
}

#[test]
fn copies_give_way_when_many_callers_wait() {
    play(async || {
        let rig = Rig::new(&format!("{ALWAYS}{THREE}"));
        rig.script.once("b", hangs());
        rig.hello().await;
        pass(1.0).await;
        rig.script.always("a", well().after(1000));
        let crowd: Vec<_> = (0..600).map(|_| rig.send(json!({}))).collect();
        pass(0.5).await;
        assert!(rig.script.made_to("b")[0].dropped, "more than half of what may be under way");
        for asked in crowd {
            assert_eq!(asked.reply().await["ok"], true);
        }
    });
}

#[test]
fn nothing_is_sent_beyond_the_days_budget_and_a_new_day_brings_a_new_one() {
    play(async || {
        let price = "\ncost_per_1k_input = 0.001\ncost_per_1k_output = 0.01";
        let text = THREE.replace("model_id = \"b\"", &format!("model_id = \"b\"{price}"));
        let text = text.replace("[\"a\", \"b\", \"c\"]", "[\"a\", \"b\"]");
        let rig = Rig::new(&format!("{ALWAYS}daily_budget_usd = 0.02\n{text}"));
        for _ in 0..30 {
            rig.hello().await;
            pass(1.0).await;
        }
        // Each copy cost 0.002 and might have cost about 0.01.
        assert_eq!(rig.script.count("b"), 5);
        pass(86_400.0).await;
        rig.hello().await;
        pass(1.0).await;
        rig.hello().await;
        pass(1.0).await;
        assert_eq!(rig.script.count("b"), 7);
    });
}

#[test]
fn a_recovering_model_is_tested_by_copies_and_no_caller_meets_it() {
    play(async || {
        let rig = a_is_down(PROBES).await;
        for _ in 0..700 {
            pass(1.0).await;
            assert_eq!(tried(&rig.hello().await), ["a circuit_open", "b answered"]);
        }
        assert_eq!(rig.state("a").await, "half_open", "its time is over, and nobody was tried");
        rig.script.heal();
        for _ in 0..61 {
            pass(1.0).await;
            rig.hello().await;
        }
        assert_eq!(rig.hello().await["model_used"], "a", "at once back in its place");
        let log = rig.log().await;
        let failed = |line: &&&Value| line["kind"] == "live" && line["success"] == false;
        assert_eq!(lines(&log, "call").iter().filter(failed).count(), 1);
        let probes = kinds(&log, "probe").len();
        assert!((24..=30).contains(&probes), "every 15 s, later less often: {probes}");
    });
}

#[test]
fn without_traffic_nothing_is_sent() {
    play(async || {
        let rig = a_is_down(PROBES).await;
        pass(3600.0).await;
        assert_eq!(rig.script.names(), ["a", "b"]);
    });
}

#[test]
fn callers_test_a_model_themselves_when_no_copy_of_their_request_may_be_sent() {
    play(async || {
        let rig = a_is_down(&PROBES.replace("rate = 0", "rate = 0\ntools = false")).await;
        pass(300.0).await;
        let tool = json!([{ "type": "function", "function": { "name": "f" } }]);
        assert_eq!(tried(&rig.ask(json!({ "tools": tool })).await)[0], "a overloaded");
    });
    play(async || {
        let price = "\ncost_per_1k_input = 0.001\ncost_per_1k_output = 0.01";
        let text = THREE.replace("model_id = \"a\"", &format!("model_id = \"a\"{price}"));
        let spent = PROBES.replace("rate = 0", "rate = 0\ndaily_budget_usd = 0");
        let rig = Rig::new(&format!("{spent}{text}"));
        rig.script.once("a", fails(Fault::Overloaded));
        rig.hello().await;
        pass(299.0).await;
        assert_eq!(tried(&rig.hello().await), ["a circuit_open", "b answered"]);
        pass(1.0).await;
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn a_caller_tests_a_model_when_nobody_else_can_be_asked() {
    play(async || {
        let rig = Rig::new(&format!(
            "{PROBES}when_all_open = \"fail\"\n[models.a]\nprovider = \"p\"\nmodel_id = \"a\"\n"
        ));
        rig.script.once("a", fails(Fault::Overloaded));
        rig.hello().await;
        assert_eq!(code(&rig.hello().await), "no_model_available");
        pass(300.0).await;
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn requests_that_nobody_could_answer_bring_models_back() {
    play(async || {
        let rig = Rig::new(&format!("{PROBES}when_all_open = \"fail\"\n{THREE}"));
        for model in ["a", "b", "c"] {
            rig.script.once(model, fails(Fault::BadBody));
        }
        rig.hello().await;
        pass(15.0).await;
        assert_eq!(code(&rig.hello().await), "no_model_available");
        pass(1.0).await;
        assert_eq!(tried(&rig.hello().await), ["a answered"]);
    });
}

#[test]
fn what_waits_for_a_person_is_tried_every_five_minutes() {
    play(async || {
        let rig = Rig::new(&format!("{PROBES}{THREE}"));
        rig.script.always("a", fails(Fault::Auth));
        for _ in 0..90 {
            rig.hello().await;
            pass(10.0).await;
        }
        assert_eq!(rig.script.count("a"), 1 + 2);
        rig.script.heal();
        rig.hello().await;
        pass(1.0).await;
        assert_eq!(rig.hello().await["model_used"], "a");
    });
}

#[test]
fn probes_are_given_up_at_the_end_and_none_begins() {
    play(async || {
        let rig = a_is_down(PROBES).await;
        rig.script.always("a", hangs());
        pass(16.0).await;
        rig.hello().await;
        pass(1.0).await;
        assert_eq!(rig.health("a").await["in_flight"], 1);
        rig.shadows.cease().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(rig.health("a").await["in_flight"], 0);
        pass(60.0).await;
        rig.hello().await;
        pass(1.0).await;
        assert_eq!(rig.script.count("a"), 2);
    });
}

#[test]
fn a_probe_ends_at_its_first_content_and_is_no_answers_latency() {
    play(async || {
        let rig = a_is_down(PROBES).await;
        rig.script.always("a", says("one two three four"));
        pass(16.0).await;
        rig.hello().await;
        pass(0.15).await;
        assert!(rig.script.made_to("a")[1].dropped, "after its first word");
        let health = rig.health("a").await;
        assert_eq!(
            (&health["breaker"]["state"], &health["in_flight"]),
            (&json!("closed"), &json!(0))
        );
        assert_eq!((&health["evidence"]["probe"], &health["p50_ms"]), (&json!(1), &Value::Null));
        let log = rig.log().await;
        let probe = lines(&log, "call").into_iter().find(|line| line["kind"] == "probe").unwrap();
        assert_eq!((&probe["success"], &probe["cost_estimated"]), (&json!(true), &json!(true)));
    });
}
