//! OpenAI's chat completions, and every server that imitates them.
//!
//! The socket speaks the same form, so most of a request is passed on as it came; only what a
//! server is known to refuse is changed, and servers are told apart by their host alone.
//!
//! Nothing here touches the network or decides what a failure means.

use std::borrow::Cow;

use reqwest::Url;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::config::{MaxTokensField, Provider};
use crate::protocol::chat::{
    Effort, FunctionKind, JsonSchema, Message, ResponseFormat, Role, Tool, ToolCall, ToolChoice,
};
use crate::protocol::content::Content;
use crate::provider::body::{self, Asking};
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::pieces::Gathered;
use crate::provider::{Call, Failure};

pub(super) struct OpenAi;

impl Format for OpenAi {
    fn address(&self, url: &mut Url, _: &str, _: bool) {
        formats::append(url, "/chat/completions");
    }

    fn body(&self, call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
        body(call, asking)
    }

    fn answer(&self, body: &[u8], into: &mut Gathered) -> Result<(), Failure> {
        reply::answer(body, into)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Box::new(stream::Chunks)
    }
}

/// Whose rules a server follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// OpenAI's own and Azure: strict about fields, knows `developer`.
    Own,
    /// Other words for seed and tool choice.
    Mistral,
    /// Refuses names on messages.
    Groq,
    /// The common ground of all others.
    Common,
}

impl Dialect {
    /// Only OpenAI's own and Azure hosts are configured with the newer name of the token limit.
    fn of(provider: &Provider) -> Dialect {
        let host = provider.base_url.split('/').nth(2).unwrap_or_default();
        match (provider.max_tokens_field, host) {
            (_, "api.mistral.ai") => Dialect::Mistral,
            (_, "api.groq.com") => Dialect::Groq,
            (MaxTokensField::MaxCompletionTokens, _) => Dialect::Own,
            (MaxTokensField::MaxTokens, _) => Dialect::Common,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Messages<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    random_seed: Option<i64>,
    #[serde(skip_serializing_if = "<[Tool]>::is_empty")]
    tools: &'a [Tool],
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choosing<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<OutputFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<Effort>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

/// Without it most servers say nothing of what a stream consumed.
#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

struct Messages<'a> {
    /// Takes the place of all messages that instruct, where the model has a say in them.
    system: Option<Content>,
    messages: &'a [Message],
    dialect: Dialect,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: Role,
    content: Option<&'a Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: FunctionKind,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a Value>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choosing<'a> {
    Plain(&'a ToolChoice),
    Word(&'static str),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum OutputFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: &'a JsonSchema },
}

fn body(call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
    let request = call.request;
    let dialect = Dialect::of(&call.model.provider);
    let usual = call.model.provider.max_tokens_field;
    let limit = if asking.other_limit { usual.other() } else { usual };
    let newer = limit == MaxTokensField::MaxCompletionTokens;
    let has_tools = !request.tools.is_empty();
    let mistral = dialect == Dialect::Mistral;
    let body = Body {
        model: &call.model.model_id,
        messages: Messages { system: system(call), messages: &request.messages, dialect },
        max_tokens: call.max_tokens.filter(|_| !newer),
        max_completion_tokens: call.max_tokens.filter(|_| newer),
        temperature: call.temperature,
        // A model that refuses a temperature refuses the other way of sampling too.
        top_p: request.top_p.filter(|_| call.model.supports.temperature),
        stop: &request.stop,
        seed: request.seed.filter(|_| !mistral),
        random_seed: request.seed.filter(|_| mistral),
        tools: &request.tools,
        // Both are refused without tools.
        tool_choice: request.tool_choice.as_ref().filter(|_| has_tools).map(|choice| {
            match (choice, mistral) {
                (ToolChoice::Required, true) => Choosing::Word("any"),
                _ => Choosing::Plain(choice),
            }
        }),
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| has_tools),
        response_format: match &request.response_format {
            None | Some(ResponseFormat::Text {}) => None,
            Some(ResponseFormat::JsonObject {}) => Some(OutputFormat::JsonObject),
            Some(ResponseFormat::JsonSchema { json_schema }) => {
                Some(OutputFormat::JsonSchema { json_schema })
            }
        },
        reasoning_effort: request.reasoning_effort,
        stream: asking.streams(),
        // Mistral does not know it and says its usage unasked.
        stream_options: (asking.stream && asking.usage && !mistral)
            .then_some(StreamOptions { include_usage: true }),
    };
    body::to_bytes(call, &body)
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut list = out.serialize_seq(None)?;
        if let Some(system) = &self.system {
            list.serialize_element(&instruction(system))?;
        }
        let stays = |message: &&Message| self.system.is_none() || !body::instructs(message);
        for message in self.messages.iter().filter(stays) {
            list.serialize_element(&wire_message(message, self.dialect))?;
        }
        list.end()
    }
}

/// All instructions in one, if the model's configuration adds to them.
fn system(call: &Call<'_>) -> Option<Content> {
    let adds = call.model.system_prefix.is_some() || call.model.system_suffix.is_some();
    adds.then(|| Content::Text(body::system_text(call)))
}

fn instruction(content: &Content) -> WireMessage<'_> {
    WireMessage {
        role: Role::System,
        content: Some(content),
        name: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        reasoning_content: None,
    }
}

fn wire_message(message: &Message, dialect: Dialect) -> WireMessage<'_> {
    let common = dialect == Dialect::Common;
    let role = match message.role {
        Role::Developer if dialect != Dialect::Own => Role::System,
        role => role,
    };
    let calls = message.tool_calls.iter().map(|call| wire_call(call, common));
    WireMessage {
        role,
        content: message.content.as_ref(),
        name: message.name.as_deref().filter(|_| dialect != Dialect::Groq),
        tool_calls: calls.collect(),
        tool_call_id: message.tool_call_id.as_deref(),
        reasoning_content: message.reasoning_content.as_deref().filter(|_| common),
    }
}

fn wire_call(call: &ToolCall, with_extra: bool) -> WireCall<'_> {
    // They travel as text, but servers refuse a text that is no object.
    let arguments = match body::arguments(call) {
        Cow::Borrowed(object) => Cow::Borrowed(object.get()),
        Cow::Owned(object) => Cow::Owned(object.get().to_owned()),
    };
    WireCall {
        id: &call.id,
        kind: call.kind,
        function: WireFunction { name: &call.function.name, arguments },
        extra_content: call.extra_content.as_ref().filter(|_| with_extra),
    }
}

mod reply;
mod stream;

#[cfg(test)]
mod tests;
