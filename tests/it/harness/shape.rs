//! Every line that a test sends or receives, held against the schema that `fallbackctl schema`
//! prints.
//!
//! A request must be valid exactly when the daemon's own reader takes it; what comes back must be
//! valid, and have no member that the schema does not name. Where the reader knows what a schema
//! cannot say, the schema may be the more tolerant one, and each such case stands in a list here.
//! Large lines and long series of lines are looked at in part, to keep the tests quick.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use fallbackd::protocol::request;
use jsonschema::Validator;
use serde_json::{Value, json};

/// Lines of one process that are looked at, in each direction.
const MOST_LINES: usize = 2000;
/// Longest line that is looked at.
const MOST_BYTES: usize = 64 * 1024;

/// What the reader says about lines that a schema cannot refuse.
const BEYOND: [&str; 10] = [
    // Whether a part in the words of another API holds anything.
    "no text and nothing to show",
    // Whether a text is a duration of more than nothing, within what a computer can count.
    "a duration above zero",
    // Whether a text is a week of that year, a day or a moment.
    "expected a week",
    "expected a day",
    // Bytes of an id, where a schema counts characters.
    "a string of at most 128 bytes",
    // 5.0 is an integer to a schema.
    "invalid type: floating point",
    // A schema sees the last of two members of one name.
    "duplicate field",
    // How deep values may be nested.
    "recursion limit",
    // A number that no 64 bits hold.
    "number out of range",
    // That two numbers are the same.
    "of another value",
];

/// Members below which names are free: models, tasks, and what passes through untouched.
const FREE: [&str; 7] =
    ["models", "chains", "replay", "extra_content", "parameters", "schema", "provider_data"];

struct Shapes {
    request: Validator,
    line: Validator,
    names: BTreeSet<String>,
}

fn shapes() -> &'static Shapes {
    static SHAPES: OnceLock<Shapes> = OnceLock::new();
    SHAPES.get_or_init(|| {
        let output = Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
            .args(["schema", "--json"])
            .output()
            .unwrap();
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of = |name: &str| {
            let mut one = schema.clone();
            one.as_object_mut().unwrap().remove("anyOf");
            one["$ref"] = json!(format!("#/$defs/{name}"));
            jsonschema::validator_for(&one).unwrap()
        };
        let mut names = BTreeSet::new();
        named(&schema, &mut names);
        Shapes { request: of("Request"), line: of("Line"), names }
    })
}

/// All names of members that a schema speaks of.
fn named(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| named(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| named(item, names)),
        _ => {}
    }
}

fn is_enough(count: &AtomicUsize, bytes: usize) -> bool {
    bytes > MOST_BYTES || count.fetch_add(1, Ordering::Relaxed) >= MOST_LINES
}

/// Why the schema and the daemon's reader disagree about a request; `None` when they agree.
pub(crate) fn disagreement(line: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let valid = shapes().request.is_valid(&value);
    match request::read(line) {
        Ok(_) if !valid => {
            let errors = shapes().request.iter_errors(&value).map(|error| error.to_string());
            let errors: Vec<String> = errors.take(3).collect();
            Some(format!("the daemon takes what the schema refuses ({errors:?}): {value}"))
        }
        Err(mistake) if valid => {
            let message = mistake.error.message;
            let known = BEYOND.iter().any(|known| message.contains(known));
            (!known)
                .then(|| format!("the schema takes what the daemon refuses ({message}): {value}"))
        }
        _ => None,
    }
}

/// Looks at bytes on their way to the daemon, where they are whole lines.
pub(super) fn sent(bytes: &[u8]) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let Some(lines) = bytes.strip_suffix(b"\n") else { return };
    for line in lines.split(|&byte| byte == b'\n') {
        if is_enough(&COUNT, line.len()) {
            return;
        }
        if let Some(why) = disagreement(line) {
            panic!("{why}");
        }
    }
}

/// Looks at a line that the daemon sent.
pub(super) fn received(line: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    if is_enough(&COUNT, line.len()) {
        return;
    }
    if let Some(why) = misshapen(line) {
        panic!("{why}");
    }
}

/// What of a line of the daemon is not as the schema says; `None` when all is.
pub(crate) fn misshapen(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).unwrap();
    if !shapes().line.is_valid(&value) {
        return Some(format!("the daemon sends what its schema does not allow: {value}"));
    }
    let unknown = unknown(&value)?;
    Some(format!("the schema does not name `{unknown}`: {value}"))
}

fn unknown(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            if !shapes().names.contains(name) {
                return Some(name.clone());
            }
            match member {
                Value::Object(free) if FREE.contains(&name.as_str()) => {
                    free.values().filter(|_| name != "replay").find_map(unknown)
                }
                _ => unknown(member),
            }
        }),
        Value::Array(items) => items.iter().find_map(unknown),
        _ => None,
    }
}
