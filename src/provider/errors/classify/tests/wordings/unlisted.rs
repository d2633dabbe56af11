//! The same kinds of errors in words that no server is known to use, and what only sounds like them.

use super::*;

const UNLISTED: &[Row] = &[
    (
        400,
        Fault::ContextTooLong,
        &[
            "Your messages take 9000 tokens, which is bigger than the window of 8192",
            "context overflow: shorten the prompt",
            "The sequence is 300 tokens longer than this model can take",
            "prompt_tokens (9000) + max_tokens (100) is larger than the context (8192)",
            "Input text of 12000 tokens goes beyond the permitted length",
            "history has too many tokens for this model",
        ],
    ),
    (
        400,
        Fault::ModelNotFound,
        &[
            "we have withdrawn the model you asked for",
            "The model `x` was discontinued last month",
            "deployment x is not found",
            "Model x does not exist in this region",
        ],
    ),
    (
        400,
        Fault::QuotaExhausted,
        &[
            "all of your credit is used up",
            "Your trial has expired",
            "the account has an overdue invoice",
            "Your monthly quota is exhausted",
            "You have spent your prepaid balance: not enough funds",
        ],
    ),
    (
        400,
        Fault::Auth,
        &[
            "the bearer token could not be verified: invalid",
            "access token is expired",
            "wrong credentials",
            "x-api-key header is missing",
        ],
    ),
    (
        400,
        Fault::UnsupportedParam,
        &[
            "tool use is disabled for this model",
            "structured outputs are not available here",
            "this deployment lacks vision",
            "the model is not capable of parallel tool calls",
            "seed isn't supported",
            "The first message must come from the user",
            "json mode is unavailable",
        ],
    ),
    (
        400,
        Fault::Refused,
        &[
            "Our safety layer blocked this prompt",
            "The text was declined for safety reasons",
            "request contains prohibited content",
            "image is considered offensive",
        ],
    ),
    (500, Fault::Overloaded, &["we are under heavy load", "all workers are at capacity"]),
    (400, Fault::RateLimited, &["you are being throttled", "slow down, too many requests"]),
];

#[test]
fn the_same_in_words_that_no_server_is_known_to_use() {
    check(UNLISTED);
}

#[test]
fn what_only_sounds_like_one_of_these_is_not() {
    let gateway = "Post \"https://x.example/v1\": context deadline exceeded";
    assert_eq!(fault_of(500, &openai("", "", gateway)), Fault::ServerError);
    for text in [
        "Invalid tool call id in message 3",
        "messages[1].name must be a string",
        "messages[1].name: the length must be shorter than 64 characters",
        "field `model` must be a string",
        "invalid json: unexpected character",
        "the schema of function `safety_check` has no properties",
    ] {
        let fault = fault_of(400, &openai("invalid_request_error", "", text));
        assert!(
            matches!(fault, Fault::InvalidRequest | Fault::UnsupportedParam),
            "{fault:?}: {text}"
        );
    }
}
