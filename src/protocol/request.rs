//! Requests of all kinds, as they come off a line.
//!
//! A chat line is parsed once, straight into its type. Only when that fails, or when the line is
//! another operation, is it looked at again: to find out which operation and id it has, and to
//! name the field that is wrong. Errors are cheap for the daemon and exact for people.

mod extra;

use std::collections::HashSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::chat::ChatRequest;
use super::field;
use super::id::Id;
use super::reply::{ErrorBody, ErrorCode};
use super::schema as fields;
use super::span::{CostsLine, Span, span};
use super::surrogate;

pub use super::schema::requests;

/// What a client asks for, by who can give it.
#[derive(Debug)]
pub enum Op {
    /// An answer from a model.
    Chat(Box<ChatRequest>),
    /// Something about the connection that it comes from.
    Connection(ConnectionOp),
    /// Something about the daemon, with one reply.
    Control(ControlOp),
}

/// What only a connection can do, because it is about what it holds.
#[derive(Debug, PartialEq)]
pub enum ConnectionOp {
    /// To receive the health log's events from now on.
    Events {
        /// Which events; all when empty.
        types: Vec<EventType>,
    },
    /// To cancel an outstanding request.
    Cancel {
        /// The `id` that the request came with.
        target: Id,
    },
}

/// What the daemon answers about itself, whoever asks and however.
#[derive(Debug, PartialEq)]
pub enum ControlOp {
    /// Whether the daemon is there.
    Ping,
    /// How the models are doing.
    Health {
        /// How far back to look; the configured window when absent.
        window: Option<Duration>,
    },
    /// Which models a task would use, in which order.
    Chains,
    /// What was paid in a stretch of time.
    Costs(Span),
    /// What became of a request.
    Why {
        /// As its reply gave it.
        request_id: String,
    },
    /// To force a circuit, or to let it go.
    Breaker(BreakerOp),
    /// To read the configuration again.
    Reload,
}

/// To force a circuit, or to let it go.
#[derive(Debug, PartialEq, Eq)]
pub struct BreakerOp {
    /// Its name in the configuration.
    pub model: String,
    /// The state that it is held in.
    pub set: BreakerSet,
    /// For how long; for ever when absent.
    pub during: Option<Duration>,
}

/// What a circuit can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerSet {
    /// No call is admitted until the order ends.
    Open,
    /// Every call is admitted until the order ends.
    Closed,
    /// As the breaker itself decides.
    Auto,
}

/// The kinds of health-log events that can be asked for.
#[derive(
    Clone, Copy, Debug, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantArray, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "they are the event names of the health log")]
pub enum EventType {
    Call,
    Request,
    Breaker,
    Degraded,
    Order,
    Comparison,
    Report,
    Config,
    Start,
    Stop,
}

impl EventType {
    /// Those that can be asked for.
    pub const ALL: &[EventType] = EventType::VARIANTS;

    /// Its name in the health log.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A line that could not be understood, with its id where one was found.
#[derive(Debug)]
pub struct Mistake {
    /// The line's, to answer under; null where it has none that can be read.
    pub id: Id,
    /// What the line is answered.
    pub error: ErrorBody,
}

/// Reads one line, without its newline. Halves of characters in it are read as U+FFFD.
pub fn read(line: &[u8]) -> Result<(Id, Op), Mistake> {
    if let Some(read) = read_chat(line) {
        return read;
    }
    match surrogate::mend(line) {
        Some(mended) => read_chat(&mended).unwrap_or_else(|| read_slowly(&mended)),
        None => read_slowly(line),
    }
}

/// Reads a line as a chat request; `None` for anything else.
fn read_chat(line: &[u8]) -> Option<Result<(Id, Op), Mistake>> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let mut chat = ChatRequest::deserialize(&mut json).ok()?;
    json.end().ok().filter(|()| chat.op.as_deref().is_none_or(|op| op == "chat"))?;
    chat.bytes = line.len();
    let id = std::mem::take(&mut chat.id);
    let checked = checked(chat);
    Some(under(id, checked.map(|chat| Op::Chat(Box::new(chat)))))
}

