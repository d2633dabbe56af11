//! From a body of Chat Completions to a request.
//!
//! BodyFields that ours has too are taken as they stand; the others are for providers of the same
//! dialect, who get them unchanged. What would change the number or kind of answers is refused,
//! since nobody could deliver it.

use std::borrow::Cow;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialects::body::{BodyFields, is_null, refused};
use crate::dialects::{HttpDialect, RequestRead};
use crate::protocol::reply::ErrorBody;
use crate::protocol::request::{self, Op};

/// BodyFields that are the same in a line.
const SHARED: [&str; 14] = [
    "messages",
    "models",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "stream",
    "model",
];

/// BodyFields that mean more or other answers than one text, with what they may say all the same.
const ONE_TEXT: [(&str, &[&str]); 4] =
    [("n", &["1"]), ("logprobs", &["false"]), ("modalities", &[r#"["text"]"#]), ("audio", &[])];

#[derive(Deserialize)]
struct AskedStreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct ToolKind<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
}

/// The line that says the same as the body, as it is put together.
struct BodyLine {
    text: String,
    /// BodyFields for providers of the same dialect, in the form of `extra`.
    extra: String,
    for_own_kind: Vec<String>,
    dropped: Vec<String>,
    tells_usage: bool,
}

/// Reads a body as a request of ours.
pub(in crate::dialects) fn read(body: &[u8]) -> Result<RequestRead, ErrorBody> {
    let BodyFields(fields) = BodyFields::read(body, "{\"messages\":[…]}")?;
    let has_models = fields.iter().any(|(name, value)| name == "models" && !is_null(value));
    let mut line = BodyLine {
        text: String::with_capacity(body.len() + 32),
        extra: String::new(),
        for_own_kind: Vec::new(),
        dropped: Vec::new(),
        tells_usage: false,
    };
    for (name, value) in &fields {
        // A chain of the request's own stands for the name that programs must send as well.
        let is_replaced = has_models && name == "model";
        if is_replaced || is_null(value) {
            continue;
        }
        line.take(name, value)?;
    }
    line.read(body.len())
}

impl BodyLine {
    fn take(&mut self, name: &str, value: &RawValue) -> Result<(), ErrorBody> {
        let one_text = ONE_TEXT.iter().find(|(refused, _)| *refused == name);
        if let Some((_, harmless)) = one_text {
            let plain: String = value.get().chars().filter(|c| !c.is_whitespace()).collect();
            return match harmless.contains(&plain.as_str()) {
                true => Ok(()),
                false => Err(refused(name, "an answer is one text; leave it out")),
            };
        }
        match name {
            "stream_options" => {
                let options: AskedStreamOptions =
                    serde_json::from_str(value.get()).map_err(|_| {
                        refused(name, "expected an object such as {\"include_usage\":true}")
                    })?;
                self.tells_usage = options.include_usage.unwrap_or_default();
            }
            "tools" => self.tools(value)?,
            _ if SHARED.contains(&name) => self.field(name, value.get()),
            _ => {
                self.for_own_kind.push(name.to_owned());
                member(&mut self.extra, name, value.get());
            }
        }
        Ok(())
    }

    /// Functions stay; tools that a provider would run itself are left out.
    fn tools(&mut self, value: &RawValue) -> Result<(), ErrorBody> {
        let tools: Vec<&RawValue> = serde_json::from_str(value.get())
            .map_err(|_| refused("tools", "expected a list of tools"))?;
        let mut functions = Vec::with_capacity(tools.len());
        for tool in tools {
            let kind = serde_json::from_str::<ToolKind<'_>>(tool.get()).ok();
            match kind.and_then(|tool| tool.kind) {
                Some(kind) if kind != "function" => self.dropped.push(format!("tools.{kind}")),
                _ => functions.push(tool.get()),
            }
        }
        self.field("tools", &format!("[{}]", functions.join(",")));
        Ok(())
    }

    fn field(&mut self, name: &str, json: &str) {
        member(&mut self.text, name, json);
    }

    /// Reads what was put together as a line.
    fn read(mut self, bytes: usize) -> Result<RequestRead, ErrorBody> {
        let own = HttpDialect::Chat.own_kind();
        if !self.extra.is_empty() {
            let extra = format!("{{{own:?}:{{{}}}}}", self.extra);
            self.field("extra", &extra);
        }
        let line = format!("{{{}}}", self.text);
        let prefix = format!("extra.{own}.");
        let read = request::read(line.as_bytes()).map_err(|mistake| {
            let message = mistake.error.message.replace(&prefix, "");
            ErrorBody { message, ..mistake.error }
        })?;
        let (_, Op::Chat(mut request)) = read else {
            return Err(ErrorBody::internal("a body was read as another operation"));
        };
        request.bytes = bytes;
        let BodyLine { tells_usage, for_own_kind, dropped, .. } = self;
        let echo = Rc::default();
        Ok(RequestRead { request, tells_usage, for_own_kind, dropped, echo })
    }
}

/// Adds a member to the inside of an object.
fn member(object: &mut String, name: &str, json: &str) {
    if !object.is_empty() {
        object.push(',');
    }
    // The writer of strings cannot fail on one.
    object.push_str(&serde_json::to_string(name).unwrap_or_default());
    object.push(':');
    object.push_str(json);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::reply::ErrorCode;

    fn asked(body: Value) -> Result<RequestRead, ErrorBody> {
        read(body.to_string().as_bytes())
    }

    fn with(more: Value) -> Result<RequestRead, ErrorBody> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked(body)
    }

    fn message(asked: Result<RequestRead, ErrorBody>) -> String {
        asked.map(|_| ()).unwrap_err().message
    }

    #[test]
    fn what_a_line_has_too_is_taken_and_the_rest_is_for_the_same_dialect() {
        let asked = with(json!({
            "max_completion_tokens": 7, "stream": true, "user": "u", "metadata": {"a": [1]},
            "stream_options": {"include_usage": true}, "temperature": null, "n": 1,
        }));
        let RequestRead { request, tells_usage, for_own_kind, dropped, .. } = asked.unwrap();
        assert_eq!((request.model.as_deref(), request.max_tokens), (Some("m"), Some(7)));
        assert!(request.stream && tells_usage && request.temperature.is_none());
        assert_eq!(
            Value::from(request.extra["openai"].clone()),
            json!({"user": "u", "metadata": {"a": [1]}})
        );
        assert_eq!(
            (for_own_kind, dropped),
            (vec!["user".to_owned(), "metadata".to_owned()], vec![])
        );
    }

    #[test]
    fn a_list_of_models_stands_for_the_name() {
        let asked = with(json!({"models": ["a", "b"]})).unwrap();
        assert_eq!(asked.request.models.unwrap(), ["a", "b"]);
        assert_eq!(asked.request.model, None);
    }

    #[test]
    fn tools_of_other_kinds_are_left_out_and_named() {
        let function = json!({"type": "function", "function": {"name": "f", "strict": true}});
        let asked = with(json!({"tools": [{"type": "web_search"}, function]})).unwrap();
        assert_eq!(
            (asked.request.tools.len(), asked.dropped),
            (1, vec!["tools.web_search".to_owned()])
        );
    }

    #[test]
    fn what_nobody_could_deliver_is_refused_by_name() {
        for (field, value) in [
            ("n", json!(2)),
            ("logprobs", json!(true)),
            ("audio", json!({"voice": "x"})),
            ("modalities", json!(["text", "audio"])),
            ("best_of", json!(3)),
        ] {
            let told = message(with(json!({ field: value })));
            assert!(told.starts_with(&format!("`{field}`: ")), "{told}");
        }
        assert!(with(json!({"modalities": ["text"], "logprobs": false})).is_ok());
    }

    #[test]
    fn a_body_that_is_no_request_says_where_and_shows_nothing_of_it() {
        for body in [&b"{\"secret\": nope}"[..], b"{\"messages\":[", b"", b"\xff"] {
            let error = read(body).map(|_| ()).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidJson, "{}", error.message);
            assert!(!error.message.contains("nope"));
        }
        let told = message(read(b"[1]"));
        assert!(told.contains("expected a JSON object"), "{told}");
        let told = message(asked(json!({"model": "m", "messages": [{"role": "x"}]})));
        assert!(told.starts_with("`messages[0].role`: "), "{told}");
    }
}
