//! Amazon Bedrock's Converse: one form for the models of many makers.
//!
//! It is near to Anthropic's messages (results of tools are spoken by the user, arguments are
//! objects), with the model in the address and with a union of one member where others have a type.
//! What one maker's models alone understand goes to `additionalModelRequestFields`; models are told
//! by the maker's name in their id, which ARNs of inference profiles have, too.
//!
//! Nothing here touches the network or decides what a failure means.

use std::borrow::Cow;
use std::collections::BTreeSet;

use reqwest::Url;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::chat::{ChatRequest, Effort, Function, ResponseFormat, ToolChoice};
use crate::provider::aws::sigv4::encoded;
use crate::provider::body::{self, Asking, Sampling};
use crate::provider::formats::anthropic::{MAX_TOKENS, closed, effort_word, plain_system};
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::framing::Frames;
use crate::provider::history::function_name;
use crate::provider::pieces::Gathered;
use crate::provider::turns::SpokenTurn;
use crate::provider::{Call, Failure, schema};
use turns::SentBlock;

pub(super) struct Bedrock;

impl Format for Bedrock {
    /// An id is one segment of the path, whatever it has: versions have colons, ARNs slashes.
    fn address(&self, url: &mut Url, model_id: &str, streams: bool) {
        let method = if streams { "converse-stream" } else { "converse" };
        formats::append(url, &format!("/model/{}/{method}", encoded(model_id, false)));
    }

    fn body(&self, call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
        body(call, asking)
    }

    fn answer(&self, body: &[u8], into: &mut Gathered) -> Result<(), Failure> {
        reply::answer(body, into)
    }

    fn framing(&self) -> Frames {
        Frames::EventStream
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Box::new(stream::ConverseEvents)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Converse<'a> {
    messages: Vec<SpokenTurn<SentBlock<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<[Instructions<'a>; 1]>,
    inference_config: Inference<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolsOnOffer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<AnswerForm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_request_fields: Option<Value>,
}

#[derive(Serialize)]
struct Instructions<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inference<'a> {
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolsOnOffer<'a> {
    tools: Vec<OfferedTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolWish<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfferedTool<'a> {
    tool_spec: ToolSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct InputSchema<'a> {
    json: Parameters<'a>,
}

/// A schema is wanted even from a tool without parameters.
#[derive(Serialize)]
#[serde(untagged)]
enum Parameters<'a> {
    Given(Cow<'a, RawValue>),
    Any(Value),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ToolWish<'a> {
    Auto {},
    Any {},
    Tool { name: Cow<'a, str> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerForm<'a> {
    text_format: TextFormat<'a>,
}

#[derive(Serialize)]
struct TextFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    structure: Structure<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    json_schema: SchemaText<'a>,
}

/// The schema is a text within the body.
#[derive(Serialize)]
struct SchemaText<'a> {
    name: &'a str,
    schema: String,
}

fn body(call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
    let request = call.request;
    let system = plain_system(call);
    let body = Converse {
        messages: turns::turns(call, asking.guesses)?,
        system: (!system.trim().is_empty()).then_some([Instructions { text: &system }]),
        inference_config: inference(call),
        tool_config: tool_config(request),
        output_config: output_config(request),
        additional_model_request_fields: own_fields(call),
    };
    body::to_bytes(call, &body)
}

fn inference<'a>(call: &Call<'a>) -> Inference<'a> {
    let Sampling { temperature, top_p } = body::one_way_of_sampling(call);
    Inference {
        max_tokens: call.max_tokens.unwrap_or(MAX_TOKENS),
        temperature,
        top_p,
        stop_sequences: body::stop_sequences(call.request),
    }
}

/// The tools on offer. Where no call is wanted there are none, but for a history with calls, which
/// is refused without tools: then those it speaks of, and the model is free to use them.
fn tool_config(request: &ChatRequest) -> Option<ToolsOnOffer<'_>> {
    let is_barred = request.tool_choice == Some(ToolChoice::Never);
    let history: BTreeSet<&str> = body::called(request).collect();
    if is_barred && history.is_empty() {
        return None;
    }
    let mut tools: Vec<_> = request.tools.iter().map(|offer| offered(&offer.function)).collect();
    if tools.is_empty() {
        tools = history.into_iter().map(unknown).collect();
    }
    if tools.is_empty() {
        return None;
    }
    let tool_choice = match &request.tool_choice {
        Some(_) if request.tools.is_empty() => None,
        None | Some(ToolChoice::Never) => None,
        Some(ToolChoice::Auto) => Some(ToolWish::Auto {}),
        Some(ToolChoice::Required) => Some(ToolWish::Any {}),
        Some(ToolChoice::Named(name)) => Some(ToolWish::Tool { name: function_name(name, false) }),
    };
    Some(ToolsOnOffer { tools, tool_choice })
}

/// A tool of which only the name is known.
fn unknown(name: &str) -> OfferedTool<'_> {
    let json = Parameters::Any(serde_json::json!({ "type": "object" }));
    let input_schema = InputSchema { json };
    let name = function_name(name, false);
    OfferedTool { tool_spec: ToolSpec { name, description: None, input_schema, strict: None } }
}

fn offered(function: &Function) -> OfferedTool<'_> {
    let description = function.description.as_deref();
    let json = match schema::object(function) {
        Some(schema) => Parameters::Given(schema),
        None => Parameters::Any(serde_json::json!({ "type": "object", "properties": {} })),
    };
    OfferedTool {
        tool_spec: ToolSpec {
            name: function_name(&function.name, false),
            description: description.filter(|text| !text.trim().is_empty()),
            input_schema: InputSchema { json },
            strict: function.strict,
        },
    }
}

fn output_config(request: &ChatRequest) -> Option<AnswerForm<'_>> {
    let Some(ResponseFormat::JsonSchema { json_schema }) = &request.response_format else {
        return None;
    };
    let schema = closed(json_schema.schema.as_ref()?).to_string();
    let structure = Structure { json_schema: SchemaText { name: &json_schema.name, schema } };
    Some(AnswerForm { text_format: TextFormat { kind: "json_schema", structure } })
}

fn is_claude(call: &Call<'_>) -> bool {
    call.model.model_id.contains("anthropic.")
}

/// What only some makers' models know, in their own words.
fn own_fields(call: &Call<'_>) -> Option<Value> {
    let effort = call.request.reasoning_effort?;
    let model = call.model.model_id.as_str();
    if is_claude(call) {
        let word = effort_word(effort)?;
        return Some(serde_json::json!({ "output_config": { "effort": word } }));
    }
    if model.contains("openai.") {
        let word = match effort {
            Effort::None | Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High | Effort::Xhigh | Effort::Max => "high",
        };
        return Some(serde_json::json!({ "reasoning_effort": word }));
    }
    None
}

mod reply;
mod stream;
mod turns;

#[cfg(test)]
mod tests;
