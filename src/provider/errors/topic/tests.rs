//! What sentences and codes are about, in wordings of many servers and of none.

use super::*;

fn about(text: &str) -> Option<Topic> {
    of(&Words::of(&[text.to_owned()]))
}

fn all_about(topic: Option<Topic>, texts: &[&str]) {
    for text in texts {
        assert_eq!(about(text), topic, "{text}");
    }
}

#[test]
fn prompts_that_are_too_long() {
    all_about(
        Some(Topic::Context),
        &[
            "Prompt contains 40213 tokens and 0 draft tokens, too large for model with 32768 \
             maximum context length",
            "Unable to submit request because the input token count is 133456 but model only \
             supports up to 32768.",
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens \
             (1000 in the messages, 4000 in the completion).",
            "prompt is too long: 300 tokens > 200 maximum",
            "Input is too long for requested model.",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            "the request exceeds the available context size, try increasing it",
            "Range of input length should be [1, 30720]",
            "Your input exceeds the context window of this model.",
            "Too many input tokens: 9000",
            "Total tokens of image and text exceed max message tokens",
            "Requested tokens (5000) exceed context window of 4096",
            "context_length_exceeded",
            "ContextWindowExceededError",
            "exceed_context_size_error",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096, more than \
             the context length",
        ],
    );
}

#[test]
fn content_that_is_not_wanted() {
    all_about(
        Some(Topic::Policy),
        &[
            "Output data may contain inappropriate content.",
            "Content Exists Risk",
            "data_inspection_failed",
            "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_X",
            "Your request was rejected as a result of our safety system.",
            "The response was filtered due to the prompt triggering Azure OpenAI's content \
             management policy.",
            "Output blocked by content filtering policy",
            "content_filter",
            "ResponsibleAIPolicyViolation",
            "content_policy_violation",
            "The request was rejected because it was considered high risk",
            "Guardrail intervened",
            "Sensitive content was found in the prompt",
        ],
    );
}

#[test]
fn money() {
    all_about(
        Some(Topic::Money),
        &[
            "Arrearage",
            "Access denied, please make sure your account is in good standing.",
            "Your credit balance is too low to access the API.",
            "Insufficient Balance",
            "You exceeded your current quota, please check your plan and billing details.",
            "This request requires more credits, or fewer max_tokens.",
            "insufficient_quota",
            "billing_not_active",
            "exceeded_current_quota_error",
            "Your free tier quota is exhausted",
            "Payment Required",
            "organization_spend_limit_exceeded",
        ],
    );
}

#[test]
fn keys() {
    all_about(
        Some(Topic::Key),
        &[
            "Incorrect API key provided: xa***yz.",
            "API key not valid. Please pass a valid API key.",
            "API_KEY_INVALID",
            "invalid_api_key",
            "authentication_error",
            "The security token included in the request is expired",
            "Access token has expired",
            "UNAUTHENTICATED",
            "User location is not supported for the API use.",
        ],
    );
}

#[test]
fn models_that_are_gone() {
    all_about(
        Some(Topic::Model),
        &[
            "The model `gemma2-9b-it` has been decommissioned and is no longer supported.",
            "model_decommissioned",
            "foo/bar is not a valid model ID",
            "Invalid model name passed in model=x",
            "The model `x` does not exist or you do not have access to it.",
            "model 'llama3' not found, try pulling it first",
            "DeploymentNotFound",
            "No endpoints found for foo/bar.",
            "Model Not Exist",
            "Unknown model: x",
            "This model is no longer available",
        ],
    );
}

#[test]
fn features_that_a_model_lacks() {
    all_about(
        Some(Topic::Feature),
        &[
            "No endpoints found that support image input",
            "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for \
             claude-3-5-sonnet",
            "unknown variant `image_url`, expected `text` at line 1 column 99",
            "Function calling with a response mime type: 'application/json' is unsupported",
            "Extra inputs are not permitted",
            "Conversation roles must alternate user/assistant/user/assistant/...",
            "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be \
             set",
            "registry.example/gemma does not support tools",
            "`temperature` is deprecated for this model.",
            "This model does not support assistant message prefill.",
            "Unsupported parameter: 'max_tokens' is not supported with this model.",
            "max_tokens is too large: 64000. This model supports at most 16384 completion tokens",
            "Invalid 'tools': array too long. Expected an array with maximum length 128",
            "Function calling is not enabled for this model",
        ],
    );
}

#[test]
fn malformed_generations_rates_sizes_and_crowds() {
    all_about(
        Some(Topic::Glitch),
        &["json_validate_failed", "Failed to generate JSON. Please adjust your prompt."],
    );
    all_about(
        Some(Topic::Rate),
        &[
            "Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 29000",
            "m/x is temporarily rate-limited upstream. Please retry shortly.",
            "ThrottlingException",
            "RESOURCE_EXHAUSTED",
        ],
    );
    all_about(Some(Topic::Size), &["Request payload size exceeds the limit: 20971520 bytes."]);
    all_about(Some(Topic::Busy), &["overloaded_error", "Model is currently overloaded"]);
}

#[test]
fn what_says_nothing_is_about_nothing() {
    all_about(
        None,
        &[
            "",
            "m",
            "Provider returned error",
            "invalid_request_error",
            "messages: at least one message is required",
            "field required",
            "Invalid type for 'messages[0].content': expected a string, but got an integer instead.",
            "Error while downloading https://images.example.org/8xznAGy4HcY/800x400.",
            "Bad Request",
        ],
    );
}
