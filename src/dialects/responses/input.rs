//! From items to messages.
//!
//! A turn of the assistant comes as several items: thoughts, a text, calls. They become one message,
//! since other dialects want the calls of a turn together. Everything else ends the turn.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::sealed::Sealed;
use super::tools::Toolbox;
use super::{note, parts};
use crate::dialects::body::{read_at, refused};
use crate::protocol::chat::{FunctionCall, FunctionKind, Message, Role, ToolCall};
use crate::protocol::content::Content;
use crate::protocol::reply::ErrorBody;

/// A conversation, as far as it has been read.
pub(super) struct ItemReader<'a> {
    toolbox: &'a Toolbox,
    pub(super) messages: Vec<Message>,
    pub(super) dropped: Vec<String>,
    turn: AssistantTurn,
}

/// What the assistant has said since somebody else spoke.
#[derive(Default)]
struct AssistantTurn {
    said: Option<Content>,
    calls: Vec<ToolCall>,
    thoughts: Vec<String>,
    sealed: Sealed,
    /// Where an item stands that is only referred to.
    missing: Option<String>,
}

#[derive(Deserialize)]
struct ItemTag {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    role: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct SaidItem<'a> {
    role: Role,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct CalledItem {
    call_id: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    arguments: String,
}

#[derive(Deserialize)]
struct ResultItem<'a> {
    #[serde(default)]
    call_id: Option<String>,
    #[serde(borrow)]
    output: &'a RawValue,
}

#[derive(Deserialize)]
struct ThoughtItem {
    #[serde(default)]
    summary: Option<Vec<ReasoningText>>,
    #[serde(default)]
    content: Option<Vec<ReasoningText>>,
    #[serde(default)]
    encrypted_content: Option<String>,
}

#[derive(Deserialize)]
struct ReasoningText {
    text: String,
}

#[derive(Deserialize)]
struct ReferredItem {
    id: String,
}

impl<'a> ItemReader<'a> {
    /// A reader of calls of these functions.
    pub(super) fn new(toolbox: &'a Toolbox) -> ItemReader<'a> {
        let turn = AssistantTurn::default();
        ItemReader { toolbox, messages: Vec::new(), dropped: Vec::new(), turn }
    }

    /// Reads all of `input`.
    pub(super) fn read(&mut self, input: &RawValue) -> Result<(), ErrorBody> {
        if input.get().starts_with('"') {
            let text = read_at("input", input)?;
            self.messages.push(message(Role::User, Content::Text(text)));
            return Ok(());
        }
        if !input.get().starts_with('[') {
            return Err(refused("input", "expected a string or a list of items"));
        }
        let items: Vec<&RawValue> = read_at("input", input)?;
        for (at, item) in items.iter().enumerate() {
            self.item(&format!("input[{at}]"), item)?;
        }
        self.end_turn()
    }

    fn item(&mut self, place: &str, item: &RawValue) -> Result<(), ErrorBody> {
        let ItemTag { kind, role } = read_at(place, item)?;
        match (kind.as_deref(), role) {
            (Some("message"), _) | (None, Some(_)) => self.said(place, item),
            (Some("function_call"), _) => self.called(read_at(place, item)?),
            (Some("function_call_output"), _) => self.result(place, item),
            (Some("reasoning"), _) => self.thought(read_at(place, item)?),
            (Some("item_reference"), _) | (None, None) => {
                let ReferredItem { id } = read_at(place, item)?;
                self.referred(place, &id);
                Ok(())
            }
            (Some(other), _) => {
                note(&mut self.dropped, format!("input.{other}"));
                Ok(())
            }
        }
    }

    fn said(&mut self, place: &str, item: &RawValue) -> Result<(), ErrorBody> {
        let SaidItem { role, content } = read_at(place, item)?;
        let content = parts::content(&format!("{place}.content"), content, &mut self.dropped)?;
        match role {
            Role::Assistant => {
                if self.turn.said.is_some() {
                    self.end_turn()?;
                }
                self.turn.said = Some(parts::joined(content));
            }
            Role::Tool => {
                let why = "expected user, assistant, system or developer; results of tools are \
                           items of the type function_call_output";
                return Err(refused(&format!("{place}.role"), why));
            }
            Role::System | Role::Developer | Role::User => {
                self.end_turn()?;
                self.messages.push(message(role, content));
            }
        }
        Ok(())
    }

    fn called(&mut self, item: CalledItem) -> Result<(), ErrorBody> {
        let CalledItem { call_id, name, namespace, arguments } = item;
        let name = self.toolbox.offered(namespace.as_deref(), name);
        self.turn.calls.push(ToolCall {
            id: call_id,
            kind: FunctionKind::Function,
            function: FunctionCall { name, arguments },
            extra_content: None,
        });
        Ok(())
    }

    fn result(&mut self, place: &str, item: &RawValue) -> Result<(), ErrorBody> {
        let ResultItem { call_id, output } = read_at(place, item)?;
        let content = parts::content(&format!("{place}.output"), output, &mut self.dropped)?;
        self.end_turn()?;
        let tool_call_id = Some(call_id.unwrap_or_default());
        self.messages.push(Message { tool_call_id, ..message(Role::Tool, content) });
        Ok(())
    }

    fn thought(&mut self, item: ThoughtItem) -> Result<(), ErrorBody> {
        let ThoughtItem { summary, content, encrypted_content } = item;
        let texts = content.filter(|texts| !texts.is_empty()).or(summary).unwrap_or_default();
        self.turn.thoughts.extend(texts.into_iter().map(|thought| thought.text));
        if let Some(sealed) = encrypted_content.as_deref().and_then(Sealed::open) {
            self.turn.sealed.take(sealed);
        }
        Ok(())
    }

    /// An item of an earlier answer that is not sent again. Thoughts and texts beside calls may be
    /// missing; a turn of which nothing else is left may not.
    fn referred(&mut self, place: &str, id: &str) {
        note(&mut self.dropped, "input.item_reference".to_owned());
        if !id.starts_with("rs_") {
            self.turn.missing.get_or_insert_with(|| place.to_owned());
        }
    }

    /// Puts a turn together, if there is one.
    fn end_turn(&mut self) -> Result<(), ErrorBody> {
        let AssistantTurn { said, mut calls, thoughts, mut sealed, missing } =
            std::mem::take(&mut self.turn);
        if let Some(place) = missing.filter(|_| calls.is_empty()) {
            let why = "refers to an item of an earlier answer, and none is kept here; send the item \
                       itself (`store: false` makes programs do so)";
            return Err(refused(&place, why));
        }
        if said.is_none() && calls.is_empty() {
            return Ok(());
        }
        calls.iter_mut().for_each(|call| sealed.give_back(call));
        self.messages.push(Message {
            role: Role::Assistant,
            content: said,
            name: None,
            tool_calls: calls,
            tool_call_id: None,
            reasoning_content: (!thoughts.is_empty()).then(|| thoughts.join("\n\n")),
            provider_data: sealed.provider_data,
            thinking_blocks: None,
            reasoning_details: None,
        });
        Ok(())
    }
}

fn message(role: Role, content: Content) -> Message {
    Message { role, content: Some(content), ..Message::system("") }
}
