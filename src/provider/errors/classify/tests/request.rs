//! Rows that concern the request, the model or the address rather than the provider's state.

use super::*;

mod model_not_found {
    use super::*;

    #[test]
    fn every_providers_404_with_json_is_a_missing_model() {
        let deployment = r#"{"error":{"code":"DeploymentNotFound","message":"m"}}"#;
        let ollama = r#"{"error":{"message":"model 'x' not found","type":"not_found_error","param":null,"code":null}}"#;
        for body in [
            openai("invalid_request_error", "model_not_found", "The model `x` does not exist"),
            anthropic("not_found_error", "model: x"),
            plain_google(404, "NOT_FOUND"),
            deployment.to_owned(),
            ollama.to_owned(),
            r#"{"error":"model not found"}"#.to_owned(),
        ] {
            assert_eq!(fault_of(404, &body), Fault::ModelNotFound, "{body}");
        }
    }

    #[test]
    fn a_gateway_and_mistral_say_400_for_a_missing_model() {
        let gateway = r#"{"error":{"message":"Invalid model name passed in model=x","type":"None","param":"None","code":"400"}}"#;
        assert_eq!(fault_of(400, gateway), Fault::ModelNotFound);
        let mistral = r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500"}"#;
        assert_eq!(fault_of(400, mistral), Fault::ModelNotFound);
    }
}

mod bad_endpoint {
    use super::*;

