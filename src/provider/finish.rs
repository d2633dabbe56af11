//! How a provider says that its answer ended, and what its words mean.
//!
//! Every provider has words of its own and adds some without notice, and gateways rewrite them in
//! other cases and with other separators. So a word is looked up without either, and one that
//! stands in no list is told by what it is about.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerEnd {
    /// The model was done, or asks for tools.
    Done,
    /// A token limit cut it.
    Length,
    /// Policy ended it, or the model declines.
    Refused,
    /// The provider calls its own model's output malformed.
    Glitch,
    /// The provider broke it off.
    Cut,
    /// Missing, or a word not known yet.
    Unknown,
}

const DONE: [&str; 19] = [
    "stop",
    "stopped",
    "stopsequence",
    "stoptoken",
    "endturn",
    "endofturn",
    "endoftext",
    "eos",
    "eostoken",
    "eot",
    "end",
    "done",
    "finish",
    "finished",
    "complete",
    "completed",
    "toolcalls",
    "tooluse",
    "functioncall",
];

const LENGTH: [&str; 4] = ["compaction", "continuation", "pauseturn", "timelimit"];

/// What Gemini calls a glitch of its model.
const GLITCH: [&str; 5] =
    ["unexpectedtoolcall", "toomanytoolcalls", "missingthoughtsignature", "noimage", "imageother"];

const REFUSED: [&str; 5] = ["language", "spii", "escalation", "modelarmor", "puplimiteddisabled"];

/// What words are about, the more telling first.
#[rustfmt::skip]
const ABOUT: [(AnswerEnd, &[&str]); 5] = [
    (
        AnswerEnd::Refused,
        &[
            "filter", "safety", "policy", "prohibited", "blocklist", "blocked", "guardrail", "refus",
            "sensitive", "recitation", "moderat", "violat", "jailbreak", "unsafe", "harmful", "toxic",
            "declin", "censor", "copyright", "inappropriate", 
        ],
    ),
    (AnswerEnd::Glitch, &["malformed", "invalid", "unparsable", "badtoolcall", "parseerror"]),
    // Limits of a provider, not of the answer.
    (AnswerEnd::Cut, &["ratelimit", "quota", "overload", "unavailable"]),
    (
        AnswerEnd::Length,
        &[
            "length", "maxtoken", "maxoutput", "maxnewtoken", "limit", "context", "truncat", "cutoff",
            "repetition", "repeat", "loop", "budget", "exhaust", "incomplete",
        ],
    ),
    (
        AnswerEnd::Cut,
        &[
            "error", "abort", "cancel", "fail", "interrupt", "disconnect", "insufficient", "timeout",
            "timedout", "preempt", "evict", "killed", "crash", "exception", "shutdown",
            "expired",
        ],
    ),
];

impl AnswerEnd {
    /// What a finish word means, in whatever case. Words that mean something else in one format
    /// stand there.
    pub(super) fn of(word: &str) -> AnswerEnd {
        let letters = word.chars().filter(char::is_ascii_alphanumeric);
        let bare = letters.collect::<String>().to_ascii_lowercase();
        let bare = bare.strip_prefix("finishreason").unwrap_or(&bare);
        let listed = [
            (AnswerEnd::Done, &DONE[..]),
            (AnswerEnd::Length, &LENGTH[..]),
            (AnswerEnd::Glitch, &GLITCH[..]),
            (AnswerEnd::Refused, &REFUSED[..]),
        ];
        let listed = listed.into_iter().find(|(_, words)| words.contains(&bare));
        let about =
            || ABOUT.into_iter().find(|(_, parts)| parts.iter().any(|it| bare.contains(it)));
        listed.or_else(about).map_or(AnswerEnd::Unknown, |(end, _)| end)
    }
}

/// Words of programs for a finish that has not come.
const NO_FINISH: [&str; 5] = ["null", "none", "nil", "undefined", "finish_reason_unspecified"];

/// For a field that holds a finish word. Numbers are words too; what is blank, says that there is none,
/// or is anything else is no finish.
pub(super) fn word<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(input)? {
        Value::String(word) => {
            let bare = word.trim();
            let is_none = NO_FINISH.iter().any(|none| bare.eq_ignore_ascii_case(none));
            (!bare.is_empty() && !is_none).then_some(word)
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_providers_words_have_a_meaning() {
        for (end, words) in [
            (
                AnswerEnd::Done,
                "stop STOP Stop end_turn endTurn end-turn stop_sequence eos eos_token tool_calls \
                 tool_use function_call FINISH_REASON_STOP FinishReason.STOP COMPLETE",
            ),
            (
                AnswerEnd::Length,
                "length max_tokens MAX_TOKENS maxTokens max_output_tokens model_length max_length \
                 model_context_window_exceeded context_length_exceeded max_new_tokens pause_turn \
                 compaction CONTINUATION time_limit token_limit_reached repetition_truncation \
                 repetition repetition_detected truncated TRUNCATION output_limit budget_exceeded \
                 incomplete tokens_exhausted loop_detected cut_off max_turns_limit",
            ),
            (
                AnswerEnd::Refused,
                "content_filter content_filter_error content_filtered contentFilter SAFETY refusal \
                 CONTENT_FILTER_HATE sensitive RECITATION BLOCKLIST PROHIBITED_CONTENT SPII \
                 IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION LANGUAGE MODEL_ARMOR \
                 ESCALATION PUP_LIMITED_DISABLED guardrail_intervened content_policy moderation \
                 unsafe_content harmful declined copyright",
            ),
            (
                AnswerEnd::Glitch,
                "MALFORMED_FUNCTION_CALL MALFORMED_RESPONSE malformed_tool_use NO_IMAGE \
                 invalid_tool_call \
                 UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE IMAGE_OTHER",
            ),
            (
                AnswerEnd::Cut,
                "abort aborted error network_error ERROR cancelled canceled server_error failed \
                 interrupted insufficient_system_resource rate_limit rate_limited timeout preempted \
                 quota_exceeded overloaded",
            ),
            (AnswerEnd::Unknown, "other OTHER 7 flummoxed FINISH_REASON_UNSPECIFIED"),
        ] {
            for word in words.split_whitespace() {
                assert_eq!(AnswerEnd::of(word), end, "{word}");
            }
        }
        assert_eq!(AnswerEnd::of(""), AnswerEnd::Unknown);
    }

    #[test]
    fn a_finish_is_a_word_or_a_number() {
        for (json, expected) in [
            ("\"stop\"", Some("stop")),
            ("1", Some("1")),
            ("\"\"", None),
            ("\" \"", None),
            ("null", None),
            ("false", None),
            ("{}", None),
        ] {
            let read = word(&mut serde_json::Deserializer::from_str(json)).unwrap();
            assert_eq!(read.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn words_for_nothing_are_no_finish() {
        for text in ["\"null\"", "\"None\"", "\" \"", "null", "\"undefined\"", "{}"] {
            assert_eq!(
                word(&mut serde_json::Deserializer::from_str(text)).unwrap(),
                None,
                "{text}"
            );
        }
        let stop = word(&mut serde_json::Deserializer::from_str("\"stop\"")).unwrap();
        assert_eq!(stop.as_deref(), Some("stop"));
    }
}
