//! What the simulated OpenAI accepts: a chat completions request, read strictly.
//!
//! Every complaint has the code, the field and nearly the words of the real API, so that a mapping
//! mistake in fallbackd fails a test the way it would fail in use. Reasoning models are known by
//! their name and refuse the older token limit and sampling parameters.

use serde_json::{Map, Value};

use super::OpenAiServer;
use crate::sim::ask::{IncomingCall, NamedFunction};
use crate::sim::behaviour::{Meaning, ProviderError, refused};
use crate::sim::formats::ServerFormat;
use crate::sim::wire::{AccessRules, Incoming, given, is_base64, items, strings, text, unknown};

#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias",
    "logprobs", "max_completion_tokens", "max_tokens", "metadata", "modalities", "n",
    "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed",
    "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice",
    "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
];

const ROLES: &[&str] = &["system", "assistant", "user", "function", "tool", "developer"];

/// Checks a call and takes from it what the answer depends on.
pub(super) fn read(call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
    if call.get || !call.path.ends_with("/chat/completions") {
        let message = format!("Invalid URL (POST {})", call.path);
        return Err(ProviderError { status: Some(404), ..ProviderError::invalid(message) });
    }
    if !rules.accepts(OpenAiServer.key(call)) {
        return Err(ProviderError::new(Meaning::Auth));
    }
    let body = call.body.as_object().ok_or_else(|| {
        ProviderError::invalid("We could not parse the JSON body of your request.")
    })?;
    if let Some(name) = unknown(body, FIELDS) {
        return Err(bad("unknown_parameter", name, format!("Unknown parameter: '{name}'.")));
    }
    let model = OpenAiServer.model(call);
    if model.is_empty() {
        return refused("you must provide a model parameter");
    }
    if !rules.knows(model) {
        return Err(ProviderError::new(Meaning::ModelNotFound));
    }
    if body.contains_key("stream_options") && body.get("stream") != Some(&Value::Bool(true)) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(bad("invalid_parameter_combination", "stream_options", message.to_owned()));
    }
    let mut ask = IncomingCall { model: model.to_owned(), ..IncomingCall::default() };
    limits(&call.body, &mut ask)?;
    messages(&call.body, &mut ask)?;
    tools(&call.body, &mut ask)?;
    ask.json = json_wanted(&call.body)?;
    Ok(ask)
}

fn bad(code: &str, param: &str, message: String) -> ProviderError {
    ProviderError {
        code: Some(code.to_owned()),
        param: Some(param.into()),
        ..ProviderError::invalid(message)
    }
}

fn missing(param: &str) -> ProviderError {
    bad("missing_required_parameter", param, format!("Missing required parameter: '{param}'."))
}

fn limits(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = given(body, name) else { continue };
        let Some(limit) = value.as_u64().filter(|limit| *limit > 0) else {
            let message =
                format!("Invalid '{name}': integer below minimum value. Expected a value >= 1.");
            return Err(bad("integer_below_min_value", name, message));
        };
        if ask.max_tokens.replace(limit).is_some() {
            let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
            return Err(bad("invalid_parameter_combination", "max_tokens", message.to_owned()));
        }
    }
    for (name, most) in [("temperature", 2.0), ("top_p", 1.0)] {
        let Some(value) = given(body, name) else { continue };
        if !value.as_f64().is_some_and(|value| (0.0..=most).contains(&value)) {
            let message = format!("Invalid '{name}': expected a value between 0 and {most}.");
            return Err(bad("decimal_above_max_value", name, message));
        }
    }
    ask.stop = match given(body, "stop") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(_) => strings(body, "stop"),
        None => Vec::new(),
    };
    if ask.stop.len() > 4 {
        let message = "Invalid 'stop': array too long. Expected an array with maximum length 4.";
        return Err(bad("array_above_max_length", "stop", message.to_owned()));
    }
    reasoning(body, &ask.model)
}

/// What the reasoning models refuse.
fn reasoning(body: &Value, model: &str) -> Result<(), ProviderError> {
    if !["o1", "o3", "o4", "gpt-5", "gpt-6"].iter().any(|prefix| model.starts_with(prefix)) {
        return Ok(());
    }
    if given(body, "max_tokens").is_some() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                       Use 'max_completion_tokens' instead.";
        return Err(bad("unsupported_parameter", "max_tokens", message.to_owned()));
    }
    let temperature = given(body, "temperature").and_then(Value::as_f64);
    if temperature.is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
        let message = "Unsupported value: 'temperature' does not support this value with this \
                       model. Only the default (1) value is supported.";
        return Err(bad("unsupported_value", "temperature", message.to_owned()));
    }
    match ["top_p", "stop"].into_iter().find(|name| given(body, name).is_some()) {
        Some(name) => {
            let message =
                format!("Unsupported parameter: '{name}' is not supported with this model.");
            Err(bad("unsupported_parameter", name, message))
        }
        None => Ok(()),
    }
}

fn messages(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let Some(messages) = given(body, "messages").and_then(Value::as_array) else {
        return Err(missing("messages"));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, \
                       but got an empty array instead.";
        return Err(bad("empty_array", "messages", message.to_owned()));
    }
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = text(message, "role");
        if !ROLES.contains(&role) {
            let param = format!("messages[{at}].role");
            let message = format!("Invalid value: '{role}'. Supported values are: {ROLES:?}.");
            return Err(bad("invalid_value", &param, message));
        }
        if role == "tool" {
            answered(message, &mut open, at)?;
        } else if !open.is_empty() {
            return Err(unanswered(&open));
        }
        content(message, at, ask)?;
        open.extend(items(message, "tool_calls").iter().map(|call| text(call, "id")));
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open)) }
}

