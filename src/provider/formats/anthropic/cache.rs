//! Where the provider is told to cache the prompt.
//!
//! At most four places may be marked; the last ones save most, so the first of too many are left
//! out. A caller who marks none may have the tools and the instructions marked for it, the parts
//! of a prompt that stay the same.

use serde::Serialize;

use super::JSON_ONLY;
use crate::protocol::chat::ResponseFormat;
use crate::protocol::content::{CacheControl, Content, Part};
use crate::provider::{Call, body};

/// Most places that this API takes.
const MOST: usize = 4;

/// A mark that the prompt is cached up to here.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Cache<'a> {
    Given(&'a CacheControl),
    Usual {
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

/// Which of the caller's marks are sent. They are asked for in the order of the prompt: tools,
/// instructions, turns.
pub(super) struct Breakpoints {
    /// How many of the next marks are too many.
    spare: usize,
    /// Whether tools and instructions are marked, since the caller has marked nothing.
    pub(super) automatic: bool,
}

/// The instructions: one text, or several where marks stand between them.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum SystemPrompt<'a> {
    Plain(String),
    Marked(Vec<SystemBlock<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum SystemBlock<'a> {
    Text {
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Cache<'a>>,
    },
}

impl<'a> Cache<'a> {
    pub(super) const USUAL: Cache<'a> = Cache::Usual { kind: "ephemeral" };
}

impl Breakpoints {
    /// Looks through a call for marks.
    pub(super) fn of_call(call: &Call<'_>) -> Breakpoints {
        let request = call.request;
        let tools = request.tools.iter().filter(|tool| tool.cache_control.is_some()).count();
        let parts = request.messages.iter().flat_map(|message| match &message.content {
            Some(Content::Parts(parts)) => parts.as_slice(),
            _ => &[],
        });
        let marks = tools + parts.filter(|part| part.cache_control().is_some()).count();
        let automatic = marks == 0 && call.model.provider.caches_prompts;
        Breakpoints { spare: marks.saturating_sub(MOST), automatic }
    }

    /// The mark that is sent for one of the caller's.
    pub(super) fn of<'a>(&mut self, given: Option<&'a CacheControl>) -> Option<Cache<'a>> {
        let given = given?;
        if self.spare > 0 {
            self.spare -= 1;
            return None;
        }
        Some(Cache::Given(given))
    }
}

/// All instructions of a call; `None` if there are none.
pub(super) fn system<'a>(call: &Call<'a>, caches: &mut Breakpoints) -> Option<SystemPrompt<'a>> {
    let json = matches!(call.request.response_format, Some(ResponseFormat::JsonObject {}));
    let last = json.then_some(JSON_ONLY);
    let mut blocks: Vec<SystemBlock<'a>> = Vec::new();
    let mut open = String::new();
    let mut add = |text: &str, cache: Option<Cache<'a>>| {
        body::join(&mut open, text);
        if cache.is_some() && !open.trim().is_empty() {
            let text = std::mem::take(&mut open);
            blocks.push(SystemBlock::Text { text, cache_control: cache });
        }
    };
    let own = call.model;
    add(own.system_prefix.as_deref().unwrap_or_default(), None);
    let instructions = call.request.messages.iter().filter(|message| body::instructs(message));
    for content in instructions.filter_map(|message| message.content.as_ref()) {
        match content {
            Content::Text(text) => add(text, None),
            Content::Parts(parts) => parts.iter().for_each(|part| {
                let cache = caches.of(part.cache_control());
                if let Part::Text { text, .. } = part {
                    add(text, cache);
                }
            }),
        }
    }
    add(own.system_suffix.as_deref().unwrap_or_default(), None);
    add(last.unwrap_or_default(), None);
    let rest = Some(open).filter(|rest| !rest.trim().is_empty());
    if blocks.is_empty() && !caches.automatic {
        return rest.map(SystemPrompt::Plain);
    }
    blocks.extend(rest.map(|text| SystemBlock::Text { text, cache_control: None }));
    if let Some(SystemBlock::Text { cache_control, .. }) = blocks.last_mut()
        && caches.automatic
    {
        *cache_control = Some(Cache::USUAL);
    }
    (!blocks.is_empty()).then_some(SystemPrompt::Marked(blocks))
}
