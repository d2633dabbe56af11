//! Every error a provider can answer with, in its own shape, and what the daemon does about it.
//!
//! The rows say which fault an answer is; what must follow from a fault is written down once, in
//! [`expected`], in the words of the documentation's table.

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour, Meaning, ProviderError};
use serde_json::{Value, json};

use crate::harness::{Daemon, Setup, failures, raw, sim};

/// An answer and the fault it is.
struct Row {
    name: &'static str,
    answer: Behaviour,
    fault: &'static str,
    status: u16,
}

/// What follows from a fault.
struct Expected {
    /// Calls of the same model.
    calls: usize,
    /// Whether the next model is asked.
    next: bool,
    circuit: Circuit,
}

#[derive(PartialEq)]
enum Circuit {
    Failure,
    Neutral,
    Hold,
    Opens,
    Success,
}

fn expected(fault: &str) -> Expected {
    let (calls, next, circuit) = match fault {
        "connect" | "reset" | "server_error" | "overloaded" | "empty_answer" => {
            (2, true, Circuit::Failure)
        }
        "tls" | "bad_body" | "timeout" | "stream_cut" => (1, true, Circuit::Failure),
        "rate_limited" => (1, true, Circuit::Hold),
        "quota_exhausted" | "auth" | "model_not_found" | "bad_endpoint" => {
            (1, true, Circuit::Opens)
        }
        "context_too_long" | "too_large" | "unsupported_param" | "invalid_request" => {
            (1, true, Circuit::Neutral)
        }
        "conflict" | "model_glitch" => (2, true, Circuit::Neutral),
        "refused" => (1, false, Circuit::Success),
        other => panic!("no row for {other}"),
    };
    Expected { calls, next, circuit }
}

fn row(name: &'static str, answer: Behaviour, fault: &'static str, status: u16) -> Row {
    Row { name, answer, fault, status }
}

fn openai(status: u16, kind: &str, code: Value, message: &str) -> Behaviour {
    raw(
        status,
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } }),
    )
}

fn anthropic(status: u16, kind: &str, message: &str) -> Behaviour {
    let error = json!({ "type": kind, "message": message });
    raw(status, json!({ "type": "error", "error": error, "request_id": "req_1" }))
}

fn google(status: u16, name: &str, details: Value) -> Behaviour {
    let error = json!({ "code": status, "message": "m", "status": name, "details": details });
    raw(status, json!({ "error": error }))
}

fn page(status: u16) -> Behaviour {
    raw(status, "<!DOCTYPE html><html><head><title>Bad gateway</title></head></html>")
}

/// What all of them can answer with, each in its own words.
fn common(kind: Kind) -> Vec<Row> {
    let at = |openai, anthropic, google, bedrock| match kind {
        Kind::OpenAi => openai,
        Kind::Anthropic => anthropic,
        Kind::Google => google,
        Kind::Bedrock => bedrock,
    };
    vec![
        row("busy", Behaviour::overloaded(), "overloaded", at(503, 529, 503, 503)),
        row("broken", Behaviour::server_error(), "server_error", 500),
        row("badgateway", page(502), "server_error", 502),
        row("edge", page(522), "server_error", 522),
        row("limited", Behaviour::rate_limited(None), "rate_limited", 429),
        row("limited-long", Behaviour::rate_limited(Some("600")), "rate_limited", 429),
        row("money", Behaviour::quota(), "quota_exhausted", at(429, 429, 429, 400)),
        row("key", Behaviour::auth(), "auth", at(401, 401, 400, 403)),
        row("gone", Behaviour::model_not_found(), "model_not_found", 404),
        row("wrong-address", Behaviour::html_404(), "bad_endpoint", 404),
        row("moved", page(301), "bad_endpoint", 301),
        row("wrong-method", raw(405, ""), "bad_endpoint", 405),
        row("long", Behaviour::context_too_long(), "context_too_long", 400),
        row("param", unsupported(), "unsupported_param", 400),
        row("invalid", Behaviour::invalid_request(), "invalid_request", 400),
        row("page", Behaviour::NotJson, "bad_body", 200),
        row("half", Behaviour::TruncatedBody, "stream_cut", 200),
        row("nothing", raw(200, ""), "bad_body", 200),
        row("empty", Behaviour::empty(), "empty_answer", 200),
    ]
}

