//! The tool calls of an answer, put together from pieces that servers number and name as they like.
//!
//! Some number all their calls 0, some give no numbers, some a new id to every piece, some begin
//! with `{}`, and some say everything once more at the end. What holds for all of them: a call's
//! arguments are one JSON object. So a name opens a new call once the arguments of the last one are
//! whole, and arguments that begin again after a whole object replace it.

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
    Open { depth: usize, text: JsonPosition },
    /// As many closed as opened.
    Whole,
}

/// Where in a JSON text a character stands.
#[derive(Clone, Copy)]
enum JsonPosition {
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
            Shape::Blank => (0, JsonPosition::Outside),
            Shape::Open { depth, text } => (depth, text),
        };
        let (depth, text) = match (text, byte) {
            (JsonPosition::Escaped, _) => (depth, JsonPosition::Within),
            (JsonPosition::Within, b'\\') => (depth, JsonPosition::Escaped),
            (JsonPosition::Within, b'"') => (depth, JsonPosition::Outside),
            (JsonPosition::Within, _) => (depth, JsonPosition::Within),
            (JsonPosition::Outside, b'"') => (depth, JsonPosition::Within),
            (JsonPosition::Outside, b'{' | b'[') => (depth + 1, JsonPosition::Outside),
            (JsonPosition::Outside, b'}' | b']') if depth <= 1 => return Shape::Whole,
            (JsonPosition::Outside, b'}' | b']') => (depth - 1, JsonPosition::Outside),
            (JsonPosition::Outside, _) => (depth, JsonPosition::Outside),
        };
        Shape::Open { depth, text }
    }
}

/// Which of the calls so far a piece belongs to; `None` for a new one.
pub(super) fn owner<'a>(
    calls: &'a mut [PartialCall],
    piece: &Fragment<'_>,
) -> Option<&'a mut PartialCall> {
    match piece.key {
        Some(key) => {
            let own = calls.iter_mut().rfind(|call| call.key == Some(key))?;
            (!own.is_ended_by(piece)).then_some(own)
        }
        None if !piece.id.is_empty() && calls.iter().any(|call| call.id == piece.id) => {
            let own = calls.iter_mut().rfind(|call| call.id == piece.id)?;
            (!own.is_ended_by(piece)).then_some(own)
        }
        None => calls.last_mut().filter(|last| !last.is_ended_by(piece)),
    }
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

    /// Whether a piece brings whole arguments that are not these, which are more than the `{}` that
    /// some servers begin with.
    fn is_contradicted_by(&self, piece: &Fragment<'_>) -> bool {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
        let own = parsed(self.whole.as_deref().unwrap_or(&self.arguments));
        let other = parsed(piece.whole.as_deref().unwrap_or(piece.arguments));
        let is_nothing = |value: &Value| value.as_object().is_some_and(|it| it.is_empty());
        own.zip(other).is_some_and(|(own, other)| own != other && !is_nothing(&own))
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
        self.whole = piece.whole.or(self.whole.take());
        self.extra = piece.extra.or(self.extra.take());
    }

    /// The call, with an id made up when the provider sent none.
    pub(super) fn into_tool_call(self) -> ToolCall {
        let arguments = match (self.arguments.trim().is_empty(), self.whole) {
            (false, _) => self.arguments,
            (true, whole) => whole.unwrap_or_else(|| "{}".to_owned()),
        };
        ToolCall {
            id: if self.id.is_empty() { made_up_id() } else { self.id },
            kind: FunctionKind::Function,
            function: FunctionCall { name: self.name, arguments },
            extra_content: self.extra,
        }
    }
}