/// What was read for the request of this id; a mistake is told under it.
fn under(id: Id, read: Result<Op, String>) -> Result<(Id, Op), Mistake> {
    match read {
        Ok(op) => Ok((id, op)),
        Err(message) => Err(Mistake { id, error: ErrorBody::new(ErrorCode::BadRequest, message) }),
    }
}

/// A chat request that makes sense as a whole.
pub(crate) fn checked(mut chat: ChatRequest) -> Result<ChatRequest, String> {
    check(&chat)?;
    match (chat.max_tokens, chat.max_completion_tokens.take()) {
        (Some(one), Some(other)) if one != other => {
            Err("`max_completion_tokens`: is another word for `max_tokens`, of another value"
                .into())
        }
        (one, other) => {
            chat.max_tokens = one.or(other);
            Ok(chat)
        }
    }
}

/// What a chat request may not combine.
fn check(chat: &ChatRequest) -> Result<(), String> {
    if chat.models.as_ref().is_some_and(Vec::is_empty) {
        return Err(
            "`models`: expected at least one model name; leave it out to use the task's chain"
                .to_owned(),
        );
    }
    let mut seen = HashSet::new();
    if chat.models.iter().flatten().any(|model| !seen.insert(model.as_str())) {
        return Err("`models`: a model stands there twice; a chain has each model once".to_owned());
    }
    if chat.model.is_some() && (chat.task.is_some() || chat.models.is_some()) {
        return Err(
            "`model`: names a task or a model by itself; leave `task` and `models` out".into()
        );
    }
    if let Some(mistake) = extra::mistake(&chat.extra) {
        return Err(mistake);
    }
    for (at, message) in chat.messages.iter().enumerate() {
        if let Some(mistake) = message.mistake() {
            return Err(format!("`messages[{at}]`: {mistake}"));
        }
    }
    Ok(())
}

/// What every line has, whatever else it has.
#[derive(Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    id: Id,
    #[serde(default)]
    op: Option<String>,
}

fn read_slowly(line: &[u8]) -> Result<(Id, Op), Mistake> {
    let text = std::str::from_utf8(line).map_err(|error| {
        let message = format!("the line is not UTF-8 (byte {})", error.valid_up_to() + 1);
        nameless(ErrorCode::InvalidJson, message)
    })?;
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let message = format!("the line is not JSON: {}", without_line(&error));
        return Err(nameless(ErrorCode::InvalidJson, message));
    }
    if !text.trim_start().starts_with('{') {
        let message = "expected a JSON object such as {\"messages\":[…]}".to_owned();
        return Err(nameless(ErrorCode::BadRequest, message));
    }
    let envelope: Envelope =
        typed(text).map_err(|message| nameless(ErrorCode::BadRequest, message))?;
    let id = envelope.id;
    let op = envelope.op.as_deref().unwrap_or("chat");
    let read = match op {
        "chat" => typed::<ChatRequest>(text).and_then(checked).map(|chat| {
            let bytes = line.len();
            Op::Chat(Box::new(ChatRequest { bytes, ..chat }))
        }),
        "ping" => typed::<Bare>(text).map(|_| Op::Control(ControlOp::Ping)),
        "chains" => typed::<Bare>(text).map(|_| Op::Control(ControlOp::Chains)),
        "reload" => typed::<Bare>(text).map(|_| Op::Control(ControlOp::Reload)),
        "health" => {
            typed(text).map(|HealthLine { window, .. }| Op::Control(ControlOp::Health { window }))
        }
        "why" => {
            typed(text).map(|WhyLine { request_id, .. }| Op::Control(ControlOp::Why { request_id }))
        }
        "costs" => {
            typed::<CostsLine>(text).and_then(span).map(|span| Op::Control(ControlOp::Costs(span)))
        }
        "breaker" => typed(text).map(|BreakerLine { model, set, during, .. }| {
            Op::Control(ControlOp::Breaker(BreakerOp { model, set, during }))
        }),
        "events" => typed(text)
            .map(|EventsLine { types, .. }| Op::Connection(ConnectionOp::Events { types })),
        "cancel" => typed(text)
            .map(|CancelLine { target, .. }| Op::Connection(ConnectionOp::Cancel { target })),
        other => {
            let message = format!(
                "there is no operation {}; there are chat, ping, health, chains, why, costs, breaker, \
                 reload, events and cancel",
                field::shown(other, 40)
            );
            return Err(Mistake { id, error: ErrorBody::new(ErrorCode::UnknownOp, message) });
        }
    };
    under(id, read)
}