/// A refusal of something that the caller sent. What the daemon adds by itself it takes back.
fn unsupported() -> Behaviour {
    Behaviour::Error(ProviderError {
        message: Some("This model does not support top_k.".to_owned()),
        ..ProviderError::new(Meaning::UnsupportedParam)
    })
}

fn of_openai() -> Vec<Row> {
    let invalid = "invalid_request_error";
    let moderated = json!({ "error": { "code": 403, "message": "flagged",
        "metadata": { "reasons": ["x"], "flagged_input": "y" } } });
    let azure = json!({ "error": { "code": "content_filter", "message": "filtered",
        "innererror": { "code": "ResponsibleAIPolicyViolation" } } });
    vec![
        row("policy", Behaviour::content_policy(), "refused", 400),
        row("azure-policy", raw(400, azure), "refused", 400),
        row("moderation", raw(403, moderated), "refused", 403),
        row("glitch", Behaviour::malformed_glitch(), "model_glitch", 400),
        row("in200", Behaviour::error_in_200(), "server_error", 200),
        row("timeout", openai(408, "timeout", Value::Null, "m"), "server_error", 408),
        row("dependency", openai(424, "x", json!("failed_dependency"), "m"), "server_error", 424),
        row("flex", openai(498, "x", json!("capacity_exceeded"), "m"), "overloaded", 498),
        row("conflict", openai(409, "x", Value::Null, "m"), "conflict", 409),
        row("large", openai(413, invalid, Value::Null, "too large"), "too_large", 413),
        row("tpm", openai(413, "tokens", json!("rate_limit_exceeded"), "TPM"), "rate_limited", 413),
        row("unprocessable", openai(422, invalid, Value::Null, "m"), "invalid_request", 422),
        row("balance", openai(402, "unknown_error", Value::Null, "m"), "quota_exhausted", 402),
        row("country", openai(403, "x", json!("unsupported_country"), "m"), "auth", 403),
        row(
            "azure-key",
            raw(401, json!({ "error": { "code": "401", "message": "m" } })),
            "auth",
            401,
        ),
        row(
            "flat",
            raw(404, json!({ "object": "error", "message": "m", "code": 404 })),
            "model_not_found",
            404,
        ),
        row("framework", raw(404, json!({ "detail": "Not Found" })), "bad_endpoint", 404),
    ]
}

fn of_anthropic() -> Vec<Row> {
    let spend = "You have reached your specified API usage limits.";
    let prefill = "This model does not support assistant message prefill.";
    vec![
        row("policy", Behaviour::content_policy(), "refused", 400),
        row("in200", Behaviour::error_in_200(), "overloaded", 200),
        row("timeout", anthropic(504, "timeout_error", "m"), "server_error", 504),
        row("conflict", anthropic(409, "conflict_error", "m"), "conflict", 409),
        row("large", anthropic(413, "request_too_large", "m"), "too_large", 413),
        row("spend", anthropic(400, "invalid_request_error", spend), "quota_exhausted", 400),
        row("billing", anthropic(402, "billing_error", "m"), "quota_exhausted", 402),
        row("permission", anthropic(403, "permission_error", "m"), "auth", 403),
        row("prefill", anthropic(400, "invalid_request_error", prefill), "unsupported_param", 400),
        row("unavailable", anthropic(503, "api_error", "m"), "overloaded", 503),
    ]
}

fn of_google() -> Vec<Row> {
    vec![
        row("glitch", Behaviour::malformed_glitch(), "model_glitch", 200),
        row("in200", Behaviour::error_in_200(), "overloaded", 200),
        row("slow", google(504, "DEADLINE_EXCEEDED", json!([])), "server_error", 504),
        row("aborted", google(409, "ABORTED", json!([])), "conflict", 409),
        row("country", google(400, "FAILED_PRECONDITION", json!([])), "auth", 400),
        row("denied", google(403, "PERMISSION_DENIED", json!([])), "auth", 403),
        row("unimplemented", google(501, "UNIMPLEMENTED", json!([])), "unsupported_param", 501),
        row("large", google(413, "INVALID_ARGUMENT", json!([])), "too_large", 413),
    ]
}

/// An exception of Bedrock's, named in a header beside the words.
fn exception(status: u16, name: &str, message: &str) -> Behaviour {
    Behaviour::Error(ProviderError {
        status: Some(status),
        code: Some(name.to_owned()),
        message: Some(message.to_owned()),
        ..ProviderError::new(Meaning::InvalidRequest)
    })
}

