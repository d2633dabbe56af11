//! What a caller's `extra` may not hold.
//!
//! It is merged into the provider's body last, so it could undo what the owner of the daemon has
//! decided: how long answers may be, who is asked, how often, what it costs; or reach what others
//! keep at the owner's account. Providers take such a field under more than one spelling and some
//! within another object, so names are compared without case, hyphens and underscores, limits are
//! told by what they are made of, and objects of settings are looked into. The same fields in the
//! configuration are the owner's own and not looked at.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Names of one meaning, in small letters alone, and what to use instead.
const REFUSED: [(&[&str], &str); 6] = [
    (&["numpredict", "npredict", "ignoreeos"], LIMIT),
    (
        &[
            "n",
            "candidatecount",
            "bestof",
            "numreturnsequences",
            "numgenerations",
            "numcompletions",
            "numsamples",
            "numoutputs",
            "samplecount",
        ],
        "a request has one answer",
    ),
    (
        &["model", "models", "modelid", "preset", "route"],
        "another model cannot be asked under this one's name; use `models`",
    ),
    (
        &["messages", "contents", "prompt", "input", "inputs", "promptvariables"],
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

const LIMIT: &str = "the limit is the same for every model; use `max_tokens` of the request";

const BUDGET: &str = "how much a model thinks is asked for with `reasoning_effort` of the request";

const KEPT: &str = "it names what is kept at the provider, perhaps for others; \
                    only the owner may, in `[models.NAME] extra`";

const DEARER: &str =
    "it may cost more than tokens do; only the owner may, in `[models.NAME] extra`";

/// What names of things are made of that are kept at a provider.
const KEPT_THINGS: [&str; 14] = [
    "cachedcontent",
    "previousresponse",
    "conversation",
    "vectorstore",
    "filesearch",
    "knowledgebase",
    "datastore",
    "datasource",
    "corpora",
    "corpus",
    "container",
    "threadid",
    "assistantid",
    "fileid",
];

/// What names of services are made of that are paid apart from tokens.
const PAID_SERVICES: [&str; 5] = ["websearch", "enablesearch", "plugins", "mcpserver", "connector"];

/// Ways of being served, forms of an answer and places of it, that cost as usual or less.
const USUAL: [(&[&str], &[&str]); 4] = [
    (&["servicetier"], &["auto", "default", "standard", "standard_only", "flex", "batch"]),
    (&["speed", "latency"], &["standard", "default", "normal", "slow"]),
    (&["modalities", "responsemodalities"], &["text"]),
    (&["inferencegeo"], &["global"]),
];

/// What names of objects of settings end with.
const SETTINGS: [&str; 13] = [
    "config",
    "configuration",
    "params",
    "parameters",
    "options",
    "settings",
    "fields",
    "body",
    "args",
    "kwargs",
    "thinking",
    "reasoning",
    "servicetier",
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
        if let Some(advice) = advice(&plain, value) {
            return Some((cut(name), advice));
        }
        let is_settings = SETTINGS.iter().any(|end| plain.ends_with(end));
        let below = value.as_object().filter(|_| is_settings)?;
        refused(below).map(|(path, advice)| (format!("{}.{path}", cut(name)), advice))
    })
}

/// What to use instead of a field, if it is refused.
fn advice(plain: &str, value: &Value) -> Option<&'static str> {
    if let Some((_, advice)) = REFUSED.iter().find(|(names, _)| names.contains(&plain)) {
        return Some(advice);
    }
    if has(plain, &["budget"]) || (has(plain, &["token"]) && has(plain, &["think", "reason"])) {
        return Some(BUDGET);
    }
    if has(plain, &["max", "min"]) && has(plain, &["token", "length", "genlen", "newlen"]) {
        return Some(LIMIT);
    }
    if has(plain, &KEPT_THINGS) {
        return Some(KEPT);
    }
    let is_service = has(plain, &PAID_SERVICES) && !is_off(value);
    (is_service || is_unusual(plain, value) || has_foreign_tool(plain, value)).then_some(DEARER)
}

fn has(plain: &str, words: &[&str]) -> bool {
    words.iter().any(|word| plain.contains(word))
}

