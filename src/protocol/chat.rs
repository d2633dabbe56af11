//! The `chat` request: OpenAI's chat form plus what routing needs to know.
//!
//! These types are read straight from a client's line and handed to the providers as they are;
//! there is no second copy of them. None prints its content: message text must never reach a log
//! or an error, so `Debug` is written by hand or left out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::content::{CacheControl, Content};
use super::field;
use super::front::FrontTerms;
use super::id::Id;
use super::provider_data::ProviderData;
use super::schema;
use crate::domain::need::Needs;
use crate::domain::price::Nano;

/// One chat request, exactly as it came; defaults are not filled in here.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = schema::model_alone)]
pub struct ChatRequest {
    /// Echoed in every line about this request.
    #[serde(default)]
    pub id: Id,
    /// `"chat"` or absent; anything else is another kind of request.
    #[serde(default)]
    #[schemars(extend("enum" = ["chat", null]))]
    pub op: Option<String>,
    /// Which chain to use.
    #[serde(default)]
    pub task: Option<String>,
    /// The request's own chain, instead of the task's.
    #[serde(default)]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub models: Option<Vec<String>>,
    /// A task, or a model: what programs write where they know of one name only.
    #[serde(default)]
    pub model: Option<String>,
    /// The conversation, at least one message.
    #[serde(deserialize_with = "field::messages")]
    #[schemars(length(min = 1))]
    pub messages: Vec<Message>,
    /// Most tokens of the answer, at least 1.
    #[serde(default, deserialize_with = "field::at_least_one")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub max_tokens: Option<u32>,
    /// The same in OpenAI's newer words.
    #[serde(default, deserialize_with = "field::at_least_one")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub max_completion_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2.
    #[serde(default, deserialize_with = "field::temperature")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    #[serde(default, deserialize_with = "field::unit_interval")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
    /// Texts that end the answer: one string, or up to four.
    #[serde(default, deserialize_with = "field::stop")]
    #[schemars(schema_with = "schema::stop")]
    pub stop: Vec<String>,
    /// Seed for repeatable sampling, where the provider has it.
    #[serde(default)]
    #[schemars(range(min = i64::MIN, max = i64::MAX))]
    pub seed: Option<i64>,
    /// Functions the model may ask the client to call.
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(with = "Option<Vec<Tool>>")]
    pub tools: Vec<Tool>,
    /// Whether and which tool must be called.
    #[serde(default)]
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called in one answer.
    #[serde(default)]
    pub parallel_tool_calls: Option<bool>,
    /// The form the answer must have.
    #[serde(default)]
    pub response_format: Option<ResponseFormat>,
    /// How much a reasoning model should think.
    #[serde(default)]
    pub reasoning_effort: Option<Effort>,
    /// One deadline over everything this request does.
    #[serde(default, deserialize_with = "field::timeout")]
    #[schemars(schema_with = "schema::duration")]
    pub timeout: Option<Duration>,
    /// Whether events should be sent as text arrives.
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(with = "Option<bool>")]
    pub stream: bool,
    /// What to do when a model refuses the content.
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(with = "Option<OnRefusal>")]
    pub on_refusal: OnRefusal,
    /// What to do when a stream breaks after text was delivered.
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(with = "Option<OnInterrupt>")]
    pub on_interrupt: OnInterrupt,
    /// Models whose estimated cost is above it are left out, in US$.
    #[serde(default, rename = "max_cost_usd")]
    pub max_cost: Option<Nano>,
    /// Answer with the order and its reasons, and call nobody.
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(with = "Option<bool>")]
    pub plan: bool,
    /// By provider kind or model name: merged into the provider's body last.
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(schema_with = "schema::extra")]
    pub extra: BTreeMap<String, Map<String, Value>>,
    /// Length of the line it came in; set by the reader, never by the client.
    #[serde(skip)]
    pub bytes: usize,
    /// What the front that it came by knows of it; nothing for a line.
    #[serde(skip)]
    pub front: Option<Box<FrontTerms>>,
}

/// One message of the conversation. Fields not named here are tolerated and left out.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[schemars(transform = schema::of_role)]
pub struct Message {
    /// Who speaks: instructions, the person, the model or a tool.
    pub role: Role,
    /// What is said; may be absent for an assistant and a tool.
    #[serde(default)]
    pub content: Option<Content>,
    /// Name of the speaker, for providers that know it.
    #[serde(default)]
    pub name: Option<String>,
    /// Tools the assistant asked for.
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(with = "Option<Vec<ToolCall>>")]
    pub tool_calls: Vec<ToolCall>,
    /// Which tool call a `tool` message answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    /// What a reasoning model thought in an earlier turn, for providers that want it back.
    #[serde(default)]
    pub reasoning_content: Option<String>,
    /// What the provider of an earlier turn wants back, as its reply gave it.
    #[serde(default)]
    pub provider_data: Option<ProviderData>,
    /// Claude's thoughts with their signatures, as other gateways give them.
    #[serde(default)]
    pub thinking_blocks: Option<Value>,
    /// Thoughts as OpenRouter gives them.
    #[serde(default)]
    pub reasoning_details: Option<Value>,
}

