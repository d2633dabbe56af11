//! The messages of a conversation as servers of OpenAI's kind take them.
//!
//! The socket speaks the same form, so most of a message is passed on as it came. What differs is
//! what servers refuse: parts and fields that they do not know, ids and names of another form, a
//! message without anything in it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Dialect;
use crate::protocol::chat::{FunctionKind, Message, Role, ToolCall};
use crate::protocol::content::{Audio, CacheControl, Content, File, ImageUrl, Part};
use crate::provider::history::{
    self, CallAsked, ChatEntry, NO_RESULT, STRAY_RESULT, function_name,
};
use crate::provider::pieces::KEPT_BLOCKS;
use crate::provider::{Call, Failure, body, parts, returned};

/// Longest name of a speaker.
const LONGEST_NAME: usize = 64;

/// Said in the place of what a tool shows.
const SHOWN_BELOW: &str = "[shown in the next message]";

/// One message as it is sent.
#[derive(Serialize)]
pub(super) struct WireMessage<'a> {
    role: Role,
    content: Option<WireContent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<&'a Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireContent<'a> {
    Given(&'a Content),
    Text(Cow<'a, str>),
    Parts(Vec<SentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum SentPart<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a CacheControl>,
    },
    ImageUrl {
        image_url: &'a ImageUrl,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a CacheControl>,
    },
    File {
        file: &'a File,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a CacheControl>,
    },
    InputAudio {
        input_audio: &'a Audio,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a CacheControl>,
    },
    /// In the words of whoever wrote it.
    #[serde(untagged)]
    Given(&'a Value),
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: FunctionKind,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Cow<'a, Value>>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: Cow<'a, str>,
    arguments: Cow<'a, str>,
}

/// All messages of a call; with `guesses` thoughts go back whose maker can only be guessed.
///
/// # Errors
/// When something is shown that this server takes in no form.
pub(super) fn messages<'a>(
    call: &Call<'a>,
    dialect: Dialect,
    guesses: bool,
) -> Result<Vec<WireMessage<'a>>, Failure> {
    parts::check(call.request, |_, _| dialect.is_tolerant())?;
    let given = &call.request.messages;
    let mut messages = Vec::with_capacity(given.len() + 1);
    // All instructions in one, if the model's configuration adds to them.
    let adds = call.model.system_prefix.is_some() || call.model.system_suffix.is_some();
    if adds {
        messages.push(plain(Role::System, body::system_text(call).into()));
    }
    let mut shown = Vec::new();
    for entry in history::entries(given, dialect.ids()) {
        if !matches!(entry, ChatEntry::Result(..)) {
            show(&mut shown, &mut messages);
        }
        match entry {
            ChatEntry::Said(message) if adds && body::instructs(message) => {}
            ChatEntry::Said(message) => messages.push(said(message, dialect)),
            ChatEntry::Assistant(message, asked) => {
                messages.extend(said_by_assistant(message, asked, call, dialect, guesses));
            }
            ChatEntry::Result(CallAsked { id, .. }, result) => {
                let content = result.and_then(|message| message.content.as_ref());
                shown.extend(content.into_iter().flat_map(|c| shown_by_tool(c, dialect)));
                let message = match result {
                    Some(message) => said(message, dialect),
                    None => plain(Role::Tool, NO_RESULT.into()),
                };
                messages.push(WireMessage { tool_call_id: Some(id), ..message });
            }
            ChatEntry::Stray(message) => messages.push(stray(message)),
        }
    }
    show(&mut shown, &mut messages);
    Ok(messages)
}

/// Only a person can show what is no text: what tools have shown follows their results.
fn show<'a>(shown: &mut Vec<SentPart<'a>>, messages: &mut Vec<WireMessage<'a>>) {
    if !shown.is_empty() {
        let content = Some(WireContent::Parts(std::mem::take(shown)));
        messages.push(WireMessage { content, ..plain(Role::User, "".into()) });
    }
}

fn shown_by_tool(content: &Content, dialect: Dialect) -> impl Iterator<Item = SentPart<'_>> {
    let parts = match content {
        Content::Parts(parts) => parts.as_slice(),
        Content::Text(_) => &[],
    };
    let shown = parts.iter().filter(|part| {
        !matches!(part, Part::Text { .. } | Part::Thought(_) | Part::Unknown { .. })
    });
    shown.filter_map(move |part| wire_part(part, Role::User, dialect))
}

