//! Anthropic's messages.
//!
//! The form differs from the socket's in four ways: instructions stand apart from the turns,
//! results of tools are spoken by the user, all results of one turn belong into one message, and
//! arguments are objects. Turns of the same speaker are merged before sending.
//!
//! Nothing here touches the network or decides what a failure means.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::chat::{
    ChatRequest, Effort, Function, Message, ResponseFormat, Role, ToolChoice,
};
use crate::protocol::content::{Content, ImageUrl, Part};
use crate::provider::body::{self, Asking, NO_TURN};
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::pieces::Gathered;
use crate::provider::{Call, Failure};

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
        Box::new(stream::Progress::default())
    }
}

/// Most characters of a tool call's id.
const LONGEST_ID: usize = 64;

/// Stands in for "any JSON object", which this API has no field for.
const JSON_ONLY: &str = "Answer with one JSON object and nothing else: no code fence, no comment.";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    system: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choosing<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    Image { source: Source<'a> },
    ToolUse { id: Cow<'a, str>, name: &'a str, input: Cow<'a, RawValue> },
    ToolResult { tool_use_id: Cow<'a, str>, content: Vec<Block<'a>> },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// This API wants a schema even from a tool without parameters.
#[derive(Serialize)]
#[serde(untagged)]
enum Schema<'a> {
    Given(&'a RawValue),
    Nothing {
        #[serde(rename = "type")]
        kind: &'static str,
        properties: NoProperties,
    },
}

#[derive(Serialize)]
struct NoProperties {}

#[derive(Serialize)]
struct Choosing<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
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
    let system = system(call);
    let body = Body {
        model: &call.model.model_id,
        max_tokens: call.max_tokens,
        system: &system,
        messages: turns(&request.messages)?,
        temperature: call.temperature.map(|temperature| temperature.clamp(0.0, 1.0)),
        top_p: request.top_p.filter(|_| call.model.supports.temperature),
        // Whitespace alone is refused.
        stop_sequences: request
            .stop
            .iter()
            .map(String::as_str)
            .filter(|s| !s.trim().is_empty())
            .collect(),
        tools: tools(request),
        tool_choice: choosing(request),
        output_config: output_config(request),
        stream: asking.streams(),
    };
    let body = one_way_of_sampling(body, request);
    body::to_bytes(call, &body)
}

/// Newer models refuse temperature and `top_p` together, and the temperature may be a mere
/// default: it yields to a `top_p` that the caller set alone.
fn one_way_of_sampling<'a>(mut body: Body<'a>, request: &ChatRequest) -> Body<'a> {
    if request.temperature.is_none() && body.top_p.is_some() {
        body.temperature = None;
    }
    body
}

/// All instructions as one text, the wish for JSON among them.
pub(in crate::provider::formats) fn system(call: &Call<'_>) -> String {
    let mut system = body::system_text(call);
    if matches!(call.request.response_format, Some(ResponseFormat::JsonObject {})) {
        if !system.is_empty() {
            system.push_str("\n\n");
        }
        system.push_str(JSON_ONLY);
    }
    system
}

fn turns(messages: &[Message]) -> Result<Vec<Turn<'_>>, Failure> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(messages.len());
    for message in messages {
        let (role, blocks) = match message.role {
            Role::System | Role::Developer => continue,
            Role::Assistant => (Role::Assistant, said_by_assistant(message)?),
            Role::User => (Role::User, blocks(message.content.as_ref())?),
            Role::Tool => (Role::User, vec![tool_result(message)?]),
        };
        if blocks.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => turns.push(Turn { role, content: blocks }),
        }
    }
    if turns.is_empty() {
        turns.push(Turn { role: Role::User, content: vec![Block::Text { text: NO_TURN }] });
    }
    Ok(turns)
}

fn blocks(content: Option<&Content>) -> Result<Vec<Block<'_>>, Failure> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(text_block(text).into_iter().collect()),
        Some(Content::Parts(parts)) => parts.iter().filter_map(part_block).collect(),
    }
}