fn of_bedrock() -> Vec<Row> {
    const INVALID: &str = "ValidationException";
    let denied = "User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:InvokeModel on \
                  resource: arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude";
    let no_access = "You don't have access to the model with the specified model ID.";
    let on_demand = "Invocation of model ID anthropic.claude with on-demand throughput isn't \
                     supported. Retry your request with the ID or ARN of an inference profile that \
                     contains this model.";
    let too_many = "The maximum tokens you requested exceeds the model limit of 4096. Try again \
                    with a maximum tokens value that is lower than 4096.";
    let retired = "This model version has reached the end of its life.";
    let namespaced = json!({ "__type": "com.amazon.coral.service#ExpiredTokenException",
        "message": "The security token included in the request is expired" });
    vec![
        row("policy", Behaviour::content_policy(), "refused", 400),
        row("glitch", Behaviour::malformed_glitch(), "model_glitch", 200),
        row("in200", Behaviour::error_in_200(), "overloaded", 200),
        row("denied", exception(403, "AccessDeniedException", denied), "auth", 403),
        row("disabled", exception(403, "AccessDeniedException", no_access), "model_not_found", 403),
        row("signature", exception(403, "InvalidSignatureException", "m"), "auth", 403),
        row("incomplete", exception(400, "IncompleteSignatureException", "m"), "auth", 400),
        row("expired", raw(403, namespaced), "auth", 403),
        row("capital", raw(403, json!({ "Message": "User is not authorized" })), "auth", 403),
        row("on-demand", exception(400, INVALID, on_demand), "model_not_found", 400),
        row(
            "identifier",
            exception(400, INVALID, "The provided model identifier is invalid."),
            "model_not_found",
            400,
        ),
        row(
            "retired",
            exception(404, "ResourceNotFoundException", retired),
            "model_not_found",
            404,
        ),
        row("address", raw(404, json!({ "message": null })), "bad_endpoint", 404),
        row("operation", exception(404, "UnknownOperationException", "m"), "bad_endpoint", 404),
        row("too-many", exception(400, INVALID, too_many), "unsupported_param", 400),
        row(
            "prompt",
            exception(400, INVALID, "prompt is too long: 210000 tokens > 200000 maximum"),
            "context_too_long",
            400,
        ),
        row("quota", exception(402, "ServiceQuotaExceededException", "m"), "quota_exhausted", 402),
        row("loading", exception(429, "ModelNotReadyException", "m"), "overloaded", 429),
        row("timeout", exception(408, "ModelTimeoutException", "m"), "server_error", 408),
        row("model", exception(424, "ModelErrorException", "m"), "server_error", 424),
    ]
}

fn rows(kind: Kind) -> Vec<Row> {
    let own = match kind {
        Kind::OpenAi => of_openai(),
        Kind::Anthropic => of_anthropic(),
        Kind::Google => of_google(),
        Kind::Bedrock => of_bedrock(),
    };
    common(kind).into_iter().chain(own).collect()
}

/// A daemon with one model for each row, so that no row sees another one's circuit, and a backup.
fn start(kind: Kind, rows: &[Row]) -> (Daemon, Background, Background) {
    let (bad, good) = (sim(kind), sim(Kind::OpenAi));
    let mut setup = Setup::new();
    setup.provider("bad", &bad).provider("good", &good).model("backup", "good", "");
    for row in rows {
        setup.model(row.name, "bad", "");
        bad.set_for(row.name, row.answer.clone());
    }
    (setup.start(), bad, good)
}

