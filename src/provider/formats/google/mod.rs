//! Google's Gemini, `generateContent`.
//!
//! Instructions stand apart, the assistant is called `model`, results of tools are spoken by the
//! user and name the function instead of the call, and arguments are objects. A thinking model's
//! signature on a call must come back unchanged; it travels in the call's `extra_content`.
//!
//! Nothing here touches the network or decides what a failure means.

use std::borrow::Cow;
use std::collections::HashMap;

use reqwest::Url;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::fault::Fault;
use crate::protocol::chat::{
    ChatRequest, Effort, Function, Message, ResponseFormat, Role, ToolCall, ToolChoice,
};
use crate::protocol::content::{Content, ImageUrl, Part};
use crate::provider::body::{self, Asking, NO_TURN};
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::pieces::Gathered;
use crate::provider::{Call, Failure};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<System<'a>>,
    contents: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[Tools<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct System<'a> {
    parts: [SystemPart<'a>; 1],
}

#[derive(Serialize)]
struct SystemPart<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    parts: Vec<WirePart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum WirePart<'a> {
    Text {
        text: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Inline {
        inline_data: Inline<'a>,
    },
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: WireCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Response {
        function_response: WireResponse<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inline<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
struct WireCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: &'a str,
    args: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct WireResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: &'a str,
    response: Outgoing<'a>,
}

/// A function's result must be an object; any other text is wrapped into one.
#[derive(Serialize)]
#[serde(untagged)]
enum Outgoing<'a> {
    Object(&'a RawValue),
    Text { output: String },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: Choosing<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Choosing<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thinking>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Thinking {
    ThinkingBudget(u32),
    ThinkingLevel(&'static str),
}

pub(super) struct Google;

impl Format for Google {
    fn address(&self, url: &mut Url, model_id: &str, streams: bool) {
        let folder = if model_id.contains('/') { "" } else { "models/" };
        let method = if streams { "streamGenerateContent" } else { "generateContent" };
        formats::append(url, &format!("/{folder}{model_id}:{method}"));
        if streams {
            // Events instead of a list.
            url.query_pairs_mut().append_pair("alt", "sse");
        }
    }

    fn body(&self, call: &Call<'_>, _: Asking) -> Result<Vec<u8>, Failure> {
        body(call)
    }

    fn answer(&self, body: &[u8], into: &mut Gathered) -> Result<(), Failure> {
        reply::answer(body, into)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Box::new(reply::Responses)
    }
}

fn body(call: &Call<'_>) -> Result<Vec<u8>, Failure> {
    let request = call.request;
    let system = body::system_text(call);
    let body = Body {
        system_instruction: (!system.is_empty())
            .then_some(System { parts: [SystemPart { text: &system }] }),
        contents: turns(&request.messages, &call.model.model_id)?,
        tools: tools(request),
        tool_config: tool_config(request),
        generation_config: generation_config(call),
    };
    body::to_bytes(call, &body)
}

fn generation_config<'a>(call: &Call<'a>) -> GenerationConfig<'a> {
    let request = call.request;
    let (response_mime_type, response_json_schema) = match &request.response_format {
        None | Some(ResponseFormat::Text {}) => (None, None),
        Some(ResponseFormat::JsonObject {}) => (Some("application/json"), None),
        Some(ResponseFormat::JsonSchema { json_schema }) => {
            (Some("application/json"), json_schema.schema.as_ref())
        }
    };
    GenerationConfig {
        max_output_tokens: call.max_tokens,
        temperature: call.temperature,
        top_p: request.top_p.filter(|_| call.model.supports.temperature),
        stop_sequences: &request.stop,
        // Seeds have 32 bits here; the same seed must become the same number every time.
        seed: request.seed.map(|seed| seed as i32),
        response_mime_type,
        response_json_schema,
        thinking_config: request.reasoning_effort.map(|e| thinking(&call.model.model_id, e)),
    }
}

/// The 2.x models take a number of tokens, later ones a word.
fn thinking(model_id: &str, effort: Effort) -> Thinking {
    let model = model_id.rsplit('/').next().unwrap_or(model_id);
    if model.starts_with("gemini-2") {
        return Thinking::ThinkingBudget(match effort {
            Effort::None => 0,
            Effort::Minimal | Effort::Low => 1024,
            Effort::Medium => 8192,
            Effort::High | Effort::Xhigh | Effort::Max => 24_576,
        });
    }
    Thinking::ThinkingLevel(match effort {
        Effort::None | Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Xhigh | Effort::Max => "high",
    })
}

fn turns<'a>(messages: &'a [Message], model: &str) -> Result<Vec<Turn<'a>>, Failure> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(messages.len());
    let mut names: HashMap<&str, &str> = HashMap::new();
    for message in messages {
        let (role, parts) = match message.role {
            Role::System | Role::Developer => continue,
            Role::User => ("user", parts(message.content.as_ref())?),
            Role::Tool => ("user", tool_result(message, &names)?),
            Role::Assistant => {
                let calls = message.tool_calls.iter();
                names.extend(calls.map(|call| (call.id.as_str(), call.function.name.as_str())));
                ("model", said_by_model(message, wants_signatures(model))?)
            }
        };
        if parts.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => turns.push(Turn { role, parts }),
        }
    }
    if turns.is_empty() {
        turns.push(Turn { role: "user", parts: vec![WirePart::Text { text: NO_TURN }] });
    }
    Ok(turns)
}

