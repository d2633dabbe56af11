//! From a body of Responses to a request.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::echo::Echo;
use super::input::ItemReader;
use super::note;
use super::tools::Toolbox;
use crate::dialects::body::{BodyFields, is_null, refused};
use crate::dialects::{HttpDialect, RequestRead};
use crate::protocol::chat::{ChatRequest, Effort, JsonSchema, Message, ResponseFormat};
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::{field, request, surrogate};

/// What a body is, for whoever sends something else.
const EXAMPLE: &str = "{\"input\":…}";

/// BodyFields that are taken, or that ask for what is so anyway.
const TAKEN: [&str; 19] = [
    "model",
    "models",
    "input",
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "stream",
    "include",
    "background",
    "store",
    "top_logprobs",
    "truncation",
    "service_tier",
];

/// BodyFields that ask for what would have to be kept, and what to do instead.
const NOT_KEPT: [(&str, &str); 3] = [
    (
        "previous_response_id",
        "no answer is kept here that could be continued; send the whole conversation in `input`",
    ),
    ("conversation", "no conversation is kept here; send the whole of it in `input`"),
    ("prompt", "no prompt is kept here; send its text in `instructions` and `input`"),
];

/// What an answer always includes.
const INCLUDED: &str = "reasoning.encrypted_content";

/// The fields that are taken.
#[derive(Deserialize)]
struct ResponsesBody<'a> {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    models: Option<Vec<String>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default, deserialize_with = "field::at_least_one")]
    max_output_tokens: Option<u32>,
    #[serde(default, deserialize_with = "field::temperature")]
    temperature: Option<f64>,
    #[serde(default, deserialize_with = "field::unit_interval")]
    top_p: Option<f64>,
    #[serde(borrow, default)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    tool_choice: Option<&'a RawValue>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    text: Option<TextWish>,
    #[serde(default)]
    reasoning: Option<ReasoningWish>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    include: Option<Vec<String>>,
    #[serde(default)]
    background: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<u32>,
    #[serde(default)]
    truncation: Option<String>,
    #[serde(default)]
    service_tier: Option<String>,
}

#[derive(Deserialize)]
struct TextWish {
    #[serde(default)]
    format: Option<TextForm>,
    #[serde(default)]
    verbosity: Option<String>,
}

/// The form of the text, flat where Chat Completions has an object in an object.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TextForm {
    Text,
    JsonObject,
    JsonSchema {
        name: String,
        #[serde(default)]
        description: Option<String>,
        #[serde(default)]
        schema: Option<Value>,
        #[serde(default)]
        strict: Option<bool>,
    },
}

#[derive(Deserialize)]
struct ReasoningWish {
    #[serde(default)]
    effort: Option<Effort>,
}

/// Reads the body of a request.
pub(in crate::dialects) fn read(body: &[u8]) -> Result<RequestRead, ErrorBody> {
    let mended = surrogate::mend(body);
    let body = mended.as_deref().unwrap_or(body);
    let BodyFields(fields) = BodyFields::read(body, EXAMPLE)?;
    let mut dropped = untaken(&fields)?;
    let given = std::str::from_utf8(body).map_err(|error| error.to_string());
    let given: ResponsesBody<'_> = given.and_then(request::typed).map_err(bad)?;
    impossible(&given)?;
    unmet(&given, &mut dropped);
    let mut toolbox = Toolbox::read(given.tools.as_deref().unwrap_or_default())?;
    let tool_choice = match given.tool_choice.filter(|wish| !is_null(wish)) {
        Some(wish) => toolbox.choose(wish)?,
        None => None,
    };
    let mut items = ItemReader::new(&toolbox);
    let operator = given.instructions.as_deref().filter(|text| !text.is_empty());
    items.messages.extend(operator.map(Message::system));
    items.read(given.input.ok_or_else(|| refused("input", "is missing"))?)?;
    let ItemReader { messages, dropped: unread, .. } = items;
    let Toolbox { functions, homes, dropped: hosted } = toolbox;
    hosted.into_iter().chain(unread).for_each(|name| note(&mut dropped, name));
    if messages.is_empty() {
        return Err(refused("input", "expected at least one item that every model can read"));
    }
    let TextWish { format, verbosity } =
        given.text.unwrap_or(TextWish { format: None, verbosity: None });
    let for_own_kind = verbosity.iter().map(|_| "text.verbosity".to_owned()).collect();
    // A chain of the request's own stands for the name that programs must send as well.
    let model = given.model.filter(|_| given.models.is_none());
    let request = ChatRequest {
        model,
        models: given.models,
        messages,
        max_tokens: given.max_output_tokens,
        temperature: given.temperature,
        top_p: given.top_p,
        tools: functions,
        tool_choice,
        parallel_tool_calls: given.parallel_tool_calls,
        response_format: format.map(TextForm::nested),
        reasoning_effort: given.reasoning.and_then(|wish| wish.effort),
        stream: given.stream.unwrap_or_default(),
        extra: own_fields(verbosity),
        bytes: body.len(),
        ..ChatRequest::default()
    };
    let request = Box::new(request::checked(request).map_err(bad)?);
    let echo = Rc::new(Echo::of(&fields, homes));
    Ok(RequestRead { request, tells_usage: true, for_own_kind, dropped, echo })
}

