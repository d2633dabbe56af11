//! Conversations that others began, thoughts that come back, and parts that are no text.

use super::*;

fn called(id: &str, name: &str) -> Value {
    json!({"id": id, "function": {"name": name, "arguments": "{}"}})
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

#[test]
fn whatever_was_said_before_fits() {
    let rows = [
        json!([user("a"), {"role": "assistant", "content": null}, user("b")]),
        json!([{"role": "assistant", "tool_calls": [called("a", "f")]}]),
        json!([user("a"), {"role": "assistant", "tool_calls": [called("a", "f"), called("a", "g")]},
            user("wait"), {"role": "tool", "tool_call_id": "a", "content": [
                {"type": "text", "text": "4"}, {"type": "text", "text": " C"}]}]),
        json!([user("a"), {"role": "tool", "tool_call_id": "gone", "content": "4 C"}]),
        json!([user("a"), {"role": "assistant", "tool_calls": [called("x", "2 tools")]},
            {"role": "tool", "tool_call_id": "x"}]),
        json!([user("a"), {"role": "assistant", "content": []}]),
    ];
    for messages in rows {
        let body = written(json!({"messages": messages}));
        let turns = body["contents"].as_array().unwrap();
        assert_eq!(turns[0]["role"], "user", "{body}");
        for (turn, next) in turns.iter().zip(turns.iter().skip(1).chain([&Value::Null])) {
            assert_ne!(turn["role"], next["role"], "{body}");
            let of = |turn: &Value, kind: &str| -> Vec<String> {
                let parts = turn["parts"].as_array().into_iter().flatten();
                parts.filter_map(|part| Some(part.get(kind)?["name"].to_string())).collect()
            };
            assert_eq!(of(turn, "functionCall"), of(next, "functionResponse"), "{body}");
            for name in of(turn, "functionCall") {
                assert!(
                    name.trim_matches('"').starts_with(|c: char| c.is_alphabetic() || c == '_')
                );
            }
        }
    }
}

#[test]
fn results_are_objects_with_all_their_text() {
    let response = |content: Value| {
        let body = written(json!({"messages": [user("a"),
            {"role": "assistant", "tool_calls": [called("x", "f")]},
            {"role": "tool", "tool_call_id": "x", "content": content}]}));
        body["contents"][2]["parts"][0]["functionResponse"]["response"].clone()
    };
    let parts = json!([{"type": "text", "text": "4"}, {"type": "text", "text": " C"}]);
    assert_eq!(response(parts), json!({"output": "4 C"}));
    assert_eq!(response(json!(" {\"a\": 1} ")), json!({"a": 1}));
    assert_eq!(response(json!("[1]")), json!({"output": "[1]"}));
    assert_eq!(response(Value::Null), json!({"output": ""}));
}

#[test]
fn signatures_come_back_to_their_maker_alone_and_once() {
    let answer = |kind: &str, model: &str, carried: bool| {
        let mut call = called("g-1", "f");
        if carried {
            call["extra_content"] = json!({"google": {"thought_signature": "call"}});
        }
        json!([user("a"), {"role": "assistant", "content": "Looking.", "tool_calls": [call],
            "provider_data": {"kind": kind, "model": model, "signature": "text",
                "calls": {"g-1": "call"}}}])
    };
    let sent = |messages: Value| {
        let body = written(json!({"messages": messages}));
        let parts = &body["contents"][1]["parts"];
        [0, 1].map(|at| parts[at]["thoughtSignature"].as_str().map(str::to_owned))
    };
    let own = [Some("text".to_owned()), Some("call".to_owned())];
    assert_eq!(sent(answer("google", "gemini-3-flash", false)), own);
    assert_eq!(sent(answer("google", "gemini-3-flash", true)), own);
    let foreign = [None, Some(NO_SIGNATURE.to_owned())];
    assert_eq!(sent(answer("google", "gemini-3-pro", true)), foreign);
    assert_eq!(sent(answer("openai", "gemini-3-flash", false)), foreign);
}

#[test]
fn files_and_recordings_are_sent_inline() {
    let body = written(json!({"messages": [{"role": "user", "content": [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1", "filename": "a.pdf"}}]}]}));
    assert_eq!(
        body["contents"][0]["parts"],
        json!([{"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
            {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
            {"text": "[the file \"a.pdf\" was left out: this model does not take it here]"}])
    );
}

#[test]
fn parameters_that_are_null_are_left_out() {
    let body = written(json!({"messages": [user("a")],
        "tools": [{"function": {"name": "f", "parameters": null}}]}));
    assert_eq!(body["tools"][0]["functionDeclarations"], json!([{"name": "f"}]));
}
