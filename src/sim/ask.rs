//! The part of a request that all kinds share, and the answer to it.
//!
//! Each kind reads its own wire format into an [`IncomingCall`] and writes a [`SimulatedReply`]
//! back; what the answer says is decided here, once, from the request alone. The same request
//! always gets the same answer, tokens included, so that tests can compute what to expect. A token
//! is four characters here, and an image is 85 tokens.

use serde_json::{Value, json};

use super::schema;

const CHARS_PER_TOKEN: usize = 4;
const TOKENS_PER_IMAGE: u64 = 85;

/// A request, whatever format it came in.
#[derive(Default)]
pub(super) struct IncomingCall {
    pub(super) model: String,
    /// What the last message says: the text of the user or the result of a tool.
    pub(super) last: String,
    /// All text there is, in characters.
    pub(super) chars: usize,
    pub(super) images: u64,
    /// The tool that must be called.
    pub(super) tool: Option<NamedFunction>,
    /// The answer must be JSON; `Some(Null)` without a schema.
    pub(super) json: Option<Value>,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop: Vec<String>,
}

#[derive(Default)]
pub(super) struct NamedFunction {
    pub(super) name: String,
    pub(super) schema: Value,
}

/// An answer, before it is written in some format.
#[derive(Debug, PartialEq)]
pub(super) struct SimulatedReply {
    pub(super) text: String,
    /// Name and arguments of the tool to call; there is no text then.
    pub(super) tool: Option<(String, Value)>,
    pub(super) finish: FinishReason,
    pub(super) input: u64,
    pub(super) output: u64,
}

#[derive(Debug, PartialEq)]
pub(super) enum FinishReason {
    Stop,
    /// At this stop sequence.
    Sequence(String),
    Length,
    Tool,
}

impl IncomingCall {
    /// Notes one more piece of text of the last message; `new` begins a message.
    pub(super) fn hear(&mut self, text: &str, new: bool) {
        self.chars += text.chars().count();
        if new {
            self.last.clear();
        } else if !self.last.is_empty() && !text.is_empty() {
            self.last.push('\n');
        }
        self.last.push_str(text);
    }

    pub(super) fn input_tokens(&self) -> u64 {
        tokens(self.chars) + self.images * TOKENS_PER_IMAGE
    }

    /// The answer: what was said, by whom; or what `scripted` says.
    pub(super) fn reply(&self, scripted: Option<&str>) -> SimulatedReply {
        let input = self.input_tokens();
        if let (Some(tool), None) = (&self.tool, scripted) {
            let arguments = schema::smallest(&tool.schema);
            let output = tokens(arguments.to_string().len());
            let tool = Some((tool.name.clone(), arguments));
            return SimulatedReply {
                text: String::new(),
                tool,
                finish: FinishReason::Tool,
                input,
                output,
            };
        }
        let text = match (scripted, &self.json) {
            (Some(text), _) => text.to_owned(),
            (None, Some(Value::Null)) => {
                json!({ "model": self.model, "echo": self.last }).to_string()
            }
            (None, Some(schema)) => schema::smallest(schema).to_string(),
            (None, None) => format!("[{}] {}", self.model, self.last),
        };
        let (text, finish) = cut(text, &self.stop, self.max_tokens);
        let output = tokens(text.chars().count());
        SimulatedReply { text, tool: None, finish, input, output }
    }
}

fn cut(mut text: String, stop: &[String], max_tokens: Option<u64>) -> (String, FinishReason) {
    let mut finish = FinishReason::Stop;
    let found = stop
        .iter()
        .filter(|sequence| !sequence.is_empty())
        .filter_map(|sequence| text.find(sequence.as_str()).map(|at| (at, sequence)))
        .min_by_key(|(at, _)| *at);
    if let Some((at, sequence)) = found {
        finish = FinishReason::Sequence(sequence.clone());
        text.truncate(at);
    }
    let most = max_tokens
        .and_then(|most| usize::try_from(most).ok())
        .map_or(usize::MAX, |most| most.saturating_mul(CHARS_PER_TOKEN));
    if let Some((at, _)) = text.char_indices().nth(most) {
        finish = FinishReason::Length;
        text.truncate(at);
    }
    (text, finish)
}

fn tokens(chars: usize) -> u64 {
    chars.div_ceil(CHARS_PER_TOKEN).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(at: &str) -> Vec<String> {
        vec![at.to_owned()]
    }

    #[test]
    fn the_earlier_of_stop_sequence_and_token_limit_ends_the_answer() {
        let text = || "one two three".to_owned();
        assert_eq!(cut(text(), &[], None), (text(), FinishReason::Stop));
        let two = ("one ".to_owned(), FinishReason::Sequence("two".to_owned()));
        assert_eq!(cut(text(), &stops("two"), Some(2)), two);
        assert_eq!(
            cut(text(), &stops("three"), Some(1)),
            ("one ".to_owned(), FinishReason::Length)
        );
    }

    #[test]
    fn a_demanded_tool_is_called_with_the_smallest_arguments() {
        let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } },
                             "required": ["city"] });
        let tool = Some(NamedFunction { name: "weather".to_owned(), schema });
        let reply = IncomingCall { tool, ..IncomingCall::default() }.reply(None);
        assert_eq!(reply.tool, Some(("weather".to_owned(), json!({ "city": "text" }))));
        assert_eq!(reply.finish, FinishReason::Tool);
    }
}
