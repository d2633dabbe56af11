//! Errors as people have met them at many servers, and what each is.

use super::*;

mod unlisted;

/// The bodies of one status that are one fault, each the text of a usual error or a body of its own.
fn all(status: u16, fault: Fault, bodies: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for body in bodies {
        let json = match body.starts_with(['{', '[', '<']) {
            true => (*body).to_owned(),
            false => openai("invalid_request_error", "", body),
        };
        let found = fault_of(status, &json);
        if found != fault {
            wrong.push(format!("{found:?}, not {fault:?}: {status} {body}"));
        }
    }
    wrong
}

/// A status, and what these bodies with it are.
type Row = (u16, Fault, &'static [&'static str]);

fn check(rows: &[Row]) {
    let wrong: Vec<String> =
        rows.iter().flat_map(|(status, fault, bodies)| all(*status, *fault, bodies)).collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

const TOO_LONG: &[Row] = &[
    (
        400,
        Fault::ContextTooLong,
        &[
            // vLLM
            "This model's maximum context length is 8192 tokens. However, your request has 9500 \
             input tokens. Please reduce the length of the input messages.",
            "The decoder prompt (length 33000) is longer than the maximum model length of 32768. \
             Make sure that `max_model_len` is no smaller than the number of text tokens.",
            "The engine prompt length 40000 exceeds the max_model_len 32768. Please reduce prompt.",
            r#"{"object":"error","message":"max_model_len is 4096 but the prompt has 5000 tokens","type":"BadRequestError","param":null,"code":400}"#,
            // SGLang
            "The input (40000 tokens) is longer than the model's context length (32768 tokens).",
            "Requested token count exceeds the model's maximum context length of 8192 tokens. You \
             requested a total of 9000 tokens: 8000 tokens from the input messages and 1000 tokens \
             for the completion.",
            // llama.cpp, LM Studio, Ollama
            r#"{"error":{"code":400,"message":"request (9123 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9123,"n_ctx":8192}}"#,
            r#"{"error":"Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input."}"#,
            r#"{"error":"Reached context length of 4096 tokens, but this model does not currently support mid-generation context overflow."}"#,
            r#"{"error":"input length exceeds the context length"}"#,
            "failed to process image prompt: prompt exceeds n_ctx",
            // TGI
            r#"{"error":"Input validation error: `inputs` must have less than 4095 tokens. Given: 5120","error_type":"validation"}"#,
            // OpenRouter, Together, Fireworks
            "This endpoint's maximum context length is 131072 tokens. However, you requested about \
             140213 tokens (140213 of text input). Please reduce the length of either one, or use \
             the \"middle-out\" transform to compress your prompt automatically.",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: \
             4000 `inputs` tokens and 512 `max_new_tokens`",
            "The prompt is too long: 140000, model maximum context length: 131071",
            // Groq, Cerebras
            r#"{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            r#"{"message":"Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}"#,
            // Mistral, Cohere, DeepSeek
            r#"{"object":"error","message":"Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 maximum context length","type":"invalid_request_prompt","code":"3051"}"#,
            r#"{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5012. Try using a shorter prompt, or enable prompt truncating."}"#,
            "This model's maximum context length is 65536 tokens. However, you requested 70000 \
             tokens (66000 in the messages, 4000 in the completion). Please reduce the length.",
            // GLM, Qwen, Moonshot, MiniMax
            r#"{"error":{"code":"1261","message":"Prompt exceeds max length"}}"#,
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
            r#"{"code":"InvalidParameter","message":"Range of input length should be [1, 30720]"}"#,
            "Invalid request: Your request exceeded model token limit: 131072 (requested: 140001)",
            r#"{"base_resp":{"status_code":1039,"status_msg":"token limit"}}"#,
            r#"{"base_resp":{"status_code":2013,"status_msg":"invalid params, context window exceeds limit"}}"#,
            // xAI, Azure, Bedrock, Vertex, NVIDIA, Perplexity, Anthropic
            r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 537812 tokens."}"#,
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in \
             300000 tokens. Please reduce the length of the messages.",
            r#"{"message":"Input is too long for requested model."}"#,
            r#"{"message":"The model returned the following errors: input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}"#,
            r#"{"message":"Too many input tokens. Max input tokens: 8192, request input token count: 9000"}"#,
            r#"{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
            r#"{"type":"urn:inference-service:problem-details:bad-request","title":"Bad Request","status":400,"detail":"Inference error","instance":"/v2","message":"Input length 9000 exceeds maximum allowed token size 8192"}"#,
            "The total number of tokens in the conversation surpasses what the model can attend to",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213000 tokens > 200000 maximum"}}"#,
            r#"{"error":{"message":"litellm.ContextWindowExceededError: OpenAIException - too long","type":null,"code":"400"}}"#,
            "Your conversation no longer fits in the context of this model",
            "The number of prompt tokens (9001) is above what this model accepts (8192)",
            "输入内容过长,请缩短后重试",
        ],
    ),
    (413, Fault::ContextTooLong, &["Prompt is too long for this deployment"]),
    (
        422,
        Fault::ContextTooLong,
        &[
            r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 `inputs` tokens and 20 `max_new_tokens`","error_type":"validation"}"#,
        ],
    ),
    (
        500,
        Fault::ContextTooLong,
        &[
            r#"{"error":{"message":"This model's maximum context length is 4096 tokens, your prompt has 5000","type":"BadRequestError"}}"#,
        ],
    ),
];

#[test]
fn prompts_that_are_too_long() {
    check(TOO_LONG);
}

const MODELS: &[Row] = &[
    (
        400,
        Fault::ModelNotFound,
        &[
            "The model `llama-3.1-70b-versatile` has been decommissioned and is no longer \
             supported. Please refer to the deprecations page for a recommendation.",
            r#"{"error":{"message":"anthropic/claude-2 is not a valid model ID","code":400}}"#,
            r#"{"object":"error","message":"Invalid model: mistral-tiny-9","type":"invalid_model","param":null,"code":"1500"}"#,
            r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            r#"{"error":{"code":"1211","message":"模型不存在,请检查模型代码。"}}"#,
            r#"{"error":{"message":"Invalid model 'sonar-huge'. Permitted models can be found in the documentation.","type":"invalid_model","code":400}}"#,
            r#"{"message":"The provided model identifier is invalid."}"#,
            r#"{"message":"Invocation of model ID anthropic.claude-sonnet-4 with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile."}"#,
            r#"{"error":{"message":"/chat/completions: Invalid model name passed in model=gpt-9. Call `/v1/models` to view available models for your key.","type":"None","param":"None","code":"400"}}"#,
            "Model gpt-4-0314 was shut down on June 13th; please migrate",
            "This model has been sunset. Use a newer one instead.",
            "No model named qwen-9b is being served here",
            "The selected model is retired",
            "Model is not in the catalog of this gateway: foo/bar",
        ],
    ),
    (
        404,
        Fault::ModelNotFound,
        &[
            r#"{"object":"error","message":"The model `foo` does not exist.","type":"NotFoundError","param":null,"code":404}"#,
            r#"{"error":"model \"llama9\" not found, try pulling it first"}"#,
            r#"{"error":{"message":"Unable to access model foo. Please visit the model page to check.","type":"invalid_request_error","param":"model","code":"model_not_available"}}"#,
            r#"{"error":{"object":"error","type":"invalid_request_error","code":"NOT_FOUND","message":"Model not found, inaccessible, and/or not deployed"}}"#,
            r#"{"message":"model 'command-x' not found, make sure the correct model ID was used and that you have access to the model."}"#,
            r#"{"error":{"message":"No endpoints found for foo/bar:free.","code":404}}"#,
            r#"{"code":"Some requested entity was not found","error":"The model grok-0 does not exist or your team does not have access to it."}"#,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            r#"{"error":{"code":404,"message":"Publisher Model `projects/p/locations/l/publishers/google/models/foo` was not found or your project does not have access to it.","status":"NOT_FOUND"}}"#,
            r#"{"status":404,"title":"Not Found","detail":"Function 'x': Not found for account 'y'"}"#,
            r#"{"error":{"message":"Not found the model foo or Permission denied","type":"resource_not_found_error"}}"#,
        ],
    ),
    (403, Fault::ModelNotFound, &["Project `p` does not have access to model `gpt-9`"]),
];

#[test]
fn models_that_are_not_there() {
    check(MODELS);
}

const KEYS_AND_BILLS: &[Row] = &[
    (
        400,
        Fault::Auth,
        &[
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***. You can obtain an API key from the console."}"#,
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            r#"{"error":{"code":400,"message":"API Key not found. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#,
            r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#,
            r#"{"base_resp":{"status_code":1004,"status_msg":"login fail: Please carry the API secret key in the 'Authorization' field of the request header"}}"#,
            "The api key you sent has been revoked",
        ],
    ),
    (
        401,
        Fault::Auth,
        &[
            r#"{"error":{"message":"User not found.","code":401}}"#,
            r#"{"error":{"message":"No auth credentials found","code":401}}"#,
            r#"{"detail":"Unauthorized"}"#,
            r#"{"message":"Wrong API Key","type":"invalid_request_error","param":"api_key","code":"wrong_api_key"}"#,
            r#"{"error":{"code":"1000","message":"身份验证失败。"}}"#,
            r#"{"error":{"message":"Authentication Error, Invalid proxy server token passed.","type":"auth_error","param":"None","code":"401"}}"#,
        ],
    ),
    (
        403,
        Fault::Auth,
        &[r#"{"message":"The security token included in the request is invalid."}"#],
    ),
    (
        400,
        Fault::QuotaExhausted,
        &[
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#,
            r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
            r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#,
            "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
            "This organization has no remaining credits",
            "The prepayment credits are depleted",
        ],
    ),
    (
        402,
        Fault::QuotaExhausted,
        &[
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
            r#"{"error":{"message":"Credit limit exceeded, please navigate to the billing page to add more credits.","type":"credit_limit"}}"#,
            r#"{"error":{"message":"This request requires more credits, or fewer max_tokens.","code":402}}"#,
        ],
    ),
    (
        403,
        Fault::QuotaExhausted,
        &[
            r#"{"code":"AllocationQuota.FreeTierOnly","message":"The free tier of the model has been exhausted."}"#,
            r#"{"code":"The caller does not have permission to execute the specified operation","error":"Your team has either used all available credits or reached its monthly spending limit."}"#,
            r#"{"error":{"message":"Key limit exceeded (monthly limit).","code":403}}"#,
        ],
    ),
    (
        429,
        Fault::QuotaExhausted,
        &[
            r#"{"error":{"message":"Your account is suspended due to insufficient balance, please recharge your account","type":"exceeded_current_quota_error"}}"#,
            r#"{"error":{"code":"1113","message":"余额不足或无可用资源包,请充值。"}}"#,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        ],
    ),
];

#[test]
fn keys_and_bills() {
    check(KEYS_AND_BILLS);
}

const FEATURES_RATES_CROWDS: &[Row] = &[
    (
        400,
        Fault::UnsupportedParam,
        &[
            "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set",
            r#"{"error":"registry.ollama.ai/library/gemma:2b does not support tools"}"#,
            r#"{"error":"\"tiny\" does not support thinking"}"#,
            "The template of this model cannot render tool calls",
            "tool_choice 'required' is not supported when thinking is on",
            "This model does not accept images",
            "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant \
             `image_url`, expected `text` at line 1 column 90",
            "Multiple system messages are not allowed",
            "System message must be at the beginning.",
            "Conversation roles must alternate user/assistant/user/assistant/...",
            "`reasoning_content` in assistant messages must be passed back in thinking mode",
            "parameter.enable_thinking must be set to false for non-streaming calls",
            "Thinking mode does not support this tool_choice",
            "`response_format` of type json_schema is unavailable now",
            "This response_format type is unavailable now",
            "json_schema response format is not implemented",
            "Too many tools: 200 given, the maximum is 128",
            "Vision is not enabled for this deployment",
            "audio input modality is not available on this endpoint",
            r#"{"error":{"message":"Unsupported parameter: 'temperature' is not supported with this model.","type":"invalid_request_error","param":"temperature","code":"unsupported_parameter"}}"#,
            r#"{"error":{"code":400,"message":"Developer instruction is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}"#,
            r#"{"message":"This model doesn't support the toolConfig field. Remove toolConfig and try again."}"#,
            r#"{"message":"The model that you are using requires the last turn in the conversation to be a user message."}"#,
        ],
    ),
    (
        404,
        Fault::UnsupportedParam,
        &[
            r#"{"error":{"message":"No endpoints found that support tool use. To learn more about provider routing, visit the docs.","code":404}}"#,
            r#"{"error":{"message":"No endpoints found that can handle the requested parameters.","code":404}}"#,
        ],
    ),
    (
        429,
        Fault::RateLimited,
        &[
            r#"{"error":{"message":"Rate limit reached for model `m` in organization `o` on tokens per day (TPD): Limit 100000, Used 99000, Requested 3000. Please try again in 28m48s.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            r#"{"message":"Too many tokens, please wait before trying again."}"#,
            r#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later."}"#,
            r#"{"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}"#,
            r#"{"error":{"code":"1302","message":"您当前使用该API的并发数过高,请降低并发"}}"#,
        ],
    ),
    (400, Fault::RateLimited, &[r#"{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}"#]),
    (
        503,
        Fault::Overloaded,
        &[
            r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#,
            r#"{"error":{"message":"The service is temporarily unavailable, please retry","type":"service_unavailable"}}"#,
            r#"{"error":"Model is overloaded","error_type":"overloaded"}"#,
        ],
    ),
    (
        500,
        Fault::Overloaded,
        &["The server is currently busy, please try again later", "Worker queue is full"],
    ),
    (500, Fault::ServerError, &["CUDA out of memory", "EngineDeadError", "Internal server error"]),
    (
        400,
        Fault::ModelGlitch,
        &[
            r#"{"error":{"message":"Failed to call a function. Please adjust your prompt.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"<function"}}"#,
            r#"{"error":{"message":"tool call validation failed: parameters for tool f did not match schema","type":"invalid_request_error","code":"tool_use_failed"}}"#,
            "Model produced an invalid tool call that could not be parsed",
        ],
    ),
    (
        400,
        Fault::InvalidRequest,
        &[
            "messages must not be empty",
            "Expecting property name enclosed in double quotes",
            "Invalid 'messages[2].tool_call_id': no matching call",
        ],
    ),
];

#[test]
fn features_rates_and_crowds() {
    check(FEATURES_RATES_CROWDS);
}

const POLICY: &[Row] = &[
    (
        400,
        Fault::Refused,
        &[
            r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            r#"{"code":"DataInspectionFailed","message":"Input data may contain inappropriate content."}"#,
            r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error"}}"#,
            r#"{"contentFilter":[{"level":1,"role":"user"}],"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容,请您避免输入易产生敏感内容的提示语,感谢您的配合。"}}"#,
            r#"{"error":{"message":"The request was rejected because it was considered high risk","type":"content_filter"}}"#,
            r#"{"base_resp":{"status_code":1026,"status_msg":"input new_sensitive"}}"#,
            r#"{"message":"The provided prompt was blocked by a guardrail"}"#,
            "Your input was rejected by our safety classifier",
            "Prompt violates our terms of use",
            "We could not complete this because the text appears to promote violence",
        ],
    ),
    (
        403,
        Fault::Refused,
        &[
            r#"{"error":{"message":"Your chosen model requires moderation and your input was flagged for \"violence\".","code":403,"metadata":{"reasons":["violence"],"flagged_input":"x"}}}"#,
            r#"{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines. Team: t, API key ID: k, Model: grok-4, Failed check: SAFETY_CHECK_TYPE_BIO"}"#,
        ],
    ),
];

#[test]
fn content_that_a_provider_does_not_want() {
    check(POLICY);
}