    #[test]
    fn missing_pages_and_redirects_are_wrong_addresses() {
        for status in [301, 302, 307, 308, 404, 405, 415, 501] {
            assert_eq!(fault_of(status, "<html></html>"), Fault::BadEndpoint, "{status}");
            assert_eq!(fault_of(status, ""), Fault::BadEndpoint, "{status}");
        }
        assert_eq!(fault_of(404, r#"{"detail":"Not Found"}"#), Fault::BadEndpoint);
        assert!(reply(301, &[], "").message.contains("redirects are not followed"));
    }

    #[test]
    fn a_json_404_about_the_path_is_a_wrong_address() {
        let body = openai("invalid_request_error", "x", "Invalid URL (POST /v1/chat)");
        assert_eq!(fault_of(404, &body), Fault::BadEndpoint);
        let groq = openai("invalid_request_error", "unknown_url", "Unknown request URL");
        assert_eq!(fault_of(404, &groq), Fault::BadEndpoint);
    }
}

mod context_and_size {
    use super::*;

    #[test]
    fn prompts_too_long_are_known_in_every_wording() {
        let llama = r#"{"error":{"code":400,"message":"m","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}"#;
        assert_eq!(fault_of(400, llama), Fault::ContextTooLong);
        let code = openai("invalid_request_error", "context_length_exceeded", "m");
        assert_eq!(fault_of(400, &code), Fault::ContextTooLong);
        let claude =
            anthropic("invalid_request_error", "prompt is too long: 300 tokens > 200 maximum");
        assert_eq!(fault_of(400, &claude), Fault::ContextTooLong);
        let gemini = google(
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            serde_json::json!([]),
        );
        assert_eq!(fault_of(400, &gemini), Fault::ContextTooLong);
        let vllm = r#"{"object":"error","message":"This model's maximum context length is 8 tokens","type":"BadRequestError","param":null,"code":400}"#;
        assert_eq!(fault_of(400, vllm), Fault::ContextTooLong);
    }

    #[test]
    fn a_string_too_long_for_its_field_is_no_context_problem() {
        let body = openai("invalid_request_error", "string_above_max_length", "prompt is too long");
        assert_eq!(fault_of(400, &body), Fault::InvalidRequest);
    }

    #[test]
    fn a_body_too_large_is_too_large() {
        assert_eq!(fault_of(413, &anthropic("request_too_large", "m")), Fault::TooLarge);
        assert_eq!(fault_of(413, "<html></html>"), Fault::TooLarge);
    }
}

mod the_request {
    use super::*;

    #[test]
    fn parameters_that_a_model_does_not_take_are_unsupported() {
        for body in [
            openai("invalid_request_error", "unsupported_parameter", "m"),
            openai("invalid_request_error", "unsupported_value", "m"),
            openai("invalid_request_error", "unknown_parameter", "Unknown parameter: 'x'."),
            anthropic("invalid_request_error", "`temperature` is deprecated for this model."),
            anthropic("invalid_request_error", "This model does not support assistant prefill."),
            anthropic("invalid_request_error", "x: Extra inputs are not permitted"),
            google(400, "INVALID_ARGUMENT", "Unknown name \"x\"", serde_json::json!([])),
        ] {
            assert_eq!(fault_of(400, &body), Fault::UnsupportedParam, "{body}");
        }
        let llama = r#"{"error":{"code":501,"message":"no tools","type":"not_supported_error"}}"#;
        assert_eq!(fault_of(501, llama), Fault::UnsupportedParam);
    }

    #[test]
    fn other_400s_and_422s_are_invalid_requests() {
        for body in [
            openai("invalid_request_error", "invalid_image_url", "m"),
            anthropic("invalid_request_error", "messages: at least one message is required"),
            plain_google(400, "INVALID_ARGUMENT"),
            r#"{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}"#.to_owned(),
        ] {
            assert_eq!(fault_of(400, &body), Fault::InvalidRequest, "{body}");
            assert_eq!(fault_of(422, &body), Fault::InvalidRequest, "{body}");
        }
    }

    #[test]
    fn conflicts_are_conflicts() {
        assert_eq!(fault_of(409, &anthropic("conflict_error", "m")), Fault::Conflict);
        assert_eq!(fault_of(409, &plain_google(409, "ABORTED")), Fault::Conflict);
    }

    #[test]
    fn groq_failing_at_a_tool_call_is_a_glitch() {
        let body = openai("invalid_request_error", "tool_use_failed", "Failed to call a function");
        assert_eq!(fault_of(400, &body), Fault::ModelGlitch);
    }

    #[test]
    fn policy_is_refused_in_every_form() {
        let azure = r#"{"error":{"code":"content_filter","message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#;
        assert_eq!(fault_of(400, azure), Fault::Refused);
        let openai_code = openai("invalid_request_error", "content_policy_violation", "m");
        assert_eq!(fault_of(400, &openai_code), Fault::Refused);
        let text = openai("x", "y", "Your request was rejected as a result of our safety system.");
        assert_eq!(fault_of(400, &text), Fault::Refused);
        let text = anthropic("invalid_request_error", "Output blocked by content filtering policy");
        assert_eq!(fault_of(400, &text), Fault::Refused);
        let router = r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["x"],"flagged_input":"…"}}}"#;
        assert_eq!(fault_of(403, router), Fault::Refused);
    }
}

mod within_a_200 {
    use super::*;

    fn fault_of(error: serde_json::Value) -> Fault {
        in_success(&error, &Secrets::default()).fault
    }

    #[test]
    fn a_number_stands_for_the_status() {
        let error = |code: u16| serde_json::json!({"code": code, "message": "m"});
        assert_eq!(fault_of(error(429)), Fault::RateLimited);
        assert_eq!(fault_of(error(502)), Fault::ServerError);
        assert_eq!(fault_of(error(503)), Fault::Overloaded);
        assert_eq!(fault_of(error(402)), Fault::QuotaExhausted);
        assert_eq!(fault_of(error(401)), Fault::Auth);
    }

    #[test]
    fn words_stand_for_the_status_where_there_is_no_number() {
        let error = |kind: &str| serde_json::json!({"type": kind, "message": "m"});
        assert_eq!(fault_of(error("overloaded_error")), Fault::Overloaded);
        assert_eq!(fault_of(error("rate_limit_error")), Fault::RateLimited);
        assert_eq!(fault_of(error("authentication_error")), Fault::Auth);
        assert_eq!(fault_of(error("not_found_error")), Fault::ModelNotFound);
        assert_eq!(fault_of(error("invalid_request_error")), Fault::InvalidRequest);
        assert_eq!(fault_of(error("api_error")), Fault::ServerError);
        assert_eq!(fault_of(serde_json::json!("it broke")), Fault::ServerError);
    }
}