fn plain(role: Role, text: Cow<'_, str>) -> WireMessage<'_> {
    WireMessage {
        role,
        content: Some(WireContent::Text(text)),
        name: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        reasoning_content: None,
        reasoning: None,
        reasoning_details: None,
    }
}

fn said(message: &Message, dialect: Dialect) -> WireMessage<'_> {
    let role = match message.role {
        Role::Developer if dialect != Dialect::Own => Role::System,
        role => role,
    };
    let nothing = WireContent::Text("".into());
    let content = message.content.as_ref().map_or(nothing, |content| wire(content, role, dialect));
    let name = message.name.as_deref().filter(|_| dialect != Dialect::Groq).and_then(speaker);
    WireMessage { content: Some(content), name, ..plain(role, "".into()) }
}

/// What came of a call that is not in the conversation, told by a person.
fn stray(message: &Message) -> WireMessage<'_> {
    let texts = message.content.iter().flat_map(Content::texts);
    let text: Vec<&str> = std::iter::once(STRAY_RESULT).chain(texts).collect();
    plain(Role::User, text.join("\n").into())
}

fn said_by_assistant<'a>(
    message: &'a Message,
    asked: Vec<CallAsked<'a>>,
    call: &Call<'_>,
    dialect: Dialect,
    guesses: bool,
) -> Option<WireMessage<'a>> {
    let is_silent = message.content.as_ref().is_none_or(|c| c.texts().all(|t| t.trim().is_empty()));
    if is_silent && asked.is_empty() && dialect == Dialect::Mistral {
        // Refused there, while others want to hear both speakers in turn.
        return None;
    }
    let common = dialect.is_tolerant();
    let has_calls = !asked.is_empty();
    let mut wire = said(message, dialect);
    if message.content.is_none() && has_calls {
        wire.content = None;
    }
    let extra = match common {
        false => Extra::Nothing,
        true if is_gemini(call) => Extra::All,
        true => Extra::Unsigned,
    };
    wire.tool_calls =
        asked.into_iter().map(|CallAsked { call, id }| wire_call(call, id, extra)).collect();
    if common {
        return_thoughts(message, call, guesses, &mut wire);
    }
    Some(wire)
}

/// Gives a model back what it thought, under the name that it was told by. Thoughts that say nothing
/// of their maker are taken for the target's own; those of another model are left out.
fn return_thoughts<'a>(
    message: &'a Message,
    call: &Call<'_>,
    guesses: bool,
    into: &mut WireMessage<'a>,
) {
    let text = message.reasoning_content.as_deref();
    match body::own_data(message, call) {
        Some(own) => match own.get(KEPT_BLOCKS).filter(|blocks| blocks.is_array()) {
            Some(details) => into.reasoning_details = Some(details),
            None if told_as(own) == Some("reasoning") => into.reasoning = text,
            None => into.reasoning_content = text.map(Cow::Borrowed),
        },
        None if guesses => match returned::details(message) {
            Some(details) => into.reasoning_details = Some(details),
            None => into.reasoning_content = returned::told(message),
        },
        None => {}
    }
    let is_bare = into.reasoning_content.is_none() && into.reasoning.is_none();
    if !into.tool_calls.is_empty() && is_bare && into.reasoning_details.is_none() {
        into.reasoning_content = stand_in(&call.model.provider.base_url).map(Cow::Borrowed);
    }
}

fn told_as(own: &Map<String, Value>) -> Option<&str> {
    own.get(super::TOLD_AS)?.as_str()
}

/// What stands for the thoughts of another model where a server refuses calls without any.
fn stand_in(base_url: &str) -> Option<&'static str> {
    let host = base_url.split('/').nth(2).unwrap_or_default();
    match host {
        _ if host.contains("deepseek") => Some(""),
        // Here an empty text counts as none.
        _ if host.contains("moonshot") || host.contains("kimi") => Some(" "),
        _ => None,
    }
}

/// The name of a speaker as OpenAI takes it.
fn speaker(name: &str) -> Option<Cow<'_, str>> {
    if name.chars().all(is_of_name) && name.len() <= LONGEST_NAME {
        return (!name.is_empty()).then_some(Cow::Borrowed(name));
    }
    let head = name.chars().take(LONGEST_NAME).map(|c| if is_of_name(c) { c } else { '_' });
    Some(Cow::Owned(head.collect()))
}

