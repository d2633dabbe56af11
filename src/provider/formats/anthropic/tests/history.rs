//! Conversations that others began, with all that does not fit this API, and thoughts that do.

use super::*;

fn called(id: &str, name: &str) -> Value {
    json!({"id": id, "function": {"name": name, "arguments": "{}"}})
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

/// What holds for every conversation that this API takes.
fn check(body: &Value) {
    let turns = body["messages"].as_array().unwrap();
    assert_eq!(turns[0]["role"], "user", "{body}");
    let mut open: Vec<&str> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (turn, next) in turns.iter().zip(turns.iter().skip(1).chain([&Value::Null])) {
        assert_ne!(turn["role"], next["role"], "{body}");
        let blocks = turn["content"].as_array().unwrap();
        assert!(!blocks.is_empty(), "{body}");
        let results = blocks.iter().filter(|b| b["type"] == "tool_result");
        let answered: Vec<&str> = results.map(|b| b["tool_use_id"].as_str().unwrap()).collect();
        assert_eq!(open, answered, "{body}");
        let uses = blocks.iter().filter(|b| b["type"] == "tool_use");
        open = uses.map(|b| b["id"].as_str().unwrap()).collect();
        for id in &open {
            assert!(seen.insert(id.to_owned()), "two calls of one id in {body}");
        }
        for text in blocks.iter().filter(|b| b["type"] == "text") {
            assert!(!text["text"].as_str().unwrap().trim().is_empty(), "{body}");
        }
        for name in blocks.iter().filter_map(|b| b["name"].as_str()) {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            assert!(name.chars().all(fits) && (1..=64).contains(&name.len()), "{name}");
        }
    }
    assert!(open.is_empty(), "{body}");
    if body["messages"].to_string().contains("tool_use") {
        assert!(!body["tools"].as_array().unwrap().is_empty(), "calls need tools: {body}");
    }
}

#[test]
fn whatever_was_said_before_fits() {
    let rows = [
        json!([user("a"), {"role": "assistant", "content": null}, user("b")]),
        json!([user("a"), {"role": "assistant"}, {"role": "assistant", "content": []}]),
        json!([{"role": "assistant", "content": "hello"}, user("a")]),
        json!([{"role": "assistant", "tool_calls": [called("a", "f")]}]),
        json!([user("a"), {"role": "assistant", "tool_calls": [called("a", "f"), called("b", "f")]},
            user("wait"), {"role": "tool", "tool_call_id": "b", "content": "2"}, user("go on")]),
        json!([user("a"), {"role": "tool", "tool_call_id": "gone", "content": "4 C"}]),
        json!([user("a"), {"role": "assistant", "tool_calls": [called("", "my.tool"), called("", "my tool")]},
            {"role": "tool", "tool_call_id": "", "content": null}]),
        json!([user("a"), {"role": "assistant", "content": "x", "tool_calls": [called("i", "f")]},
            {"role": "tool", "tool_call_id": "i", "content": [{"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
            {"role": "system", "content": "Be short."}, user("b")]),
        json!([user("a"), {"role": "assistant", "content": [{"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}, user(" ")]),
        json!([user(""), {"role": "assistant", "content": "So \n"}]),
    ];
    for messages in rows {
        check(&written(json!({"messages": messages})));
        check(&written(json!({"messages": messages, "tools": tools()})));
    }
}

#[test]
fn results_of_forgotten_calls_are_told() {
    let body = written(json!({"messages": [user("a"),
        {"role": "tool", "tool_call_id": "gone", "content": "4 C"}]}));
    let texts = body["messages"][0]["content"].as_array().unwrap().iter();
    let texts: Vec<&str> = texts.map(|block| block["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["a", "[result of an earlier tool call]", "4 C"]);
}

#[test]
fn an_answer_to_be_continued_does_not_end_in_blanks() {
    let body = written(json!({"messages": [user("a"), {"role": "assistant", "content": "So \n"}]}));
    assert_eq!(body["messages"][1]["content"][0]["text"], "So");
}

#[test]
fn what_was_called_is_offered_when_nothing_else_is() {
    let messages = json!([user("a"), {"role": "assistant", "tool_calls": [called("a", "f.g")]}]);
    let body = written(json!({"messages": messages}));
    assert_eq!(body["tools"][0]["name"], body["messages"][1]["content"][0]["name"]);
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

#[test]
fn schemas_say_that_arguments_are_an_object() {
    let offered = |parameters: Value, strict: bool| {
        let tool = json!([{"function": {"name": "f", "parameters": parameters, "strict": strict}}]);
        written(json!({"messages": [user("a")], "tools": tool}))["tools"][0]["input_schema"].clone()
    };
    let with = |more: Value| {
        let mut schema = json!({"type": "object", "properties": {}});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    assert_eq!(offered(json!({}), false), with(json!({})));
    assert_eq!(
        offered(json!({"type": null, "$schema": "s"}), false),
        with(json!({"$schema": "s"}))
    );
    assert_eq!(offered(Value::Null, false), with(json!({})));
    assert_eq!(offered(json!({"type": "object"}), false), json!({"type": "object"}));
    let closed = json!({"type": "object", "additionalProperties": false});
    assert_eq!(offered(json!({"type": "object"}), true), closed);
}

fn thought(model: &str, signature: &str) -> Value {
    json!({"role": "assistant", "content": "Looking.", "reasoning_content": "hm",
        "provider_data": {"kind": "anthropic", "model": model, "blocks": [
            {"type": "thinking", "thinking": "hm", "signature": signature},
            {"type": "redacted_thinking", "data": "xyz"}]},
        "tool_calls": [called("t", "f")]})
}

fn round(answer: Value, thinking: Value) -> Value {
    written(json!({"messages": [user("a"), answer,
            {"role": "tool", "tool_call_id": "t", "content": "4 C"}],
        "tools": tools(), "extra": {"anthropic": {"thinking": thinking}}}))
}

#[test]
fn own_thoughts_come_back_first_and_unchanged() {
    let enabled = json!({"type": "enabled", "budget_tokens": 1024});
    let body = round(thought("m-1", "sig"), enabled.clone());
    let blocks = &body["messages"][1]["content"];
    assert_eq!(
        blocks[0],
        json!({"type": "thinking", "thinking": "hm", "signature": "sig"}),
        "{blocks}"
    );
    assert_eq!(blocks[1], json!({"type": "redacted_thinking", "data": "xyz"}));
    assert_eq!((&blocks[2]["type"], &blocks[3]["type"]), (&json!("text"), &json!("tool_use")));
    assert_eq!(body["thinking"], enabled);
    assert!(body.get("temperature").is_none());
}

#[test]
fn foreign_thoughts_are_left_out_and_thinking_with_them() {
    let enabled = json!({"type": "enabled", "budget_tokens": 1024});
    for answer in [
        thought("another-claude", "sig"),
        json!({"role": "assistant", "reasoning_content": "hm", "tool_calls": [called("t", "f")],
            "provider_data": {"kind": "openai", "model": "m-1", "blocks": [
                {"type": "reasoning.text", "text": "hm", "signature": "sig"}]}}),
        json!({"role": "assistant", "reasoning_content": "hm", "tool_calls": [called("t", "f")]}),
    ] {
        let body = round(answer.clone(), enabled.clone());
        assert!(!body.to_string().contains("sig") && !body.to_string().contains("hm"), "{body}");
        assert!(body.get("thinking").is_none(), "{body}");
        // Where a model thinks as it likes, it may begin without.
        let adaptive = round(answer, json!({"type": "adaptive"}));
        assert_eq!(adaptive["thinking"], json!({"type": "adaptive"}));
    }
}

#[test]
fn thoughts_without_a_signature_and_before_a_continued_answer_are_left_out() {
    let unsigned = round(thought("m-1", ""), Value::Null);
    assert_eq!(unsigned["messages"][1]["content"][0]["type"], "redacted_thinking");
    let mut last = thought("m-1", "sig");
    last["tool_calls"] = json!([]);
    let body = written(json!({"messages": [user("a"), last.clone()]}));
    assert_eq!(body["messages"][1]["content"][0]["type"], "text");
    last["content"] = json!("");
    let alone = written(json!({"messages": [user("a"), last, user("b")]}));
    assert_eq!(alone["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn half_a_character_in_raw_json_is_mended() {
    let line = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[
        {"id":"t","function":{"name":"f","arguments":"{\"x\":\"\\ud83d\"}"}}]}],
        "tools":[{"function":{"name":"f","parameters":{"type":"object","title":"\ud83d"}}}]}"#;
    let request: ChatRequest = serde_json::from_str(line).unwrap();
    let bytes = body(&call(&claude(), &request), Asking::WHOLE).ok().unwrap();
    let sent: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(sent["messages"][1]["content"][0]["input"], json!({"x": "\u{fffd}"}));
    assert_eq!(sent["tools"][0]["input_schema"]["title"], "\u{fffd}");
}