/// Whether a value switches something off.
fn is_off(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

/// Whether a value may ask for something that costs more than usual. Objects are looked into.
fn is_unusual(plain: &str, value: &Value) -> bool {
    let Some((_, usual)) = USUAL.iter().find(|(names, _)| names.contains(&plain)) else {
        // Within an object that is named like the field.
        return false;
    };
    match value {
        Value::Null => false,
        Value::Array(all) => !all.iter().all(|one| is_one_of(one, usual)),
        Value::Object(inner) => !inner.values().all(|one| is_one_of(one, usual)),
        one => !is_one_of(one, usual),
    }
}

fn is_one_of(value: &Value, usual: &[&str]) -> bool {
    let word = value.as_str().map(str::to_ascii_lowercase);
    word.is_some_and(|word| usual.contains(&&*word))
}

/// Whether tools are offered that run at the provider: all others are functions.
fn has_foreign_tool(plain: &str, value: &Value) -> bool {
    plain == "tools" && value.as_array().is_some_and(|tools| !tools.iter().all(is_function))
}

fn is_function(tool: &Value) -> bool {
    let kind = tool.get("type").and_then(Value::as_str).unwrap_or("function");
    let says = ["parameters", "function", "functionDeclarations", "input_schema", "toolSpec"];
    matches!(kind, "function" | "custom") && says.iter().any(|name| tool.get(*name).is_some())
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
            (json!({"inference_params": {"max_gen_len": 2}}), "inference_params.max_gen_len"),
            (json!({"vendorSettings": {"maxOutputLength": 2}}), "vendorSettings.maxOutputLength"),
            (json!({"min_tokens": 100}), "min_tokens"),
            (json!({"ignore_eos": true}), "ignore_eos"),
            (
                json!({"thinking": {"type": "enabled", "budget_tokens": 9}}),
                "thinking.budget_tokens",
            ),
            (
                json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}}),
                "generationConfig.thinkingConfig.thinkingBudget",
            ),
            (
                json!({"additionalModelRequestFields": {"thinking": {"budget_tokens": 9}}}),
                "additionalModelRequestFields.thinking.budget_tokens",
            ),
            (json!({"reasoning": {"max_tokens": 9}}), "reasoning.max_tokens"),
            (
                json!({"chat_template_kwargs": {"thinking_budget": 9}}),
                "chat_template_kwargs.thinking_budget",
            ),
            (json!({"max_thinking_tokens": 9}), "max_thinking_tokens"),
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
            json!({"thinking": {"type": "adaptive"}, "reasoning": {"effort": "low"}}),
            json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}),
            json!({"options": {"num_ctx": 4096, "num_thread": 4, "min_p": 0.1}}),
            json!({"response_format": {"schema": {"properties": {"n": {"maxLength": 3}}}}}),
            json!({"tools": [{"parameters": {"properties": {"n": {}}}}], "options": 3}),
        ] {
            assert_eq!(told(fields.clone()), None, "{fields}");
        }
    }

    #[test]
    fn what_others_keep_at_the_provider_is_out_of_reach() {
        for fields in [
            json!({"cachedContent": "cachedContents/1"}),
            json!({"cached_content": "cachedContents/1"}),
            json!({"previous_response_id": "r"}),
            json!({"conversation": "c"}),
            json!({"container": "c"}),
            json!({"extra_body": {"vector_store_ids": ["v"]}}),
            json!({"data_sources": [{"type": "azure_search"}]}),
            json!({"threadId": "t"}),
        ] {
            let message = told(fields.clone()).unwrap_or_else(|| panic!("{fields} passes"));
            assert!(message.ends_with(KEPT), "{message}");
        }
    }

    #[test]
    fn what_costs_more_than_tokens_is_the_owners_to_allow() {
        for fields in [
            json!({"service_tier": "priority"}),
            json!({"serviceTier": {"type": "reserved"}}),
            json!({"speed": "fast"}),
            json!({"performanceConfig": {"latency": "optimized"}}),
            json!({"inference_geo": "us"}),
            json!({"modalities": ["text", "audio"]}),
            json!({"generationConfig": {"responseModalities": ["IMAGE"]}}),
            json!({"web_search_options": {}}),
            json!({"enable_search": true}),
            json!({"plugins": [{"id": "web"}]}),
            json!({"mcp_servers": []}),
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            json!({"tools": [{"googleSearch": {}}]}),
            json!({"tools": [{"function": {"name": "f"}}, {"type": "code_interpreter"}]}),
        ] {
            let message = told(fields.clone()).unwrap_or_else(|| panic!("{fields} passes"));
            assert!(message.ends_with(DEARER), "{message}");
        }
        for fields in [
            json!({"service_tier": "standard_only"}),
            json!({"serviceTier": {"type": "flex"}, "speed": null}),
            json!({"generationConfig": {"responseModalities": ["TEXT"]}}),
            json!({"enable_search": false}),
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            json!({"tools": [{"functionDeclarations": []}], "user": "u", "top_k": 3}),
        ] {
            assert_eq!(told(fields.clone()), None, "{fields}");
        }
    }
}