fn is_of_name(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '<' | '|' | '\\' | '/' | '>')
}

fn wire(content: &Content, role: Role, dialect: Dialect) -> WireContent<'_> {
    let Content::Parts(parts) = content else { return WireContent::Given(content) };
    if !parts.is_empty() && parts.iter().all(|part| is_sent_as_given(part, role)) {
        return WireContent::Given(content);
    }
    let sent: Vec<_> = parts.iter().filter_map(|part| wire_part(part, role, dialect)).collect();
    match sent.is_empty() {
        true => WireContent::Text("".into()),
        false => WireContent::Parts(sent),
    }
}

fn is_sent_as_given(part: &Part, role: Role) -> bool {
    match part {
        Part::Text { .. } => part.cache_control().is_none(),
        Part::ImageUrl { .. } => part.cache_control().is_none() && role == Role::User,
        _ => false,
    }
}

/// A part as this server takes it; `None` for one that has no place here.
fn wire_part(part: &Part, role: Role, dialect: Dialect) -> Option<SentPart<'_>> {
    let cache_control = part.cache_control().filter(|_| dialect.knows_cache_control());
    Some(match part {
        Part::Text { text, .. } => SentPart::Text { text: text.into(), cache_control },
        // Mistral's models tell their thoughts in lists, and want them back so.
        Part::Thought(thought) => {
            let is_own = dialect == Dialect::Mistral && thought["thinking"].is_array();
            return is_own.then_some(SentPart::Given(thought));
        }
        Part::Unknown { .. } if role == Role::Assistant => return None,
        Part::Unknown { .. } => in_words(parts::left_out(part).into(), cache_control),
        _ if role == Role::Tool => in_words(SHOWN_BELOW.into(), cache_control),
        part if role != Role::User => in_words(parts::left_out(part).into(), cache_control),
        Part::ImageUrl { image_url, .. } => SentPart::ImageUrl { image_url, cache_control },
        Part::File { file, .. } if dialect.takes_files() => SentPart::File { file, cache_control },
        Part::InputAudio { input_audio, .. } if dialect.takes_files() => {
            SentPart::InputAudio { input_audio, cache_control }
        }
        Part::Shown { given, .. } if dialect.is_tolerant() => SentPart::Given(given),
        part => in_words(parts::left_out(part).into(), cache_control),
    })
}

fn in_words<'a>(text: Cow<'static, str>, cache_control: Option<&'a CacheControl>) -> SentPart<'a> {
    SentPart::Text { text, cache_control }
}

/// What of a call's additional data a server gets.
#[derive(Clone, Copy)]
enum Extra {
    Nothing,
    /// All but what Gemini wants back, which is nobody else's business.
    Unsigned,
    All,
}

impl Extra {
    fn of<'a>(self, call: &'a ToolCall) -> Option<Cow<'a, Value>> {
        let given = call.extra_content.as_ref()?;
        match (self, given.get(GOOGLE)) {
            (Extra::Nothing, _) => None,
            (Extra::All, _) | (Extra::Unsigned, None) => Some(Cow::Borrowed(given)),
            (Extra::Unsigned, Some(_)) => {
                let mut rest = given.as_object()?.clone();
                rest.shift_remove(GOOGLE);
                (!rest.is_empty()).then_some(Cow::Owned(Value::Object(rest)))
            }
        }
    }
}

/// Under which name Gemini's signature travels.
const GOOGLE: &str = "google";

/// Whether Gemini answers: at Google's own servers, or behind another one under its name.
fn is_gemini(call: &Call<'_>) -> bool {
    let host = call.model.provider.base_url.split('/').nth(2).unwrap_or_default();
    host.ends_with("googleapis.com") || call.model.model_id.contains("gemini")
}

fn wire_call<'a>(call: &'a ToolCall, id: Cow<'a, str>, extra: Extra) -> WireCall<'a> {
    // They travel as text, but servers refuse a text that is no object.
    let arguments = match body::arguments(call) {
        Cow::Borrowed(object) => Cow::Borrowed(object.get()),
        Cow::Owned(object) => Cow::Owned(object.get().to_owned()),
    };
    WireCall {
        id,
        kind: call.kind,
        function: WireFunction { name: function_name(&call.function.name, false), arguments },
        extra_content: extra.of(call),
    }
}
