//! What a request becomes on the wire of each provider, and what comes back of it.
//!
//! The simulators refuse what the real services refuse, so a request that is answered was mapped
//! rightly; what each of them saw is looked at here, field by field.

use fallbackd::config::Kind;
use fallbackd::sim::Background;
use serde_json::{Value, json};

use crate::harness::{Daemon, KINDS, Setup, raw, sim};

const PRICES: &str = "cost_per_1k_input = 0.001\ncost_per_1k_output = 0.002\n\
                      cost_per_1k_cached = 0.0005\n";

/// A daemon with one model `m` on a provider of this kind.
fn start(kind: Kind, more: &str) -> (Daemon, Background) {
    let provider = sim(kind);
    let mut setup = Setup::new();
    setup.provider("p", &provider).model("m", "p", more);
    (setup.start(), provider)
}

/// Asks and gives the reply and the body that the provider saw.
fn exchange(daemon: &Daemon, provider: &Background, request: &Value) -> (Value, Value) {
    let reply = daemon.ask(request);
    assert_eq!(reply["ok"], true, "{:?} {reply}", provider.kind());
    (reply, provider.calls().pop().unwrap().body)
}

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": "hello" }] })
}

fn with(fields: Value) -> Value {
    let mut request = hello();
    let fields = fields.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    request
}

/// Checks places in the body that each kind must have seen; `null` is a field that is not there.
fn sees(request: &Value, places: [&[(&str, Value)]; 4]) {
    for (kind, places) in KINDS.into_iter().zip(places) {
        let (daemon, provider) = start(kind, "");
        let (_, body) = exchange(&daemon, &provider, request);
        for (place, value) in places {
            let seen = body.pointer(place).cloned().unwrap_or(Value::Null);
            assert_eq!(&seen, value, "{kind:?} {place}: {body}");
        }
    }
}

#[test]
fn defaults_are_filled_in() {
    sees(
        &hello(),
        [
            &[
                ("/model", json!("m")),
                ("/max_tokens", json!(1000)),
                ("/temperature", json!(0.3)),
                ("/messages/0/content", json!("hello")),
                ("/stream", json!(true)),
                ("/stream_options", json!({ "include_usage": true })),
            ],
            &[
                ("/model", json!("m")),
                ("/max_tokens", json!(1000)),
                ("/temperature", json!(0.3)),
                ("/messages/0/content/0/text", json!("hello")),
                ("/stream", json!(true)),
            ],
            &[
                ("/generationConfig/maxOutputTokens", json!(1000)),
                ("/generationConfig/temperature", json!(0.3)),
                ("/contents/0/parts/0/text", json!("hello")),
            ],
            &[
                ("/inferenceConfig/maxTokens", json!(1000)),
                ("/inferenceConfig/temperature", json!(0.3)),
                ("/messages/0/content/0/text", json!("hello")),
                ("/stream", Value::Null),
            ],
        ],
    );
}

#[test]
fn sampling_stops_and_seeds_get_their_names_and_ranges() {
    let request = with(json!({ "max_tokens": 20, "temperature": 1.5, "stop": ["END"], "seed": 7 }));
    sees(
        &request,
        [
            &[
                ("/max_tokens", json!(20)),
                ("/temperature", json!(1.5)),
                ("/stop", json!(["END"])),
                ("/seed", json!(7)),
            ],
            &[
                ("/max_tokens", json!(20)),
                ("/temperature", json!(1.0)),
                ("/stop_sequences", json!(["END"])),
                ("/seed", Value::Null),
            ],
            &[
                ("/generationConfig/maxOutputTokens", json!(20)),
                ("/generationConfig/temperature", json!(1.5)),
                ("/generationConfig/stopSequences", json!(["END"])),
                ("/generationConfig/seed", json!(7)),
            ],
            &[
                ("/inferenceConfig/maxTokens", json!(20)),
                ("/inferenceConfig/temperature", json!(1.0)),
                ("/inferenceConfig/stopSequences", json!(["END"])),
                ("/seed", Value::Null),
            ],
        ],
    );
}

#[test]
fn reasoning_effort_is_said_in_each_providers_words() {
    sees(
        &with(json!({ "reasoning_effort": "low" })),
        [
            &[("/reasoning_effort", json!("low"))],
            &[("/output_config/effort", json!("low"))],
            &[("/generationConfig/thinkingConfig/thinkingLevel", json!("low"))],
            // Whose model `m` is nobody knows.
            &[("/additionalModelRequestFields", Value::Null)],
        ],
    );
}

