//! Histories that other clients wrote, and what of them goes to which kind of provider.

use serde_json::{Value, json};

use super::*;
use crate::config::{MaxTokensField, Model};
use crate::domain::fault::Fault;
use crate::provider::fixtures::{self, request};

/// A model of every kind, and of every kind of server that speaks OpenAI's form.
fn targets() -> [Model; 7] {
    let at = |kind: Kind, base: &str, id: &str| {
        let provider = fixtures::provider(kind, base);
        Model { model_id: id.to_owned(), ..fixtures::model(provider) }
    };
    let own = crate::config::ProviderConfig {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        ..fixtures::provider(Kind::OpenAi, "https://api.openai.com/v1")
    };
    [
        fixtures::model(own),
        at(Kind::OpenAi, "http://localhost:11434/v1", "local"),
        at(Kind::OpenAi, "https://api.mistral.ai/v1", "mistral"),
        at(Kind::OpenAi, "https://api.groq.com/openai/v1", "groq"),
        at(Kind::Anthropic, "https://api.anthropic.com", "claude"),
        at(Kind::Google, "https://x.example/v1beta", "gemini-3-flash"),
        at(Kind::Bedrock, "https://x.example", "eu.anthropic.claude"),
    ]
}

fn asked_as(model: &Model, asked: &Value, asking: Asking) -> Result<Value, Failure> {
    let request = request(asked.clone());
    let body = of(model.provider.kind).body(&fixtures::call(model, &request), asking)?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn written(model: &Model, asked: &Value) -> Value {
    asked_as(model, asked, Asking::WHOLE).map_err(|failure| failure.message).unwrap()
}

/// What an assistant said, between two questions.
fn said(message: Value) -> Value {
    let mut assistant = json!({"role": "assistant"});
    assistant.as_object_mut().unwrap().extend(message.as_object().unwrap().clone());
    let user = |text: &str| json!({"role": "user", "content": text});
    json!({"messages": [user("a"), assistant, user("b")]})
}

fn shown(part: Value) -> Value {
    json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]})
}

#[test]
fn texts_of_other_apis_are_texts_everywhere_and_what_says_nothing_is_left_out() {
    let parts = json!([
        {"type": "thinking", "thinking": "hidden", "signature": ""},
        {"type": "output_text", "text": "Here", "annotations": []},
        {"type": "refusal", "refusal": "No."},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"hidden": 1}},
        {"type": "step-start"}]);
    for model in targets() {
        let body = written(&model, &said(json!({ "content": parts }))).to_string();
        assert!(body.contains("Here") && body.contains("No."), "{body}");
        for word in ["output_text", "refusal", "tool_use", "step-start", "annotations", "\"f\""] {
            assert!(!body.contains(word), "{word}: {body}");
        }
        // Where thoughts are understood they stand apart from what was said.
        let is_kept = model.model_id == "local";
        assert_eq!(body.contains("hidden"), is_kept, "{body}");
    }
}

#[test]
fn thoughts_that_name_no_maker_go_where_they_are_understood() {
    let signed = json!([{"type": "thinking", "thinking": "hm", "signature": "sig", "index": 0},
        {"type": "redacted_thinking", "data": "xyzzy"}]);
    let details = json!([{"type": "reasoning.encrypted", "data": "xyzzy", "format": "x"}]);
    let list = json!([{"type": "text", "text": "hm"}]);
    let rows = [
        (
            json!({"thinking_blocks": signed, "content": "y"}),
            [false, false, false, false, true, false, true],
        ),
        (
            json!({"content": [signed[0], signed[1], {"type": "text", "text": "y"}]}),
            [false, false, false, false, true, false, true],
        ),
        (
            json!({"reasoning_details": details, "content": "y"}),
            [false, true, false, false, false, false, false],
        ),
        (
            json!({"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "y"}]}),
            [false, true, false, false, false, false, false],
        ),
        (
            json!({"content": [{"type": "thinking", "thinking": list}, {"type": "text", "text": "y"}]}),
            [false, true, true, false, false, false, false],
        ),
    ];
    for (message, wanted) in rows {
        let asked = said(message);
        let knows =
            |body: &Value| body.to_string().contains("hm") || body.to_string().contains("xyzzy");
        let sent = targets().map(|model| knows(&written(&model, &asked)));
        assert_eq!(sent, wanted, "{asked}");
        // Where the guess was wrong, the conversation goes on without.
        let without = Asking { guesses: false, ..Asking::WHOLE };
        for model in targets().iter().filter(|model| model.model_id != "mistral") {
            let body = asked_as(model, &asked, without).ok().unwrap();
            assert!(!knows(&body), "{body}");
        }
    }
}

#[test]
fn signed_thoughts_come_first_and_have_what_is_signed_alone() {
    let signed = json!([{"type": "thinking", "thinking": "hm", "signature": "sig", "index": 0},
        {"type": "redacted_thinking", "data": "xyzzy", "id": "r"}]);
    let asked = said(json!({"thinking_blocks": signed, "content": "y"}));
    let [.., claude, _, bedrock] = targets();
    assert_eq!(
        written(&claude, &asked)["messages"][1]["content"],
        json!([{"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyzzy"}, {"type": "text", "text": "y"}])
    );
    assert_eq!(
        written(&bedrock, &asked)["messages"][1]["content"],
        json!([{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
            {"reasoningContent": {"redactedContent": "xyzzy"}}, {"text": "y"}])
    );
    let other = Model { model_id: "amazon.nova-pro-v1:0".to_owned(), ..bedrock };
    assert_eq!(written(&other, &asked)["messages"][1]["content"], json!([{"text": "y"}]));
    let thinks = |signature: &str| {
        let mut asked = said(json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm",
            "signature": signature}], "content": "y", "tool_calls": [
                {"id": "t", "function": {"name": "f", "arguments": {"a": 1}}}]}));
        asked["extra"] = json!({"anthropic": {"thinking": {"type": "enabled"}}});
        !written(&claude, &asked)["thinking"].is_null()
    };
    assert!(thinks("sig") && !thinks(""), "who finds no thoughts of its own does not think");
}