fn check(row: &Row, (daemon, bad): (&Daemon, &Background)) {
    let expected = expected(row.fault);
    let reply = daemon.hello(&[row.name, "backup"]);
    let failure = (row.fault.to_owned(), json!(row.status));
    let what = format!("{:?} {}: {reply}", bad.kind(), row.name);
    assert_eq!(failures(&reply), vec![failure; expected.calls], "{what}");
    assert_eq!(bad.calls_for(row.name).len(), expected.calls, "{what}");
    match expected.next {
        true => assert_eq!(reply["model_used"], "backup", "{what}"),
        false => assert_eq!(reply["error"]["code"], row.fault, "{what}"),
    }
    let health = daemon.health(row.name);
    let breaker = &health["breaker"];
    let what = format!("{:?} {}: {health}", bad.kind(), row.name);
    assert_eq!(health["total_calls"], expected.calls, "{what}");
    let failed = if expected.circuit == Circuit::Failure { expected.calls } else { 0 };
    assert_eq!(breaker["consecutive_failures"], failed, "{what}");
    let opens = expected.circuit == Circuit::Opens;
    assert_eq!(breaker["state"] == "open", opens, "{what}");
    if opens {
        assert_eq!(breaker["reason"], row.fault, "{what}");
    }
    assert_eq!(health["hold_until"].is_string(), expected.circuit == Circuit::Hold, "{what}");
    let held_against = failed > 0 || opens;
    assert_eq!(health["success_rate"] == 1.0, !held_against, "{what}");
    let told = &health["last_error"]["error_type"];
    let success = expected.circuit == Circuit::Success;
    assert_eq!(told, &if success { Value::Null } else { json!(row.fault) }, "{what}");
}

fn check_all(kind: Kind) {
    let rows = rows(kind);
    let (daemon, bad, _good) = start(kind, &rows);
    for row in &rows {
        check(row, (&daemon, &bad));
    }
}

#[test]
fn every_error_of_openai_and_its_likes_means_what_the_table_says() {
    check_all(Kind::OpenAi);
}

#[test]
fn every_error_of_anthropic_means_what_the_table_says() {
    check_all(Kind::Anthropic);
}

#[test]
fn every_error_of_google_means_what_the_table_says() {
    check_all(Kind::Google);
}

#[test]
fn every_error_of_bedrock_means_what_the_table_says() {
    check_all(Kind::Bedrock);
}

#[test]
fn answers_that_are_refusals_are_answers_unless_the_caller_wants_another() {
    for kind in crate::harness::KINDS {
        let rows = [
            row("blocked", Behaviour::blocked_200(), "refused", 200),
            row("declined", Behaviour::refusal(), "refused", 200),
        ];
        let (daemon, bad, good) = start(kind, &rows);
        for row in &rows {
            let reply = daemon.hello(&[row.name, "backup"]);
            assert_eq!((&reply["ok"], &reply["finish_reason"]), (&json!(true), &json!("refused")));
            assert_eq!(reply["model_used"], row.name, "{reply}");
            assert_eq!(bad.calls_for(row.name).len(), 1);
            assert!(good.calls().is_empty());
            let reply = daemon.ask(&json!({ "models": [row.name, "backup"],
                "on_refusal": "fallback", "messages": [{ "role": "user", "content": "hello" }] }));
            assert_eq!(
                (&reply["model_used"], &reply["fallback_count"]),
                (&json!("backup"), &json!(1))
            );
            assert_eq!(daemon.health(row.name)["success_rate"], 1.0);
            good.forget_calls();
        }
    }
}

#[test]
fn short_wait_hints_are_waited_for_in_every_form() {
    let date = "Thu, 01 Jan 2099 00:00:00 GMT";
    for kind in crate::harness::KINDS {
        let forms = [
            ("seconds", Behaviour::rate_limited(Some("1"))),
            ("decimals", Behaviour::rate_limited(Some("1.1"))),
        ];
        let rows: Vec<Row> = forms
            .into_iter()
            .map(|(name, answer)| row(name, answer, "rate_limited", 429))
            .collect();
        let (daemon, bad, _good) = start(kind, &rows);
        for row in &rows {
            bad.set_for(row.name, Behaviour::Ok);
            bad.push_for(row.name, row.answer.clone());
            let reply = daemon.hello(&[row.name, "backup"]);
            assert_eq!(reply["model_used"], row.name, "{reply}");
            assert_eq!(failures(&reply), [("rate_limited".to_owned(), json!(429))]);
            assert!(reply["latency_ms"].as_u64().unwrap() >= 1000, "{reply}");
        }
        bad.push_for("seconds", Behaviour::rate_limited(Some(date)));
        assert_eq!(daemon.hello(&["seconds", "backup"])["model_used"], "backup");
        let until = daemon.health("seconds")["hold_until"].as_str().unwrap().to_owned();
        assert!(until.starts_with("20"), "{until}");
        let reply = daemon.hello(&["seconds", "backup"]);
        let left = reply["attempts"][0]["retry_in_ms"].as_u64().unwrap();
        assert!((3_500_000..=3_600_000).contains(&left), "no longer than an hour: {reply}");
    }
}
