//! What a provider says a call consumed, wherever it says so and whatever it calls it.
//!
//! Servers that speak the same wire format still differ in the names of their counts, in where those
//! stand, and in whether numbers are numbers. What matters is what a count is of: so every name is
//! known in every format, and the sums are checked against the total where one is told.
//!
//! Two things are counted in two ways. Tokens read from a cache, or written into it, are a part of
//! the prompt with most providers and stand beside it with Anthropic. Thoughts are a part of the
//! answer with most and stand beside it with others. Here both are parts.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::price::{MOST_TOKENS, Nano, Usage};

type Object = Map<String, Value>;

const INPUT: [&str; 10] = [
    "prompt_tokens",
    "input_tokens",
    "promptTokenCount",
    "prompt_token_count",
    "promptTokens",
    "inputTokens",
    "inputTokenCount",
    "prompt_eval_count",
    "prompt_n",
    "tokens_evaluated",
];

const OUTPUT: [&str; 11] = [
    "completion_tokens",
    "output_tokens",
    "candidatesTokenCount",
    "candidates_token_count",
    "completionTokens",
    "outputTokens",
    "outputTokenCount",
    "generated_tokens",
    "eval_count",
    "predicted_n",
    "tokens_predicted",
];

const TOTAL: [&str; 4] = ["total_tokens", "totalTokens", "totalTokenCount", "total_token_count"];

const CACHED: [&str; 9] = [
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
    "cacheReadInputTokens",
    "cache_read_tokens",
    "cachedContentTokenCount",
    "cached_content_token_count",
    "cachedTokens",
    "cache_n",
];

const WRITTEN: [&str; 5] = [
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cache_write_input_tokens",
    "cache_write_tokens",
    "cache_creation_tokens",
];

const THOUGHT: [&str; 5] = [
    "reasoning_tokens",
    "thinking_tokens",
    "thoughtsTokenCount",
    "thoughts_token_count",
    "reasoningTokens",
];

/// Names that always count thoughts beside the answer.
const APART: [&str; 2] = ["thoughtsTokenCount", "thoughts_token_count"];

const TOOLS: [&str; 2] = ["toolUsePromptTokenCount", "tool_use_prompt_token_count"];

const COST: [&str; 5] = ["cost", "total_cost", "estimated_cost", "cost_usd", "total"];

/// Names of prompts that exclude what was read from a cache or written into it.
const FRESH: [&str; 3] = ["input_tokens", "inputTokens", "prompt_n"];

/// Where parts of the prompt are told.
const PROMPT_DETAILS: [&str; 3] =
    ["prompt_tokens_details", "input_tokens_details", "input_token_details"];

/// Where parts of the answer are told.
const ANSWER_DETAILS: [&str; 3] =
    ["completion_tokens_details", "output_tokens_details", "output_token_details"];

/// Where counts stand, in objects that hold none themselves.
const WITHIN: [&str; 3] = ["tokens", "billed_units", "usage"];

/// Where compatible servers put what was spent, the surest first; the emptiest is the top of the body.
const PLACES: [&str; 16] = [
    "/usage",
    "/usageMetadata",
    "/usage_metadata",
    "/x_groq/usage",
    "/choices/0/usage",
    "/choices/0/message/usage",
    "/choices/0/delta/usage",
    "/message/usage",
    "/response/usage",
    "/data/usage",
    "/result/usage",
    "/amazon-bedrock-invocationMetrics",
    "/token_usage",
    "/meta",
    "/timings",
    "",
];

/// Deepest nesting in which counts are looked for where no place is known.
const DEEPEST: usize = 5;

/// What the model or the caller wrote, where counts count nothing.
const SAID: [&str; 10] = [
    "content",
    "arguments",
    "args",
    "input",
    "parameters",
    "function",
    "tool_calls",
    "functionCall",
    "toolUse",
    "provider_data",
];

/// What every count's name, or its end, has in common. A body without any of them has no counts.
const MARKS: [&[u8]; 5] = [b"tokens", b"Tokens", b"TokenCount", b"_count", b"d_n"];

