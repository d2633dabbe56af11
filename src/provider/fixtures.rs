//! Models, requests and calls for the tests of this folder.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Call, Failure};
use crate::config::{
    HealthConfig, Key, Kind, MaxTokensField, Model, ProviderConfig, Retry, Timeouts,
};
use crate::domain::breaker::{Prober, Rules};
use crate::domain::need::Abilities;
use crate::domain::pace::Limits;
use crate::protocol::chat::ChatRequest;

/// The key that must never show anywhere.
pub(super) const KEY: &str = "Planted-Key_0123456789";

/// A provider of this kind at this address.
pub(super) fn provider(kind: Kind, base_url: &str) -> ProviderConfig {
    ProviderConfig {
        name: format!("{}-test", kind.name()).into(),
        kind,
        base_url: base_url.to_owned(),
        auth: kind.auth(),
        keys: vec![Key::Fixed(SecretString::from(KEY.to_owned()))],
        signing: None,
        misconfigured: None,
        headers: Vec::new(),
        query: Vec::new(),
        max_tokens_field: MaxTokensField::MaxTokens,
        caches_prompts: false,
        streams: true,
        proxy: None,
        roots: None,
        done_ends_stream: false,
        trusts_cost: false,
    }
}

/// A model of this provider, called `m` here and `m-1` there.
pub(super) fn model(provider: ProviderConfig) -> Model {
    let second = Duration::from_secs(1);
    Model {
        name: "m".into(),
        provider: Arc::new(provider),
        model_id: "m-1".to_owned(),
        priority: 1,
        max_tokens: None,
        price: None,
        price_is_listed: false,
        context_window: None,
        supports: Abilities::default(),
        max_in_flight: None,
        requests_per_minute: None,
        tokens_per_minute: None,
        system_prefix: None,
        system_suffix: None,
        extra: Map::new(),
        timeouts: Timeouts {
            connect: 5 * second,
            first_token: 10 * second,
            idle: 15 * second,
            attempt: 60 * second,
        },
        retry: Retry { max: 1, base: second, cap: second, wait_for_retry_after: second },
        breaker: Rules {
            failures: 3,
            open_for: second,
            open_for_max: second,
            blocked_for: second,
            failure_rate: 0.5,
            rate_min_calls: 10,
            probe: Prober::Background,
            probe_every: second,
        },
        health: HealthConfig { window: second, degraded_below: 0.8, min_calls: 5 },
        probe_nearest: true,
    }
}

/// A request as it would come from the socket.
pub(super) fn request(json: Value) -> ChatRequest {
    serde_json::from_str(&json.to_string()).unwrap()
}

/// A call with usual limits.
pub(super) fn call<'a>(model: &'a Model, request: &'a ChatRequest) -> Call<'a> {
    let limit = Duration::from_secs(10);
    let limits = Limits { first: limit, idle: limit, complete: limit, whole: limit };
    Call { model, request, max_tokens: Some(64), temperature: Some(0.5), limits }
}

/// A written body as a tree.
pub(super) fn tree(written: Result<Vec<u8>, Failure>) -> Value {
    serde_json::from_slice(&written.map_err(|failure| failure.message).unwrap()).unwrap()
}

/// Trees of the names and words that readers look for, in places where they do not belong.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    let names = proptest::sample::select(&NAMES[..]).prop_map(str::to_owned);
    leaf.prop_recursive(8, 64, 4, move |inner| {
        let members = proptest::collection::vec((names.clone(), inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

const NAMES: [&str; 30] = [
    "choices",
    "message",
    "content",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "tool_calls",
    "function",
    "arguments",
    "refusal",
    "error",
    "code",
    "type",
    "details",
    "violations",
    "metadata",
    "innererror",
    "detail",
    "candidates",
    "parts",
    "text",
    "functionCall",
    "args",
    "finishReason",
    "usageMetadata",
    "promptFeedback",
    "stop_reason",
    "stop_details",
    "input",
    "name",
];

const WORDS: [&str; 10] =
    ["stop", "length", "STOP", "text", "tool_use", "SAFETY", "error", "429", "{}", ""];