#[test]
fn a_schema_for_the_answer_goes_where_it_belongs() {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } },
        "required": ["city"], "additionalProperties": false });
    let format = json!({ "type": "json_schema",
        "json_schema": { "name": "place", "schema": schema, "strict": true } });
    let request = with(json!({ "response_format": format }));
    sees(
        &request,
        [
            &[("/response_format", format.clone())],
            &[
                ("/output_config/format/type", json!("json_schema")),
                ("/output_config/format/schema", schema.clone()),
            ],
            &[
                ("/generationConfig/responseMimeType", json!("application/json")),
                ("/generationConfig/responseJsonSchema", schema.clone()),
            ],
            &[
                ("/outputConfig/textFormat/type", json!("json_schema")),
                ("/outputConfig/textFormat/structure/jsonSchema/schema", json!(schema.to_string())),
            ],
        ],
    );
}

#[test]
fn images_are_sent_in_each_providers_form() {
    let parts = json!([{ "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } }]);
    let request = json!({ "messages": [{ "role": "user", "content": parts }] });
    let source = json!({ "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=" });
    sees(
        &request,
        [
            &[("/messages/0/content/1", parts[1].clone())],
            &[("/messages/0/content/1/source", source)],
            &[(
                "/contents/0/parts/1/inlineData",
                json!({ "mimeType": "image/png", "data": "iVBORw0KGgo=" }),
            )],
            &[(
                "/messages/0/content/1/image",
                json!({ "format": "png", "source": { "bytes": "iVBORw0KGgo=" } }),
            )],
        ],
    );
}

#[test]
fn system_and_developer_messages_are_put_where_they_belong() {
    let request = json!({ "messages": [
        { "role": "system", "content": "Be short." },
        { "role": "developer", "content": "Be kind." },
        { "role": "user", "content": "hello" }] });
    sees(
        &request,
        [
            &[("/messages/0/role", json!("system")), ("/messages/1/role", json!("system"))],
            &[("/system", json!("Be short.\n\nBe kind.")), ("/messages/0/role", json!("user"))],
            &[
                ("/systemInstruction/parts/0/text", json!("Be short.\n\nBe kind.")),
                ("/contents/0/role", json!("user")),
            ],
            &[
                ("/system/0/text", json!("Be short.\n\nBe kind.")),
                ("/messages/0/role", json!("user")),
            ],
        ],
    );
}

#[test]
fn a_tool_is_called_and_its_result_goes_back() {
    let tool = json!({ "type": "function", "function": { "name": "weather", "description": "now",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } },
            "required": ["city"] } } });
    for kind in KINDS {
        let (daemon, provider) = start(kind, "");
        let mut messages = vec![json!({ "role": "user", "content": "Weather in Oslo?" })];
        let first = json!({ "messages": messages, "tools": [tool],
            "tool_choice": { "type": "function", "function": { "name": "weather" } } });
        let (reply, _) = exchange(&daemon, &provider, &first);
        assert_eq!(reply["finish_reason"], "tool_calls", "{kind:?} {reply}");
        let call = reply["tool_calls"][0].clone();
        assert_eq!(call["function"]["name"], "weather");
        let arguments = call["function"]["arguments"].as_str().unwrap();
        assert!(serde_json::from_str::<Value>(arguments).unwrap()["city"].is_string());

        messages.push(json!({ "role": "assistant", "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": "4 C" }));
        let second = json!({ "messages": messages, "tools": [tool] });
        let (reply, body) = exchange(&daemon, &provider, &second);
        assert_eq!(
            (&reply["finish_reason"], &reply["content"]),
            (&json!("stop"), &json!("[m] 4 C"))
        );
        let (place, value) = match kind {
            Kind::OpenAi => ("/messages/2/content", json!("4 C")),
            Kind::Anthropic => ("/messages/2/content/0/tool_use_id", call["id"].clone()),
            Kind::Google => ("/contents/2/parts/0/functionResponse/response/output", json!("4 C")),
            Kind::Bedrock => ("/messages/2/content/0/toolResult/toolUseId", call["id"].clone()),
        };
        assert_eq!(body.pointer(place), Some(&value), "{body}");
    }
}

