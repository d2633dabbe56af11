//! OpenAI's chat completions, and every server that imitates them.
//!
//! The socket speaks the same form, so most of a request is passed on as it came; only what a
//! server is known to refuse is changed, and servers are told apart by their host alone.
//!
//! Nothing here touches the network or decides what a failure means.

use std::borrow::Cow;

use reqwest::Url;
use serde::Serialize;
use serde_json::value::RawValue;

use self::messages::WireMessage;
use crate::config::{MaxTokensField, Model};
use crate::protocol::chat::{Effort, FunctionKind, JsonSchema, ResponseFormat, Tool, ToolChoice};
use crate::protocol::content::CacheControl;
use crate::provider::body::{self, Asking};
use crate::provider::formats::{self, Format, ReadEvents};
use crate::provider::history::{Ids, function_name};
use crate::provider::pieces::Gathered;
use crate::provider::{Call, Failure, schema};

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
        Box::new(stream::Chunks::default())
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
    /// The same of those who pass marks for the cache on.
    Caching,
}

impl Dialect {
    /// Only OpenAI's own and Azure hosts are configured with the newer name of the token limit.
    fn of(model: &Model) -> Dialect {
        let host = model.provider.base_url.split('/').nth(2).unwrap_or_default();
        let caches = host.ends_with("openrouter.ai")
            || host.contains("dashscope")
            // Whoever serves it in this form translates for Anthropic.
            || model.model_id.contains("claude");
        match (model.provider.max_tokens_field, host) {
            (_, "api.mistral.ai") => Dialect::Mistral,
            (_, "api.groq.com") => Dialect::Groq,
            (MaxTokensField::MaxCompletionTokens, _) => Dialect::Own,
            (MaxTokensField::MaxTokens, _) if caches => Dialect::Caching,
            (MaxTokensField::MaxTokens, _) => Dialect::Common,
        }
    }

    /// Whether unknown fields of a message are tolerated, as servers do that add some themselves.
    fn is_tolerant(self) -> bool {
        matches!(self, Dialect::Common | Dialect::Caching)
    }

    /// Which ids of calls it takes. Models behind the common form may need their own back.
    fn ids(self) -> Ids {
        match self {
            Dialect::Own => Ids::AtMost(40),
            Dialect::Mistral => Ids::Nine,
            Dialect::Groq | Dialect::Common | Dialect::Caching => Ids::Any,
        }
    }

    /// Whether files and recordings may be taken; the others have no part of that form.
    fn takes_files(self) -> bool {
        !matches!(self, Dialect::Mistral | Dialect::Groq)
    }

    fn knows_cache_control(self) -> bool {
        self == Dialect::Caching
    }
}

/// Under which name a server told its model's thoughts, in what goes back to it.
const TOLD_AS: &str = "told_as";

/// A tool on offer.
#[derive(Serialize)]
struct SentTool<'a> {
    #[serde(rename = "type")]
    kind: FunctionKind,
    function: WireOffer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a CacheControl>,
}

#[derive(Serialize)]
struct WireOffer<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

fn wire_tool(tool: &Tool, dialect: Dialect) -> SentTool<'_> {
    let function = &tool.function;
    SentTool {
        kind: tool.kind,
        function: WireOffer {
            name: function_name(&function.name, false),
            description: function.description.as_deref(),
            // Others make use of all that a schema says.
            parameters: match dialect.is_tolerant() {
                true => body::parameters(function),
                false => schema::object(function),
            },
            strict: function.strict,
        },
        cache_control: tool.cache_control.as_ref().filter(|_| dialect.knows_cache_control()),
    }
}

#[derive(Serialize)]
struct CompletionBody<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<SentTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<SentToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<SentFormat<'a>>,
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

#[derive(Serialize)]
#[serde(untagged)]
enum SentToolChoice<'a> {
    Plain(&'a ToolChoice),
    Named(ToolChoice),
    Word(&'static str),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum SentFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: &'a JsonSchema },
}

fn body(call: &Call<'_>, asking: Asking) -> Result<Vec<u8>, Failure> {
    let request = call.request;
    let dialect = Dialect::of(call.model);
    let usual = call.model.provider.max_tokens_field;
    let limit = if asking.other_limit { usual.other() } else { usual };
    let newer = limit == MaxTokensField::MaxCompletionTokens;
    let has_tools = !request.tools.is_empty();
    let mistral = dialect == Dialect::Mistral;
    let body = CompletionBody {
        model: &call.model.model_id,
        messages: messages::messages(call, dialect, asking.guesses)?,
        max_tokens: call.max_tokens.filter(|_| !newer),
        max_completion_tokens: call.max_tokens.filter(|_| newer),
        temperature: call.temperature,
        // A model that refuses a temperature refuses the other way of sampling too.
        top_p: request.top_p.filter(|_| call.model.supports.temperature),
        stop: &request.stop,
        seed: request.seed.filter(|_| !mistral),
        random_seed: request.seed.filter(|_| mistral),
        tools: request.tools.iter().map(|tool| wire_tool(tool, dialect)).collect(),
        // Both are refused without tools.
        tool_choice: request.tool_choice.as_ref().filter(|_| has_tools).map(|choice| {
            match (choice, mistral) {
                (ToolChoice::Required, true) => SentToolChoice::Word("any"),
                (ToolChoice::Named(name), _) => SentToolChoice::Named(ToolChoice::Named(
                    function_name(name, false).into_owned(),
                )),
                _ => SentToolChoice::Plain(choice),
            }
        }),
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| has_tools),
        response_format: match &request.response_format {
            None | Some(ResponseFormat::Text {}) => None,
            Some(ResponseFormat::JsonObject {}) => Some(SentFormat::JsonObject),
            Some(ResponseFormat::JsonSchema { json_schema }) => {
                Some(SentFormat::JsonSchema { json_schema })
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

mod calls;
mod content;
mod messages;
mod reply;
mod stream;

#[cfg(test)]
mod tests;
