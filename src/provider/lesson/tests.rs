//! Refusals of what we add, in wordings of many servers.

use serde_json::{Value, json};

use super::*;
use crate::provider::errors::shape;
use crate::provider::fixtures;

/// What a refusal with this text teaches a call with a limit of 1,000 tokens and a temperature, both
/// our own unless the request has its own.
fn taught(request: &Value, asking: Asking, error: &Value, fault: Fault) -> Option<Lesson> {
    let request = fixtures::request(request.clone());
    let model = fixtures::model(fixtures::provider(Kind::OpenAi, "https://x.example/v1"));
    let max_tokens = request.max_tokens.or(Some(1000));
    let call = Call { max_tokens, ..fixtures::call(&model, &request) };
    let error = shape::read(error.to_string().as_bytes());
    lesson(&call, asking, &Failure::new(fault, ""), &error)
}

fn plain() -> Value {
    json!({"messages": [{"role": "user", "content": "x"}]})
}

fn said(text: &str) -> Option<Lesson> {
    let error = json!({"error": {"message": text}});
    taught(&plain(), Asking::STREAM, &error, Fault::UnsupportedParam)
}

#[test]
fn a_refusal_of_what_we_added_is_told_from_one_of_what_the_caller_sent() {
    let mut own = plain();
    own["temperature"] = json!(0.5);
    own["max_tokens"] = json!(2000);
    let rows = [
        ("'temperature' does not support 0.5", "", Some(Lesson::Temperature)),
        ("only 1 is allowed", "temperature", Some(Lesson::Temperature)),
        ("sampling parameters are not supported", "", Some(Lesson::Temperature)),
        ("max_tokens must be <= 512", "", Some(Lesson::AtMost(512))),
    ];
    for (text, param, wanted) in rows {
        let error = json!({"error": {"message": text, "param": param}});
        let fault = Fault::UnsupportedParam;
        assert_eq!(taught(&plain(), Asking::STREAM, &error, fault), wanted, "{text}");
        assert_eq!(taught(&own, Asking::STREAM, &error, fault), None, "{text}");
    }
}

#[test]
fn our_wish_for_a_stream_is_known_in_any_wording() {
    for text in [
        "this model does not do streaming",
        "`stream` must be false",
        "stream must be false",
        "stream=true is not supported",
        "Streaming is not supported for this model.",
        "Unsupported value: 'stream' does not support true with this model.",
        "This model only supports non-streaming requests",
        "Cannot stream responses from this model",
        "stream mode is disabled",
        "Streaming responses are unavailable here",
        "\"stream\": true isn't allowed",
    ] {
        assert_eq!(said(text), Some(Lesson::Streams), "{text}");
    }
    for text in ["the upstream is gone", "invalid messages", "a mainstream view is not allowed"] {
        assert_eq!(said(text), None, "{text}");
    }
    for text in [
        "unknown field `include_usage`",
        "stream_options is not supported",
        "Unrecognized request argument supplied: stream_options",
        "stream options cannot be used with this model, set stream only",
    ] {
        assert_eq!(said(text), Some(Lesson::StreamUsage), "{text}");
    }
    let whole = json!({"error": {"message": "stream must be true"}});
    let fault = Fault::UnsupportedParam;
    assert_eq!(taught(&plain(), Asking::WHOLE, &whole, fault), None, "no stream was asked for");
}

#[test]
fn our_temperature_is_known_in_any_wording() {
    for text in [
        "`temperature` is deprecated for this model.",
        "Temperature is not configurable for reasoning models",
        "Only the default temperature of 1 is supported",
        "Sampling parameters are not supported by this model",
        "custom sampling settings cannot be set",
        "`temperature` and `top_p` cannot both be specified for this model",
    ] {
        assert_eq!(said(text), Some(Lesson::Temperature), "{text}");
    }
    assert_eq!(said("unknown field `temperatures_of_day`"), None);
}