/// What was spent, as far as it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spent {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    /// Of what was written, what is kept for an hour.
    long: Option<u64>,
    thought: Option<u64>,
    tools: Option<u64>,
    /// What was cached or written is not in `input`.
    cache_is_beside: bool,
    /// What was thought is not in `output`.
    thoughts_are_beside: bool,
    cost: Option<Nano>,
}

/// What `raw` says was consumed. Numbers that cannot be read, or believed, are unknown, not zero.
pub(super) fn read(raw: &RawValue) -> Option<Usage> {
    Spent::read(raw)?.usage()
}

/// What a body of any format says was consumed, in a place where its format has nothing.
pub(super) fn elsewhere(body: &[u8]) -> Option<Usage> {
    has_counts(body).then_some(())?;
    let body: Value = serde_json::from_slice(body).ok()?;
    let placed = PLACES.iter().find_map(|place| Spent::of(body.pointer(place)?)?.usage());
    placed.or_else(|| within(&body, 0))
}

/// Whether any field of a JSON text may be a count. Every event of a stream is looked at, and hardly
/// one has counts.
fn has_counts(json: &[u8]) -> bool {
    memchr::memchr_iter(b':', json).any(|colon| {
        let name = json[..colon].trim_ascii_end().strip_suffix(b"\"");
        // Within a text that holds JSON the mark is escaped.
        let name = name.map(|name| name.strip_suffix(b"\\").unwrap_or(name));
        name.is_some_and(|name| MARKS.iter().any(|mark| name.ends_with(mark)))
    })
}

/// The first object within that counts both the prompt and the answer, whoever wrapped it.
fn within(value: &Value, depth: usize) -> Option<Usage> {
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => {
            let own = Spent::of_object(fields);
            if own.input.is_some() && own.output.is_some() {
                return own.usage();
            }
            let fields = fields.iter().filter(|(name, _)| !SAID.contains(&name.as_str()));
            fields.map(|(_, value)| value).collect()
        }
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().filter(|_| depth < DEEPEST).find_map(|inner| within(inner, depth + 1))
}

impl Spent {
    /// What `raw` says; `None` if it has no counts.
    pub(super) fn read(raw: &RawValue) -> Option<Spent> {
        let value: Value = serde_json::from_str(raw.get()).ok()?;
        Spent::of(&value)
    }

    /// An object is what it says, of a list the newest counts that say something, and a text may hold
    /// either.
    fn of(told: &Value) -> Option<Spent> {
        match told {
            Value::Object(told) => Some(Spent::of_object(told)),
            Value::Array(list) => {
                let all = list.iter().rev().filter_map(Value::as_object).map(Spent::of_object);
                { all }.find(|spent| spent.usage().is_some())
            }
            Value::String(text) => {
                let told: Object = serde_json::from_str(text).ok()?;
                Some(Spent::of_object(&told))
            }
            _ => None,
        }
    }

    fn of_object(told: &Object) -> Spent {
        let (input, output) = (most(told, &INPUT), most(told, &OUTPUT));
        let inner = WITHIN.iter().find_map(|name| told.get(*name)?.as_object());
        if let Some(inner) = inner.filter(|_| input.is_none() && output.is_none()) {
            let cost = cost(told);
            let within = Spent::of_object(inner);
            return Spent { cost: within.cost.or(cost), ..within };
        }
        let long = told.get("cache_creation").and_then(|written| {
            let of_an_hour = written.get("ephemeral_1h_input_tokens").and_then(count)?;
            let of_minutes = written.get("ephemeral_5m_input_tokens").and_then(count);
            Some([of_an_hour, of_minutes.unwrap_or(0)])
        });
        let written = detail(told, &PROMPT_DETAILS, &WRITTEN);
        Spent {
            input,
            output,
            total: most(told, &TOTAL),
            cached: detail(told, &PROMPT_DETAILS, &CACHED),
            written: written.max(long.map(|[hour, minutes]| hour.saturating_add(minutes))),
            long: long.map(|[hour, _]| hour),
            thought: detail(told, &ANSWER_DETAILS, &THOUGHT),
            tools: most(told, &TOOLS),
            // Details are always of the sum that they stand in.
            cache_is_beside: most(told, &FRESH).is_some()
                && !told.contains_key("prompt_tokens")
                && !PROMPT_DETAILS.iter().any(|name| told.get(*name).is_some_and(Value::is_object)),
            thoughts_are_beside: most(told, &APART).is_some(),
            cost: cost(told),
        }
    }

