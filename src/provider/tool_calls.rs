//! The tool calls of an answer, put together from pieces that servers number and name as they like.
//!
//! Some number all their calls 0, some give no numbers, some a new id to every piece, some begin
//! with `{}`, and some say everything once more at the end. What holds for all of them: a call's
//! arguments are one JSON object. So a name opens a new call once the arguments of the last one are
//! whole, and arguments that begin again after a whole object replace it.

use std::collections::HashSet;

use serde_json::Value;

use crate::protocol::chat::{FunctionCall, FunctionKind, ToolCall};

/// A piece of a tool call.
#[derive(Default)]
pub(super) struct Fragment<'a> {
    /// Which of the calls it belongs to, in the provider's numbers, if it has some.
    pub(super) key: Option<u64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// More of the arguments' text.
    pub(super) arguments: &'a str,
    /// All arguments, as JSON.
    pub(super) whole: Option<String>,
    /// To be carried back unchanged.
    pub(super) extra: Option<Value>,
    /// How many calls there were before the list that this stands in; `None` for no list.
    pub(super) list_began: Option<usize>,
}

/// A tool call whose pieces arrive one by one.
#[derive(Default)]
pub(super) struct PartialCall {
    pub(super) key: Option<u64>,
    id: String,
    pub(super) name: String,
    pub(super) arguments: String,
    shape: Shape,
    /// Arguments that came as an object; fragments win.
    whole: Option<String>,
    extra: Option<Value>,
}

/// How far the text of a JSON object has come. Looked at piece by piece, since a text that grows by
/// a character at a time must not be read from its start each time.
#[derive(Clone, Copy, Default)]
enum Shape {
    #[default]
    Blank,
    /// Within so many braces and brackets.
    Open { depth: usize, text: Position },
    /// As many closed as opened.
    Whole,
}

/// Where in a JSON text a character stands.
#[derive(Clone, Copy)]
enum Position {
    Outside,
    Within,
    Escaped,
}

impl Shape {
    fn after(self, piece: &str) -> Shape {
        piece.bytes().fold(self, Shape::after_byte)
    }

    fn after_byte(self, byte: u8) -> Shape {
        let (depth, text) = match self {
            Shape::Whole => return Shape::Whole,
            Shape::Blank if byte.is_ascii_whitespace() => return Shape::Blank,
            Shape::Blank => (0, Position::Outside),
            Shape::Open { depth, text } => (depth, text),
        };
        let (depth, text) = match (text, byte) {
            (Position::Escaped, _) => (depth, Position::Within),
            (Position::Within, b'\\') => (depth, Position::Escaped),
            (Position::Within, b'"') => (depth, Position::Outside),
            (Position::Within, _) => (depth, Position::Within),
            (Position::Outside, b'"') => (depth, Position::Within),
            (Position::Outside, b'{' | b'[') => (depth + 1, Position::Outside),
            (Position::Outside, b'}' | b']') if depth <= 1 => return Shape::Whole,
            (Position::Outside, b'}' | b']') => (depth - 1, Position::Outside),
            (Position::Outside, _) => (depth, Position::Outside),
        };
        Shape::Open { depth, text }
    }
}

/// Which of the calls so far a piece belongs to; `None` for a new one.
pub(super) fn owner<'a>(
    calls: &'a mut [PartialCall],
    piece: &Fragment<'_>,
) -> Option<&'a mut PartialCall> {
    let began = piece.list_began.unwrap_or(calls.len());
    let names_one = piece.key.is_some() || !piece.id.is_empty();
    let told = calls[..began].iter().position(|call| names_one && call.is_told_by(piece));
    let own = told.or_else(|| match piece.key {
        Some(_) => calls.iter().rposition(|call| call.key == piece.key),
        None if !piece.id.is_empty() && calls.iter().any(|call| call.id == piece.id) => {
            calls.iter().rposition(|call| call.id == piece.id)
        }
        None => calls.len().checked_sub(1),
    })?;
    let call = &mut calls[own];
    // In one list each whole call is one, though a server may give all of them the same id.
    let is_another = own >= began && call.stands_beside(piece);
    (told.is_some() || !(is_another || call.is_ended_by(piece))).then_some(call)
}

/// The calls of an answer, each with an id of its own: by it its result is known.
pub(super) fn finished(calls: Vec<PartialCall>) -> Vec<ToolCall> {
    let mut ids = HashSet::new();
    let mut all: Vec<ToolCall> = calls.into_iter().map(PartialCall::into_tool_call).collect();
    for call in &mut all {
        if !ids.insert(call.id.clone()) {
            call.id = made_up_id();
        }
    }
    all
}

impl PartialCall {
    pub(super) fn new(key: Option<u64>) -> PartialCall {
        PartialCall { key, ..PartialCall::default() }
    }

