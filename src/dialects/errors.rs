//! What programs of each dialect are told when there is no answer: status, type and code.

use serde::Serialize;

use crate::protocol::reply::{ErrorBody, ErrorCode};

/// An error on its way to a program.
pub(crate) struct Refused<'a> {
    pub(crate) status: u16,
    pub(crate) error: &'a ErrorBody,
    /// The daemon's own name for the request, once it has one.
    pub(crate) request_id: Option<&'a str>,
}

/// The form of errors that programs read, which is known of a path even where nothing is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorForm {
    /// As the libraries of OpenAI read them, and most others.
    OpenAi,
    /// As the libraries of Anthropic read them.
    Anthropic,
}

impl ErrorForm {
    /// The body of an error.
    pub(crate) fn body(self, refused: &Refused<'_>) -> String {
        match self {
            ErrorForm::OpenAi => openai(refused),
            ErrorForm::Anthropic => anthropic(refused),
        }
    }
}

/// The HTTP status of an error.
pub(crate) fn status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::InvalidJson
        | ErrorCode::BadRequest
        | ErrorCode::ContextTooLong
        | ErrorCode::Refused
        | ErrorCode::InvalidRequest => 400,
        ErrorCode::Forbidden => 403,
        ErrorCode::UnknownModel | ErrorCode::UnknownTask | ErrorCode::UnknownOp => 404,
        ErrorCode::LineTooLong => 413,
        ErrorCode::Internal | ErrorCode::Unknown => 500,
        ErrorCode::NoModelAvailable
        | ErrorCode::AllModelsFailed
        | ErrorCode::Overloaded
        | ErrorCode::ShuttingDown
        | ErrorCode::Interrupted
        | ErrorCode::Cancelled => 503,
        ErrorCode::DeadlineExceeded => 504,
    }
}

/// Whether asking the same again is no use, whatever the program's own habit.
pub(crate) fn is_hopeless(status: u16) -> bool {
    status < 500 || status == 504
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    error: OpenAiFields<'a>,
}

#[derive(Serialize)]
struct OpenAiFields<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    error: AnthropicFields<'a>,
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicFields<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// The error as OpenAI's programs read it.
fn openai(refused: &Refused<'_>) -> String {
    let Refused { status, error, .. } = *refused;
    let (kind, code) = match error.code {
        ErrorCode::UnknownModel | ErrorCode::UnknownTask => {
            ("invalid_request_error", "model_not_found")
        }
        ErrorCode::LineTooLong => ("invalid_request_error", "request_too_large"),
        ErrorCode::ContextTooLong => ("invalid_request_error", "context_length_exceeded"),
        ErrorCode::Refused => ("invalid_request_error", "content_policy_violation"),
        ErrorCode::UnknownOp => ("invalid_request_error", "not_found"),
        code => match status {
            401 => ("authentication_error", "invalid_api_key"),
            403 => ("permission_error", code.name()),
            400..=499 => ("invalid_request_error", code.name()),
            _ => ("server_error", code.name()),
        },
    };
    let fields = OpenAiFields {
        message: &error.message,
        r#type: kind,
        param: param(error),
        code: Some(code),
    };
    written(&OpenAiError { error: fields })
}

/// The error as Anthropic's programs read it.
fn anthropic(refused: &Refused<'_>) -> String {
    let Refused { status, error, request_id } = *refused;
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        503 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    // Their programs know this beginning, and shorten the conversation.
    let told = match error.code {
        ErrorCode::ContextTooLong => format!("prompt is too long: {}", error.message),
        _ => error.message.clone(),
    };
    let error = AnthropicFields { r#type: kind, message: &told };
    written(&AnthropicError { r#type: "error", error, request_id })
}

/// The field that a mistake is about, which stands in front of its message.
fn param(error: &ErrorBody) -> Option<&str> {
    if error.code != ErrorCode::BadRequest {
        return None;
    }
    let (name, _) = error.message.strip_prefix('`')?.split_once("`: ")?;
    Some(name)
}

fn written(value: &impl Serialize) -> String {
    // Unreachable for types of strings alone.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(form: ErrorForm, code: ErrorCode, message: &str) -> (u16, Value) {
        let error = ErrorBody::new(code, message);
        let status = status(code);
        let refused = Refused { status, error: &error, request_id: Some("r") };
        (status, serde_json::from_str(&form.body(&refused)).unwrap())
    }

    #[test]
    fn every_error_is_one_that_the_programs_of_its_dialect_know() {
        let rows = [
            (ErrorCode::InvalidJson, 400, "invalid_request_error", "invalid_json"),
            (ErrorCode::BadRequest, 400, "invalid_request_error", "bad_request"),
            (ErrorCode::LineTooLong, 413, "invalid_request_error", "request_too_large"),
            (ErrorCode::UnknownModel, 404, "invalid_request_error", "model_not_found"),
            (ErrorCode::ContextTooLong, 400, "invalid_request_error", "context_length_exceeded"),
            (ErrorCode::Refused, 400, "invalid_request_error", "content_policy_violation"),
            (ErrorCode::AllModelsFailed, 503, "server_error", "all_models_failed"),
            (ErrorCode::Overloaded, 503, "server_error", "overloaded"),
            (ErrorCode::DeadlineExceeded, 504, "server_error", "deadline_exceeded"),
            (ErrorCode::Internal, 500, "server_error", "internal"),
        ];
        for (code, status, kind, name) in rows {
            let (found, body) = told(ErrorForm::OpenAi, code, "why");
            assert_eq!(found, status, "{code:?}");
            let error = json!({"message": "why", "type": kind, "param": null, "code": name});
            assert_eq!(body, json!({ "error": error }));
        }
        for (code, kind) in [
            (ErrorCode::BadRequest, "invalid_request_error"),
            (ErrorCode::LineTooLong, "request_too_large"),
            (ErrorCode::UnknownTask, "not_found_error"),
            (ErrorCode::ShuttingDown, "overloaded_error"),
            (ErrorCode::DeadlineExceeded, "timeout_error"),
            (ErrorCode::Internal, "api_error"),
        ] {
            let (_, body) = told(ErrorForm::Anthropic, code, "why");
            let error = json!({"type": kind, "message": "why"});
            assert_eq!(body, json!({"type": "error", "error": error, "request_id": "r"}));
        }
    }

    #[test]
    fn a_mistake_names_its_field_and_a_long_prompt_is_said_in_the_known_words() {
        let (_, body) = told(ErrorForm::OpenAi, ErrorCode::BadRequest, "`messages[0]`: is empty");
        assert_eq!(body["error"]["param"], "messages[0]");
        let (_, body) = told(ErrorForm::Anthropic, ErrorCode::ContextTooLong, "9 tokens");
        assert_eq!(body["error"]["message"], "prompt is too long: 9 tokens");
    }
}
