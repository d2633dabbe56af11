//! What the simulated Gemini accepts: a `generateContent` request, read strictly.
//!
//! The real API is written down as protocol buffers, so an unknown name is refused at every level;
//! here it is at the top, in `generationConfig` and in parts. Names may be in either spelling, and
//! base64 in either alphabet, as JSON for protocol buffers has it.

use serde_json::{Map, Value};

use super::{GoogleServer, names, vertex};
use crate::sim::ask::{IncomingCall, NamedFunction};
use crate::sim::behaviour::{Meaning, ProviderError, refused};
use crate::sim::formats::ServerFormat;
use crate::sim::wire::{AccessRules, Incoming, given, is_base64, items, strings, text, unknown};

#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "model", "contents", "systemInstruction", "tools", "toolConfig", "safetySettings",
    "generationConfig", "cachedContent", "serviceTier", "store", "labels",
];

#[rustfmt::skip]
const CONFIG: &[&str] = &[
    "candidateCount", "stopSequences", "maxOutputTokens", "temperature", "topP", "topK", "seed",
    "responseMimeType", "responseSchema", "responseJsonSchema", "_responseJsonSchema",
    "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "responseModalities",
    "speechConfig", "thinkingConfig", "imageConfig", "mediaResolution",
];

#[rustfmt::skip]
const PART: &[&str] = &[
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "thought",
    "thoughtSignature", "executableCode", "codeExecutionResult", "videoMetadata", "partMetadata",
    "mediaResolution",
];

/// Checks a call and takes from it what the answer depends on.
pub(super) fn read(call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError> {
    if !rules.accepts(GoogleServer.key(call)) {
        return Err(if GoogleServer.key(call).is_empty() {
            stranger()
        } else {
            ProviderError::new(Meaning::Auth)
        });
    }
    let mut ask =
        IncomingCall { model: GoogleServer.model(call).to_owned(), ..IncomingCall::default() };
    let method = call.path.rsplit_once(':').map_or("", |(_, method)| method);
    let known_method = matches!(method, "generateContent" | "streamGenerateContent");
    if call.get || !known_method || !rules.knows(&ask.model) {
        return Err(ProviderError::new(Meaning::ModelNotFound));
    }
    let body = names::camel(&call.body);
    let Some(fields) = body.as_object() else {
        return refused("Invalid JSON payload received. Expected an object.");
    };
    known(fields, FIELDS, "")?;
    for part in body.get("systemInstruction").map_or(&[][..], |all| items(all, "parts")) {
        ask.hear(text(part, "text"), true);
    }
    contents(&body, &mut ask)?;
    if vertex(call).is_some() {
        no_ids(&body)?;
    }
    tools(&body, &mut ask)?;
    if let Some(config) = given(&body, "generationConfig") {
        known(config.as_object().unwrap_or(&Map::new()), CONFIG, " at 'generation_config'")?;
        limits(config, &mut ask)?;
        ask.json = json_wanted(config)?;
    }
    Ok(ask)
}

/// Vertex AI knows no ids of calls, and no contents without a role.
fn no_ids(body: &Value) -> Result<(), ProviderError> {
    for content in items(body, "contents") {
        if text(content, "role").is_empty() {
            return refused("Please use a valid role: user, model.");
        }
        let parts = items(content, "parts").iter();
        let called =
            parts.flat_map(|part| [part.get("functionCall"), part.get("functionResponse")]);
        if called.flatten().any(|call| call.get("id").is_some()) {
            let what = "Invalid JSON payload received. Unknown name \"id\": Cannot find field.";
            return refused(what);
        }
    }
    Ok(())
}

fn stranger() -> ProviderError {
    ProviderError {
        status: Some(403),
        code: Some("PERMISSION_DENIED".to_owned()),
        ..ProviderError::invalid(
            "Method doesn't allow unregistered callers (callers without established identity). \
             Please use API Key or other form of API consumer identity to call this API.",
        )
    }
}

fn known(object: &Map<String, Value>, names: &[&str], place: &str) -> Result<(), ProviderError> {
    match unknown(object, names) {
        Some(name) => Err(ProviderError::invalid(format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
        ))),
        None => Ok(()),
    }
}

fn contents(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let contents = items(body, "contents");
    if contents.is_empty() {
        return refused("* GenerateContentRequest.contents: contents is not specified\n");
    }
    let mut calls = 0;
    for (at, content) in contents.iter().enumerate() {
        let role = text(content, "role");
        let only = role.is_empty() && contents.len() == 1;
        if !only && !["user", "model"].contains(&role) {
            return refused("Please use a valid role: user, model.");
        }
        let parts = items(content, "parts");
        if parts.is_empty() {
            return refused(format!(
                "* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.\n"
            ));
        }
        for (number, one) in parts.iter().enumerate() {
            part(one, &format!("contents[{at}].parts[{number}]"), number == 0, ask)?;
        }
        let count = |name| parts.iter().filter(|part| given(part, name).is_some()).count();
        if count("functionResponse") != calls {
            return refused(
                "Please ensure that the number of function response parts is equal to the number \
                 of function call parts of the function call turn.",
            );
        }
        calls = count("functionCall");
    }
    Ok(())
}

