//! The turns of a conversation in Anthropic's form.
//!
//! Every call has its result in the very next turn, and a thinking model's own blocks stand first in
//! the turn they belong to. What the target does not take is replaced by a sentence or left out,
//! never by a mistake.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::cache::{Breakpoints, Cache};
use crate::protocol::chat::{Message, Role};
use crate::protocol::content::{Content, File, ImageUrl, Part};
use crate::provider::body;
use crate::provider::history::{CallAsked, Ids, NO_RESULT, function_name};
use crate::provider::pieces::KEPT_BLOCKS;
use crate::provider::returned::{self, SignedThought};
use crate::provider::turns::{self, BlockMaker, SpokenTurn};
use crate::provider::{Call, Failure, parts};

/// Images that this API takes.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// What one speaker says at a time.
pub(super) type MessageTurn<'a> = SpokenTurn<TurnBlock<'a>>;

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum TurnBlock<'a> {
    /// A block of the target's own, unchanged.
    Own(&'a Value),
    Made(MadeBlock<'a>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum MadeBlock<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Cache<'a>>,
    },
    Image {
        source: MediaSource<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Cache<'a>>,
    },
    Document {
        source: MediaSource<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Cache<'a>>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<TurnBlock<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum MediaSource<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
    Text { media_type: &'static str, data: String },
}

/// All turns of a call's conversation.
pub(super) fn turns<'a>(
    call: &Call<'a>,
    guesses: bool,
    caches: &mut Breakpoints,
) -> Result<Vec<MessageTurn<'a>>, Failure> {
    parts::check(call.request, |_, _| false)?;
    let mut turns = turns::turns(call, Ids::Plain, Blocks { call, guesses, caches })?;
    end_without_blanks(&mut turns);
    Ok(turns)
}

/// Puts what is said into blocks of this API.
struct Blocks<'c, 'a> {
    call: &'c Call<'a>,
    /// Whether thoughts go back whose maker can only be guessed.
    guesses: bool,
    caches: &'c mut Breakpoints,
}

impl<'a> BlockMaker<'a> for Blocks<'_, 'a> {
    type Block = TurnBlock<'a>;

    fn words(words: &'static str) -> TurnBlock<'a> {
        text(words)
    }

    fn shown(&mut self, content: Option<&'a Content>) -> Result<Vec<TurnBlock<'a>>, Failure> {
        blocks(content, self.caches)
    }

    fn assistant(
        &mut self,
        message: &'a Message,
        asked: Vec<CallAsked<'a>>,
        is_last: bool,
    ) -> Result<Vec<TurnBlock<'a>>, Failure> {
        let thoughts = match () {
            // An answer that is to be continued cannot begin with thoughts.
            () if is_last => Vec::new(),
            () => thoughts(message, self.call, self.guesses),
        };
        Ok(said_by_assistant(message, thoughts, asked, self.caches))
    }

    fn result(
        &mut self,
        asked: CallAsked<'a>,
        result: Option<&'a Message>,
    ) -> Result<Vec<TurnBlock<'a>>, Failure> {
        Ok(vec![tool_result(asked, result, self.caches)?])
    }
}

/// Whether a target that must think finds no thoughts of its own where it wants them: first in the
/// newest turn of the assistant, before the calls. It refuses such a request.
pub(super) fn lack_thoughts(turns: &[MessageTurn<'_>]) -> bool {
    let Some(newest) = turns.iter().rfind(|turn| turn.role == Role::Assistant) else {
        return false;
    };
    let begins = matches!(
        newest.content.first(),
        Some(
            TurnBlock::Own(_)
                | TurnBlock::Made(MadeBlock::Thinking { .. } | MadeBlock::RedactedThinking { .. })
        )
    );
    let is_last = turns.last().is_some_and(|turn| turn.role == Role::Assistant);
    !begins && (is_last || newest.content.iter().any(is_call))
}

fn is_call(block: &TurnBlock<'_>) -> bool {
    matches!(block, TurnBlock::Made(MadeBlock::ToolUse { .. }))
}

/// What is to be continued does not end in blanks.
fn end_without_blanks(turns: &mut [MessageTurn<'_>]) {
    let last = turns.last_mut().filter(|turn| turn.role == Role::Assistant);
    if let Some(TurnBlock::Made(MadeBlock::Text { text, .. })) =
        last.and_then(|turn| turn.content.last_mut())
    {
        let length = text.trim_end().len();
        match text {
            Cow::Borrowed(text) => *text = &text[..length],
            Cow::Owned(text) => text.truncate(length),
        }
    }
}

fn text(text: &str) -> TurnBlock<'_> {
    TurnBlock::Made(MadeBlock::Text { text: Cow::Borrowed(text), cache_control: None })
}

fn blocks<'a>(
    content: Option<&'a Content>,
    caches: &mut Breakpoints,
) -> Result<Vec<TurnBlock<'a>>, Failure> {
    match content {
        None => Ok(Vec::new()),
        // Text blocks of blanks alone are refused.
        Some(Content::Text(one)) if one.trim().is_empty() => Ok(Vec::new()),
        Some(Content::Text(one)) => Ok(vec![text(one)]),
        Some(Content::Parts(parts)) => {
            let parts = parts.iter().filter(|part| !parts::is_blank(part));
            parts.map(|part| part_block(part, caches)).collect()
        }
    }
}

