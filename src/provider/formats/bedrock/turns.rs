//! The conversation as Bedrock takes it: two speakers in turn, the user first, no text of blanks.
//!
//! Ids of calls are changed as for Anthropic: Bedrock itself takes more, Claude behind it does not.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::fault::Fault;
use crate::protocol::chat::{Message, Role};
use crate::protocol::content::{Content, ImageUrl, Part};
use crate::provider::Failure;
use crate::provider::body::{self, NO_TURN};
use crate::provider::formats::anthropic::call_id;

/// Stands before a conversation that the assistant begins.
const BEGINNING: &str = "(The conversation begins.)";

#[derive(Serialize)]
pub(super) struct SpokenTurn<'a> {
    role: Role,
    content: Vec<SentBlock<'a>>,
}

/// A union of one member, which names the kind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum SentBlock<'a> {
    Text(&'a str),
    Image(SentImage<'a>),
    ToolUse(SentCall<'a>),
    ToolResult(SentResult<'a>),
}

#[derive(Serialize)]
struct SentImage<'a> {
    format: &'static str,
    source: ImageBytes<'a>,
}

#[derive(Serialize)]
struct ImageBytes<'a> {
    bytes: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentCall<'a> {
    tool_use_id: Cow<'a, str>,
    name: &'a str,
    input: Cow<'a, RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentResult<'a> {
    tool_use_id: Cow<'a, str>,
    content: Vec<SentBlock<'a>>,
}

/// All messages but the instructions, those of one speaker merged.
pub(super) fn turns(messages: &[Message]) -> Result<Vec<SpokenTurn<'_>>, Failure> {
    let mut turns: Vec<SpokenTurn<'_>> = Vec::with_capacity(messages.len());
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
            _ => turns.push(SpokenTurn { role, content: blocks }),
        }
    }
    let beginning = match turns.first() {
        None => NO_TURN,
        Some(first) if first.role == Role::Assistant => BEGINNING,
        Some(_) => return Ok(turns),
    };
    turns.insert(0, SpokenTurn { role: Role::User, content: vec![SentBlock::Text(beginning)] });
    Ok(turns)
}

/// The names of all tools that were called, each once.
pub(super) fn tools_used(messages: &[Message]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for call in messages.iter().flat_map(|message| &message.tool_calls) {
        if !names.contains(&call.function.name.as_str()) {
            names.push(&call.function.name);
        }
    }
    names
}

fn blocks(content: Option<&Content>) -> Result<Vec<SentBlock<'_>>, Failure> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(text_block(text).into_iter().collect()),
        Some(Content::Parts(parts)) => parts.iter().filter_map(part_block).collect(),
    }
}

fn part_block(part: &Part) -> Option<Result<SentBlock<'_>, Failure>> {
    match part {
        Part::Text { text } => text_block(text).map(Ok),
        Part::ImageUrl { image_url } => Some(image(image_url)),
    }
}

fn text_block(text: &str) -> Option<SentBlock<'_>> {
    (!text.trim().is_empty()).then_some(SentBlock::Text(text))
}

fn image(image: &ImageUrl) -> Result<SentBlock<'_>, Failure> {
    let Some((media_type, bytes)) = body::data_url(&image.url) else {
        return Err(match body::is_web_address(&image.url) {
            true => unsupported("this provider takes images as data: URLs only, not by address"),
            false => body::bad_image(),
        });
    };
    let format = match media_type.to_ascii_lowercase().as_str() {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => return Err(unsupported("this provider takes png, jpeg, gif and webp images only")),
    };
    Ok(SentBlock::Image(SentImage { format, source: ImageBytes { bytes } }))
}

fn said_by_assistant(message: &Message) -> Result<Vec<SentBlock<'_>>, Failure> {
    let mut blocks = blocks(message.content.as_ref())?;
    for call in &message.tool_calls {
        blocks.push(SentBlock::ToolUse(SentCall {
            tool_use_id: call_id(&call.id),
            name: &call.function.name,
            input: body::arguments(call),
        }));
    }
    Ok(blocks)
}

fn tool_result(message: &Message) -> Result<SentBlock<'_>, Failure> {
    let id = message
        .tool_call_id
        .as_deref()
        .ok_or_else(|| body::invalid("a message with role `tool` needs a tool_call_id"))?;
    let content = blocks(message.content.as_ref())?;
    Ok(SentBlock::ToolResult(SentResult { tool_use_id: call_id(id), content }))
}

fn unsupported(what: &str) -> Failure {
    Failure::new(Fault::UnsupportedParam, what)
}