#[test]
fn extra_fields_are_merged_by_kind_and_by_model_name_and_the_name_wins() {
    // Fields that each simulator knows.
    let field = |kind: Kind| match kind {
        Kind::OpenAi => ("user", "/user"),
        Kind::Anthropic => ("service_tier", "/service_tier"),
        Kind::Google => ("store", "/store"),
        Kind::Bedrock => ("requestMetadata", "/requestMetadata"),
    };
    for kind in KINDS {
        let (name, place) = field(kind);
        let (daemon, provider) = start(kind, &format!("extra = {{ {name} = \"auto\" }}"));
        let others: Vec<_> = KINDS.into_iter().filter(|other| *other != kind).collect();
        let mut extra = json!({ others[0].name(): { "nonsense": 1 }, "another-model": { "x": 1 } });
        let seen = |extra: &Value| {
            let request = with(json!({ "extra": extra }));
            exchange(&daemon, &provider, &request).1.pointer(place).cloned()
        };
        assert_eq!(seen(&extra), Some(json!("auto")), "{kind:?}");
        extra[kind.name()] = json!({ name: "standard_only" });
        assert_eq!(seen(&extra), Some(json!("standard_only")), "{kind:?}");
        extra["m"] = json!({ name: "auto" });
        assert_eq!(seen(&extra), Some(json!("auto")), "{kind:?}");
    }
}

#[test]
fn usage_of_every_provider_becomes_the_same_numbers_and_costs() {
    for kind in KINDS {
        let (daemon, provider) = start(kind, PRICES);
        provider.push(raw(200, cached_answer(kind)));
        let reply = daemon.ask(&hello());
        assert_eq!(reply["content"], "Hi.", "{reply}");
        // Bedrock does not count thoughts apart.
        let thoughts = if kind == Kind::Bedrock { 0 } else { 30 };
        let usage = json!({ "input_tokens": 1000, "output_tokens": 100, "cached_tokens": 400,
            "reasoning_tokens": thoughts });
        assert_eq!(reply["usage"], usage, "{kind:?}");
        // A hundred of the 600 are written into Anthropic's cache, which costs a quarter more.
        let expected = if kind == Kind::Anthropic { 0.001_025 } else { 0.001 };
        for cost in ["cost_usd", "request_cost_usd", "primary_cost_usd"] {
            assert_eq!(reply[cost], expected, "{kind:?}: 600, 400 cached and 100");
        }
        assert_eq!(reply["cost_estimated"], false);
    }
}

/// An answer to 1,000 tokens, 400 of them cached, of 100 tokens, 30 of them thoughts.
fn cached_answer(kind: Kind) -> Value {
    match kind {
        Kind::OpenAi => json!({ "id": "c", "object": "chat.completion", "model": "m",
            "choices": [{ "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "Hi." } }],
            "usage": { "prompt_tokens": 1000, "completion_tokens": 100,
                "prompt_tokens_details": { "cached_tokens": 400 },
                "completion_tokens_details": { "reasoning_tokens": 30 } } }),
        Kind::Anthropic => json!({ "id": "m", "type": "message", "role": "assistant",
            "model": "m", "content": [{ "type": "text", "text": "Hi." }],
            "stop_reason": "end_turn",
            "usage": { "input_tokens": 500, "cache_creation_input_tokens": 100,
                "cache_read_input_tokens": 400, "output_tokens": 100,
                "output_tokens_details": { "thinking_tokens": 30 } } }),
        Kind::Google => json!({ "candidates": [{ "finishReason": "STOP", "index": 0,
                "content": { "role": "model", "parts": [{ "text": "Hi." }] } }],
            "usageMetadata": { "promptTokenCount": 1000, "candidatesTokenCount": 70,
                "thoughtsTokenCount": 30, "cachedContentTokenCount": 400,
                "totalTokenCount": 1100 } }),
        Kind::Bedrock => json!({ "stopReason": "end_turn", "metrics": { "latencyMs": 1 },
            "output": { "message": { "role": "assistant", "content": [{ "text": "Hi." }] } },
            "usage": { "inputTokens": 500, "cacheWriteInputTokens": 100,
                "cacheReadInputTokens": 400, "outputTokens": 100, "totalTokens": 1100 } }),
    }
}
