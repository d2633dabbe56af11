//! Every row of the classification, on bodies in the shapes their servers send.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Wall = Wall(1_795_132_800_000);

fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let headers: HeaderMap = headers.collect();
    let reply = ErrorResponse { status, headers: &headers, body: body.as_bytes() };
    classify(&reply, &Secrets::default(), NOW)
}

fn fault_of(status: u16, body: &str) -> Fault {
    reply(status, &[], body).fault
}

fn openai(kind: &str, code: &str, message: &str) -> String {
    serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
        .to_string()
}

fn anthropic(kind: &str, message: &str) -> String {
    serde_json::json!({"type": "error", "error": {"type": kind, "message": message},
        "request_id": "req_1"})
    .to_string()
}

fn google(code: u16, status: &str, message: &str, details: serde_json::Value) -> String {
    serde_json::json!({"error": {"code": code, "message": message, "status": status,
        "details": details}})
    .to_string()
}

fn plain_google(code: u16, status: &str) -> String {
    google(code, status, "m", serde_json::json!([]))
}

mod request;
mod wordings;

mod overloaded {
    use super::*;

    #[test]
    fn anthropic_529_is_overloaded() {
        assert_eq!(fault_of(529, &anthropic("overloaded_error", "Overloaded")), Fault::Overloaded);
    }

    #[test]
    fn openai_503_is_overloaded() {
        let body = openai("service_unavailable_error", "server_is_overloaded", "busy");
        assert_eq!(fault_of(503, &body), Fault::Overloaded);
    }

    #[test]
    fn google_unavailable_is_overloaded_even_in_a_list() {
        let body = plain_google(503, "UNAVAILABLE");
        assert_eq!(fault_of(503, &body), Fault::Overloaded);
        assert_eq!(fault_of(503, &format!("[{body}]")), Fault::Overloaded);
    }

    #[test]
    fn a_500_that_says_overloaded_is_overloaded() {
        assert_eq!(fault_of(500, &anthropic("overloaded_error", "m")), Fault::Overloaded);
    }

    #[test]
    fn groq_498_is_overloaded() {
        assert_eq!(fault_of(498, &openai("x", "capacity_exceeded", "m")), Fault::Overloaded);
    }

    #[test]
    fn llama_cpp_loading_its_model_is_overloaded() {
        let body = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
        assert_eq!(fault_of(503, body), Fault::Overloaded);
    }
}

mod server_error {
    use super::*;

    #[test]
    fn openai_500_and_502_are_server_errors() {
        for status in [500, 502, 504] {
            let body =
                r#"{"error":{"message":"m","type":"server_error","param":null,"code":null}}"#;
            assert_eq!(fault_of(status, body), Fault::ServerError);
        }
    }

    #[test]
    fn anthropic_api_and_timeout_errors_are_server_errors() {
        assert_eq!(fault_of(500, &anthropic("api_error", "m")), Fault::ServerError);
        assert_eq!(fault_of(504, &anthropic("timeout_error", "m")), Fault::ServerError);
    }

    #[test]
    fn google_internal_and_deadline_are_server_errors() {
        assert_eq!(fault_of(500, &plain_google(500, "INTERNAL")), Fault::ServerError);
        assert_eq!(fault_of(504, &plain_google(504, "DEADLINE_EXCEEDED")), Fault::ServerError);
    }

    #[test]
    fn pages_of_the_edge_are_server_errors() {
        for status in [502, 520, 522, 524, 527, 530] {
            let failure = reply(status, &[], "<html><title>Bad gateway</title></html>");
            assert_eq!(failure.fault, Fault::ServerError);
            assert_eq!(failure.message, "an HTML page: Bad gateway");
        }
    }

    #[test]
    fn request_timeouts_and_failed_dependencies_are_server_errors() {
        assert_eq!(fault_of(408, &openai("timeout", "timeout", "m")), Fault::ServerError);
        assert_eq!(fault_of(424, &openai("x", "failed_dependency", "m")), Fault::ServerError);
        assert_eq!(fault_of(500, ""), Fault::ServerError);
        assert_eq!(fault_of(499, &plain_google(499, "CANCELLED")), Fault::ServerError);
    }
}

mod rate_limited {
    use super::*;

    #[test]
    fn openai_429_with_a_hint_is_a_rate_limit() {
        let body = openai("requests", "rate_limit_exceeded", "Rate limit reached");
        let failure = reply(429, &[("retry-after-ms", "1500"), ("retry-after", "2")], &body);
        assert_eq!(failure.fault, Fault::RateLimited);
        assert_eq!(failure.retry_after, Some(Duration::from_millis(1500)));
        assert_eq!(failure.code.as_deref(), Some("rate_limit_exceeded"));
        assert_eq!(failure.status, Some(429));
    }