fn part_block(part: &Part) -> Option<Result<Block<'_>, Failure>> {
    match part {
        Part::Text { text } => text_block(text).map(Ok),
        Part::ImageUrl { image_url } => Some(image(image_url)),
    }
}

/// Text blocks of blanks alone are refused.
fn text_block(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then_some(Block::Text { text })
}

fn image(image: &ImageUrl) -> Result<Block<'_>, Failure> {
    let source = match body::data_url(&image.url) {
        Some((media_type, data)) => Source::Base64 { media_type, data },
        None if body::is_web_address(&image.url) => Source::Url { url: &image.url },
        None => return Err(body::bad_image()),
    };
    Ok(Block::Image { source })
}

fn said_by_assistant(message: &Message) -> Result<Vec<Block<'_>>, Failure> {
    let mut blocks = blocks(message.content.as_ref())?;
    for call in &message.tool_calls {
        let input = body::arguments(call);
        blocks.push(Block::ToolUse { id: call_id(&call.id), name: &call.function.name, input });
    }
    Ok(blocks)
}

/// An id as this API takes it: of letters, digits, `_` and `-`, at most 64. Other providers' ids
/// are changed in the same way wherever they stand, and two of them do not become one.
pub(in crate::provider::formats) fn call_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.len() <= LONGEST_ID && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let head = id.chars().take(LONGEST_ID - 17).map(|c| if fits(c) { c } else { '_' });
    Cow::Owned(format!("{}_{:016x}", head.collect::<String>(), hasher.finish()))
}

fn tool_result(message: &Message) -> Result<Block<'_>, Failure> {
    let tool_use_id = message
        .tool_call_id
        .as_deref()
        .ok_or_else(|| body::invalid("a message with role `tool` needs a tool_call_id"))?;
    Ok(Block::ToolResult {
        tool_use_id: call_id(tool_use_id),
        content: blocks(message.content.as_ref())?,
    })
}

fn tools(request: &ChatRequest) -> Vec<WireTool<'_>> {
    request.tools.iter().map(|offer| wire_tool(&offer.function)).collect()
}

fn wire_tool(function: &Function) -> WireTool<'_> {
    WireTool {
        name: &function.name,
        description: function.description.as_deref(),
        input_schema: match function.parameters.as_deref() {
            Some(schema) if schema.get() != "null" => Schema::Given(schema),
            _ => Schema::Nothing { kind: "object", properties: NoProperties {} },
        },
        strict: function.strict,
    }
}

fn choosing(request: &ChatRequest) -> Option<Choosing<'_>> {
    if request.tools.is_empty() {
        return None;
    }
    let one_only = (request.parallel_tool_calls == Some(false)).then_some(true);
    let (kind, name) = match &request.tool_choice {
        None if one_only.is_none() => return None,
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name.as_str())),
        Some(ToolChoice::Never) => {
            return Some(Choosing { kind: "none", name: None, disable_parallel_tool_use: None });
        }
    };
    Some(Choosing { kind, name, disable_parallel_tool_use: one_only })
}

fn output_config(request: &ChatRequest) -> Option<OutputConfig> {
    let effort = request.reasoning_effort.and_then(|effort| match effort {
        Effort::None => None,
        Effort::Minimal | Effort::Low => Some("low"),
        Effort::Medium => Some("medium"),
        Effort::High => Some("high"),
        Effort::Xhigh => Some("xhigh"),
        Effort::Max => Some("max"),
    });
    let format = match &request.response_format {
        Some(ResponseFormat::JsonSchema { json_schema }) => {
            let schema = json_schema.schema.as_ref();
            schema.map(|schema| OutputFormat::JsonSchema { schema: closed(schema) })
        }
        _ => None,
    };
    (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format })
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

mod reply;
mod stream;

#[cfg(test)]
mod tests;