/// Who speaks in a message.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The operator of the conversation.
    System,
    /// The same, in newer words.
    Developer,
    /// The person who asks the model.
    #[default]
    User,
    /// The model, in an earlier answer.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// A tool call asked for by a model.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolCall {
    /// Names the call within the conversation.
    pub id: String,
    /// Always `function`; may be left out.
    #[serde(rename = "type", default)]
    pub kind: FunctionKind,
    /// The function to call, and with what.
    pub function: FunctionCall,
    /// Data of the provider that must come back unchanged, such as Gemini's thought signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<Value>,
}

/// The one kind of tool there is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FunctionKind {
    /// The only kind of tool.
    #[default]
    Function,
}

/// A function and its arguments.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FunctionCall {
    /// Name of the function, as it was offered.
    pub name: String,
    /// Its arguments as JSON text, which the model may have got wrong; some clients keep the object.
    #[serde(default, deserialize_with = "field::arguments")]
    #[schemars(extend("type" = ["string", "object", "null"]))]
    pub arguments: String,
}

/// A tool on offer.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tool {
    /// Always `function`; may be left out.
    #[serde(rename = "type", default)]
    pub kind: FunctionKind,
    /// The function on offer.
    pub function: Function,
    /// Whether the prompt is cached up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
}

/// A function on offer.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// What the model calls it by.
    pub name: String,
    /// What it does, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON schema of its arguments, passed on as it is.
    #[serde(default, deserialize_with = "field::mended", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Value")]
    pub parameters: Option<Box<RawValue>>,
    /// Whether arguments must follow the schema exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Whether and which tool must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None may be called.
    Never,
    /// At least one must be called.
    Required,
    /// The function of this name must be called.
    Named(String),
}

/// The form the answer must have.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Free text. The braces matter: in a variant without any, unknown fields would pass.
    Text {},
    /// Any JSON object, whatever is in it.
    JsonObject {},
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema and its name.
        json_schema: JsonSchema,
    },
}

/// A schema for the answer.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonSchema {
    /// What the provider calls it by.
    pub name: String,
    /// What the answer is, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema; member order is kept, since some models answer in that order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Whether the answer must follow it exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// How much a reasoning model should think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// No thinking at all before the answer.
    None,
    /// As little as possible.
    Minimal,
    /// Less thinking than usual, for speed.
    Low,
    /// As much thinking as is usual.
    Medium,
    /// More thinking than usual, for hard questions.
    High,
    /// Much more thinking than usual.
    Xhigh,
    /// As much as it can.
    Max,
}

/// What to do when a model refuses the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRefusal {
    /// The refusal is the answer.
    #[default]
    Return,
    /// Ask the next model.
    Fallback,
}

/// What to do when a stream breaks after text was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInterrupt {
    /// Go on with another model.
    #[default]
    Resume,
    /// Say that it broke.
    Fail,
}

impl Message {
    /// What is wrong with it, if anything: every role has something it must bring.
    pub fn mistake(&self) -> Option<&'static str> {
        match self.role {
            Role::Tool if self.tool_call_id.is_none() => {
                Some("a message of role `tool` needs `tool_call_id`")
            }
            // What an assistant or a tool had nothing to say of stays in a history all the same.
            Role::Assistant | Role::Tool => None,
            _ => match &self.content {
                None => Some("expected `content`: a string or a list of parts"),
                Some(content) => content.mistake(),
            },
        }
    }

    /// What is said, and the arguments of tools that are called.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let arguments = self.tool_calls.iter().map(|call| call.function.arguments.as_str());
        self.content.iter().flat_map(Content::texts).chain(arguments)
    }

    /// An instruction of the operator.
    pub fn system(text: &str) -> Message {
        let content = Some(Content::Text(text.to_owned()));
        Message { role: Role::System, content, ..Message::default() }
    }
}

impl ChatRequest {
    /// All texts of the conversation.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().flat_map(Message::texts)
    }

    /// Whether it adds something of its own to the body for this kind of provider or this model.
    pub fn adds_to(&self, kind: &str, model: &str) -> bool {
        [kind, model].iter().any(|name| self.extra.get(*name).is_some_and(|more| !more.is_empty()))
    }

    /// What it asks of whichever model serves it, with `max_tokens` already decided.
    pub fn needs(&self, max_tokens: Option<u32>) -> Needs {
        let messages = &self.messages;
        let last = messages.last().map(|message| message.role);
        let mut contents = messages.iter().filter_map(|message| message.content.as_ref());
        Needs {
            tools: !self.tools.is_empty()
                || messages.iter().any(|message| !message.tool_calls.is_empty()),
            images: contents.any(Content::has_image),
            json_schema: matches!(self.response_format, Some(ResponseFormat::JsonSchema { .. })),
            prefill: last == Some(Role::Assistant),
            bytes: self.bytes,
            max_tokens,
            max_cost: self.max_cost,
            dearest: None,
        }
    }
}

/// Says how large a request is, never what it contains.
impl fmt::Debug for ChatRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ChatRequest")
            .field("id", &self.id)
            .field("messages", &self.messages.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