/// An id for a call that came without one.
pub(super) fn made_up_id() -> String {
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
    format!("call_{random}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gathered(pieces: Vec<Fragment<'_>>) -> Vec<(String, String)> {
        let mut calls = Vec::new();
        for piece in pieces {
            if let Some(call) = owner(&mut calls, &piece) {
                call.add(piece);
                continue;
            }
            let mut call = PartialCall::new(piece.key);
            call.add(piece);
            calls.push(call);
        }
        let all = calls.into_iter().map(PartialCall::into_tool_call);
        all.map(|call| (call.function.name, call.function.arguments)).collect()
    }

    fn piece<'a>(key: Option<u64>, id: &'a str, name: &'a str, arguments: &'a str) -> Fragment<'a> {
        Fragment { key, id, name, arguments, ..Fragment::default() }
    }

    fn calls(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, arguments)| (name.to_string(), arguments.to_string())).collect()
    }

    #[test]
    fn ids_that_change_with_every_piece_are_one_call() {
        let pieces = vec![
            piece(Some(0), "a1", "f", ""),
            piece(Some(0), "b2", "", "{\"x\":"),
            piece(Some(0), "c3", "", "1}"),
        ];
        assert_eq!(gathered(pieces), calls(&[("f", "{\"x\":1}")]));
    }

    #[test]
    fn calls_that_all_have_the_same_number_are_told_by_id_and_name() {
        let pieces = vec![
            piece(Some(0), "a", "f", "{\"x\":1}"),
            piece(Some(0), "b", "f", "{\"x\":"),
            piece(Some(0), "b", "", "2}"),
            piece(Some(0), "c", "g", ""),
        ];
        let all = [("f", "{\"x\":1}"), ("f", "{\"x\":2}"), ("g", "{}")];
        assert_eq!(gathered(pieces), calls(&all));
    }

    #[test]
    fn calls_without_numbers_are_told_by_their_names() {
        let pieces = vec![
            piece(None, "a", "f", "{\"x\":"),
            piece(None, "", "", "1}"),
            piece(None, "b", "f", "{\"x\":"),
            piece(None, "", "", "2}"),
            piece(None, "", "f", "{\"x\":3}"),
            piece(None, "", "g", "{}"),
        ];
        let all = [("f", "{\"x\":1}"), ("f", "{\"x\":2}"), ("f", "{\"x\":3}"), ("g", "{}")];
        assert_eq!(gathered(pieces), calls(&all));
    }

    #[test]
    fn a_name_that_every_piece_repeats_is_one_call() {
        let pieces = vec![
            piece(None, "a", "f", "{\"x\":"),
            piece(None, "a", "f", "\"}\","),
            piece(None, "a", "f", "\"y\":{}}"),
        ];
        assert_eq!(gathered(pieces), calls(&[("f", "{\"x\":\"}\",\"y\":{}}")]));
    }

    #[test]
    fn arguments_that_begin_again_are_not_doubled() {
        for before in ["{}", "{\"x\":1}", " {\"x\": {\"y\": [1]}} "] {
            let pieces = vec![
                piece(Some(0), "a", "f", before),
                piece(Some(0), "", "", "{\"x\""),
                piece(Some(0), "", "", ":1}"),
            ];
            assert_eq!(gathered(pieces), calls(&[("f", "{\"x\":1}")]), "{before}");
        }
        let blank_behind = vec![piece(Some(0), "a", "f", "{}"), piece(Some(0), "", "", "\n")];
        assert_eq!(gathered(blank_behind), calls(&[("f", "{}\n")]));
    }

    #[test]
    fn made_up_ids_differ() {
        let id = || PartialCall::default().into_tool_call().id;
        assert!(id().starts_with("call_") && id() != id());
    }

    proptest! {
        /// However their texts are split, and however the pieces of numbered calls are mixed, each
        /// call comes out with its own arguments.
        #[test]
        fn any_splitting_and_mixing_gives_the_calls_back(
            texts in prop::collection::vec("[a-z{}\\[\\]\"\\\\]{0,12}", 1..5),
            cuts in prop::collection::vec(0_usize..6, 64),
            order in prop::collection::vec(any::<prop::sample::Index>(), 64),
            numbered in any::<bool>(),
        ) {
            let arguments: Vec<String> =
                texts.iter().map(|text| serde_json::json!({ "x": text }).to_string()).collect();
            let ids: Vec<String> = (0..texts.len()).map(|at| format!("id{at}")).collect();
            let mut cuts = cuts.into_iter().cycle();
            let mut queues: Vec<std::collections::VecDeque<Fragment<'_>>> = Vec::new();
            for (at, whole) in arguments.iter().enumerate() {
                let key = numbered.then_some(at as u64);
                let mut queue = std::collections::VecDeque::from([piece(key, &ids[at], "f", "")]);
                let mut rest = whole.as_str();
                while !rest.is_empty() {
                    let (head, tail) = rest.split_at((cuts.next().unwrap() + 1).min(rest.len()));
                    queue.push_back(piece(key, "", "", head));
                    rest = tail;
                }
                queues.push(queue);
            }
            let mut pieces = Vec::new();
            let mut order = order.into_iter().cycle();
            // Calls begin in their own order; without numbers they also end before the next begins.
            if numbered {
                pieces.extend(queues.iter_mut().filter_map(|queue| queue.pop_front()));
                while queues.iter().any(|queue| !queue.is_empty()) {
                    let left: Vec<usize> =
                        (0..queues.len()).filter(|at| !queues[*at].is_empty()).collect();
                    let at = *order.next().unwrap().get(&left);
                    pieces.extend(queues[at].pop_front());
                }
            } else {
                pieces.extend(queues.into_iter().flatten());
            }
            let wanted: Vec<_> = arguments.iter().map(|text| ("f".to_owned(), text.clone())).collect();
            prop_assert_eq!(gathered(pieces), wanted);
        }
    }

    #[test]
    fn calls_under_one_number_without_ids_stay_apart() {
        let piece =
            |name, arguments| Fragment { key: Some(0), name, arguments, ..Fragment::default() };
        let oslo = "{\"city\":\"Oslo\"}";
        let rome = "{\"city\":\"Rome\"}";
        let names = gathered(vec![piece("weather", oslo), piece("time", rome)]);
        assert_eq!(names.len(), 2);
        let cities = gathered(vec![piece("weather", oslo), piece("weather", rome)]);
        assert_eq!(cities.len(), 2);
        let repeated = gathered(vec![piece("weather", oslo), piece("weather", oslo)]);
        assert_eq!(repeated.len(), 1);
        let begun = gathered(vec![piece("weather", "{}"), piece("weather", rome)]);
        assert_eq!(begun, [("weather".to_owned(), rome.to_owned())]);
    }
}
