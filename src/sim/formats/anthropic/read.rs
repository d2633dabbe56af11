//! What the simulated Anthropic accepts: a messages request, read strictly.
//!
//! The real API names the field first and says what is wrong after a colon; so does this one.
//! Which models refuse sampling parameters or a prefilled answer goes by their names, as in
//! reality.

use serde_json::Value;

use super::{AnthropicServer, vertex};
use crate::sim::ask::{IncomingCall, NamedFunction};
use crate::sim::behaviour::{Meaning, ProviderError, refused};
use crate::sim::formats::ServerFormat;
use crate::sim::wire::{AccessRules, Incoming, given, is_base64, items, strings, text, unknown};

#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "model", "anthropic_version", "messages", "max_tokens", "cache_control", "container",
    "context_management",
    "inference_geo", "mcp_servers", "metadata", "output_config", "service_tier", "stop_sequences",
    "stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
];

const VERSIONS: &[&str] = &["2023-01-01", "2023-06-01", "2026-10-21"];

const ON_VERTEX: &str = "vertex-2023-10-16";

const IMAGES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

#[rustfmt::skip]
const NO_SAMPLING: &[&str] = &[
    "opus-4-7", "opus-4-8", "opus-5", "sonnet-5", "haiku-5", "fable", "mythos",
];

const NO_PREFILL: &[&str] = &["sonnet-4-6", "opus-4-6"];

/// Checks a call and takes from it what the answer depends on.
pub(super) fn read(call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
    let on_vertex = vertex(call).map(|(_, method)| method);
    let streams = call.body["stream"] == true;
    let is_known = match on_vertex {
        Some(method) => method == if streams { "streamRawPredict" } else { "rawPredict" },
        None => call.path == "/v1/messages",
    };
    if call.get || !is_known {
        return Err(ProviderError::saying(Meaning::ModelNotFound, "Not Found"));
    }
    if !rules.accepts(AnthropicServer.key(call)) {
        let missing =
            AnthropicServer.key(call).is_empty().then(|| "x-api-key header is required".to_owned());
        return Err(ProviderError { message: missing, ..ProviderError::new(Meaning::Auth) });
    }
    let version = match on_vertex {
        Some(_) if text(&call.body, "anthropic_version") == ON_VERTEX => ON_VERTEX,
        Some(_) => return refused("anthropic_version: Field required"),
        None => version(call)?,
    };
    let Some(body) = call.body.as_object() else {
        return refused("The request body is not valid JSON");
    };
    // The place of the model decides which of the two must be there.
    let (own, foreign) = match on_vertex {
        Some(_) => ("anthropic_version", "model"),
        None => ("model", "anthropic_version"),
    };
    let needed = [own, "max_tokens", "messages"];
    if let Some(name) = needed.into_iter().find(|name| given(&call.body, name).is_none()) {
        return refused(format!("{name}: Field required"));
    }
    if let Some(name) = unknown(body, FIELDS).or(body.get(foreign).map(|_| foreign)) {
        return refused(format!("{name}: Extra inputs are not permitted"));
    }
    let mut ask =
        IncomingCall { model: AnthropicServer.model(call).to_owned(), ..IncomingCall::default() };
    if !rules.knows(&ask.model) {
        return Err(ProviderError::new(Meaning::ModelNotFound));
    }
    limits(&call.body, &mut ask)?;
    sampling(&call.body, &ask.model, version)?;
    for block in blocks(call.body.get("system")) {
        ask.hear(block, true);
    }
    messages(&call.body, &mut ask)?;
    tools(&call.body, &mut ask)?;
    ask.json = json_wanted(&call.body)?;
    Ok(ask)
}

fn version(call: &Incoming) -> Result<&str, ProviderError> {
    let version = call.header("anthropic-version").unwrap_or_default();
    if version.is_empty() {
        return refused("anthropic-version: header is required");
    }
    if !VERSIONS.contains(&version) {
        return refused(format!("anthropic-version: \"{version}\" is not a valid version."));
    }
    Ok(version)
}

/// The texts of a string or of an array of text blocks.
fn blocks(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().map(|block| text(block, "text")).collect(),
        _ => Vec::new(),
    }
}

fn limits(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    ask.max_tokens = body["max_tokens"].as_u64().filter(|limit| *limit > 0);
    let Some(limit) = ask.max_tokens else {
        return refused("max_tokens: Input should be greater than or equal to 1");
    };
    ask.stop = strings(body, "stop_sequences");
    if ask.stop.iter().any(|sequence| sequence.trim().is_empty()) {
        return refused("stop_sequences: each stop sequence must contain non-whitespace");
    }
    if let Some(budget) = body.pointer("/thinking/budget_tokens").and_then(Value::as_u64) {
        if budget < 1024 {
            return refused(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            );
        }
        if budget >= limit {
            return refused("`max_tokens` must be greater than `thinking.budget_tokens`.");
        }
    }
    Ok(())
}

fn sampling(body: &Value, model: &str, version: &str) -> Result<(), ProviderError> {
    let strict = NO_SAMPLING.iter().any(|part| model.contains(part));
    for name in ["temperature", "top_p", "top_k"] {
        let Some(value) = given(body, name) else { continue };
        let newest = version == "2026-10-21";
        if newest || (strict && !(name == "temperature" && value.as_f64() == Some(1.0))) {
            return refused(format!("`{name}` is deprecated for this model."));
        }
        let range = if name == "top_k" { 0.0..=f64::MAX } else { 0.0..=1.0 };
        if !value.as_f64().is_some_and(|value| range.contains(&value)) {
            return refused(format!("{name}: range: 0..1"));
        }
    }
    Ok(())
}

