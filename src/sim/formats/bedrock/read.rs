//! What the simulated Bedrock accepts: a request to Converse, read strictly.
//!
//! The rules are those of the service's own model of its interface (names, lengths, unions with one
//! member) and those that Claude behind it adds: speakers in turn, results right after their calls.

use serde_json::Value;

use super::{BedrockServer, signed};
use crate::sim::ask::{IncomingCall, NamedFunction};
use crate::sim::behaviour::{Meaning, ProviderError, refused};
use crate::sim::formats::ServerFormat;
use crate::sim::wire::{AccessRules, Incoming, given, is_base64, items, strings, text, unknown};

#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig",
    "additionalModelRequestFields", "promptVariables", "additionalModelResponseFieldPaths",
    "requestMetadata", "performanceConfig", "serviceTier", "outputConfig",
];

const IMAGES: &[&str] = &["png", "jpeg", "gif", "webp"];

/// Model and method in the path of a call. The model is one segment, and stays encoded.
pub(super) fn path(call: &Incoming) -> Option<(&str, &str)> {
    let (model, method) = call.path.strip_prefix("/model/")?.split_once('/')?;
    ["converse", "converse-stream"].contains(&method).then_some((model, method))
}

/// Checks a call and takes from it what the answer depends on.
pub(super) fn read(call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
    let Some((model, _)) = path(call).filter(|_| !call.get) else {
        let code = Some("UnknownOperationException".to_owned());
        return Err(ProviderError { code, ..ProviderError::new(Meaning::ModelNotFound) });
    };
    if signed::is_right(call) == Some(false) {
        let said = "The request signature we calculated does not match the signature you provided.";
        let code = Some("InvalidSignatureException".to_owned());
        return Err(ProviderError { code, ..ProviderError::saying(Meaning::Auth, said) });
    }
    if !rules.accepts(BedrockServer.key(call)) {
        return Err(ProviderError::new(Meaning::Auth));
    }
    let body = &call.body;
    let Some(fields) = body.as_object() else {
        return refused("The request body is not valid JSON");
    };
    if let Some(name) = unknown(fields, FIELDS) {
        return refused(format!(
            "Malformed input request: extraneous key [{name}] is not permitted"
        ));
    }
    let mut ask = IncomingCall { model: model.to_owned(), ..IncomingCall::default() };
    if !rules.knows(model) {
        return Err(ProviderError::new(Meaning::ModelNotFound));
    }
    inference(&body["inferenceConfig"], &mut ask)?;
    for block in items(body, "system") {
        if text(block, "text").is_empty() {
            return refused("The text field in a system content block is blank.");
        }
        ask.hear(text(block, "text"), true);
    }
    messages(body, &mut ask)?;
    tools(body, &mut ask)?;
    ask.json = json_wanted(body)?;
    Ok(ask)
}

fn inference(config: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    if let Some(most) = given(config, "maxTokens") {
        ask.max_tokens = most.as_u64().filter(|most| *most > 0);
        if ask.max_tokens.is_none() {
            return refused("Value at 'inferenceConfig.maxTokens' must be at least 1");
        }
    }
    for name in ["temperature", "topP"] {
        let value = given(config, name).map(|value| value.as_f64().unwrap_or(-1.0));
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return refused(format!("Value at 'inferenceConfig.{name}' must be between 0 and 1"));
        }
    }
    ask.stop = strings(config, "stopSequences");
    if ask.stop.iter().any(|sequence| sequence.trim().is_empty()) {
        return refused("stop_sequences: each stop sequence must contain non-whitespace");
    }
    Ok(())
}

fn messages(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let messages = items(body, "messages");
    if messages.is_empty() {
        return refused("The messages field is empty. Add a message and try again.");
    }
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let expected = if at % 2 == 0 { "user" } else { "assistant" };
        if text(message, "role") != expected {
            return refused(match at {
                0 => {
                    "A conversation must start with a user message. Try again with a \
                      conversation that starts with a user message."
                }
                _ => "messages: roles must alternate between \"user\" and \"assistant\"",
            });
        }
        let content = items(message, "content");
        if content.is_empty() {
            return refused(format!(
                "The content field in the Message object at messages.{at} is empty."
            ));
        }
        results(content, &mut open, at)?;
        for (number, one) in content.iter().enumerate() {
            block(one, &format!("messages.{at}.content.{number}"), number == 0, ask)?;
        }
        let uses = content.iter().filter_map(|block| block.get("toolUse"));
        open = uses.map(|tool| text(tool, "toolUseId")).collect();
    }
    let mut blocks = messages.iter().flat_map(|message| items(message, "content"));
    let has_tools =
        blocks.any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some());
    if given(body, "toolConfig").is_none() && has_tools {
        return refused(
            "The toolConfig field must be defined when using toolUse and toolResult content \
             blocks.",
        );
    }
    Ok(())
}

