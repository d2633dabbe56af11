//! Conversations that others began, thoughts that come back, and parts that not every server takes.

use super::*;

fn mistral() -> Model {
    at("https://api.mistral.ai/v1")
}

fn called(id: &str, name: &str) -> Value {
    json!({"id": id, "function": {"name": name, "arguments": "{}"}})
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

/// What holds for every conversation that these servers take.
fn check(body: &Value) {
    let messages = body["messages"].as_array().unwrap();
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        if message["role"] == "tool" {
            assert_eq!(message["tool_call_id"].as_str(), Some(open.remove(0)), "{body}");
            assert!(!message["content"].is_null(), "{body}");
            continue;
        }
        assert!(open.is_empty(), "{body}");
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        open = calls.map(|call| call["id"].as_str().unwrap()).collect();
        assert!(!open.is_empty() || !message["content"].is_null(), "{body}");
        assert_ne!(message["content"], json!([]), "{body}");
        if let Some(name) = message["name"].as_str() {
            assert!(!name.contains(' '), "{body}");
        }
    }
    assert!(open.is_empty(), "{body}");
}

#[test]
fn whatever_was_said_before_fits() {
    let long = "x".repeat(60);
    let rows = [
        json!([user("a"), {"role": "assistant", "content": null}, user("b")]),
        json!([user("a"), {"role": "assistant"}, {"role": "user", "name": "Ann Lee", "content": []}]),
        json!([user("a"), {"role": "assistant", "tool_calls": [called("a", "f"), called("a", "f")]},
            user("wait"), {"role": "tool", "tool_call_id": "a", "content": null}]),
        json!([user("a"), {"role": "tool", "tool_call_id": "gone", "content": "4 C"}]),
        json!([user("a"), {"role": "assistant", "tool_calls": [called(&long, "my.tool")]},
            {"role": "tool", "tool_call_id": long, "content": "4 C"}]),
        json!([user("a"), {"role": "assistant", "tool_calls": [called("", "")]}]),
    ];
    for messages in rows {
        for model in [own(), local(), mistral(), at("https://api.groq.com/openai/v1")] {
            check(&written(&model, json!({ "messages": messages })));
        }
    }
}

#[test]
fn ids_have_the_form_that_a_server_takes() {
    let asked = |id: &str| {
        json!({"messages": [user("a"), {"role": "assistant", "tool_calls": [called(id, "f")]},
            {"role": "tool", "tool_call_id": id, "content": "4 C"}]})
    };
    let sent = |model: &Model, id: &str| {
        let body = written(model, asked(id));
        let sent = body["messages"][1]["tool_calls"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(body["messages"][2]["tool_call_id"], sent);
        sent
    };
    assert_eq!(sent(&local(), "functions.f:0"), "functions.f:0");
    assert_eq!(sent(&own(), "functions.f:0"), "functions.f:0");
    assert!(sent(&own(), &"x".repeat(50)).len() <= 40);
    let nine = sent(&mistral(), "functions.f:0");
    assert!(nine.len() == 9 && nine.chars().all(|c| c.is_ascii_alphanumeric()), "{nine}");
    assert_eq!(sent(&mistral(), &nine), nine);
}

#[test]
fn only_a_person_shows_what_is_no_text() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let text = json!({"type": "text", "text": "see"});
    let body = written(
        &own(),
        json!({"messages": [user("a"),
            {"role": "assistant", "content": [text, image],
                "tool_calls": [called("t", "f"), called("u", "f")]},
            {"role": "tool", "tool_call_id": "t", "content": [text, image]},
            {"role": "tool", "tool_call_id": "u", "content": "4 C"}]}),
    );
    check(&body);
    let below = json!({"type": "text", "text": "[shown in the next message]"});
    let messages = &body["messages"];
    assert_eq!(messages[1]["content"][1]["type"], "text");
    assert_eq!(messages[2]["content"], json!([text, below]));
    assert_eq!(messages[4], json!({"role": "user", "content": [image]}));
}

#[test]
fn an_assistant_who_said_nothing_is_left_out_where_that_is_refused() {
    let asked = json!({"messages": [user("a"), {"role": "assistant", "content": null}, user("b")]});
    assert_eq!(written(&mistral(), asked.clone())["messages"].as_array().unwrap().len(), 2);
    assert_eq!(written(&own(), asked)["messages"][1]["content"], "");
}

#[test]
fn names_of_functions_are_sent_in_the_form_that_is_taken() {
    let body = written(
        &own(),
        json!({"messages": [user("a")], "tools": [{"function": {"name": "my.tool", "parameters": {}}}],
            "tool_choice": {"type": "function", "function": {"name": "my.tool"}}}),
    );
    let function = &body["tools"][0]["function"];
    assert!(function["name"].as_str().unwrap().starts_with("my_tool_"));
    assert_eq!(function["name"], body["tool_choice"]["function"]["name"]);
    assert_eq!(function["parameters"], json!({"type": "object", "properties": {}}));
}

