//! Is this answer good enough? The checks of a chain, the same for every model in it.
//!
//! An answer is looked at whole, or not at all: what a model refused follows the request's
//! `on_refusal`, and tool calls are checked by the tools they call. A rejection says which check
//! failed, never what the answer was.

use std::fmt;

use jsonschema::Validator;
use regex::Regex;
use serde_json::Value;

/// What an answer of a chain must be.
#[derive(Clone, Debug, Default)]
pub struct Accept {
    pub(crate) non_empty: bool,
    /// It is JSON, and nothing else.
    pub(crate) json: bool,
    /// It is JSON that fits this schema.
    pub(crate) schema: Option<Schema>,
    /// Most characters it may have.
    pub(crate) max_chars: Option<usize>,
    /// What must not occur in it.
    pub(crate) deny: Vec<Regex>,
}

/// A JSON Schema, ready for use.
#[derive(Clone)]
pub(crate) struct Schema(Validator);

impl Accept {
    /// Why an answer is not accepted, if so; `calls` says whether it calls tools.
    pub(crate) fn objection(&self, text: &str, calls: bool) -> Option<String> {
        if self.max_chars.is_some_and(|most| text.chars().nth(most).is_some()) {
            return Some("the answer is longer than max_chars".to_owned());
        }
        if let Some(place) = self.deny.iter().position(|pattern| pattern.is_match(text)) {
            return Some(format!("pattern {} of deny occurs in the answer", place + 1));
        }
        if calls {
            return None;
        }
        if self.non_empty && text.trim().is_empty() {
            return Some("the answer is empty".to_owned());
        }
        if !self.json && self.schema.is_none() {
            return None;
        }
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return Some("the answer is not JSON".to_owned());
        };
        let fits = self.schema.as_ref().is_none_or(|schema| schema.0.is_valid(&value));
        if fits { None } else { Some("the answer does not fit its JSON schema".to_owned()) }
    }
}

impl Schema {
    /// Makes a schema ready.
    ///
    /// # Errors
    /// When it is no schema, or refers to one elsewhere: nothing is fetched.
    pub(crate) fn new(schema: &Value) -> Result<Schema, String> {
        Validator::new(schema).map(Schema).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Schema")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deny(patterns: &[&str]) -> Vec<Regex> {
        patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect()
    }

    #[test]
    fn each_check_objects_to_its_own() {
        let schema =
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}});
        let schema = Some(Schema::new(&schema).unwrap());
        let none = Accept::default();
        let rows = [
            (Accept { non_empty: true, ..none.clone() }, "x", " \n"),
            (Accept { json: true, ..none.clone() }, " {\"a\":1}\n", "```json\n{}\n```"),
            (Accept { json: true, ..none.clone() }, "[]", "{\"a\":"),
            (Accept { schema, ..none.clone() }, "{\"a\":1}", "{\"a\":\"1\"}"),
            (Accept { max_chars: Some(3), ..none.clone() }, "äöü", "äöüx"),
            (Accept { deny: deny(&["(?i)as an ai"]), ..none.clone() }, "as a person", "As an AI"),
        ];
        for (accept, good, bad) in rows {
            assert_eq!(accept.objection(good, false), None, "{good}");
            let why = accept.objection(bad, false).unwrap();
            assert!(!why.contains(bad.trim()) || bad.trim().is_empty(), "{why}");
        }
        assert_eq!(none.objection("", false), None);
    }

    #[test]
    fn an_answer_that_calls_tools_needs_no_text_but_what_it_says_is_judged() {
        let accept =
            Accept { non_empty: true, json: true, deny: deny(&["no"]), ..Accept::default() };
        assert_eq!(accept.objection("", true), None);
        assert!(accept.objection("no", true).is_some());
    }

    #[test]
    fn what_is_no_schema_or_is_elsewhere_is_refused() {
        assert!(Schema::new(&json!({"type": "objekt"})).is_err());
        assert!(Schema::new(&json!({"$ref": "https://example.com/schema.json"})).is_err());
    }
}
