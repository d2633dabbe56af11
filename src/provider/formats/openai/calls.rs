//! The tool calls of an answer, in all forms that imitators of OpenAI give them.
//!
//! A call alone in place of a list, or a list as an object with numbers for names; ids and numbers
//! that are texts or numbers; name and arguments within `function` or beside it; arguments as text
//! or as what the text should hold. None of that makes a call another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::provider::loose;
use crate::provider::tool_calls::Fragment;

/// Deepest nesting of lists and texts around a call.
const DEEPEST: usize = 4;

/// A tool call, or a piece of one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SaidCall {
    index: Option<u64>,
    id: String,
    name: String,
    /// More of the arguments' text.
    arguments: String,
    /// All arguments, as JSON.
    whole: Option<String>,
    extra: Option<Value>,
}

/// A call as it stands in the body.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldCall<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    extra_content: Option<Value>,
}

impl SaidCall {
    /// The same for what gathers the answer; `list_began` as there.
    pub(super) fn fragment(&self, list_began: Option<usize>) -> Fragment<'_> {
        Fragment {
            key: self.index,
            id: &self.id,
            name: &self.name,
            arguments: &self.arguments,
            whole: self.whole.clone(),
            extra: self.extra.clone(),
            list_began,
        }
    }

    fn read(told: &ToldCall<'_>) -> SaidCall {
        let held = told.function.and_then(inner);
        let function = held.as_deref().or(told.function.map(RawValue::get));
        let function = function.and_then(|json| serde_json::from_str(json).ok());
        let function: ToldCall<'_> = function.unwrap_or_default();
        let named = function.name.or(told.name).or(told.function).and_then(loose::scalar);
        let (mut arguments, mut whole) = (String::new(), None);
        if let Some(raw) = function.input().or(told.input()) {
            // Arguments come a piece at a time, and some servers send one that looks like a number so.
            match loose::scalar(raw) {
                Some(text) => arguments = text,
                None => whole = Some(raw.get().to_owned()),
            }
        }
        SaidCall {
            index: told.index.and_then(loose::count),
            id: told.id.or(function.id).and_then(loose::scalar).unwrap_or_default(),
            name: named.unwrap_or_default(),
            arguments,
            whole,
            extra: told.extra_content.clone(),
        }
    }

    fn says_nothing(&self) -> bool {
        *self == SaidCall { index: self.index, ..SaidCall::default() }
    }
}

impl<'a> ToldCall<'a> {
    fn input(&self) -> Option<&'a RawValue> {
        self.arguments.or(self.parameters).or(self.args).or(self.input)
    }
}

/// For a field that holds calls.
pub(super) fn list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<SaidCall>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(input)?;
    Ok(raw.map(|raw| calls(&raw, 0)).unwrap_or_default())
}

/// For a field that holds the only call, which has no number.
pub(super) fn only<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SaidCall>, D::Error> {
    let call = list(input)?.into_iter().next();
    Ok(call.map(|call| SaidCall { index: Some(0), ..call }))
}

fn calls(raw: &RawValue, depth: usize) -> Vec<SaidCall> {
    if depth > DEEPEST {
        return Vec::new();
    }
    let text = inner(raw);
    let json = text.as_deref().unwrap_or(raw.get());
    if let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(json) {
        return list.into_iter().flat_map(|one| calls(one, depth + 1)).collect();
    }
    let call = serde_json::from_str::<ToldCall<'_>>(json).ok().filter(|_| json.starts_with('{'));
    let call = call.map(|told| SaidCall::read(&told)).filter(|call| !call.says_nothing());
    call.map_or_else(|| numbered(json, depth), |call| vec![call])
}

/// A list as an object whose names are the numbers of its calls.
fn numbered(json: &str, depth: usize) -> Vec<SaidCall> {
    let all: BTreeMap<u64, &RawValue> = serde_json::from_str(json).unwrap_or_default();
    let mut found = Vec::new();
    for (index, raw) in all {
        for call in calls(raw, depth + 1) {
            found.push(SaidCall { index: call.index.or(Some(index)), ..call });
        }
    }
    found
}

/// The JSON that a text holds.
fn inner(raw: &RawValue) -> Option<String> {
    let text: String = serde_json::from_str(raw.get()).ok()?;
    text.trim_start().starts_with(['{', '[']).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests;