/// Every use of a tool must be answered in the very next message, and nothing else may be.
fn results(content: &[Value], open: &mut Vec<&str>, at: usize) -> Result<(), ProviderError> {
    for result in content.iter().filter_map(|block| block.get("toolResult")) {
        let id = text(result, "toolUseId");
        let Some(place) = open.iter().position(|one| *one == id) else {
            return refused(format!(
                "The number of toolResult blocks at messages.{at}.content exceeds the number of \
                 toolUse blocks of previous turn."
            ));
        };
        open.remove(place);
    }
    if open.is_empty() {
        return Ok(());
    }
    refused(format!(
        "Expected toolResult blocks at messages.{at}.content for the following Ids: {}",
        open.join(", ")
    ))
}

fn block(
    block: &Value,
    place: &str,
    first: bool,
    ask: &mut IncomingCall,
) -> Result<(), ProviderError> {
    let member =
        block.as_object().filter(|union| union.len() == 1).and_then(|union| union.iter().next());
    let Some((kind, inner)) = member else {
        return refused(format!("The ContentBlock object at {place} must set one key"));
    };
    match kind.as_str() {
        "text" if inner.as_str().unwrap_or_default().trim().is_empty() => {
            return refused(format!(
                "The text field in the ContentBlock object at {place} is blank. Add text to the \
                 text field, and try again."
            ));
        }
        "text" => ask.hear(inner.as_str().unwrap_or_default(), first),
        "image" => {
            image(inner, place)?;
            ask.hear("", first);
            ask.images += 1;
        }
        "toolUse" => {
            named(inner, place)?;
            if !inner.get("input").is_some_and(Value::is_object) {
                return refused(format!("The value at {place}.toolUse.input must be an object"));
            }
            ask.hear("", first);
        }
        "toolResult" => {
            let texts: Vec<&str> =
                items(inner, "content").iter().map(|b| text(b, "text")).collect();
            ask.hear(&texts.join("\n"), first);
        }
        "reasoningContent" | "document" | "cachePoint" => ask.hear("", first),
        other => {
            return refused(format!("unknown key {other} in the ContentBlock object at {place}"));
        }
    }
    Ok(())
}

/// The name of a tool, and where there is one the id of its call.
fn named(tool: &Value, place: &str) -> Result<(), ProviderError> {
    let id = given(tool, "toolUseId").map(|id| id.as_str().unwrap_or_default());
    if !fits(text(tool, "name"), "_-") || !id.is_none_or(|id| fits(id, "_.:-")) {
        let what = "failed to satisfy constraint: Member must satisfy regular expression pattern";
        return refused(format!("1 validation error detected: Value at '{place}' {what}"));
    }
    Ok(())
}

/// Whether a text is as short as names are, and of letters, digits and these.
fn fits(text: &str, more: &str) -> bool {
    let mut letters = text.chars();
    (1..=64).contains(&text.len())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
}

fn image(image: &Value, place: &str) -> Result<(), ProviderError> {
    if !IMAGES.contains(&text(image, "format")) {
        return refused(format!("{place}.image.format must be one of png, jpeg, gif, webp"));
    }
    if !is_base64(text(&image["source"], "bytes")) {
        return refused(format!("{place}.image.source.bytes is not base64"));
    }
    Ok(())
}

fn tools(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let Some(config) = given(body, "toolConfig") else { return Ok(()) };
    let specs: Vec<&Value> = items(config, "tools").iter().map(|tool| &tool["toolSpec"]).collect();
    if specs.is_empty() {
        return refused("Value at 'toolConfig.tools' must have at least 1 member");
    }
    for spec in &specs {
        named(spec, "toolConfig.tools.toolSpec.name")?;
        if spec.pointer("/inputSchema/json/type") != Some(&Value::from("object")) {
            return refused(
                "The value at toolConfig.tools.toolSpec.inputSchema.json.type must be object",
            );
        }
        if given(spec, "description").is_some_and(|text| text == "") {
            return refused("Value at 'toolConfig.tools.toolSpec.description' is empty");
        }
    }
    let Some(choice) = given(config, "toolChoice") else { return Ok(()) };
    let wanted = match choice.as_object().and_then(|union| union.keys().next()).map(String::as_str)
    {
        Some("auto") => return Ok(()),
        Some("any") => specs.first(),
        Some("tool") => specs.iter().find(|spec| spec["name"] == choice["tool"]["name"]),
        _ => None,
    };
    let Some(spec) = wanted else {
        return refused("The value at toolConfig.toolChoice names no tool");
    };
    let name = text(spec, "name").to_owned();
    ask.tool = Some(NamedFunction { name, schema: spec["inputSchema"]["json"].clone() });
    Ok(())
}

/// The schema is a text that holds JSON.
fn json_wanted(body: &Value) -> Result<Option<Value>, ProviderError> {
    let Some(format) = body.pointer("/outputConfig/textFormat").filter(|f| !f.is_null()) else {
        return Ok(None);
    };
    let schema = format.pointer("/structure/jsonSchema/schema").and_then(Value::as_str);
    match schema.and_then(|schema| serde_json::from_str(schema).ok()) {
        Some(schema) if text(format, "type") == "json_schema" => Ok(Some(schema)),
        _ => refused("The value at outputConfig.textFormat is not a JSON schema"),
    }
}
