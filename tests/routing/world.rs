//! Refusals as servers and gateways word them: which kind each is, that the backup answers all the
//! same, and that none takes the model from anybody unless the server's own code leaves no doubt.

use fallbackd::config::Kind;
use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use crate::harness::{Setup, raw, sim};

/// What becomes of the circuit of a model that has just answered somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Circuit {
    Stays,
    Opens,
}
use Circuit::{Opens, Stays};

/// A refusal: status, body, its kind, and the circuit.
struct Refusal(u16, Value, &'static str, Circuit);

fn said(message: &str) -> Value {
    json!({ "error": { "message": message, "type": "invalid_request_error", "code": null } })
}

fn coded(code: &str, message: &str) -> Value {
    json!({ "error": { "message": message, "type": code, "code": code } })
}

/// The same kind of refusal in many wordings.
fn all(status: u16, fault: &'static str, wordings: &[&str]) -> Vec<Refusal> {
    wordings.iter().map(|text| Refusal(status, said(text), fault, Stays)).collect()
}

/// Asks a model once for a good answer and once for each refusal, with a backup behind it.
fn check(refusals: &[Refusal]) {
    let (server, good) = (sim(Kind::OpenAi), sim(Kind::OpenAi));
    let mut setup = Setup::new();
    setup.provider("server", &server).provider("good", &good).model("backup", "good", "");
    let names: Vec<String> = (0..refusals.len()).map(|row| format!("m{row}")).collect();
    for name in &names {
        setup.model(name, "server", "");
    }
    let daemon = setup.start();
    let mut wrong = Vec::new();
    for (name, Refusal(status, body, fault, circuit)) in names.iter().zip(refusals) {
        assert_eq!(daemon.hello(&[name])["model_used"], **name);
        let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        server.set_for(name, raw(*status, &text));
        let reply = daemon.ask(&json!({ "models": [name, "backup"], "on_refusal": "fallback",
            "messages": [{ "role": "user", "content": "hello" }] }));
        server.set_for(name, Behaviour::Ok);
        let told = reply["attempts"][0]["error_type"].as_str().unwrap_or("none").to_owned();
        let answered = reply["model_used"] == "backup";
        let state = daemon.health(name)["breaker"]["state"].clone();
        let opens = if state == "open" { Opens } else { Stays };
        if told != *fault || !answered || opens != *circuit {
            wrong.push(format!("{status} {text}\n    {told}, {answered}, {opens:?}; not {fault}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), refusals.len(), wrong.join("\n"));
}

#[test]
fn a_prompt_that_is_too_long_is_known_in_any_wording() {
    let mut rows = all(
        400,
        "context_too_long",
        &[
            "Input tokens exceed the configured limit of 272000 tokens.",
            "too many tokens: total number of tokens in this prompt cannot exceed 128000",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: \
             9000 `inputs` tokens and 512 `max_new_tokens`",
            "the request exceeds the available context size, try increasing it",
            "input length exceeds maximum context length",
            "The number of tokens to keep from the initial prompt is greater than the context \
             length (n_keep: 9000, n_ctx: 4096).",
            "Please reduce the length of the messages or completion.",
            "Input is too long for requested model.",
            "The prompt is too long: 140000, model maximum context length: 131071",
            "Invalid request: Your request exceeded model token limit: 131072",
            "Range of input length should be [1, 129024]",
            "invalid params, context window exceeds limit",
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
            "Request body too large for this model. Max size: 8000 tokens.",
            "The decoder prompt (length 70000) is longer than the maximum model length of 65536.",
            "Input length (50000 tokens) exceeds the maximum allowed length (32767 tokens).",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            "This endpoint's maximum context length is 32768 tokens. However, you requested about \
             50000 tokens (49000 of text input, 1000 in the output).",
            "Your input exceeds the context window of this model.",
            "Conversation is too long, please start a new one",
            "Total tokens of image and text exceed the maximum message tokens",
            "The sequence of 9100 tokens does not fit into the window of 8192",
            "prompt token count of 91000 exceeds the limit of 64000",
        ],
    );
    let local = json!({ "error": { "code": 400, "type": "exceed_context_size_error",
        "message": "the request exceeds it", "n_prompt_tokens": 9000, "n_ctx": 4096 } });
    rows.extend([
        Refusal(400, local, "context_too_long", Stays),
        Refusal(413, coded("tokens_limit_reached", "too large"), "context_too_long", Stays),
        Refusal(422, json!({ "detail": "Prompt is too long" }), "context_too_long", Stays),
        Refusal(400, json!({ "code": "1261", "msg": "Prompt 超长" }), "context_too_long", Stays),
    ]);
    check(&rows);
}

#[test]
fn a_model_that_is_gone_is_known_in_any_wording() {
    let mut rows = all(
        400,
        "model_not_found",
        &[
            "The model `old-one` has been deprecated, learn more in the docs",
            "The model `old-one` has been decommissioned and is no longer supported.",
            "Model not found: old-one",
            "Invalid model name passed in model=old-one. Call `/v1/models` to see all.",
            "model 'old-one' not found, try pulling it first",
            "The model `old-one` does not exist or you do not have access to it.",
            "Model Not Exist",
            "old-one is not a valid model ID",
            "The requested model is not supported.",
            "models/old-one is not found for API version v1beta, or is not supported for \
             generateContent.",
            "The provided model identifier is invalid.",
            "Publisher Model `projects/x/models/old-one` was not found or your project does not \
             have access to it.",
            "You don't have access to the model with the specified model ID.",
            "This model version has reached the end of its life.",
            "Model old-one has been retired on 2025-01-01",
            "unknown model `old-one`",
            "no such model: old-one",
            "The model old-one is currently not available to your organization",
        ],
    );
    rows.extend([
        Refusal(404, coded("model_not_found", "m"), "model_not_found", Opens),
        Refusal(400, coded("model_decommissioned", "m"), "model_not_found", Opens),
        Refusal(400, coded("model_not_supported", "m"), "model_not_found", Opens),
        Refusal(404, said("m"), "model_not_found", Stays),
        Refusal(404, json!("no"), "bad_endpoint", Stays),
        Refusal(405, json!({ "detail": "Method Not Allowed" }), "bad_endpoint", Stays),
    ]);
    check(&rows);
}

#[test]
fn keys_and_bills_are_known_in_any_wording() {
    let mut rows = all(
        400,
        "auth",
        &[
            "API key not valid. Please pass a valid API key.",
            "API key expired. Please renew the API key.",
            "Incorrect API key provided: [hidden].",
            "No auth credentials found",
            "Missing Authentication header",
            "Provided API key is disabled",
            "Authentication Fails, Your api key is invalid",
            "The security token included in the request is expired",
            "Your access token could not be parsed",
            "Access denied due to invalid subscription key or wrong API endpoint.",
        ],
    );
    rows.extend(all(
        400,
        "quota_exhausted",
        &[
            "You exceeded your current quota, please check your plan and billing details.",
            "Your credit balance is too low to access the API.",
            "Access denied, please make sure your account is in good standing.",
            "Your account is not active, please check your billing details on our website.",
            "Billing hard limit has been reached",
            "Your project has exceeded its monthly spending cap.",
            "The free tier of the model has been exhausted.",
            "You have no credits left. Buy more to continue.",
            "Insufficient account balance",
            "Account balance is not enough",
            "You have run out of prepaid funds",
            "Please top up your account",
            "余额不足或无可用资源包,请充值。",
        ],
    ));
    rows.extend([
        Refusal(401, json!(""), "auth", Stays),
        Refusal(401, json!({ "message": "Unauthorized" }), "auth", Stays),
        Refusal(403, json!("<!DOCTYPE html><title>Just a moment...</title>"), "auth", Stays),
        Refusal(403, json!("RBAC: access denied"), "auth", Stays),
        Refusal(400, coded("invalid_api_key", "m"), "auth", Opens),
        Refusal(402, said("m"), "quota_exhausted", Opens),
        Refusal(400, coded("insufficient_balance", "m"), "quota_exhausted", Opens),
        Refusal(403, coded("insufficient_quota", "m"), "quota_exhausted", Opens),
    ]);
    check(&rows);
}

#[test]
fn what_one_model_lacks_is_known_in_any_wording() {
    let mut rows = all(
        400,
        "unsupported_param",
        &[
            "`tools` is not supported in this model.",
            "Function calling is not enabled for models/small",
            "Developer instruction is not enabled for models/small",
            "System role not supported",
            "Only user and assistant roles are supported!",
            "Conversation roles must alternate user/assistant/user/assistant/...",
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got \
             assistant",
            "This model does not support image input.",
            "Invalid content type. image_url is only supported by certain models.",
            "registry.example/library/small does not support tools",
            "Function calling with a response mime type: 'application/json' is unsupported",
            "json mode cannot be combined with tool/function calling",
            "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set",
            "max_tokens: 128000 > 8192, which is the maximum allowed number of output tokens",
            "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
            "Invalid 'tools': array too long. Expected an array with maximum length 128, but got \
             an array with length 200 instead.",
            "Unrecognized request argument supplied: reasoning_effort",
            "Multimodal input is not available for this model",
            "Thinking is not supported by this model",
        ],
    );
    let pydantic = json!({ "detail": [{ "type": "extra_forbidden", "loc": ["body", "seed"],
        "msg": "Extra inputs are not permitted", "input": 1 }] });
    rows.extend([
        Refusal(422, pydantic, "unsupported_param", Stays),
        Refusal(
            404,
            said("No endpoints found that support image input"),
            "unsupported_param",
            Stays,
        ),
        Refusal(501, said("not implemented"), "unsupported_param", Stays),
    ]);
    check(&rows);
}

#[test]
fn a_policy_is_known_in_any_wording_and_with_any_status() {
    let texts = [
        "Content Exists Risk",
        "Output data may contain inappropriate content.",
        "Your request was rejected as a result of our safety system.",
        "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
        "The request was rejected because it was considered high risk",
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        "input new_sensitive",
        "Your prompt appears to be a jailbreak attempt and was blocked",
        "The content was blocked by our content policy",
        "This request was blocked for violating the terms of service",
        "The generated text has been blocked by our content filters.",
        "系统检测到输入或生成内容可能包含不安全或敏感内容",
    ];
    let mut rows = Vec::new();
    for status in [400, 403, 422, 451, 500] {
        rows.extend(all(status, "refused", &texts));
    }
    rows.extend([
        Refusal(400, coded("content_filter", "m"), "refused", Stays),
        Refusal(400, coded("DataInspectionFailed", "m"), "refused", Stays),
        Refusal(403, coded("content_policy_violation", "m"), "refused", Stays),
    ]);
    check(&rows);
}

#[test]
fn a_reason_within_a_wrapper_is_read() {
    let inner = r#"{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}"#;
    let gone = json!({ "error": { "message": "The model has been decommissioned" } }).to_string();
    let rows = [
        json!({ "error": { "message": "Provider returned error", "code": 400,
            "metadata": { "raw": inner, "provider_name": "p" } } }),
        json!({ "error": { "message": format!("litellm.BadRequestError: {inner}") } }),
        json!({ "errors": [{ "message": "prompt is too long: 9 tokens > 8 maximum" }] }),
        json!({ "message": "bad", "cause": { "error": { "msg": "prompt is too long" } } }),
        json!({ "base_resp": { "status_code": 2013, "status_msg": "prompt is too long" } }),
        json!([{ "error": { "message": "prompt is too long" } }]),
        json!({ "success": false, "result": null, "errors": [{ "code": 5021,
            "message": "The prompt is too long for this model" }] }),
        json!(format!("data: {inner}\n\n")),
        json!(format!("event: error\ndata: {inner}\n\n")),
        json!(format!("HTTP 400 from upstream: {inner}")),
        json!("prompt is too long"),
    ];
    let mut rows: Vec<Refusal> =
        rows.into_iter().map(|body| Refusal(400, body, "context_too_long", Stays)).collect();
    rows.push(Refusal(
        400,
        json!({ "error": { "message": "x", "metadata": { "raw": gone } } }),
        "model_not_found",
        Stays,
    ));
    check(&rows);
}

#[test]
fn the_callers_own_words_in_a_refusal_are_no_reason_of_the_provider() {
    let texts = [
        "Invalid schema for function 'get_credit_balance': array schema missing items.",
        "Invalid schema for function 'check_authorization': 'required' is required to be supplied.",
        "Invalid schema for function 'find_model': reference not found in schema.",
        "Invalid schema for function 'content_moderation': array schema missing items.",
        "Invalid schema for function 'get_rate_limit': array schema missing items.",
        "tools.3.custom.credential_check.input_schema: JSON schema is invalid",
        "parameters.properties[credit_balance].items: missing field.",
        "Input should be 'top_up', 'recharge' or 'overdue'",
        "Cannot download https://x.example/harmful-algae/flagged.png",
        "[{'type':'string_type','loc':('body','messages',0,'name'),'msg':'Input should be a valid \
         string','input':{'role':'user','content':'What is my credit balance? Is it harmful?'}}]",
        "Request body validation failed: violation of constraint minItems at 'messages'",
        "Invalid 'prompt_cache_key': string too long",
    ];
    let (server, good) = (sim(Kind::OpenAi), sim(Kind::OpenAi));
    let mut setup = Setup::new();
    setup.provider("server", &server).provider("good", &good).model("backup", "good", "");
    for at in 0..texts.len() {
        setup.model(&format!("m{at}"), "server", "");
    }
    let daemon = setup.start();
    for (at, text) in texts.iter().enumerate() {
        let name = format!("m{at}");
        server.set_for(&name, raw(400, said(text)));
        let reply = daemon.hello(&[&name, "backup"]);
        assert_eq!(reply["model_used"], "backup", "{reply}");
        assert_eq!(daemon.health(&name)["breaker"]["state"], "closed", "{reply}");
        assert!(daemon.health(&name)["hold_until"].is_null(), "{reply}");
    }
}

#[test]
fn firewalls_outages_and_accounts_are_no_content_policy() {
    check(&[
        Refusal(
            403,
            json!("Your request was blocked by our web application firewall."),
            "auth",
            Stays,
        ),
        Refusal(
            403,
            json!({ "message": "Request blocked due to suspicious activity." }),
            "auth",
            Stays,
        ),
        Refusal(
            403,
            said("Access denied: your IP address has been flagged for abuse."),
            "auth",
            Stays,
        ),
        Refusal(500, said("moderation service unavailable"), "overloaded", Stays),
        Refusal(500, said("Guardrail timed out"), "server_error", Stays),
        Refusal(500, coded("server_error", "write to cache not permitted"), "server_error", Stays),
        Refusal(
            502,
            json!("upstream connect error: protocol not supported"),
            "server_error",
            Stays,
        ),
        Refusal(400, said("Budget has been exceeded! Max budget: 0.01"), "quota_exhausted", Stays),
        Refusal(400, said("Model 'old' was retired on May 15, 2025."), "model_not_found", Stays),
        Refusal(400, said("invalid api token"), "auth", Stays),
    ]);
}