fn part(
    part: &Value,
    place: &str,
    first: bool,
    ask: &mut IncomingCall,
) -> Result<(), ProviderError> {
    let empty = Map::new();
    known(part.as_object().unwrap_or(&empty), PART, &format!(" at '{place}'"))?;
    if let Some(said) = given(part, "text") {
        ask.hear(said.as_str().unwrap_or_default(), first);
    } else if let Some(data) = given(part, "inlineData") {
        if text(data, "mimeType").is_empty() || !is_base64(&standard(text(data, "data"))) {
            return refused("Unable to process input image.");
        }
        ask.hear("", first);
        ask.images += 1;
    } else if let Some(response) = given(part, "functionResponse") {
        if text(response, "name").is_empty() {
            return refused(format!(
                "* GenerateContentRequest.{place}.function_response.name: Name cannot be empty.\n"
            ));
        }
        ask.hear(&result(response.get("response").unwrap_or(&Value::Null), place)?, first);
    } else if let Some(call) = given(part, "functionCall") {
        if call.get("args").is_some_and(|args| !args.is_object()) {
            return Err(not_a_struct(place, "function_call.args"));
        }
        ask.hear("", first);
    } else if given(part, "fileData").is_some() {
        ask.hear("", first);
    } else {
        return refused(format!(
            "* GenerateContentRequest.{place}.data: required oneof field 'data' must have one \
             initialized field\n"
        ));
    }
    Ok(())
}

/// The same data in the standard alphabet.
fn standard(data: &str) -> String {
    data.replace('-', "+").replace('_', "/")
}

/// What a function gave back: the text of its `output`, or all of it.
fn result(response: &Value, place: &str) -> Result<String, ProviderError> {
    if !response.is_object() {
        return Err(not_a_struct(place, "function_response.response"));
    }
    let output = ["output", "result", "error"].iter().find_map(|name| response.get(name));
    Ok(match output.unwrap_or(response) {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn not_a_struct(place: &str, field: &str) -> ProviderError {
    ProviderError::invalid(format!(
        "Invalid value at '{place}.{field}' (type.googleapis.com/google.protobuf.Struct)."
    ))
}

fn limits(config: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    if let Some(limit) = given(config, "maxOutputTokens") {
        ask.max_tokens = limit.as_u64().filter(|limit| *limit > 0);
        if ask.max_tokens.is_none() {
            return refused("max_output_tokens must be positive.");
        }
    }
    for (name, most) in [("temperature", 2.0), ("topP", 1.0)] {
        let Some(value) = given(config, name) else { continue };
        if !value.as_f64().is_some_and(|value| (0.0..=most).contains(&value)) {
            return refused(format!(
                "* GenerateContentRequest.generation_config.{name}: must be in the range [0.0, {most:.1}].\n"
            ));
        }
    }
    ask.stop = strings(config, "stopSequences");
    if ask.stop.len() > 5 {
        return refused("At most 5 stop sequences are allowed.");
    }
    Ok(())
}

fn tools(body: &Value, ask: &mut IncomingCall) -> Result<(), ProviderError> {
    let offered: Vec<&Value> =
        items(body, "tools").iter().flat_map(|tool| items(tool, "functionDeclarations")).collect();
    for (at, tool) in offered.iter().enumerate() {
        let place = format!("tools[0].function_declarations[{at}]");
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
        let name = text(tool, "name");
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
            return refused(format!(
                "* GenerateContentRequest.{place}.name: Invalid function name.\n"
            ));
        }
        if given(tool, "parameters").is_some() && given(tool, "parametersJsonSchema").is_some() {
            return refused(format!(
                "{place}: parameters and parameters_json_schema cannot both be set."
            ));
        }
    }
    let config = body.pointer("/toolConfig/functionCallingConfig").unwrap_or(&Value::Null);
    let allowed = strings(config, "allowedFunctionNames");
    if text(config, "mode") != "ANY" {
        if allowed.is_empty() {
            return Ok(());
        }
        return refused(
            "Function calling config is set with allowed function names, but the mode is not ANY.",
        );
    }
    let wanted = |tool: &&&Value| {
        allowed.is_empty() || allowed.iter().any(|name| name == text(tool, "name"))
    };
    let Some(tool) = offered.iter().find(wanted) else {
        return refused("Function calling mode is ANY but no allowed function is declared.");
    };
    let schema = given(tool, "parametersJsonSchema").or_else(|| given(tool, "parameters"));
    let schema = schema.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    ask.tool = Some(NamedFunction { name: text(tool, "name").to_owned(), schema });
    Ok(())
}

fn json_wanted(config: &Value) -> Result<Option<Value>, ProviderError> {
    let names = ["responseSchema", "responseJsonSchema", "_responseJsonSchema"];
    let mut schemas = names.iter().filter_map(|name| given(config, name));
    let schema = schemas.next();
    if schemas.next().is_some() {
        return refused("Only one of response_schema and response_json_schema may be set.");
    }
    match (text(config, "responseMimeType"), schema) {
        ("application/json", schema) => Ok(Some(schema.cloned().unwrap_or_default())),
        ("" | "text/plain", None) => Ok(None),
        ("" | "text/plain", Some(_)) => Err(ProviderError::invalid(
            "Response schema is only supported with response_mime_type: 'application/json'.",
        )),
        (other, _) => Err(ProviderError::invalid(format!(
            "* GenerateContentRequest.generation_config.response_mime_type: '{other}' is not \
             supported.\n"
        ))),
    }
}
