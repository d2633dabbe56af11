//! The conversation as Bedrock takes it: two speakers in turn, the user first, no text of blanks.
//!
//! Ids of calls are changed as for Anthropic: Bedrock itself takes more, Claude behind it does not.
//! Claude's thoughts stand first in the turn they belong to.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::fault::Fault;
use crate::protocol::chat::Message;
use crate::protocol::content::{Content, File, ImageUrl, Part};
use crate::provider::body;
use crate::provider::history::{CallAsked, Ids, NO_RESULT, function_name};
use crate::provider::pieces::KEPT_BLOCKS;
use crate::provider::returned::{self, SignedThought};
use crate::provider::turns::{self, BlockMaker, SpokenTurn};
use crate::provider::{Call, Failure, parts};

/// Documents are refused in a message without any text.
const SEE_DOCUMENT: &str = "[see the document]";

/// A union of one member, which names the kind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum SentBlock<'a> {
    Text(Cow<'a, str>),
    Image(SentImage<'a>),
    Document(SentDocument<'a>),
    ReasoningContent(SentThought<'a>),
    ToolUse(SentCall<'a>),
    ToolResult(SentResult<'a>),
}

#[derive(Serialize)]
pub(super) struct SentImage<'a> {
    format: &'static str,
    source: BinarySource<'a>,
}

#[derive(Serialize)]
pub(super) struct SentDocument<'a> {
    format: &'static str,
    name: String,
    source: BinarySource<'a>,
}

/// The bytes themselves, in base64.
#[derive(Serialize)]
pub(super) struct BinarySource<'a> {
    bytes: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum SentThought<'a> {
    ReasoningText { text: &'a str, signature: &'a str },
    RedactedContent(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SentCall<'a> {
    tool_use_id: Cow<'a, str>,
    name: Cow<'a, str>,
    input: Cow<'a, RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SentResult<'a> {
    tool_use_id: Cow<'a, str>,
    content: Vec<SentBlock<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// All messages but the instructions.
pub(super) fn turns<'a>(
    call: &Call<'a>,
    guesses: bool,
) -> Result<Vec<SpokenTurn<SentBlock<'a>>>, Failure> {
    parts::check(call.request, |_, _| false)?;
    turns::turns(call, Ids::Plain, InConverse { call, guesses })
}

/// Puts what is said into Converse's blocks.
struct InConverse<'c, 'a> {
    call: &'c Call<'a>,
    /// Whether thoughts go back whose maker can only be guessed.
    guesses: bool,
}

impl<'a> BlockMaker<'a> for InConverse<'_, 'a> {
    type Block = SentBlock<'a>;

    fn words(words: &'static str) -> SentBlock<'a> {
        text(words)
    }

    fn shown(&mut self, content: Option<&'a Content>) -> Result<Vec<SentBlock<'a>>, Failure> {
        blocks(content)
    }

    fn assistant(
        &mut self,
        message: &'a Message,
        asked: Vec<CallAsked<'a>>,
        _: bool,
    ) -> Result<Vec<SentBlock<'a>>, Failure> {
        Ok(said_by_assistant(message, thoughts(message, self.call, self.guesses), asked))
    }

    fn result(
        &mut self,
        asked: CallAsked<'a>,
        result: Option<&'a Message>,
    ) -> Result<Vec<SentBlock<'a>>, Failure> {
        Ok(vec![tool_result(asked, result)?])
    }
}

fn text(text: &str) -> SentBlock<'_> {
    SentBlock::Text(Cow::Borrowed(text))
}

fn blocks(content: Option<&Content>) -> Result<Vec<SentBlock<'_>>, Failure> {
    let parts = match content {
        None => return Ok(Vec::new()),
        Some(Content::Text(one)) if one.trim().is_empty() => return Ok(Vec::new()),
        Some(Content::Text(one)) => return Ok(vec![text(one)]),
        Some(Content::Parts(parts)) => parts,
    };
    let shown = parts.iter().filter(|part| !parts::is_blank(part));
    let mut blocks: Vec<SentBlock<'_>> = shown.map(part_block).collect::<Result<_, _>>()?;
    let is = |wanted: fn(&SentBlock<'_>) -> bool| blocks.iter().any(wanted);
    if is(|block| matches!(block, SentBlock::Document(_)))
        && !is(|block| matches!(block, SentBlock::Text(_)))
    {
        blocks.push(text(SEE_DOCUMENT));
    }
    Ok(blocks)
}

fn part_block(part: &Part) -> Result<SentBlock<'_>, Failure> {
    let block = match part {
        Part::Text { text: one, .. } => text(one),
        Part::ImageUrl { image_url, .. } => image(image_url)?,
        Part::File { file, .. } => {
            document(file).unwrap_or_else(|| SentBlock::Text(parts::left_out(part).into()))
        }
        Part::InputAudio { .. } | Part::Shown { .. } | Part::Thought(_) | Part::Unknown { .. } => {
            SentBlock::Text(parts::left_out(part).into())
        }
    };
    Ok(block)
}

fn image(image: &ImageUrl) -> Result<SentBlock<'_>, Failure> {
    let Some((media_type, bytes)) = body::data_url(&image.url) else {
        return Err(match body::is_web_address(&image.url) {
            true => unsupported("this provider takes images as data: URLs only, not by address"),
            false => body::bad_image(),
        });
    };
    let format = image_format(media_type)
        .ok_or_else(|| unsupported("this provider takes png, jpeg, gif and webp images only"))?;
    Ok(SentBlock::Image(SentImage { format, source: BinarySource { bytes } }))
}

