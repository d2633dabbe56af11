//! Anthropic's messages.
//!
//! The form differs from the socket's in four ways: instructions stand apart from the turns,
//! results of tools are spoken by the user, all results of one turn belong into one message, and
//! arguments are objects.
//!
//! Nothing here touches the network or decides what a failure means.

use std::borrow::Cow;
use std::collections::BTreeSet;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use self::cache::{Breakpoints, Cache, SystemPrompt};
use self::turns::MessageTurn;
use crate::protocol::chat::{ChatRequest, Effort, ResponseFormat, Tool, ToolChoice};
use crate::provider::body::{self, Asking, Sampling};
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::history::function_name;
use crate::provider::pieces::Gathered;
use crate::provider::{Call, Failure, schema};

/// The version of the API that is spoken here.
const VERSION: &str = "2023-06-01";

pub(super) struct Anthropic;

impl Format for Anthropic {
    /// The version may already be part of the base, as in other programs' settings.
    fn address(&self, url: &mut Url, _: &str, _: bool) {
        let has_version = url.path().trim_end_matches('/').ends_with("/v1");
        formats::append(url, if has_version { "/messages" } else { "/v1/messages" });
    }

    fn headers(&self, headers: &mut HeaderMap) {
        let version = HeaderValue::from_static(VERSION);
        headers.insert(HeaderName::from_static("anthropic-version"), version);
    }

    fn body(&self, call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
        body(call, asking)
    }

    fn answer(&self, body: &[u8], into: &mut Gathered) -> Result<(), Failure> {
        reply::answer(body, into)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Box::new(stream::MessageProgress::default())
    }
}

/// What stands for "as many as the model gives": this API demands a number, and every model that it
/// still serves gives as many.
pub(in crate::provider::formats) const MAX_TOKENS: u32 = 8192;

/// Stands in for "any JSON object", which this API has no field for.
const JSON_ONLY: &str = "Answer with one JSON object and nothing else: no code fence, no comment.";

#[derive(Serialize)]
struct MessagesBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anthropic_version: Option<&'static str>,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<SystemPrompt<'a>>,
    messages: Vec<MessageTurn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoiceParam<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: ParametersSchema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Cache<'a>>,
}

/// This API wants a schema even from a tool without parameters.
#[derive(Serialize)]
#[serde(untagged)]
enum ParametersSchema<'a> {
    Given(Cow<'a, RawValue>),
    Closed(Value),
    Nothing {
        #[serde(rename = "type")]
        kind: &'static str,
        properties: NoProperties,
    },
}

const NO_PARAMETERS: ParametersSchema<'static> =
    ParametersSchema::Nothing { kind: "object", properties: NoProperties {} };

#[derive(Serialize)]
struct NoProperties {}

#[derive(Serialize)]
struct ToolChoiceParam<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum OutputFormat {
    JsonSchema { schema: Value },
}

fn body(call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
    let request = call.request;
    let mut caches = Breakpoints::of_call(call);
    let tools = tools(request, &mut caches);
    let system = cache::system(call, &mut caches);
    let messages = turns::turns(call, asking.guesses, &mut caches)?;
    let thinking = body::extra(call, "thinking").and_then(|asked| asked.get("type"));
    let refuses = thinking.is_some_and(|kind| kind == "enabled") && turns::lack_thoughts(&messages);
    let thinks = !refuses && thinking.is_some_and(|kind| kind == "enabled" || kind == "adaptive");
    let version = vertex::version(call);
    let Sampling { temperature, top_p } = body::one_way_of_sampling(call);
    let body = MessagesBody {
        model: version.is_none().then_some(&call.model.model_id),
        anthropic_version: version,
        max_tokens: call.max_tokens.unwrap_or(MAX_TOKENS),
        system,
        messages,
        // One that thinks takes none.
        temperature: temperature.filter(|_| !thinks),
        top_p,
        stop_sequences: body::stop_sequences(request),
        tools,
        tool_choice: choosing(request),
        output_config: output_config(request),
        stream: asking.streams(),
    };
    let without: &[&str] = if refuses { &["thinking"] } else { &[] };
    body::to_bytes_without(call, &body, without)
}