    /// In a stream, numbers are repeated as they grow, and those that stay may be left out.
    pub(super) fn grow(&mut self, newer: &Spent) {
        *self = Spent {
            input: self.input.max(newer.input),
            output: self.output.max(newer.output),
            total: self.total.max(newer.total),
            cached: self.cached.max(newer.cached),
            written: self.written.max(newer.written),
            long: self.long.max(newer.long),
            thought: self.thought.max(newer.thought),
            tools: self.tools.max(newer.tools),
            cache_is_beside: self.cache_is_beside || newer.cache_is_beside,
            thoughts_are_beside: self.thoughts_are_beside || newer.thoughts_are_beside,
            cost: self.cost.max(newer.cost),
        };
    }

    /// The same in this project's way of counting; `None` where nothing is told but zeros, which no
    /// call consumes, or what no call can consume.
    pub(super) fn usage(&self) -> Option<Usage> {
        let input_tokens = self.prompt();
        let (cached, written) = (self.cached.unwrap_or(0), self.written.unwrap_or(0));
        let (output_tokens, thought) = (self.answer(input_tokens), self.thought.unwrap_or(0));
        if input_tokens == 0 && output_tokens == 0 {
            return None;
        }
        let cached_tokens = cached.min(input_tokens);
        let cache_write_tokens = written.min(input_tokens - cached_tokens);
        let usage = Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens: thought.min(output_tokens),
            cache_write_tokens,
            long_write_tokens: self.long.unwrap_or(0).min(cache_write_tokens),
            told_cost: self.cost,
        };
        let is_believable = [cached, written, thought].iter().all(|&count| count <= MOST_TOKENS);
        usage.believed().filter(|_| is_believable)
    }

    /// All of the prompt.
    fn prompt(&self) -> u64 {
        let rest = self.total.zip(self.output).and_then(|(total, said)| total.checked_sub(said));
        let told = self.input.or(rest).unwrap_or(0);
        let cache = self.cached.unwrap_or(0).saturating_add(self.written.unwrap_or(0));
        let beside = if self.cache_is_beside && !self.adds_up(told) { cache } else { 0 };
        told.saturating_add(beside).saturating_add(self.tools.unwrap_or(0))
    }

    /// Whether the total is the sum of `input` and the answer, so that nothing stands beside them.
    fn adds_up(&self, input: u64) -> bool {
        self.total.is_some_and(|total| Some(total) == input.checked_add(self.output.unwrap_or(0)))
    }

    /// All of the answer. Where thoughts may be beside it, the total tells.
    fn answer(&self, prompt: u64) -> u64 {
        let (said, thought) = (self.output.unwrap_or(0), self.thought.unwrap_or(0));
        let both = said.saturating_add(thought);
        match self.total.and_then(|total| total.checked_sub(prompt)) {
            Some(rest) if self.output.is_none() || (said..=both).contains(&rest) => rest,
            _ if self.thoughts_are_beside || thought > said => both,
            _ => said,
        }
    }
}

/// The greatest count under any of these names.
fn most(told: &Object, names: &[&str]) -> Option<u64> {
    names.iter().filter_map(|name| told.get(*name).and_then(count)).max()
}

/// The same, looked for among details too.
fn detail(told: &Object, places: &[&str], names: &[&str]) -> Option<u64> {
    let places = places.iter().filter_map(|place| told.get(*place)?.as_object());
    places.chain([told]).filter_map(|place| most(place, names)).max()
}

/// A number of tokens, which some servers write as a text or with a decimal point.
fn count(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) if number.is_u64() => return number.as_u64(),
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Saturates, and is too much to be believed then.
    (number.is_finite() && number >= 0.0).then_some(number.round() as u64)
}

/// What the provider asks for the call, in dollars.
fn cost(told: &Object) -> Option<Nano> {
    COST.iter().find_map(|name| match told.get(*name)? {
        Value::Number(number) => Nano::from_dollars(number.as_f64()?),
        Value::String(text) => {
            Nano::from_dollars(text.trim().trim_start_matches('$').parse().ok()?)
        }
        Value::Object(parts) if *name == "cost" => cost(parts),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