/// The names of fields that are left out. Empty ones ask for nothing.
fn untaken(fields: &[(std::borrow::Cow<'_, str>, &RawValue)]) -> Result<Vec<String>, ErrorBody> {
    let mut dropped = Vec::new();
    for (name, value) in fields.iter().filter(|(_, value)| !is_null(value)) {
        if let Some((name, why)) = NOT_KEPT.iter().find(|(kept, _)| kept == name) {
            return Err(refused(name, why));
        }
        let is_empty = matches!(value.get(), "{}" | "[]" | "\"\"");
        if !is_empty && !TAKEN.contains(&&**name) {
            note(&mut dropped, name.to_string());
        }
    }
    Ok(dropped)
}

/// Refuses what nobody could deliver.
fn impossible(given: &ResponsesBody<'_>) -> Result<(), ErrorBody> {
    if given.background == Some(true) {
        let why = "no answer is kept here that could be fetched later; leave it out and wait";
        return Err(refused("background", why));
    }
    let one_text = "an answer is one text without its probabilities; leave it out";
    if given.top_logprobs.is_some_and(|most| most > 0) {
        return Err(refused("top_logprobs", one_text));
    }
    match given.include.iter().flatten().any(|name| name.ends_with("logprobs")) {
        true => Err(refused("include", one_text)),
        false => Ok(()),
    }
}

/// Names what a field asks for beyond what is so anyway.
fn unmet(given: &ResponsesBody<'_>, dropped: &mut Vec<String>) {
    let includes = given.include.iter().flatten().any(|name| name != INCLUDED);
    let truncates = given.truncation.as_deref().is_some_and(|how| how != "disabled");
    let tier = given.service_tier.as_deref();
    let has_tier = tier.is_some_and(|tier| !matches!(tier, "auto" | "default"));
    let names = [("include", includes), ("truncation", truncates), ("service_tier", has_tier)];
    for (name, _) in names.iter().filter(|(_, is_unmet)| *is_unmet) {
        note(dropped, (*name).to_owned());
    }
}

/// What only servers of the dialect's own kind are given.
fn own_fields(verbosity: Option<String>) -> BTreeMap<String, Map<String, Value>> {
    let fields = verbosity.map(|much| Map::from_iter([("verbosity".to_owned(), much.into())]));
    fields
        .into_iter()
        .map(|fields| (HttpDialect::Responses.own_kind().to_owned(), fields))
        .collect()
}

impl TextForm {
    fn nested(self) -> ResponseFormat {
        match self {
            TextForm::Text => ResponseFormat::Text {},
            TextForm::JsonObject => ResponseFormat::JsonObject {},
            TextForm::JsonSchema { name, description, schema, strict } => {
                let json_schema = JsonSchema { name, description, schema, strict };
                ResponseFormat::JsonSchema { json_schema }
            }
        }
    }
}

fn bad(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::BadRequest, message)
}