fn parts(content: Option<&Content>) -> Result<Vec<WirePart<'_>>, Failure> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(text_part(text).into_iter().collect()),
        Some(Content::Parts(parts)) => parts.iter().filter_map(wire_part).collect(),
    }
}

fn wire_part(part: &Part) -> Option<Result<WirePart<'_>, Failure>> {
    match part {
        Part::Text { text } => text_part(text).map(Ok),
        Part::ImageUrl { image_url } => Some(image(image_url)),
    }
}

fn text_part(text: &str) -> Option<WirePart<'_>> {
    (!text.is_empty()).then_some(WirePart::Text { text })
}

fn image(image: &ImageUrl) -> Result<WirePart<'_>, Failure> {
    match body::data_url(&image.url) {
        Some((mime_type, data)) => Ok(WirePart::Inline { inline_data: Inline { mime_type, data } }),
        None if body::is_web_address(&image.url) => Err(Failure::new(
            Fault::UnsupportedParam,
            "this provider takes images as data: URLs only, not by address",
        )),
        None => Err(body::bad_image()),
    }
}

/// What Google's documentation has for calls that another model made.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Models from the third generation on refuse calls of a turn of which none has a signature.
fn wants_signatures(model: &str) -> bool {
    model.contains("gemini") && !model.contains("gemini-1") && !model.contains("gemini-2")
}

fn said_by_model(message: &Message, signed: bool) -> Result<Vec<WirePart<'_>>, Failure> {
    let mut parts = parts(message.content.as_ref())?;
    // Of calls made at once only the first has one.
    let foreign = signed && message.tool_calls.iter().all(|call| signature(call).is_none());
    let mut missing = foreign.then_some(NO_SIGNATURE);
    for call in &message.tool_calls {
        let args = body::arguments(call);
        let function_call = WireCall { id: own_id(&call.id), name: &call.function.name, args };
        parts.push(WirePart::Call {
            function_call,
            thought_signature: signature(call).or(missing.take()),
        });
    }
    Ok(parts)
}

fn signature(call: &ToolCall) -> Option<&str> {
    call.extra_content.as_ref()?.get("google")?.get("thought_signature")?.as_str()
}

/// Ids that begin like this were made up here or by another provider; Gemini does not miss them.
fn own_id(id: &str) -> Option<&str> {
    (!id.starts_with("call_")).then_some(id)
}

fn tool_result<'a>(
    message: &'a Message,
    names: &HashMap<&str, &'a str>,
) -> Result<Vec<WirePart<'a>>, Failure> {
    let id = message
        .tool_call_id
        .as_deref()
        .ok_or_else(|| body::invalid("a message with role `tool` needs a tool_call_id"))?;
    let name = names.get(id).copied().or(message.name.as_deref()).ok_or_else(|| {
        body::invalid("a tool_call_id does not belong to any tool call before it")
    })?;
    let response = result(message.content.as_ref());
    let function_response = WireResponse { id: own_id(id), name, response };
    let mut parts = parts(message.content.as_ref())?;
    parts.retain(|part| matches!(part, WirePart::Inline { .. }));
    parts.insert(0, WirePart::Response { function_response });
    Ok(parts)
}

fn result(content: Option<&Content>) -> Outgoing<'_> {
    if let Some(Content::Text(text)) = content
        && let Ok(object) = serde_json::from_str::<&RawValue>(text.trim())
        && object.get().starts_with('{')
    {
        return Outgoing::Object(object);
    }
    Outgoing::Text { output: content.map(|c| c.texts().collect()).unwrap_or_default() }
}

fn tools(request: &ChatRequest) -> Option<[Tools<'_>; 1]> {
    let offers = request.tools.iter().map(|tool| declaration(&tool.function));
    let function_declarations: Vec<_> = offers.collect();
    (!function_declarations.is_empty()).then_some([Tools { function_declarations }])
}

fn declaration(function: &Function) -> Declaration<'_> {
    Declaration {
        name: &function.name,
        description: function.description.as_deref(),
        parameters_json_schema: function.parameters.as_deref(),
    }
}

fn tool_config(request: &ChatRequest) -> Option<ToolConfig<'_>> {
    let choice = request.tool_choice.as_ref().filter(|_| !request.tools.is_empty())?;
    let (mode, only) = match choice {
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::Never => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Named(name) => ("ANY", Some([name.as_str()])),
    };
    Some(ToolConfig { function_calling_config: Choosing { mode, allowed_function_names: only } })
}

mod reply;

#[cfg(test)]
mod tests;