fn image_format(media_type: &str) -> Option<&'static str> {
    match media_type.to_ascii_lowercase().as_str() {
        "image/png" => Some("png"),
        "image/jpeg" | "image/jpg" => Some("jpeg"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

/// PDFs, texts and images; `None` for all other files.
fn document(file: &File) -> Option<SentBlock<'_>> {
    let media = parts::media(file)?;
    let source = BinarySource { bytes: media.data };
    if let Some(format) = image_format(media.kind) {
        return Some(SentBlock::Image(SentImage { format, source }));
    }
    let format = match media.kind {
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/markdown" => "md",
        _ => {
            media.text().filter(|text| !text.trim().is_empty())?;
            "txt"
        }
    };
    let name = document_name(file.filename.as_deref().unwrap_or_default());
    Some(SentBlock::Document(SentDocument { format, name, source }))
}

/// A name as Converse takes it: of letters, digits, single spaces, hyphens, brackets, parentheses.
fn document_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
    let words = name.split(|c: char| !fits(c)).filter(|word| !word.is_empty());
    let name: String = words.collect::<Vec<_>>().join(" ").chars().take(200).collect();
    if name.is_empty() { "document".to_owned() } else { name }
}

/// The thoughts that this very model left in a message, with the signatures that it checks; and for
/// Claude those that name no maker.
fn thoughts<'a>(message: &'a Message, call: &Call<'_>, guesses: bool) -> Vec<SentBlock<'a>> {
    let own = body::own_data(message, call);
    let blocks = own.and_then(|own| own.get(KEPT_BLOCKS)).and_then(Value::as_array);
    let guesses = guesses && super::is_claude(call);
    let guessed = if guesses { returned::signed(message) } else { Vec::new() };
    let guessed = guessed.into_iter().map(|thought| match thought {
        SignedThought::Told { text, signature } => SentThought::ReasoningText { text, signature },
        SignedThought::Redacted(data) => SentThought::RedactedContent(data),
    });
    let own = blocks.into_iter().flatten().filter_map(thought);
    own.chain(guessed.map(SentBlock::ReasoningContent)).collect()
}

fn thought(block: &Value) -> Option<SentBlock<'_>> {
    let told = |name: &str| block.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    let thought = match (told("signature"), told("data")) {
        (Some(signature), _) => {
            SentThought::ReasoningText { text: told("text").unwrap_or_default(), signature }
        }
        (None, Some(data)) => SentThought::RedactedContent(data),
        (None, None) => return None,
    };
    Some(SentBlock::ReasoningContent(thought))
}

/// The assistant cannot show anything but text.
fn said_by_assistant<'a>(
    message: &'a Message,
    thoughts: Vec<SentBlock<'a>>,
    asked: Vec<CallAsked<'a>>,
) -> Vec<SentBlock<'a>> {
    let count = thoughts.len();
    let mut said = thoughts;
    match &message.content {
        Some(Content::Text(one)) if !one.trim().is_empty() => said.push(text(one)),
        Some(Content::Parts(parts)) => {
            said.extend(parts::said(parts).map(|part| match part {
                Part::Text { text: one, .. } => text(one),
                other => SentBlock::Text(parts::left_out(other).into()),
            }));
        }
        _ => {}
    }
    said.extend(asked.into_iter().map(|CallAsked { call, id }| {
        let name = function_name(&call.function.name, false);
        SentBlock::ToolUse(SentCall { tool_use_id: id, name, input: body::arguments(call) })
    }));
    // Thoughts alone are no turn.
    if said.len() > count { said } else { Vec::new() }
}

fn tool_result<'a>(
    asked: CallAsked<'a>,
    result: Option<&'a Message>,
) -> Result<SentBlock<'a>, Failure> {
    let content = match result {
        Some(message) => blocks(message.content.as_ref())?,
        None => vec![text(NO_RESULT)],
    };
    let status = result.is_none().then_some("error");
    Ok(SentBlock::ToolResult(SentResult { tool_use_id: asked.id, content, status }))
}

fn unsupported(what: &str) -> Failure {
    Failure::new(Fault::UnsupportedParam, what)
}