    #[test]
    fn anthropic_429_is_a_rate_limit_and_so_is_its_ramp_limit() {
        assert_eq!(fault_of(429, &anthropic("rate_limit_error", "m")), Fault::RateLimited);
        let ramp = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"ramp_limit_exceeded"}}}"#;
        assert_eq!(fault_of(429, ramp), Fault::RateLimited);
    }

    #[test]
    fn google_429_with_retry_info_is_a_rate_limit_with_that_wait() {
        let details = serde_json::json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": "59s"}]);
        let message = "You exceeded your current quota, please check your plan and billing details";
        let failure = reply(429, &[], &google(429, "RESOURCE_EXHAUSTED", message, details));
        assert_eq!(failure.fault, Fault::RateLimited);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(59)));
    }

    #[test]
    fn groq_413_by_tokens_per_minute_is_a_rate_limit() {
        let body = openai("tokens", "rate_limit_exceeded", "Request too large for TPM");
        assert_eq!(fault_of(413, &body), Fault::RateLimited);
    }

    #[test]
    fn openrouter_402_with_retry_after_is_a_rate_limit() {
        let body = r#"{"error":{"code":402,"message":"wait"}}"#;
        assert_eq!(reply(402, &[("retry-after", "5")], body).fault, Fault::RateLimited);
    }

    #[test]
    fn a_proxy_429_without_json_is_a_rate_limit() {
        assert_eq!(fault_of(429, "slow down"), Fault::RateLimited);
        let gateway =
            r#"{"error":{"message":"m","type":"throttling_error","param":null,"code":"429"}}"#;
        assert_eq!(fault_of(429, gateway), Fault::RateLimited);
    }
}

mod quota_exhausted {
    use super::*;

    #[test]
    fn openai_money_codes_are_quota() {
        let body = openai("insufficient_quota", "insufficient_quota", "check your billing");
        assert_eq!(fault_of(429, &body), Fault::QuotaExhausted);
        let by_type =
            r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":null}}"#;
        assert_eq!(fault_of(429, by_type), Fault::QuotaExhausted);
        for code in [
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        ] {
            assert_eq!(fault_of(429, &openai("requests", code, "m")), Fault::QuotaExhausted);
        }
    }

    #[test]
    fn anthropic_spend_limits_are_quota_in_all_three_forms() {
        let limit = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        assert_eq!(fault_of(429, limit), Fault::QuotaExhausted);
        assert_eq!(fault_of(402, &anthropic("billing_error", "m")), Fault::QuotaExhausted);
        let own = "You have reached your specified API usage limits.";
        let body = anthropic("invalid_request_error", own);
        assert_eq!(fault_of(400, &body), Fault::QuotaExhausted);
    }

