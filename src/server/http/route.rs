//! Which path asks for what, and which form its errors have.

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::dialects::{ErrorForm, HttpDialect};

/// What a path asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Endpoint {
    /// An answer of a model.
    Answer(HttpDialect),
    /// The names that a program may ask for.
    Models,
    /// One of these names.
    Model(String),
    /// Whether the daemon serves.
    Health,
    /// Whether any chain has a model that may be called.
    Ready,
    /// Nothing that is served.
    Unknown,
    /// Something that is served to another method, which is named.
    WrongMethod(&'static str),
}

/// What is asked for by this method and path; queries are ignored.
pub(super) fn endpoint(method: &Method, path: &str) -> Endpoint {
    let (allowed, found) = match path.trim_end_matches('/') {
        "" | "/health" => ("GET", Endpoint::Health),
        "/ready" => ("GET", Endpoint::Ready),
        "/v1/chat/completions" | "/chat/completions" => {
            ("POST", Endpoint::Answer(HttpDialect::Chat))
        }
        "/v1/responses" | "/responses" => ("POST", Endpoint::Answer(HttpDialect::Responses)),
        "/v1/models" | "/models" => ("GET", Endpoint::Models),
        path => match path.strip_prefix("/v1/models/") {
            Some(id) => {
                let id = percent_decode_str(id).decode_utf8_lossy().into_owned();
                ("GET", Endpoint::Model(id))
            }
            None => return Endpoint::Unknown,
        },
    };
    let fits = method == allowed || (allowed == "GET" && method == Method::HEAD);
    if fits { found } else { Endpoint::WrongMethod(allowed) }
}

/// The form that programs of this path read errors in.
pub(super) fn error_form(path: &str) -> ErrorForm {
    match path.starts_with("/v1/messages") {
        true => ErrorForm::Anthropic,
        false => ErrorForm::OpenAi,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_programs_expect() {
        let rows = [
            ("GET", "/", Endpoint::Health),
            ("HEAD", "/", Endpoint::Health),
            ("GET", "/ready", Endpoint::Ready),
            ("POST", "/v1/chat/completions", Endpoint::Answer(HttpDialect::Chat)),
            ("GET", "/v1/chat/completions", Endpoint::WrongMethod("POST")),
            ("POST", "/v1/responses/", Endpoint::Answer(HttpDialect::Responses)),
            ("POST", "/responses", Endpoint::Answer(HttpDialect::Responses)),
            ("GET", "/v1/responses/resp_1", Endpoint::Unknown),
            ("POST", "/v1/responses/resp_1/cancel", Endpoint::Unknown),
            ("POST", "/v1/models", Endpoint::WrongMethod("GET")),
            ("GET", "/v1/models/", Endpoint::Models),
            ("GET", "/v1/models/openai%2Fgpt-4o", Endpoint::Model("openai/gpt-4o".to_owned())),
            ("GET", "/v1/models/a/b", Endpoint::Model("a/b".to_owned())),
            ("POST", "/v1/embeddings", Endpoint::Unknown),
            ("POST", "/v2/chat/completions", Endpoint::Unknown),
        ];
        for (method, path, expected) in rows {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(endpoint(&method, path), expected, "{method} {path}");
        }
        assert_eq!(error_form("/v1/messages/count_tokens"), ErrorForm::Anthropic);
    }
}