#[test]
fn our_limit_is_known_by_its_name_or_by_the_number_that_is_taken() {
    for (text, most) in [
        ("max_tokens must be <= 512", 512),
        ("max_tokens must be less than or equal to 512", 512),
        ("max_tokens must be less than 513", 512),
        ("max_tokens is too large: 1000. This model supports at most 512 completion tokens", 512),
        ("max_tokens: 1000 > 512, which is the maximum allowed number of output tokens", 512),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 512]", 512),
        ("Range of max_tokens should be [1,512]", 512),
        ("Maximum output tokens is 800 for m-0613", 800),
        ("`max_new_tokens` must be <= 900. Given: 1000", 900),
        ("max_completion_tokens exceeds the limit of 512", 512),
        ("Error code: 400 - maxOutputTokens must be between 1 and 999", 999),
    ] {
        assert_eq!(said(text), Some(Lesson::AtMost(most)), "{text}");
    }
    for text in [
        "max_tokens is too large: 64000",
        "max_tokens must be at least 1",
        "The limit of images is 20",
        "max_tokens must be at most 4096",
    ] {
        assert_eq!(said(text), None, "{text}");
    }
    for text in [
        "Use 'max_completion_tokens', not 'max_tokens'",
        "Unrecognized request argument: max_tokens",
        "Error code: 400 - Unsupported parameter: 'max_tokens' is not supported with this model",
    ] {
        assert_eq!(said(text), Some(Lesson::LimitName), "{text}");
        let other = Lesson::LimitName.apply(Asking::STREAM);
        let error = json!({"error": {"message": text}});
        let again = taught(&plain(), other, &error, Fault::UnsupportedParam);
        assert!(matches!(again, Some(Lesson::Limit) | None), "{text}");
    }
}

#[test]
fn our_limit_leaves_room_for_a_prompt_that_fits() {
    let room = |text: &str| {
        let error = json!({"error": {"message": text}});
        taught(&plain(), Asking::STREAM, &error, Fault::ContextTooLong)
    };
    for (text, left) in [
        (
            "'max_tokens' is too large: 1000. This model's maximum context length is 512 tokens and \
             your request has 20 input tokens (1000 > 512 - 20).",
            Some(Lesson::Room(492)),
        ),
        (
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens \
             (4000 in the messages, 1000 in the completion).",
            None,
        ),
        ("input length and `max_tokens` exceed context limit: 199500 + 1000 > 200000", None),
        (
            "input length and `max_tokens` exceed context limit: 95 + 1000 > 1024",
            Some(Lesson::Room(929)),
        ),
        (
            "`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens and \
             1000 `max_new_tokens`",
            None,
        ),
        ("prompt is too long: 9000 tokens > 8192 maximum", None),
    ] {
        assert_eq!(room(text), left, "{text}");
    }
}

#[test]
fn other_faults_teach_nothing_unless_they_refuse_in_words() {
    let error = json!({"error": {"message": "stream must be false"}});
    for (fault, wanted) in [
        (Fault::ServerError, Some(Lesson::Streams)),
        (Fault::InvalidRequest, Some(Lesson::Streams)),
        (Fault::RateLimited, None),
        (Fault::Auth, None),
        (Fault::Refused, None),
    ] {
        assert_eq!(taught(&plain(), Asking::STREAM, &error, fault), wanted, "{fault:?}");
    }
    let broken = json!({"error": {"message": "the stream broke"}});
    assert_eq!(taught(&plain(), Asking::STREAM, &broken, Fault::ServerError), None);
}

#[test]
fn numbers_of_names_and_errors_are_no_limits() {
    assert_eq!(
        numbers("Error code: 400 - m-1106 takes 1,024 of 8_192, not 3.5 or 32k."),
        [1, 24, 1024, 8, 192, 8192]
    );
    assert_eq!(numbers("[1, 512]"), [1, 1, 512, 512]);
    assert!(numbers("99999999999999999999").is_empty());
}