fn answered(data: Value) -> Value {
    json!({"messages": [user("a"), {"role": "assistant", "content": null,
        "reasoning_content": "hm", "provider_data": data, "tool_calls": [called("t", "f")]},
        {"role": "tool", "tool_call_id": "t", "content": "4 C"}]})
}

#[test]
fn thoughts_come_back_to_their_maker_as_it_told_them() {
    let own_data = |more: Value| {
        let mut data = json!({"kind": "openai", "model": "m-1"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let thoughts = |model: &Model, data: Value| {
        let body = written(model, answered(data));
        let message = &body["messages"][1];
        let names = ["reasoning_content", "reasoning", "reasoning_details"];
        let told = names.iter().filter_map(|name| Some((*name, message.get(*name)?.clone())));
        told.collect::<Vec<_>>()
    };
    let deepseek = at("https://api.deepseek.com");
    let hm = |name: &'static str| vec![(name, json!("hm"))];
    let told_as = |name: &str| own_data(json!({ "told_as": name }));
    assert_eq!(thoughts(&deepseek, told_as("reasoning_content")), hm("reasoning_content"));
    assert_eq!(thoughts(&local(), told_as("reasoning")), hm("reasoning"));
    let details = json!([{"type": "reasoning.text", "text": "hm", "index": 0, "signature": "s"}]);
    assert_eq!(
        thoughts(&local(), own_data(json!({"blocks": details, "told_as": "reasoning"}))),
        [("reasoning_details", details)]
    );
    assert_eq!(thoughts(&local(), Value::Null), hm("reasoning_content"));
    let foreign = json!({"kind": "anthropic", "model": "m-1", "blocks": [{"signature": "s"}]});
    assert_eq!(thoughts(&local(), foreign.clone()), []);
    assert_eq!(thoughts(&own(), told_as("reasoning")), []);
    assert_eq!(thoughts(&deepseek, foreign.clone()), [("reasoning_content", json!(""))]);
    let kimi = at("https://api.moonshot.ai/v1");
    assert_eq!(thoughts(&kimi, foreign), [("reasoning_content", json!(" "))]);
}

#[test]
fn a_signature_of_gemini_goes_to_gemini_alone() {
    let sent = |model: &Model, extra: Value| {
        let mut call = called("t", "f");
        call["extra_content"] = extra;
        let asked = json!({"messages": [user("a"), {"role": "assistant", "tool_calls": [call]}]});
        written(model, asked)["messages"][1]["tool_calls"][0].get("extra_content").cloned()
    };
    let signed = json!({"google": {"thought_signature": "s"}});
    let both = json!({"google": {"thought_signature": "s"}, "own": {"x": 1}});
    let own_only = json!({"own": {"x": 1}});
    let behind =
        Model { model_id: "google/gemini-3-pro".to_owned(), ..at("https://gw.example/v1") };
    for model in [at("https://generativelanguage.googleapis.com/v1beta/openai"), behind] {
        assert_eq!(sent(&model, signed.clone()), Some(signed.clone()));
        assert_eq!(sent(&model, both.clone()), Some(both.clone()));
    }
    for model in [local(), at("https://openrouter.ai/api/v1"), at("https://api.deepseek.com")] {
        assert_eq!(sent(&model, signed.clone()), None);
        assert_eq!(sent(&model, both.clone()), Some(own_only.clone()));
        assert_eq!(sent(&model, json!("odd")), Some(json!("odd")));
    }
    for model in [own(), mistral()] {
        assert_eq!(sent(&model, both.clone()), None);
    }
}

#[test]
fn files_and_marks_go_to_servers_that_take_them() {
    let parts = json!([
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]);
    let tool = json!([{"type": "function", "function": {"name": "f"},
        "cache_control": {"type": "ephemeral"}}]);
    let asked = json!({"messages": [{"role": "user", "content": parts}], "tools": tool});
    let unmarked = json!([{"type": "text", "text": "x"}, parts[1], parts[2]]);
    for model in [own(), local()] {
        let body = written(&model, asked.clone());
        assert_eq!(body["messages"][0]["content"], unmarked);
        assert!(!body.to_string().contains("cache_control"));
    }
    let router = written(&at("https://openrouter.ai/api/v1"), asked.clone());
    assert_eq!((&router["messages"][0]["content"], &router["tools"]), (&parts, &tool));
    let mistral = written(&mistral(), asked);
    let left_out = |what: &str| {
        json!({"type": "text",
        "text": format!("[{what} was left out: this model does not take it here]")})
    };
    assert_eq!(
        mistral["messages"][0]["content"],
        json!([{"type": "text", "text": "x"}, left_out("the file \"a.pdf\""), left_out("a recording")])
    );
}