/// All instructions as one text, the wish for JSON among them.
pub(in crate::provider::formats) fn plain_system(call: &Call<'_>) -> String {
    let mut system = body::system_text(call);
    if matches!(call.request.response_format, Some(ResponseFormat::JsonObject {})) {
        body::join(&mut system, JSON_ONLY);
    }
    system
}

/// The tools on offer. This API refuses calls in a conversation that offers none, so the ones that
/// were called are offered then, and may not be called.
fn tools<'a>(request: &'a ChatRequest, caches: &mut Breakpoints) -> Vec<WireTool<'a>> {
    let mut tools: Vec<WireTool<'a>> =
        request.tools.iter().map(|offer| wire_tool(offer, caches)).collect();
    if let Some(last) = tools.last_mut().filter(|_| caches.automatic) {
        last.cache_control = Some(Cache::USUAL);
    }
    if tools.is_empty() {
        let called: BTreeSet<&str> = body::called(request).collect();
        tools.extend(called.into_iter().map(|name| WireTool {
            name: function_name(name, false),
            description: None,
            input_schema: NO_PARAMETERS,
            strict: None,
            cache_control: None,
        }));
    }
    tools
}

fn wire_tool<'a>(tool: &'a Tool, caches: &mut Breakpoints) -> WireTool<'a> {
    let function = &tool.function;
    WireTool {
        name: function_name(&function.name, false),
        description: function.description.as_deref(),
        input_schema: match schema::object(function) {
            Some(schema) if function.strict == Some(true) => {
                match serde_json::from_str(schema.get()) {
                    Ok(schema) => ParametersSchema::Closed(closed(&schema)),
                    Err(_) => ParametersSchema::Given(schema),
                }
            }
            Some(schema) => ParametersSchema::Given(schema),
            None => NO_PARAMETERS,
        },
        strict: function.strict,
        cache_control: caches.of(tool.cache_control.as_ref()),
    }
}

fn choosing(request: &ChatRequest) -> Option<ToolChoiceParam<'_>> {
    if request.tools.is_empty() {
        let called = body::called(request).next();
        return called.map(|_| ToolChoiceParam {
            kind: "none",
            name: None,
            disable_parallel_tool_use: None,
        });
    }
    let one_only = (request.parallel_tool_calls == Some(false)).then_some(true);
    let (kind, name) = match &request.tool_choice {
        None if one_only.is_none() => return None,
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(function_name(name, false))),
        Some(ToolChoice::Never) => {
            return Some(ToolChoiceParam {
                kind: "none",
                name: None,
                disable_parallel_tool_use: None,
            });
        }
    };
    Some(ToolChoiceParam { kind, name, disable_parallel_tool_use: one_only })
}

fn output_config(request: &ChatRequest) -> Option<OutputConfig> {
    let effort = request.reasoning_effort.and_then(effort_word);
    let format = match &request.response_format {
        Some(ResponseFormat::JsonSchema { json_schema }) => {
            let schema = json_schema.schema.as_ref();
            schema.map(|schema| OutputFormat::JsonSchema { schema: closed(schema) })
        }
        _ => None,
    };
    (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format })
}

/// How much Claude is to think, in its own words; `None` for not at all.
pub(in crate::provider::formats) fn effort_word(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::None => None,
        Effort::Minimal | Effort::Low => Some("low"),
        Effort::Medium => Some("medium"),
        Effort::High => Some("high"),
        Effort::Xhigh => Some("xhigh"),
        Effort::Max => Some("max"),
    }
}

/// The schema with all objects closed that do not say whether they are: this API takes no others.
pub(in crate::provider::formats) fn closed(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut map: serde_json::Map<String, Value> =
                map.iter().map(|(key, value)| (key.clone(), closed_below(key, value))).collect();
            if map.get("type").is_some_and(|kind| kind == "object") {
                map.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            Value::Object(map)
        }
        Value::Array(list) => list.iter().map(closed).collect(),
        value => value.clone(),
    }
}

/// What stands under a keyword of a schema; values that an answer may have are no schemas.
fn closed_below(key: &str, value: &Value) -> Value {
    match key {
        "enum" | "const" | "default" | "examples" => value.clone(),
        _ => closed(value),
    }
}

mod cache;
mod reply;
mod stream;
mod turns;
mod vertex;

pub(super) use vertex::OnVertex;

#[cfg(test)]
mod tests;