    /// Whether a piece that could be more of this call begins another one: it has a name, and this
    /// call is known to be another. Half an object is never left behind.
    fn is_ended_by(&self, piece: &Fragment<'_>) -> bool {
        let other_id = !piece.id.is_empty() && !self.id.is_empty() && self.id != piece.id;
        let is_same = !piece.id.is_empty() && self.id == piece.id;
        let other_name = !self.name.is_empty() && self.name != piece.name;
        let is_whole = matches!(self.shape, Shape::Whole) || self.whole.is_some();
        let unnumbered = piece.key.is_none();
        let is_half = matches!(self.shape, Shape::Open { .. });
        let has_names = !piece.name.is_empty() && !self.name.is_empty();
        if !has_names || is_half || (is_same && !other_name) {
            return false;
        }
        let says_more = other_name || self.is_contradicted_by(piece);
        other_id || (is_whole && says_more) || (unnumbered && (other_name || is_whole))
    }

    /// Whether a piece tells the whole call once more, under its own number and id.
    fn is_told_by(&self, piece: &Fragment<'_>) -> bool {
        let is_named = self.key == piece.key && self.id == piece.id && self.name == piece.name;
        is_named && !piece.name.is_empty() && {
            let told = piece.object();
            told.is_some() && told == self.object()
        }
    }

    /// Whether a piece is a whole call of its own beside this whole one, though both are called the
    /// same. The `{}` that some servers begin with is no call.
    fn stands_beside(&self, piece: &Fragment<'_>) -> bool {
        let is_called_so = self.id == piece.id && self.name == piece.name && !self.name.is_empty();
        is_called_so
            && self
                .object()
                .zip(piece.object())
                .is_some_and(|(own, other)| !is_nothing(&own) || is_nothing(&other))
    }

    /// The arguments, if all of them are there.
    fn object(&self) -> Option<Value> {
        object(self.whole.as_deref().unwrap_or(&self.arguments))
    }

    /// Whether a piece brings whole arguments that are not these, which are more than the `{}` that
    /// some servers begin with.
    fn is_contradicted_by(&self, piece: &Fragment<'_>) -> bool {
        let both = self.object().zip(piece.object());
        both.is_some_and(|(own, other)| own != other && !is_nothing(&own))
    }

    /// Id and name come once; servers that repeat them repeat the same.
    pub(super) fn add(&mut self, piece: Fragment<'_>) {
        if self.id.is_empty() {
            self.id.push_str(piece.id);
        }
        if self.name.is_empty() {
            self.name.push_str(piece.name);
        }
        if matches!(self.shape, Shape::Whole) && !piece.arguments.trim().is_empty() {
            self.arguments.clear();
            self.shape = Shape::Blank;
        }
        self.arguments.push_str(piece.arguments);
        self.shape = self.shape.after(piece.arguments);
        // An empty object takes nothing back.
        if self.whole.is_none() || piece.whole.as_deref().map(str::trim) != Some("{}") {
            self.whole = piece.whole.or(self.whole.take());
        }
        self.extra = piece.extra.or(self.extra.take());
    }

    /// The call, with an id made up when the provider sent none.
    pub(super) fn into_tool_call(self) -> ToolCall {
        let arguments = match (self.arguments.trim().is_empty(), self.whole) {
            (false, _) => self.arguments,
            (true, whole) => whole.unwrap_or_else(|| "{}".to_owned()),
        };
        // Some write the object as a text, and that once more as JSON.
        let inner = serde_json::from_str::<String>(&arguments).ok();
        let arguments = inner.filter(|inner| object(inner).is_some()).unwrap_or(arguments);
        ToolCall {
            id: if self.id.is_empty() { made_up_id() } else { self.id },
            kind: FunctionKind::Function,
            function: FunctionCall { name: self.name, arguments },
            extra_content: self.extra,
        }
    }
}

impl Fragment<'_> {
    /// How much memory it takes at most.
    pub(super) fn bytes(&self) -> usize {
        let whole = self.whole.as_ref().map_or(0, String::len);
        let extra = self.extra.as_ref().map_or(0, |extra| extra.to_string().len());
        self.id.len() + self.name.len() + self.arguments.len() + whole + extra
    }

    /// The arguments, if the piece has all of them.
    fn object(&self) -> Option<Value> {
        object(self.whole.as_deref().unwrap_or(self.arguments))
    }
}

/// A text that is an object, or an array, from its beginning to its end.
fn object(text: &str) -> Option<Value> {
    let begins = text.trim_start().starts_with(['{', '[']);
    begins.then(|| serde_json::from_str(text).ok())?
}

fn is_nothing(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// An id for a call that came without one.
pub(super) fn made_up_id() -> String {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
    format!("call_{random}")
}

pub(super) mod retold;

#[cfg(test)]
mod tests;
