//! What a caller's `extra` may not hold.
//!
//! It is merged into the provider's body last, so it could undo what the owner of the daemon has
//! decided: how long answers may be, who is asked, how often. Providers take such a field under
//! more than one spelling and some within another object, so names are compared without case,
//! hyphens and underscores, and such objects are looked into. The same fields in the
//! configuration are the owner's own and not looked at.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Names of one meaning, in small letters alone, and what to use instead.
const REFUSED: [(&[&str], &str); 6] = [
    (
        &[
            "maxtokens",
            "maxcompletiontokens",
            "maxoutputtokens",
            "maxnewtokens",
            "maxtokenstosample",
            "maxgeneratedtokens",
            "maxgenlen",
            "maxlength",
            "numpredict",
            "npredict",
        ],
        "the limit is the same for every model; use `max_tokens` of the request",
    ),
    (
        &[
            "n",
            "candidatecount",
            "bestof",
            "numreturnsequences",
            "numgenerations",
            "numcompletions",
            "samplecount",
        ],
        "a request has one answer",
    ),
    (
        &["model", "models", "modelid"],
        "another model cannot be asked under this one's name; use `models`",
    ),
    (
        &["messages", "contents", "prompt", "input", "inputs"],
        "the conversation is the same for every model; use `messages` of the request",
    ),
    (
        &["system", "systeminstruction", "systemprompt", "instructions"],
        "the conversation is the same for every model; use a message with the role `system`",
    ),
    (
        &["stream", "streamoptions"],
        "how an answer is fetched is decided here; use `stream` of the request",
    ),
];

/// Objects in which some providers have such fields.
const LOOKED_INTO: [&str; 8] = [
    "generationconfig",
    "inferenceconfig",
    "textgenerationconfig",
    "additionalmodelrequestfields",
    "options",
    "parameters",
    "config",
    "extrabody",
];

/// What is wrong with the `extra` of a request, if anything: the field, and what to use instead.
pub(super) fn mistake(extra: &BTreeMap<String, Map<String, Value>>) -> Option<String> {
    extra.iter().find_map(|(whose, fields)| {
        let (path, advice) = refused(fields)?;
        Some(format!("`extra.{}.{path}`: {advice}", cut(whose)))
    })
}

/// The first field that is refused, by its path, and what to use instead.
fn refused(fields: &Map<String, Value>) -> Option<(String, &'static str)> {
    fields.iter().find_map(|(name, value)| {
        let plain = plain(name);
        let known = REFUSED.iter().find(|(names, _)| names.contains(&plain.as_str()));
        if let Some((_, advice)) = known {
            return Some((cut(name), *advice));
        }
        let below = value.as_object().filter(|_| LOOKED_INTO.contains(&plain.as_str()))?;
        refused(below).map(|(path, advice)| (format!("{}.{path}", cut(name)), advice))
    })
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-'));
    letters.flat_map(char::to_lowercase).take(40).collect()
}

fn cut(name: &str) -> String {
    name.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(fields: Value) -> Option<String> {
        mistake(&serde_json::from_value(json!({ "google": fields })).unwrap())
    }

    #[test]
    fn what_the_owner_decides_is_refused_in_every_spelling_and_place() {
        for (fields, path) in [
            (json!({"max_tokens": 1}), "max_tokens"),
            (json!({"a": 1, "maxOutputTokens": 1}), "maxOutputTokens"),
            (json!({"Max-Completion_Tokens": 1}), "Max-Completion_Tokens"),
            (json!({"generationConfig": {"candidateCount": 2}}), "generationConfig.candidateCount"),
            (
                json!({"generation_config": {"max_output_tokens": 2}}),
                "generation_config.max_output_tokens",
            ),
            (json!({"inferenceConfig": {"maxTokens": 2}}), "inferenceConfig.maxTokens"),
            (
                json!({"extra_body": {"options": {"num_predict": 2}}}),
                "extra_body.options.num_predict",
            ),
            (json!({"n": null}), "n"),
            (json!({"best_of": 2}), "best_of"),
            (json!({"model": "m"}), "model"),
            (json!({"models": ["m"]}), "models"),
            (json!({"contents": []}), "contents"),
            (json!({"system_instruction": {}}), "system_instruction"),
            (json!({"systemInstruction": {}}), "systemInstruction"),
            (json!({"system": "x"}), "system"),
            (json!({"stream": false}), "stream"),
            (json!({"stream_options": {}}), "stream_options"),
        ] {
            let message = told(fields.clone()).unwrap_or_else(|| panic!("{fields} passes"));
            assert!(message.starts_with(&format!("`extra.google.{path}`: ")), "{message}");
        }
    }

    #[test]
    fn what_only_shares_a_name_passes() {
        for fields in [
            json!({}),
            json!({"top_k": 5, "generationConfig": {"topK": 3}}),
            json!({"metadata": {"model": "x", "n": 1}}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            json!({"tools": [{"parameters": {"properties": {"n": {}}}}], "options": 3}),
        ] {
            assert_eq!(told(fields.clone()), None, "{fields}");
        }
    }
}