fn part_block<'a>(part: &'a Part, caches: &mut Breakpoints) -> Result<TurnBlock<'a>, Failure> {
    let cache_control = caches.of(part.cache_control());
    let made = match part {
        Part::Text { text, .. } => MadeBlock::Text { text: Cow::Borrowed(text), cache_control },
        Part::ImageUrl { image_url, .. } => {
            MadeBlock::Image { source: image(image_url)?, cache_control }
        }
        Part::File { file, .. } => match self::file(file, cache_control) {
            Some(block) => block,
            None => MadeBlock::Text { text: parts::left_out(part).into(), cache_control },
        },
        Part::InputAudio { .. } | Part::Shown { .. } | Part::Thought(_) | Part::Unknown { .. } => {
            MadeBlock::Text { text: parts::left_out(part).into(), cache_control }
        }
    };
    Ok(TurnBlock::Made(made))
}

fn image(image: &ImageUrl) -> Result<MediaSource<'_>, Failure> {
    match body::data_url(&image.url) {
        Some((media_type, data)) => Ok(MediaSource::Base64 { media_type, data }),
        None if body::is_web_address(&image.url) => Ok(MediaSource::Url { url: &image.url }),
        None => Err(body::bad_image()),
    }
}

/// PDFs, texts and images; `None` for all other files.
fn file<'a>(file: &'a File, cache_control: Option<Cache<'a>>) -> Option<MadeBlock<'a>> {
    let title = file.filename.as_deref().filter(|name| !name.is_empty());
    let source = match parts::media(file) {
        Some(media) if IMAGES.contains(&media.kind) => {
            let source = MediaSource::Base64 { media_type: media.kind, data: media.data };
            return Some(MadeBlock::Image { source, cache_control });
        }
        Some(media) if media.kind == "application/pdf" => {
            MediaSource::Base64 { media_type: media.kind, data: media.data }
        }
        Some(media) => {
            let data = media.text().filter(|text| !text.trim().is_empty())?;
            MediaSource::Text { media_type: "text/plain", data }
        }
        None => {
            let url = file.file_data.as_deref().filter(|data| body::is_web_address(data))?;
            MediaSource::Url { url }
        }
    };
    Some(MadeBlock::Document { source, title, cache_control })
}

/// The blocks that this very model left in a message, and those that name no maker: thoughts with a
/// signature, which it checks.
fn thoughts<'a>(message: &'a Message, call: &Call<'_>, guesses: bool) -> Vec<TurnBlock<'a>> {
    let own = body::own_data(message, call);
    let own = own.and_then(|own| own.get(KEPT_BLOCKS)).and_then(Value::as_array);
    let guessed = if guesses { returned::signed(message) } else { Vec::new() };
    let guessed = guessed.into_iter().map(|thought| match thought {
        SignedThought::Told { text, signature } => {
            MadeBlock::Thinking { thinking: text, signature }
        }
        SignedThought::Redacted(data) => MadeBlock::RedactedThinking { data },
    });
    let own = own.into_iter().flatten().filter(|block| is_signed(block)).map(TurnBlock::Own);
    own.chain(guessed.map(TurnBlock::Made)).collect()
}

fn is_signed(block: &Value) -> bool {
    match block.get("type").and_then(Value::as_str) {
        Some("thinking") => has_text(block, "signature"),
        Some("redacted_thinking") => has_text(block, "data"),
        _ => false,
    }
}

fn has_text(block: &Value, name: &str) -> bool {
    block.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

/// The assistant cannot show anything but text.
fn said_by_assistant<'a>(
    message: &'a Message,
    thoughts: Vec<TurnBlock<'a>>,
    asked: Vec<CallAsked<'a>>,
    caches: &mut Breakpoints,
) -> Vec<TurnBlock<'a>> {
    let mut said = thoughts;
    let thoughts = said.len();
    match &message.content {
        Some(Content::Text(one)) if !one.trim().is_empty() => said.push(text(one)),
        Some(Content::Parts(parts)) => {
            said.extend(parts::said(parts).map(|part| {
                let text = match part {
                    Part::Text { text, .. } => Cow::Borrowed(text.as_str()),
                    other => Cow::Owned(parts::left_out(other)),
                };
                let cache_control = caches.of(part.cache_control());
                TurnBlock::Made(MadeBlock::Text { text, cache_control })
            }));
        }
        _ => {}
    }
    said.extend(asked.into_iter().map(|CallAsked { call, id }| {
        let name = function_name(&call.function.name, false);
        TurnBlock::Made(MadeBlock::ToolUse { id, name, input: body::arguments(call) })
    }));
    // Thoughts alone are no turn.
    if said.len() > thoughts { said } else { Vec::new() }
}

fn tool_result<'a>(
    asked: CallAsked<'a>,
    result: Option<&'a Message>,
    caches: &mut Breakpoints,
) -> Result<TurnBlock<'a>, Failure> {
    let content = match result {
        Some(message) => blocks(message.content.as_ref(), caches)?,
        None => vec![text(NO_RESULT)],
    };
    let is_error = result.is_none().then_some(true);
    Ok(TurnBlock::Made(MadeBlock::ToolResult { tool_use_id: asked.id, content, is_error }))
}
