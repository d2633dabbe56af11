//! Google's Gemini, `generateContent`.
//!
//! Instructions stand apart, the assistant is called `model`, results of tools are spoken by the
//! user and name the function instead of the call, and arguments are objects. A thinking model's
//! signature on a call must come back unchanged; it travels in the call's `extra_content`.
//!
//! Nothing here touches the network or decides what a failure means.

use std::borrow::Cow;

use reqwest::Url;
use serde::Serialize;
use serde_json::Value;

use self::contents::ContentTurn;
use crate::protocol::chat::{ChatRequest, Effort, Function, ResponseFormat, ToolChoice};
use crate::provider::body::{self, Asking};
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::history::function_name;
use crate::provider::pieces::Gathered;
use crate::provider::{Call, Failure};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerateBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<System<'a>>,
    contents: Vec<ContentTurn<'a>>,
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
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: FunctionCallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[Cow<'a, str>; 1]>,
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
    response_json_schema: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thinking>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_thoughts: bool,
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

    fn body(&self, call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
        body(call, asking)
    }

    fn answer(&self, body: &[u8], into: &mut Gathered) -> Result<(), Failure> {
        reply::answer(body, into)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Box::new(reply::Responses)
    }
}

fn body(call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
    let request = call.request;
    let system = body::system_text(call);
    let body = GenerateBody {
        system_instruction: (!system.is_empty())
            .then_some(System { parts: [SystemPart { text: &system }] }),
        contents: vertex::fit(contents::turns(call)?, call),
        tools: tools(request),
        tool_config: tool_config(request),
        generation_config: generation_config(call, asking),
    };
    body::to_bytes(call, &body)
}

fn generation_config<'a>(call: &Call<'a>, asking: Asking) -> GenerationConfig<'a> {
    let request = call.request;
    let (response_mime_type, response_json_schema) = match &request.response_format {
        None | Some(ResponseFormat::Text {}) => (None, None),
        Some(ResponseFormat::JsonObject {}) => (Some("application/json"), None),
        Some(ResponseFormat::JsonSchema { json_schema }) => {
            (Some("application/json"), json_schema.schema.as_ref().map(schema::fit))
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
        thinking_config: request.reasoning_effort.map(|effort| Thinking {
            include_thoughts: asking.thoughts && shows_thoughts(effort),
            ..thinking(&call.model.model_id, effort)
        }),
    }
}

/// The 2.x models take a number of tokens, later ones a word.
fn thinking(model_id: &str, effort: Effort) -> Thinking {
    let model = model_id.rsplit('/').next().unwrap_or(model_id);
    let (mut budget, mut level) = (None, None);
    if model.starts_with("gemini-2") {
        budget = Some(match effort {
            Effort::None => 0,
            Effort::Minimal | Effort::Low => 1024,
            Effort::Medium => 8192,
            Effort::High | Effort::Xhigh | Effort::Max => 24_576,
        });
    } else {
        level = Some(match effort {
            Effort::None | Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High | Effort::Xhigh | Effort::Max => "high",
        });
    }
    Thinking { thinking_budget: budget, thinking_level: level, include_thoughts: false }
}

/// Whether thoughts are there to be shown. They are refused to who asks for them and for no thinking.
fn shows_thoughts(effort: Effort) -> bool {
    !matches!(effort, Effort::None | Effort::Minimal)
}

fn tools(request: &ChatRequest) -> Option<[Tools<'_>; 1]> {
    let offers = request.tools.iter().map(|tool| declaration(&tool.function));
    let function_declarations: Vec<_> = offers.collect();
    (!function_declarations.is_empty()).then_some([Tools { function_declarations }])
}

fn declaration(function: &Function) -> Declaration<'_> {
    Declaration {
        name: function_name(&function.name, true),
        description: function.description.as_deref(),
        parameters_json_schema: schema::parameters(function),
    }
}

fn tool_config(request: &ChatRequest) -> Option<ToolConfig<'_>> {
    let choice = request.tool_choice.as_ref().filter(|_| !request.tools.is_empty())?;
    let (mode, only) = match choice {
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::Never => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Named(name) => ("ANY", Some([function_name(name, true)])),
    };
    Some(ToolConfig {
        function_calling_config: FunctionCallingConfig { mode, allowed_function_names: only },
    })
}

mod contents;
mod reply;
mod schema;
mod vertex;

#[cfg(test)]
mod tests;
