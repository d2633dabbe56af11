//! What a JSON Schema says about requests, and about fields that are read by hand.
//!
//! Everything else is derived from the types themselves. A reader in `field` and its schema here
//! belong together; tests compare their verdicts on the documented examples and on the traffic of
//! the test-suite. Where a schema cannot say what the reader checks (bytes of an id, what exactly
//! is a duration or a date), it is the more tolerant of the two, never the stricter.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::chat::{ChatRequest, ToolChoice};
use super::content::ImageUrl;
use super::content::read::EXACT;
use super::field::LONGEST_ORDER;
use super::id::{Id, MAX_ID_BYTES};
use super::request::{Bare, BreakerLine, CancelLine, EventsLine, HealthLine, WhyLine};
use super::span::CostsLine;

/// Number and unit, once or more often, of which one is not zero.
const DURATION: &str = r"^(?=.*[1-9])\s*[0-9]+[0-9\s]*(\.[0-9\s]+)?[a-zA-Zµ]+(\s*[0-9]+[0-9\s]*(\.[0-9\s]+)?[a-zA-Zµ]+)*\s*$";

/// A humantime string or a number of seconds, above zero.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    up_to(u64::MAX)
}

/// The same for an order that ends by itself.
pub(super) fn order_time(_: &mut SchemaGenerator) -> Schema {
    up_to(LONGEST_ORDER.as_secs())
}

fn up_to(seconds: u64) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "string", "pattern": DURATION },
            { "type": "number", "exclusiveMinimum": 0, "maximum": seconds },
            { "type": "null" }
        ],
        "examples": ["30s", "1h 30m", 2.5]
    })
}

/// One text or up to four.
pub(super) fn stop(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "maxItems": 4 },
            { "type": "null" }
        ]
    })
}

/// Objects by kind of provider or name of a model. Of what the reader refuses in any spelling the
/// usual ones are named.
pub(super) fn extra(_: &mut SchemaGenerator) -> Schema {
    let refused = [
        "model",
        "models",
        "n",
        "candidateCount",
        "best_of",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "messages",
        "contents",
        "system",
        "systemInstruction",
        "system_instruction",
        "stream",
        "stream_options",
        "cachedContent",
        "previous_response_id",
        "web_search_options",
    ];
    let refused: serde_json::Map<_, _> =
        refused.iter().map(|name| ((*name).to_owned(), json!(false))).collect();
    json_schema!({
        "type": ["object", "null"],
        "additionalProperties": { "type": "object", "properties": refused }
    })
}

/// What each role of a message must bring.
pub(super) fn of_role(message: &mut Schema) {
    let content = json!({ "required": ["content"],
        "properties": { "content": { "not": { "type": "null" } } } });
    let answers = json!({ "required": ["tool_call_id"],
        "properties": { "tool_call_id": { "type": "string" } } });
    let rules = json!([
        { "if": has_role(&["tool"]), "then": answers },
        { "if": has_role(&["assistant", "tool"]), "else": content }
    ]);
    message.insert("allOf".to_owned(), rules);
}

/// Parts of other types are read by what they hold.
pub(super) fn of_part(part: &mut Schema) {
    let foreign = json!({
        "description": "in the words of another API: a text, thoughts, or what is to be shown",
        "type": "object",
        "required": ["type"],
        "properties": { "type": { "type": "string", "not": { "enum": EXACT } } }
    });
    if let Some(serde_json::Value::Array(types)) = part.get_mut("oneOf") {
        types.push(foreign);
    }
}

/// Where an image is, with or without more about it.
pub(super) fn image_url(generator: &mut SchemaGenerator) -> Schema {
    let object = generator.subschema_for::<ImageUrl>();
    json_schema!({ "anyOf": [object, { "type": "string" }] })
}

fn has_role(roles: &[&str]) -> serde_json::Value {
    json!({ "properties": { "role": { "enum": roles } } })
}

/// A model's name by itself says which chain is meant.
pub(super) fn model_alone(request: &mut Schema) {
    let absent = json!({ "type": "null" });
    let given = json!({ "required": ["model"], "properties": { "model": { "type": "string" } } });
    request.insert("if".to_owned(), given);
    request
        .insert("then".to_owned(), json!({ "properties": { "task": absent, "models": absent } }));
}

/// A week stands alone.
pub(super) fn week_alone(line: &mut Schema) {
    let absent = json!({ "type": "null" });
    let given = json!({ "required": ["week"], "properties": { "week": { "type": "string" } } });
    line.insert("if".to_owned(), given);
    line.insert("then".to_owned(), json!({ "properties": { "from": absent, "to": absent } }));
}

impl JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!("names a request on its connection; a string has at most {MAX_ID_BYTES} bytes"),
            "anyOf": [
                { "type": "string", "maxLength": MAX_ID_BYTES },
                { "type": "integer", "minimum": i64::MIN, "maximum": u64::MAX },
                { "type": "null" }
            ]
        })
    }
}

impl JsonSchema for ToolChoice {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ToolChoice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = json!({ "type": "object", "required": ["name"],
            "properties": { "name": { "type": "string" } } });
        json_schema!({
            "anyOf": [
                { "enum": ["auto", "none", "required"] },
                { "type": "object", "required": ["function"],
                  "properties": { "type": { "const": "function" }, "function": name } }
            ]
        })
    }
}

/// What each operation reads, by the name of its schema.
pub fn requests(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    vec![
        // It may also leave its operation out.
        ("ChatRequest", ChatRequest::json_schema(generator)),
        ("PingRequest", of_op::<Bare>("ping", generator)),
        ("HealthRequest", of_op::<HealthLine>("health", generator)),
        ("ChainsRequest", of_op::<Bare>("chains", generator)),
        ("WhyRequest", of_op::<WhyLine>("why", generator)),
        ("CostsRequest", of_op::<CostsLine>("costs", generator)),
        ("BreakerRequest", of_op::<BreakerLine>("breaker", generator)),
        ("ReloadRequest", of_op::<Bare>("reload", generator)),
        ("EventsRequest", of_op::<EventsLine>("events", generator)),
        ("CancelRequest", of_op::<CancelLine>("cancel", generator)),
    ]
}

/// The schema of a line for an operation other than `chat`, under its name.
fn of_op<T: JsonSchema>(op: &str, generator: &mut SchemaGenerator) -> Schema {
    let mut line = T::json_schema(generator);
    if let Some(field) = line.pointer_mut("/properties/op") {
        *field = json!({ "const": op });
    }
    line
}
