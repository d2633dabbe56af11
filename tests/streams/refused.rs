//! Requests that a provider does not take: too long, against its rules, with a prefilled answer.

use fallbackd::config::Kind;
use fallbackd::sim::{Behaviour, Fate, Flow, Meaning, ProviderError};
use serde_json::json;

use super::fixture::{By, Fixture, good, hello, text_of};

#[test]
fn a_context_that_is_too_long_goes_to_the_next_model_at_once() {
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| primary.set_for(model, Behaviour::context_too_long()));
    for run in fixture.play(&hello()) {
        run.expect(By::Second, &["context_too_long"], (1, 1), 0..500);
    }
    fixture.script_backup(&Behaviour::context_too_long());
    for run in fixture.play(&hello()) {
        let failed = ["context_too_long", "context_too_long"];
        run.expect(By::Error("context_too_long"), &failed, (1, 1), 0..500);
    }
}

#[test]
fn a_prompt_against_the_rules_is_refused_and_asked_of_nobody_else() {
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| primary.set_for(model, Behaviour::content_policy()));
    for run in fixture.play(&hello()) {
        if run.kind == Kind::Google {
            // Blocked with a 200: an answer that says so.
            run.expect(By::First, &[], (1, 0), 0..500);
            assert_eq!(run.reply["finish_reason"], "refused");
        } else {
            run.expect(By::Error("refused"), &["refused"], (1, 0), 0..500);
        }
        assert!(!run.heard_anything());
    }
}

#[test]
fn a_refused_prompt_goes_on_for_those_who_ask_for_it() {
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| primary.set_for(model, Behaviour::content_policy()));
    let mut request = hello();
    request["on_refusal"] = json!("fallback");
    for run in fixture.play(&request) {
        run.expect(By::Second, &["refused"], (1, 1), 0..1_000);
        assert!(run.restarts().is_empty());
    }
}

/// What newer Claude models say to a last message of the assistant.
fn no_prefill() -> Behaviour {
    let error = ProviderError {
        message: Some("This model does not support assistant message prefill.".to_owned()),
        ..ProviderError::new(Meaning::InvalidRequest)
    };
    Behaviour::Error(error)
}

#[test]
fn a_broken_answer_is_rescued_by_a_backup_that_refuses_prefill() {
    let fixture = Fixture::new("", "");
    let cut = Flow { fate: Some((40, Fate::Ends)), ..good() };
    fixture.script(|primary, model| primary.set_for(model, cut.clone().into()));
    for run in fixture.play(&hello()) {
        assert_eq!(run.reply["content"], text_of('b'), "{run:#?}");
        assert_eq!((run.first.len(), run.second.len()), (1, 1));
        // It is asked for the whole answer, and never to go on with half of another one.
        let messages = run.second[0].body["messages"].as_array().unwrap();
        assert!(messages.iter().all(|message| message["role"] == "user"), "{messages:?}");
    }
}

#[test]
fn a_prefill_goes_only_to_models_that_take_one() {
    let mut request = hello();
    request["messages"] = json!([{ "role": "user", "content": "hello" },
                                 { "role": "assistant", "content": "a00" }]);
    let known = Fixture::new("supports = { prefill = true }", "");
    known.script(|primary, model| primary.set_for(model, Behaviour::overloaded()));
    for run in known.play(&request) {
        let failed = ["overloaded", "overloaded"];
        run.expect(By::Error("all_models_failed"), &failed, (2, 0), 375..1_000);
        assert_eq!(run.reply["attempts"][0]["reason"], "incapable", "{run:#?}");
    }
    // A backup of which it is believed, and which refuses: neither is to blame.
    let prefill = "supports = { prefill = true }";
    let believed = Fixture::new(prefill, prefill);
    believed.script(|primary, model| primary.set_for(model, Behaviour::overloaded()));
    believed.script_backup(&no_prefill());
    for run in believed.play(&request) {
        let failed = ["overloaded", "overloaded", "unsupported_param"];
        run.expect(By::Error("all_models_failed"), &failed, (2, 1), 375..1_000);
    }
}