fn answered(message: &Value, open: &mut Vec<&str>, at: usize) -> Result<(), ProviderError> {
    let id = text(message, "tool_call_id");
    let Some(place) = open.iter().position(|one| *one == id) else {
        let message = "Invalid parameter: messages with role 'tool' must be a response to a \
                       preceeding message with 'tool_calls'.";
        return Err(bad("invalid_value", &format!("messages.[{at}].role"), message.to_owned()));
    };
    open.remove(place);
    Ok(())
}

fn unanswered(open: &[&str]) -> ProviderError {
    ProviderError {
        param: Some("messages".into()),
        ..ProviderError::invalid(format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding \
             to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            open.join(", ")
        ))
    }
}

fn content(message: &Value, at: usize, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let param = format!("messages[{at}].content");
    match message.get("content") {
        Some(Value::String(text)) => ask.hear(text, true),
        Some(Value::Array(parts)) => {
            for (number, one) in parts.iter().enumerate() {
                part(one, &format!("{param}[{number}]"), number == 0, ask)?;
            }
        }
        None | Some(Value::Null) if text(message, "role") == "assistant" => ask.hear("", true),
        None => return Err(missing(&param)),
        Some(_) => {
            let message = format!(
                "Invalid type for '{param}': expected one of a string or array of objects."
            );
            return Err(bad("invalid_type", &param, message));
        }
    }
    Ok(())
}

fn part(
    part: &Value,
    param: &str,
    first: bool,
    ask: &mut IncomingCall,
) -> Result<(), ProviderError> {
    match text(part, "type") {
        "text" => ask.hear(text(part, "text"), first),
        "refusal" => ask.hear(text(part, "refusal"), first),
        "image_url" => {
            let url = part.get("image_url").map_or("", |image| text(image, "url"));
            let inline =
                url.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
            if !inline.is_some_and(|(_, data)| is_base64(data)) && !url.starts_with("http") {
                let message = format!("Invalid '{param}.image_url.url'. Expected a valid URL.");
                return Err(bad("invalid_image_url", &format!("{param}.image_url.url"), message));
            }
            ask.hear("", first);
            ask.images += 1;
        }
        "input_audio" | "file" => ask.hear("", first),
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'text', 'image_url', \
                 'input_audio', 'refusal', and 'file'."
            );
            return Err(bad("invalid_value", &format!("{param}.type"), message));
        }
    }
    Ok(())
}

fn tools(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let tools = items(body, "tools");
    for (at, tool) in tools.iter().enumerate() {
        let name = tool.get("function").map_or("", |function| text(function, "name"));
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if text(tool, "type") != "function" || name.is_empty() {
            return Err(missing(&format!("tools[{at}].function.name")));
        }
        if name.len() > 64 || !name.chars().all(legal) {
            let param = format!("tools[{at}].function.name");
            let message = format!(
                "Invalid '{param}': string does not match pattern. Expected a string that matches \
                 the pattern '^[a-zA-Z0-9_-]+$'."
            );
            return Err(bad("invalid_value", &param, message));
        }
    }
    let Some(choice) = given(body, "tool_choice") else { return Ok(()) };
    if tools.is_empty() {
        let message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.";
        return Err(bad("invalid_value", "tool_choice", message.to_owned()));
    }
    let wanted = match choice.as_str() {
        Some("auto" | "none") => return Ok(()),
        Some("required") => tools.first(),
        _ => {
            let name = choice.get("function").map_or("", |function| text(function, "name"));
            tools.iter().find(|tool| tool["function"]["name"] == name)
        }
    };
    let Some(tool) = wanted else {
        let message = "Invalid value for 'tool_choice': tool not found in 'tools'.".to_owned();
        return Err(bad("invalid_value", "tool_choice", message));
    };
    let function = &tool["function"];
    let schema = given(function, "parameters").cloned();
    let schema = schema.unwrap_or_else(|| Value::Object(Map::new()));
    ask.tool = Some(NamedFunction { name: text(function, "name").to_owned(), schema });
    Ok(())
}

fn json_wanted(body: &Value) -> Result<Option<Value>, ProviderError> {
    let Some(format) = given(body, "response_format") else { return Ok(None) };
    match text(format, "type") {
        "text" => Ok(None),
        "json_object" => {
            if !body["messages"].to_string().to_lowercase().contains("json") {
                let message = "'messages' must contain the word 'json' in some form, to use \
                               'response_format' of type 'json_object'.";
                return Err(ProviderError {
                    param: Some("messages".into()),
                    ..ProviderError::invalid(message)
                });
            }
            Ok(Some(Value::Null))
        }
        "json_schema" => {
            let wanted = given(format, "json_schema")
                .ok_or_else(|| missing("response_format.json_schema"))?;
            let name = text(wanted, "name");
            if name.is_empty() {
                return Err(missing("response_format.json_schema.name"));
            }
            let schema = given(wanted, "schema").cloned().unwrap_or_default();
            let strict = wanted.get("strict") == Some(&Value::Bool(true));
            if strict && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
                let message = format!(
                    "Invalid schema for response_format '{name}': In context=(), \
                     'additionalProperties' is required to be supplied and to be false."
                );
                return Err(ProviderError {
                    param: Some("response_format".into()),
                    ..ProviderError::invalid(message)
                });
            }
            Ok(Some(schema))
        }
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            );
            Err(bad("invalid_value", "response_format.type", message))
        }
    }
}
