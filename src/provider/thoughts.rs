//! What a model tells of its thoughts, and what its provider wants back of them, put together from
//! the pieces of a stream.
//!
//! The text is for people; the rest is opaque and goes back as it came. Bounds are kept by whoever
//! gathers the answer.

use serde_json::{Map, Value};

/// Texts that come piece by piece; anything else comes whole.
const GROWING: [&str; 5] = ["text", "summary", "thinking", "data", "signature"];

/// The thoughts so far.
#[derive(Default)]
pub(super) struct Thoughts {
    text: String,
    blocks: Vec<ThoughtBlock>,
    kept: Map<String, Value>,
}

/// A block of thoughts under its provider's number, if it has one.
struct ThoughtBlock {
    key: Option<u64>,
    fields: Map<String, Value>,
}

impl Thoughts {
    /// More of the text.
    pub(super) fn say(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether any block has begun.
    pub(super) fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// A block that stands for itself.
    pub(super) fn begin(&mut self, key: Option<u64>, fields: Map<String, Value>) {
        self.blocks.push(ThoughtBlock { key, fields });
    }

    /// A piece of a block: of the newest with this number, or without a number of the last one, if
    /// it is of the same type and name. Otherwise it begins one.
    pub(super) fn grow(&mut self, key: Option<u64>, piece: Map<String, Value>) {
        let newest = self.blocks.iter_mut().rev();
        let mut own = newest.take(if key.is_none() { 1 } else { usize::MAX });
        match own.find(|block| block.key == key && block.continues(&piece)) {
            Some(block) => block.add(piece),
            None => self.begin(key, piece),
        }
    }

    /// Something else that goes back; the last of a name counts.
    pub(super) fn keep(&mut self, name: &str, value: Value) {
        self.kept.insert(name.to_owned(), value);
    }

    /// The same for something of one tool call.
    pub(super) fn keep_of_call(&mut self, name: &str, id: &str, value: Value) {
        let calls = self.kept.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(calls) = calls {
            calls.insert(id.to_owned(), value);
        }
    }

    /// The text, and what goes back: the blocks in a list of this name, and the rest beside it.
    /// `None` where nothing was told.
    pub(super) fn into_parts(mut self, list: &str) -> ShownThoughts {
        if !self.blocks.is_empty() {
            let blocks = self.blocks.into_iter().map(|block| Value::Object(block.fields));
            self.kept.insert(list.to_owned(), blocks.collect());
        }
        let has_any = !self.text.is_empty() || !self.kept.is_empty();
        ShownThoughts {
            text: (!self.text.is_empty()).then_some(self.text),
            kept: has_any.then_some(self.kept),
        }
    }
}

/// What a whole answer tells of thoughts.
pub(super) struct ShownThoughts {
    pub(super) text: Option<String>,
    pub(super) kept: Option<Map<String, Value>>,
}

impl ThoughtBlock {
    fn continues(&self, piece: &Map<String, Value>) -> bool {
        let agrees = |name: &str| match (self.fields.get(name), piece.get(name)) {
            (Some(one), Some(other)) => one.is_null() || other.is_null() || one == other,
            _ => true,
        };
        agrees("type") && agrees("id")
    }

    fn add(&mut self, piece: Map<String, Value>) {
        for (name, value) in piece {
            match (self.fields.get_mut(&name), value) {
                (Some(_), Value::Null) => {}
                (Some(Value::String(old)), Value::String(more)) if GROWING.contains(&&*name) => {
                    // Some tell a signature with every piece.
                    if name != "signature" || *old != more {
                        old.push_str(&more);
                    }
                }
                (_, value) => {
                    self.fields.insert(name, value);
                }
            }
        }
    }
}

/// About how much memory a piece takes.
pub(super) fn size(fields: &Map<String, Value>) -> usize {
    let values = fields.iter().map(|(name, value)| match value {
        Value::String(text) => name.len() + text.len(),
        other => name.len() + other.to_string().len(),
    });
    32 + values.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put_together(pieces: Value) -> Value {
        let mut thoughts = Thoughts::default();
        for piece in pieces.as_array().unwrap() {
            let piece = piece.as_object().unwrap().clone();
            thoughts.grow(piece.get("index").and_then(Value::as_u64), piece);
        }
        thoughts.into_parts("l").kept.unwrap().remove("l").unwrap()
    }

    #[test]
    fn fragments_are_put_together_by_their_number() {
        let pieces = json!([
            {"type": "reasoning.text", "text": "I ", "index": 0, "signature": null},
            {"type": "reasoning.encrypted", "data": "ab", "index": 1, "id": "r1"},
            {"type": "reasoning.text", "text": "see", "index": 0},
            {"type": "reasoning.encrypted", "data": "cd", "index": 1, "id": null},
            {"type": "reasoning.text", "text": "", "index": 0, "signature": "sig"},
            {"type": "reasoning.encrypted", "data": "x", "index": 1, "id": "r2"}]);
        assert_eq!(
            put_together(pieces),
            json!([
                {"type": "reasoning.text", "text": "I see", "index": 0, "signature": "sig"},
                {"type": "reasoning.encrypted", "data": "abcd", "index": 1, "id": "r1"},
                {"type": "reasoning.encrypted", "data": "x", "index": 1, "id": "r2"}])
        );
    }

    #[test]
    fn fragments_without_a_number_belong_to_the_last_one_of_their_type() {
        let pieces = json!([
            {"type": "a", "text": "1"}, {"type": "a", "text": "2"}, {"type": "b", "text": "3"},
            {"type": "a", "text": "4"}]);
        let whole = json!([{"type": "a", "text": "12"}, {"type": "b", "text": "3"},
            {"type": "a", "text": "4"}]);
        assert_eq!(put_together(pieces), whole);
    }
}