    #[test]
    fn google_daily_quota_and_used_up_credit_are_quota() {
        let details = serde_json::json!([
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
                {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20s"}]);
        let daily = google(429, "RESOURCE_EXHAUSTED", "m", details);
        assert_eq!(fault_of(429, &daily), Fault::QuotaExhausted);
        assert_eq!(fault_of(402, &plain_google(402, "RESOURCE_EXHAUSTED")), Fault::QuotaExhausted);
    }

    #[test]
    fn deepseek_without_balance_is_quota() {
        let body = openai("unknown_error", "invalid_request_error", "Insufficient Balance");
        assert_eq!(fault_of(402, &body), Fault::QuotaExhausted);
    }
}

mod auth {
    use super::*;

    #[test]
    fn openai_401_and_403_are_auth() {
        let body = openai("invalid_request_error", "invalid_api_key", "Incorrect API key");
        assert_eq!(fault_of(401, &body), Fault::Auth);
        let country = openai("x", "unsupported_country_region_territory", "Country not supported");
        assert_eq!(fault_of(403, &country), Fault::Auth);
    }

    #[test]
    fn azure_401_without_type_is_auth() {
        assert_eq!(
            fault_of(401, r#"{"error":{"code":"401","message":"Access denied"}}"#),
            Fault::Auth
        );
    }

    #[test]
    fn anthropic_authentication_and_permission_are_auth() {
        assert_eq!(fault_of(401, &anthropic("authentication_error", "m")), Fault::Auth);
        assert_eq!(fault_of(403, &anthropic("permission_error", "m")), Fault::Auth);
    }

    #[test]
    fn google_says_400_for_a_bad_key_and_for_a_wrong_country() {
        let details = serde_json::json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID"}]);
        let message = "API key not valid. Please pass a valid API key.";
        let failure = reply(400, &[], &google(400, "INVALID_ARGUMENT", message, details));
        assert_eq!(failure.fault, Fault::Auth);
        assert_eq!(failure.code.as_deref(), Some("api_key_invalid"));
        assert_eq!(fault_of(400, &plain_google(400, "FAILED_PRECONDITION")), Fault::Auth);
        assert_eq!(fault_of(403, &plain_google(403, "PERMISSION_DENIED")), Fault::Auth);
    }

    #[test]
    fn a_page_with_403_is_auth() {
        assert_eq!(fault_of(403, "<!doctype html><title>Blocked</title>"), Fault::Auth);
    }
}

#[test]
fn what_the_provider_says_about_retrying_is_passed_on() {
    assert_eq!(reply(500, &[("x-should-retry", "false")], "").should_retry, Some(false));
    assert_eq!(reply(400, &[("x-should-retry", "true")], "").should_retry, Some(true));
    assert_eq!(reply(500, &[], "").should_retry, None);
}

#[test]
fn a_key_in_message_and_code_is_not_passed_on() {
    let secret = secrecy::SecretString::from("my-secret-key-123".to_owned());
    let secrets = Secrets::new(&[secret]);
    let body = openai("x", "my-secret-key-123", "Incorrect API key provided: my-secret-key-123.");
    let empty = HeaderMap::new();
    let reply = ErrorResponse { status: 401, headers: &empty, body: body.as_bytes() };
    let failure = classify(&reply, &secrets, NOW);
    assert!(!format!("{failure:?}").contains("my-secret-key-123"));
    assert_eq!(failure.message, "Incorrect API key provided: [hidden].");
    assert_eq!(failure.code, None);
}

proptest! {
    #[test]
    fn any_bytes_with_any_status_are_classified(
        status in 100u16..1000,
        body in proptest::collection::vec(any::<u8>(), 0..300),
        retry_after in "\\PC{0,20}",
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = retry_after.parse() {
            headers.insert("retry-after", value);
        }
        let reply = ErrorResponse { status, headers: &headers, body: &body };
        let failure = classify(&reply, &Secrets::default(), NOW);
        prop_assert!(failure.message.chars().count() <= 300);
    }

    #[test]
    fn any_json_is_classified(json in crate::provider::fixtures::any_json(), status in 200u16..600) {
        reply(status, &[], &json.to_string());
        reply(status, &[], &serde_json::json!({"error": json}).to_string());
        in_success(&json, &Secrets::default());
    }
}

#[test]
fn a_message_of_which_nothing_can_be_shown_is_replaced() {
    let endless = "[-".repeat(20_000);
    for message in ["\u{1b}\u{200b}", endless.as_str()] {
        let failure = reply(400, &[], &openai("invalid_request_error", "", message));
        assert_eq!(failure.message, "HTTP 400 without an explanation");
    }
}

#[test]
fn a_blocking_fault_is_certain_only_when_the_providers_own_code_names_it() {
    let html = "<!DOCTYPE html><html><head><title>Blocked</title></head></html>";
    let rows = [
        (401, openai("x", "invalid_api_key", "m"), Fault::Auth, true),
        (401, anthropic("authentication_error", "invalid x-api-key"), Fault::Auth, true),
        (401, String::new(), Fault::Auth, false),
        (401, r#"{"error":{"message":"no"}}"#.to_owned(), Fault::Auth, false),
        (403, html.to_owned(), Fault::Auth, false),
        (403, anthropic("permission_error", "not for you"), Fault::Auth, false),
        (403, plain_google(403, "PERMISSION_DENIED"), Fault::Auth, false),
        (404, openai("x", "model_not_found", "m"), Fault::ModelNotFound, true),
        (404, anthropic("not_found_error", "model: x"), Fault::ModelNotFound, false),
        (404, anthropic("not_found_error", "model x does not exist"), Fault::ModelNotFound, true),
        (404, html.to_owned(), Fault::BadEndpoint, false),
        (404, openai("x", "unknown_url", "m"), Fault::BadEndpoint, true),
        (405, String::new(), Fault::BadEndpoint, false),
        (429, openai("x", "insufficient_quota", "m"), Fault::QuotaExhausted, true),
        (402, openai("x", "y", "Insufficient balance"), Fault::QuotaExhausted, true),
        (402, openai("x", "y", "You can only afford 90 tokens"), Fault::QuotaExhausted, false),
    ];
    for (status, body, fault, certain) in rows {
        let failure = reply(status, &[], &body);
        assert_eq!((failure.fault, failure.certain), (fault, certain), "{status} {body}");
    }
}