/// A mistake in a line that no id was found in.
fn nameless(code: ErrorCode, message: String) -> Mistake {
    Mistake { id: Id::Null, error: ErrorBody::new(code, message) }
}

/// Reads a value; a mistake names the field it was made in.
pub(crate) fn typed<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path: String = error.path().to_string().chars().take(200).collect();
        let inner = without_line(error.inner());
        if path == "." { inner } else { format!("`{path}`: {inner}") }
    })
}

/// A message of the JSON reader; the line number says nothing where everything is one line, and
/// quoted strings, which may hold a prompt or a key, are left out.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = match text.rfind(" at line 1 column ") {
        Some(at) => format!("{} (column {})", &text[..at], error.column()),
        None => text,
    };
    NUMBERS.iter().fold(hide_strings(&text), |text, (ours, plain)| text.replace(ours, plain))
}

/// What the JSON reader calls numbers, and what people do.
const NUMBERS: [(&str, &str); 3] = [
    ("expected u32", "expected a whole number from 1 to 4294967295"),
    ("expected i64", "expected a whole number of 64 bits"),
    ("expected f64", "expected a number"),
];

/// Leaves out what stands in double quotes (values, which may be private; escapes are those of
/// `Debug`) and cuts what stands in backticks (names, which may be long).
fn hide_strings(text: &str) -> String {
    let mut shown = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        shown.push(char);
        if char == '"' {
            while let Some(hidden) = chars.next().filter(|&hidden| hidden != '"') {
                if hidden == '\\' {
                    chars.next();
                }
            }
            shown.push_str("…\"");
        } else if char == '`' {
            let name: Vec<char> = chars.by_ref().take_while(|&char| char != '`').collect();
            shown.extend(name.iter().take(60));
            shown.push('`');
        }
    }
    shown.chars().take(400).collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read only so that other fields are refused")]
pub(super) struct Bare {
    #[serde(default)]
    id: Id,
    op: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthLine {
    #[serde(default, rename = "id")]
    _id: Id,
    #[serde(rename = "op")]
    _op: String,
    #[serde(default, deserialize_with = "field::timeout")]
    #[schemars(schema_with = "fields::duration")]
    window: Option<Duration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyLine {
    #[serde(default, rename = "id")]
    _id: Id,
    #[serde(rename = "op")]
    _op: String,
    request_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerLine {
    #[serde(default, rename = "id")]
    _id: Id,
    #[serde(rename = "op")]
    _op: String,
    model: String,
    set: BreakerSet,
    #[serde(default, rename = "for", deserialize_with = "field::order_time")]
    #[schemars(schema_with = "fields::order_time")]
    during: Option<Duration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsLine {
    #[serde(default, rename = "id")]
    _id: Id,
    #[serde(rename = "op")]
    _op: String,
    #[serde(default, deserialize_with = "field::or_default")]
    #[schemars(with = "Option<Vec<EventType>>")]
    types: Vec<EventType>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelLine {
    #[serde(default, rename = "id")]
    _id: Id,
    #[serde(rename = "op")]
    _op: String,
    target: Id,
}

#[cfg(test)]
mod tests;
