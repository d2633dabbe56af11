//! `fallbackctl schema`: the protocol as a JSON Schema.
//!
//! Put together from the schemas of the types that read and write the lines, so it cannot be of
//! another version than this program. Requests are closed: the daemon refuses fields it does not
//! know. What the daemon sends is open: later versions may add to it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::failure::CommandError;
use super::screen::Screen;
use crate::protocol::chains::{Chains, PlanView};
use crate::protocol::control::{Cancelled, Ping, Watching};
use crate::protocol::costs::Costs;
use crate::protocol::event::EventLine;
use crate::protocol::health::{BreakerOrdered, Health};
use crate::protocol::log::Watched;
use crate::protocol::reload::Reloaded;
use crate::protocol::reply::{Chat, ErrorReply, Success};
use crate::protocol::why::Why;
use crate::protocol::{PROTOCOL, request};

pub(super) const EXAMPLES: &str = "\
Examples:
  fallbackctl schema                                   all lines, in both directions
  fallbackctl schema | jq '.\"$defs\".ChatRequest'       what a chat may hold
  fallbackctl schema > fallbackd.schema.json           for a validator or a code generator

`#/$defs/Request` is what clients send, `#/$defs/Line` what the daemon sends.";

const DEFS: &str = "#/$defs/";

/// Prints the schema; with `--json` on one line.
pub(super) fn run(json: bool, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let schema = document();
    if json { writeln!(screen.out, "{schema}") } else { writeln!(screen.out, "{schema:#}") }?;
    Ok(())
}

pub(super) fn document() -> Value {
    let mut reader = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let requests = request::requests(&mut reader);
    let mut definitions = reader.take_definitions(true);
    let each: Vec<Value> = requests.iter().map(|(name, _)| reference(name)).collect();
    definitions.insert("Request".to_owned(), json!({ "anyOf": each }));
    for (name, request) in requests {
        definitions.insert(name.to_owned(), request.into());
    }
    let mut writer = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let each = [
        writer.subschema_for::<Success<Chat>>(),
        writer.subschema_for::<Success<PlanView>>(),
        writer.subschema_for::<ErrorReply>(),
        writer.subschema_for::<Success<Ping>>(),
        writer.subschema_for::<Success<Health>>(),
        writer.subschema_for::<Success<Chains>>(),
        writer.subschema_for::<Success<Why>>(),
        writer.subschema_for::<Success<Costs>>(),
        writer.subschema_for::<Success<BreakerOrdered>>(),
        writer.subschema_for::<Success<Reloaded>>(),
        writer.subschema_for::<Success<Cancelled>>(),
        writer.subschema_for::<Success<Watching>>(),
        writer.subschema_for::<EventLine<'_>>(),
        writer.subschema_for::<Watched>(),
    ];
    let mut written = writer.take_definitions(true);
    let description = "What the daemon sends: replies, events of streams, and what watchers hear.";
    written.insert("Line".to_owned(), json!({ "description": description, "anyOf": each }));
    add(written, &mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fallbackd protocol",
        "description": format!(
            "One JSON object per line. Version {} of fallbackd, {PROTOCOL} of the protocol.",
            env!("CARGO_PKG_VERSION")
        ),
        "anyOf": [reference("Request"), reference("Line")],
        "$defs": definitions,
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{DEFS}{name}") })
}

/// Adds what is written to what is read. A type that is read more tolerantly than it is written
/// has two schemas; the one of what is written gets a name of its own.
fn add(mut written: Map<String, Value>, definitions: &mut Map<String, Value>) {
    let differing = written
        .iter()
        .filter(|(name, schema)| definitions.get(*name).is_some_and(|read| read != *schema));
    let differing: Vec<String> = differing.map(|(name, _)| name.clone()).collect();
    for schema in written.values_mut() {
        point_to_written(schema, &differing);
    }
    for (name, schema) in written {
        let name = if differing.contains(&name) { written_name(&name) } else { name };
        definitions.insert(name, schema);
    }
}

fn point_to_written(schema: &mut Value, differing: &[String]) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(name) = target.strip_prefix(DEFS)
                && differing.iter().any(|other| other == name)
            {
                *target = format!("{DEFS}{}", written_name(name));
            }
            members.values_mut().for_each(|member| point_to_written(member, differing));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| point_to_written(item, differing));
        }
        _ => {}
    }
}

fn written_name(name: &str) -> String {
    format!("{name}Sent")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::EventType;

    #[test]
    fn everything_that_is_referred_to_is_defined() {
        fn check(schema: &Value, defined: &Value) {
            match schema {
                Value::Object(members) => {
                    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                        let name = target.strip_prefix(DEFS).unwrap();
                        assert!(defined.get(name).is_some(), "{name}");
                    }
                    members.values().for_each(|member| check(member, defined));
                }
                Value::Array(items) => items.iter().for_each(|item| check(item, defined)),
                _ => {}
            }
        }
        let schema = document();
        check(&schema, &schema["$defs"]);
    }

    #[test]
    fn shells_are_offered_the_events_that_may_be_asked_for() {
        let named = &document()["$defs"]["EventType"]["enum"];
        assert_eq!(named, &json!(EventType::ALL));
    }
}
