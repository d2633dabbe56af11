//! Error bodies in every shape that servers send.

use super::*;

fn of(body: &str) -> ErrorDetails {
    read(body.as_bytes())
}

#[test]
fn openai_shape_gives_code_type_and_message() {
    let error = of(r#"{"error":{"message":"m","type":"t","param":null,"code":"c"}}"#);
    assert!(error.is_api_error && error.says("c") && error.says("T"));
    assert_eq!(error.best_code(), Some("c"));
    assert_eq!(error.message().as_deref(), Some("m"));
}

#[test]
fn codes_may_be_numbers_strings_of_digits_or_null() {
    assert_eq!(of(r#"{"error":{"code":404,"message":"m"}}"#).number, Some(404));
    assert_eq!(of(r#"{"error":{"code":"401","message":"m"}}"#).number, Some(401));
    let null = of(r#"{"error":{"code":null,"type":"api_error","message":"m"}}"#);
    assert_eq!((null.number, null.best_code()), (None, Some("api_error")));
}

#[test]
fn an_error_may_be_a_string_and_stand_in_a_list() {
    assert_eq!(of(r#"{"error":"model not found"}"#).message().as_deref(), Some("model not found"));
    let listed = of(r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m"}}]"#);
    assert!(listed.is_api_error && listed.says("resource_exhausted"));
}

#[test]
fn anthropic_details_come_before_the_type() {
    let error = of(r#"{"type":"error","error":{"type":"rate_limit_error","message":"m",
        "details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"r"}"#);
    assert_eq!(error.best_code(), Some("enforced_spend_limit_reached"));
    assert!(error.says("rate_limit_error"));
}

#[test]
fn google_details_give_reason_delay_and_daily_quota() {
    let error = of(r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"59s"},
        {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
          {"quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]}]}}"#);
    assert_eq!(error.best_code(), Some("RATE_LIMIT_EXCEEDED"));
    assert_eq!(error.asked(None), Some(Duration::from_secs(59)));
    assert!(error.per_day);
}

#[test]
fn azure_inner_errors_are_read() {
    let error = of(r#"{"error":{"code":"content_filter","message":"m",
        "innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#);
    assert!(error.says("content_filter") && error.says("ResponsibleAIPolicyViolation"));
}

#[test]
fn mistrals_flat_object_is_an_error() {
    let error = of(
        r#"{"object":"error","message":"Invalid model","type":"invalid_model","param":null,"code":"1500"}"#,
    );
    assert!(error.is_api_error && error.says("invalid_model"));
}

#[test]
fn framework_details_are_text_but_no_api_error() {
    let bare = of(r#"{"detail":"Not Found"}"#);
    assert_eq!((bare.is_api_error, bare.message().as_deref()), (false, Some("Not Found")));
    let list = of(r#"{"detail":[{"loc":["body"],"msg":"field required"},{"msg":"too long"}]}"#);
    assert_eq!(list.message().as_deref(), Some("field required; too long"));
}

#[test]
fn the_reason_that_a_gateway_wraps_is_read() {
    let raw = r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":
        "{\"error\":{\"message\":\"it is too long\",\"code\":\"inner_code\"}}","provider_name":"X"}}}"#;
    let error = of(raw);
    assert_eq!(error.message().as_deref(), Some("Provider returned error: it is too long"));
    assert_eq!((error.best_code(), error.number), (Some("inner_code"), Some(400)));
    let text = of(r#"{"error":{"message":"Provider returned error","metadata":{"raw":"busy"}}}"#);
    assert_eq!(text.message().as_deref(), Some("Provider returned error: busy"));
    let embedded =
        of(r#"{"error":"upstream said {\"error\":{\"code\":\"c\",\"message\":\"m1\"}}"}"#);
    assert_eq!(embedded.best_code(), Some("c"));
}

#[test]
fn odd_shapes_are_read() {
    for body in [
        r#"{"errors":[{"message":"why"}]}"#,
        r#"{"errors":["why"]}"#,
        r#"{"error":{"errors":[{"msg":"why"}]}}"#,
        r#"{"base_resp":{"status_code":1004,"status_msg":"why"}}"#,
        r#"{"message":{"detail":[{"msg":"why","input":"prompt"}]}}"#,
        r#"{"msg":"why"}"#,
        "event: error\ndata: {\"error\":{\"message\":\"why\"}}\n\n",
        "\u{feff}{\"error\":{\"message\":\"why\"}}",
    ] {
        let error = of(body);
        assert_eq!(error.message().as_deref(), Some("why"), "{body}");
        assert!(error.is_api_error, "{body}");
    }
}

#[test]
fn nesting_without_end_is_not_followed() {
    let deep = format!("{}{}{}", r#"{"error":"#.repeat(100), r#"{"message":"m"}"#, "}".repeat(100));
    assert_eq!(of(&deep).message(), None);
}

#[test]
fn pages_give_their_title_and_nothing_gives_nothing() {
    let page = of("<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>");
    assert_eq!(page.message().as_deref(), Some("an HTML page: 502 Bad Gateway"));
    assert_eq!(of("<html></html>").message().as_deref(), Some("an HTML page"));
    assert_eq!(of("upstream timed out").message().as_deref(), Some("upstream timed out"));
    for empty in ["", " \n", "null", "[]", "{}"] {
        let error = of(empty);
        assert!(!error.is_api_error && error.message().is_none(), "{empty}");
    }
}
