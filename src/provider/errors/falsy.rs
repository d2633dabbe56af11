//! Whether an `error` beside an answer is one.
//!
//! Many servers always send the field, and fill it with something that says that all is well: null,
//! false, zero, an empty text or object, `{"code": 0, "message": "success"}`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Texts that tell of no error.
const FINE: [&str; 17] = [
    "",
    "0",
    "200",
    "ok",
    "none",
    "null",
    "nil",
    "undefined",
    "false",
    "n/a",
    "normal",
    "success",
    "successful",
    "succeed",
    "succeeded",
    "no error",
    "no_error",
];

/// Keys by which an error says what it is. What stands under others, such as the number of the
/// request, is no part of it while one of these is there.
const TELLING: [&str; 13] = [
    "code",
    "status",
    "status_code",
    "error_code",
    "err_code",
    "type",
    "message",
    "msg",
    "status_msg",
    "error",
    "errors",
    "error_message",
    "detail",
];

/// For a field that holds an error: `None` unless it tells of one.
pub(crate) fn error<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    let value = Option::<Value>::deserialize(input)?;
    Ok(value.filter(tells))
}

/// Whether a value tells of an error.
fn tells(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::Number(number) => !matches!(number.as_f64(), Some(0.0 | 200.0)),
        Value::String(text) => {
            let text = text.trim().trim_end_matches(['.', '!']);
            !FINE.iter().any(|fine| text.eq_ignore_ascii_case(fine))
        }
        Value::Array(list) => list.iter().any(tells),
        Value::Object(object) => {
            let mut known = TELLING.iter().filter_map(|key| object.get(*key)).peekable();
            match known.peek() {
                Some(_) => known.any(tells),
                None => object.values().any(tells),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_that_all_is_well_is_no_error() {
        for fine in [
            json!(null),
            json!(false),
            json!(0),
            json!(0.0),
            json!(200),
            json!(""),
            json!(" "),
            json!("null"),
            json!("Success."),
            json!([]),
            json!([null]),
            json!({}),
            json!({"message": ""}),
            json!({"code": 0}),
            json!({"code": "0", "message": "OK"}),
            json!({"code": null, "message": null, "type": null, "param": null}),
            json!({"code": 0, "message": "success", "request_id": "r-1"}),
            json!({"status_code": 0, "status_msg": ""}),
            json!({"status_code": 200, "status_msg": "succeed"}),
        ] {
            assert!(!tells(&fine), "{fine}");
        }
    }

    #[test]
    fn everything_else_is_one() {
        for error in [
            json!(true),
            json!(1),
            json!(429),
            json!("overloaded"),
            json!(["overloaded"]),
            json!({"message": "overloaded"}),
            json!({"code": 0, "message": "overloaded"}),
            json!({"code": "rate_limit"}),
            json!({"code": 503, "message": ""}),
            json!({"status_code": 1004, "status_msg": "login fail"}),
            json!({"type": "server_error", "message": null}),
            json!({"error": {"message": "overloaded"}}),
            json!({"reason": "overloaded"}),
        ] {
            assert!(tells(&error), "{error}");
        }
    }
}