#[test]
fn media_that_few_take_make_the_others_unsuitable_and_not_the_request_bad() {
    let data = "data:video/mp4;base64,AA==";
    let rows = [
        (
            json!({"type": "video_url", "video_url": {"url": data}}),
            [false, true, false, false, false, true, false],
        ),
        (
            json!({"type": "video_url", "video_url": {"url": "https://x/v.mp4"}}),
            [false, true, false, false, false, false, false],
        ),
        (
            json!({"type": "audio_url", "audio_url": {"url": "https://x/a.wav"}}),
            [false, true, false, false, false, false, false],
        ),
        (
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}),
            [true; 7],
        ),
        (json!({"type": "input_image", "image_url": "data:image/png;base64,AA=="}), [true; 7]),
    ];
    for (part, wanted) in rows {
        let taken =
            targets().map(|model| match asked_as(&model, &shown(part.clone()), Asking::WHOLE) {
                Ok(body) => {
                    body.to_string().contains("AA==") || body.to_string().contains("https://x/")
                }
                Err(failure) => {
                    assert_eq!(failure.fault, Fault::UnsupportedParam, "{}", failure.message);
                    false
                }
            });
        assert_eq!(taken, wanted, "{part}");
        // What the assistant is said to have shown is no reason to leave a model out.
        for model in targets() {
            let asked = said(json!({"content": [part, {"type": "text", "text": "y"}]}));
            assert!(written(&model, &asked).to_string().contains('y'));
        }
    }
    let [_, local, _, _, _, gemini, _] = targets();
    let video = json!({"type": "video_url", "video_url": {"url": data, "fps": 1}});
    let body = written(&local, &shown(video.clone()));
    assert_eq!(body["messages"][0]["content"][1], video, "in the words it came in");
    let body = written(&gemini, &shown(video));
    let inline = json!({"inlineData": {"mimeType": "video/mp4", "data": "AA=="}});
    assert_eq!(body["contents"][0]["parts"][1], inline);
}

#[test]
fn arguments_that_a_client_kept_as_an_object_are_the_same_as_their_text() {
    for model in targets() {
        let body = |arguments: Value| {
            let mut asked = said(json!({"tool_calls": [
                {"id": "t", "function": {"name": "f"}}]}));
            if !arguments.is_null() {
                asked["messages"][1]["tool_calls"][0]["function"]["arguments"] = arguments;
            }
            written(&model, &asked)
        };
        assert_eq!(body(json!({"a": 1})), body(json!("{\"a\":1}")));
        assert_eq!(body(Value::Null), body(json!("{}")));
    }
}

#[test]
fn a_choice_of_arguments_is_one_object_where_another_form_is_refused() {
    let choice = json!({"anyOf": [{"type": "object", "required": ["a"], "properties": {"a": {}}},
        {"type": "object", "required": ["b"], "properties": {"b": {"const": 1}}}]});
    let asked = json!({"messages": [{"role": "user", "content": "?"}],
        "tools": [{"function": {"name": "f", "parameters": choice}}]});
    let places = ["/tools/0/function/parameters"; 4].into_iter().chain([
        "/tools/0/input_schema",
        "/tools/0/functionDeclarations/0/parametersJsonSchema",
        "/toolConfig/tools/0/toolSpec/inputSchema/json",
    ]);
    for (model, place) in targets().iter().zip(places) {
        let body = written(model, &asked);
        let schema = body.pointer(place).unwrap_or_else(|| panic!("{place}: {body}"));
        assert_eq!(schema["type"], "object");
        let value = if model.model_id == "gemini-3-flash" {
            json!({"enum": [1]})
        } else {
            json!({"const": 1})
        };
        let one = json!({"type": "object", "properties": {"a": {}, "b": value},
            "description": "Give one of: a; or b."});
        // Who takes the whole language gets all that was said.
        let kept = model.model_id == "local";
        assert_eq!(*schema == one, !kept, "{schema}");
        assert_eq!(schema.get("anyOf").is_some(), kept, "{schema}");
    }
}