mod by_meaning {
    use super::*;

    /// A `message` alone, as many compatible servers send it.
    fn said(status: u16, message: &str) -> Fault {
        fault_of(status, &serde_json::json!({"error": {"message": message}}).to_string())
    }

    #[test]
    fn a_status_that_misleads_is_corrected_by_what_is_said() {
        for (status, message, fault) in [
            (403, "Content violates usage guidelines. Failed check: SAFETY", Fault::Refused),
            (500, "The output was blocked by our content filter", Fault::Refused),
            (404, "No endpoints found that support image input", Fault::UnsupportedParam),
            (403, "Your credit balance is too low", Fault::QuotaExhausted),
            (400, "Incorrect API key provided", Fault::Auth),
            (400, "The model `x` has been decommissioned", Fault::ModelNotFound),
            (500, "The input exceeds the context window of this model", Fault::ContextTooLong),
            (413, "prompt is too long: 9 tokens > 8 maximum", Fault::ContextTooLong),
            (400, "Request payload size exceeds the limit", Fault::TooLarge),
            (400, "The engine is currently overloaded", Fault::Overloaded),
            (400, "Too many requests, slow down", Fault::RateLimited),
            (429, "Your account balance is insufficient, please recharge", Fault::QuotaExhausted),
            (429, "You exceeded your current quota, please check billing", Fault::RateLimited),
            (401, "Streaming is not supported with this key", Fault::Auth),
        ] {
            assert_eq!(said(status, message), fault, "{status} {message}");
        }
    }

    #[test]
    fn a_4xx_of_which_nothing_is_known_blocks_no_model() {
        for status in [400, 406, 411, 412, 416, 417, 418, 421, 422, 423, 425, 426, 428, 444, 460] {
            for body in ["", "no", "{}", r#"{"error":{"message":"Provider returned error"}}"#] {
                assert_eq!(fault_of(status, body), Fault::InvalidRequest, "{status} {body}");
            }
        }
    }

    #[test]
    fn a_wait_is_read_from_limits_and_texts_of_a_rate_limit() {
        let limits =
            [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "45s")];
        let slow = openai("x", "rate_limit_exceeded", "slow down");
        assert_eq!(reply(429, &limits, &slow).retry_after, Some(Duration::from_secs(45)));
        let text = openai("x", "rate_limit_exceeded", "Please try again in 20s.");
        assert_eq!(reply(429, &[], &text).retry_after, Some(Duration::from_secs(20)));
        assert_eq!(reply(400, &limits, "{}").retry_after, None);
    }

    #[test]
    fn headers_that_a_gateway_passes_on_in_its_body_are_hints() {
        let body = |headers: serde_json::Value| {
            serde_json::json!({"error": {"message": "Rate limit exceeded: free-models-per-min. ",
                "code": 429, "metadata": {"headers": headers, "provider_name": null}},
                "user_id": "u"})
        };
        for headers in [
            serde_json::json!({"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1795132845000"}),
            serde_json::json!({"x-ratelimit-remaining": 0, "x-ratelimit-reset": 1_795_132_845}),
            serde_json::json!({"Retry-After": "45s"}),
            serde_json::json!({"Retry-After": ["45"]}),
            serde_json::json!({"retry-after-ms": "45000"}),
        ] {
            let wanted = Some(Duration::from_secs(45));
            let body = body(headers);
            assert_eq!(reply(429, &[], &body.to_string()).retry_after, wanted, "{body}");
            let within = timed(in_success(&body["error"], &Secrets::default()), NOW);
            assert_eq!((within.fault, within.retry_after), (Fault::RateLimited, wanted), "{body}");
        }
    }
}