fn messages(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let messages = items(body, "messages");
    let Some(last) = messages.last() else {
        return refused("messages: at least one message is required");
    };
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = text(message, "role");
        if role != "user" && role != "assistant" {
            return refused(format!("messages.{at}.role: Input should be 'user' or 'assistant'"));
        }
        if at == 0 && role != "user" {
            return refused("messages: first message must use the \"user\" role");
        }
        results(message, &mut open, at)?;
        content(message, at, ask)?;
        let uses =
            items(message, "content").iter().filter(|block| text(block, "type") == "tool_use");
        open = uses.map(|block| text(block, "id")).collect();
    }
    let fixed = NO_SAMPLING.iter().chain(NO_PREFILL).any(|part| ask.model.contains(part));
    if fixed && text(last, "role") == "assistant" {
        return refused(
            "This model does not support assistant message prefill. The conversation must end \
             with a user message.",
        );
    }
    Ok(())
}

/// Every use of a tool must be answered in the very next message, and nothing else may be.
fn results(message: &Value, open: &mut Vec<&str>, at: usize) -> Result<(), ProviderError> {
    let results = items(message, "content").iter().filter(|b| text(b, "type") == "tool_result");
    for id in results.map(|block| text(block, "tool_use_id")) {
        let Some(place) = open.iter().position(|one| *one == id) else {
            return refused(format!(
                "messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: \
                 {id}. Each `tool_result` block must have a corresponding `tool_use` block in the \
                 previous message."
            ));
        };
        open.remove(place);
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(ProviderError::invalid(format!(
        "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: \
         {}. Each `tool_use` block must have a corresponding `tool_result` block in the next \
         message.",
        at.saturating_sub(1),
        open.join(", ")
    )))
}

fn content(message: &Value, at: usize, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let place = format!("messages.{at}.content");
    match message.get("content") {
        Some(Value::String(text)) if !text.is_empty() => ask.hear(text, true),
        Some(Value::Array(blocks)) if !blocks.is_empty() => {
            for (number, one) in blocks.iter().enumerate() {
                block(one, &format!("{place}.{number}"), number == 0, ask)?;
            }
        }
        Some(Value::String(_) | Value::Array(_)) => {
            return refused(format!("messages.{at}: all messages must have non-empty content"));
        }
        None => return refused(format!("{place}: Field required")),
        Some(_) => {
            return refused(format!("{place}: Input should be a valid string or list"));
        }
    }
    Ok(())
}

fn block(
    block: &Value,
    place: &str,
    first: bool,
    ask: &mut IncomingCall,
) -> Result<(), ProviderError> {
    match text(block, "type") {
        "text" if text(block, "text").is_empty() => {
            return refused("messages: text content blocks must be non-empty");
        }
        "text" => ask.hear(text(block, "text"), first),
        "image" => {
            image(block.get("source").unwrap_or(&Value::Null), place)?;
            ask.hear("", first);
            ask.images += 1;
        }
        "tool_use" if !block.get("input").is_some_and(Value::is_object) => {
            return refused(format!("{place}.tool_use.input: Input should be an object"));
        }
        "tool_result" => ask.hear(&blocks(block.get("content")).join("\n"), first),
        "tool_use" | "thinking" | "redacted_thinking" | "document" => ask.hear("", first),
        other => {
            return refused(format!(
                "{place}: Input tag '{other}' found using 'type' is not valid"
            ));
        }
    }
    Ok(())
}

fn image(source: &Value, place: &str) -> Result<(), ProviderError> {
    let right = match text(source, "type") {
        "url" => text(source, "url").starts_with("http"),
        "base64" => {
            if !IMAGES.contains(&text(source, "media_type")) {
                return refused(format!(
                    "{place}.image.source.base64.media_type: Input should be 'image/jpeg', \
                     'image/png', 'image/gif' or 'image/webp'"
                ));
            }
            is_base64(text(source, "data"))
        }
        _ => false,
    };
    if right {
        Ok(())
    } else {
        Err(ProviderError::invalid(format!("{place}.image.source: invalid")))
    }
}

fn tools(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let tools = items(body, "tools");
    for (at, tool) in tools.iter().enumerate() {
        if text(tool, "name").is_empty() {
            return refused(format!("tools.{at}.custom.name: Field required"));
        }
        if tool.pointer("/input_schema/type") != Some(&Value::from("object")) {
            return refused(format!(
                "tools.{at}.custom.input_schema.type: Input should be 'object'"
            ));
        }
    }
    let Some(choice) = given(body, "tool_choice") else { return Ok(()) };
    let wanted = match text(choice, "type") {
        "auto" | "none" => return Ok(()),
        _ if tools.is_empty() => {
            return refused("tool_choice: may only be specified while providing tools.");
        }
        "any" => tools.first(),
        "tool" => tools.iter().find(|tool| text(tool, "name") == text(choice, "name")),
        other => {
            return refused(format!(
                "tool_choice: Input tag '{other}' found using 'type' is not valid"
            ));
        }
    };
    let Some(tool) = wanted else {
        return refused("tool_choice: Tool not found in provided tools");
    };
    let name = text(tool, "name").to_owned();
    ask.tool = Some(NamedFunction { name, schema: tool["input_schema"].clone() });
    Ok(())
}

fn json_wanted(body: &Value) -> Result<Option<Value>, ProviderError> {
    let Some(format) = body.pointer("/output_config/format").filter(|f| !f.is_null()) else {
        return Ok(None);
    };
    match (text(format, "type"), given(format, "schema")) {
        ("json_schema", Some(schema)) => Ok(Some(schema.clone())),
        ("json_schema", None) => {
            Err(ProviderError::invalid("output_config.format.schema: Field required"))
        }
        _ => {
            Err(ProviderError::invalid("output_config.format.type: Input should be 'json_schema'"))
        }
    }
}
