//! Schemas of functions as APIs take them that want one plain object.
//!
//! Callers describe arguments with all that JSON Schema has; several APIs refuse the whole request
//! for a choice, a reference or a missing type at the top. What such a schema allows is put into one
//! object: fields of all alternatives, required where all require them, and what gets lost by that
//! is told in words, which models read too. A schema that fits stays as it is, byte by byte.

use std::borrow::Cow;
use std::cell::Cell;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::raw;
use crate::protocol::chat::Function;

/// How deep references and alternatives are followed.
const DEEPEST: usize = 16;

/// How many schemas are looked at for one: references that lead to several others, and they to
/// several more, would never end.
const MOST_SCHEMAS: u32 = 500;

/// Keywords that stand for others, and are gone once those are written out.
const SPELLED_OUT: [&str; 11] = [
    "type",
    "properties",
    "required",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
    "enum",
    "const",
    "not",
    "additionalProperties",
];

/// The name of the only field, where arguments are described that are no object.
const VALUE: &str = "value";

/// The schema of a function's arguments as one object; `None` for a function without any.
pub(super) fn object(function: &Function) -> Option<Cow<'_, RawValue>> {
    let schema = function.parameters.as_deref().filter(|schema| schema.get() != "null")?;
    if is_plain(schema) {
        return Some(Cow::Borrowed(schema));
    }
    let root: Value = serde_json::from_str(schema.get()).ok()?;
    Some(Cow::Owned(raw(&Value::Object(as_object(&root)))))
}

/// Whether a schema is an object at the top and nothing else.
fn is_plain(schema: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Top<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
        #[serde(borrow, rename = "anyOf")]
        any_of: Option<&'a RawValue>,
        #[serde(borrow, rename = "oneOf")]
        one_of: Option<&'a RawValue>,
        #[serde(borrow, rename = "allOf")]
        all_of: Option<&'a RawValue>,
        #[serde(borrow, rename = "$ref")]
        reference: Option<&'a RawValue>,
        #[serde(borrow, rename = "enum")]
        values: Option<&'a RawValue>,
        #[serde(borrow, rename = "const")]
        value: Option<&'a RawValue>,
        #[serde(borrow)]
        not: Option<&'a RawValue>,
    }
    serde_json::from_str::<Top<'_>>(schema.get()).is_ok_and(|top| {
        let others =
            [top.any_of, top.one_of, top.all_of, top.reference, top.values, top.value, top.not];
        top.kind.is_some_and(|kind| kind.get() == "\"object\"")
            && others.iter().all(Option::is_none)
    })
}

/// What a schema allows, as one object.
fn as_object(root: &Value) -> Map<String, Value> {
    let Value::Object(top) = root else { return Fields::default().written() };
    let reader = Reader { root, left: Cell::new(MOST_SCHEMAS) };
    match reader.fields(top, 0) {
        Some(fields) => fields.written(),
        None => wrapped(top),
    }
}

/// Arguments that are no object, as the only field of one.
fn wrapped(top: &Map<String, Value>) -> Map<String, Value> {
    let (shared, own): (Map<_, _>, Map<_, _>) =
        top.clone().into_iter().partition(|(name, _)| is_shared(name));
    let properties = Map::from_iter([(VALUE.to_owned(), Value::Object(own))]);
    let required = vec![VALUE.to_owned()];
    Fields { properties, required, rest: shared, ..Fields::default() }.written()
}

fn is_shared(name: &str) -> bool {
    matches!(name, "$defs" | "definitions" | "$schema")
}

/// What an object may have, put together from several schemas.
#[derive(Default)]
struct Fields {
    properties: Map<String, Value>,
    required: Vec<String>,
    /// Whether other fields are forbidden.
    is_closed: bool,
    /// What schemas say beside that.
    rest: Map<String, Value>,
    /// What cannot be said otherwise.
    notes: Vec<String>,
}

struct Reader<'a> {
    root: &'a Value,
    /// How many schemas may still be looked at.
    left: Cell<u32>,
}

impl Reader<'_> {
    /// The fields that a schema allows; `None` if it is none of an object.
    fn fields(&self, schema: &Map<String, Value>, depth: usize) -> Option<Fields> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or_default());
        if left.is_none() || depth > DEEPEST || !may_be_object(schema) {
            return None;
        }
        let mut fields = Fields::said(schema);
        if let Some(target) = schema.get("$ref").and_then(|to| self.target(to)) {
            fields.also(self.fields(target, depth + 1)?);
        }
        for part in list(schema, "allOf").filter_map(Value::as_object) {
            fields.also(self.fields(part, depth + 1)?);
        }
        for choice in ["anyOf", "oneOf"] {
            let branches = list(schema, choice).filter_map(Value::as_object);
            let all: Vec<Fields> =
                branches.filter_map(|branch| self.fields(branch, depth + 1)).collect();
            if all.is_empty() && list(schema, choice).next().is_some() && !has_fields(schema) {
                return None;
            }
            fields.one_of(all);
        }
        Some(fields)
    }

    /// Where a reference within this document leads.
    fn target(&self, reference: &Value) -> Option<&Map<String, Value>> {
        self.root.pointer(reference.as_str()?.strip_prefix('#')?)?.as_object()
    }
}

fn list<'a>(schema: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn has_fields(schema: &Map<String, Value>) -> bool {
    schema.contains_key("properties") || schema.get("type").is_some_and(|kind| kind == "object")
}

/// Whether a schema does not say that it is something other than an object.
fn may_be_object(schema: &Map<String, Value>) -> bool {
    let is_object = match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => !schema.contains_key("items"),
    };
    let values = list(schema, "enum").chain(schema.get("const"));
    is_object && values.filter(|value| !value.is_null()).all(Value::is_object)
}

impl Fields {
    /// What a schema says by itself, references and alternatives left out.
    fn said(schema: &Map<String, Value>) -> Fields {
        let own = schema.iter().filter(|(name, _)| !SPELLED_OUT.contains(&name.as_str()));
        let mut rest: Map<String, Value> =
            own.map(|(name, value)| (name.clone(), value.clone())).collect();
        let open = schema.get("additionalProperties").filter(|open| **open != false);
        rest.extend(open.map(|open| ("additionalProperties".to_owned(), open.clone())));
        Fields {
            properties: schema
                .get("properties")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            required: list(schema, "required")
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            is_closed: schema.get("additionalProperties").is_some_and(|open| *open == false),
            rest,
            notes: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.required.is_empty()
    }

    /// What another schema demands as well.
    fn also(&mut self, other: Fields) {
        // A schema that forbids what another one asks for was not meant so.
        self.is_closed = match (self.is_empty(), other.is_empty()) {
            (true, _) => other.is_closed || self.is_closed,
            (_, true) => self.is_closed,
            (false, false) => self.is_closed && other.is_closed,
        };
        for (name, schema) in other.properties {
            self.properties.entry(name).or_insert(schema);
        }
        for name in other.required {
            if !self.required.contains(&name) {
                self.required.push(name);
            }
        }
        for (name, value) in other.rest {
            self.rest.entry(name).or_insert(value);
        }
        self.notes.extend(other.notes);
    }

    /// What one of several schemas demands as well.
    fn one_of(&mut self, mut branches: Vec<Fields>) {
        if branches.len() < 2 {
            branches.into_iter().for_each(|only| self.also(only));
            return;
        }
        let wanted: Vec<&[String]> = branches.iter().map(|branch| &*branch.required).collect();
        let common = wanted[0].iter().filter(|name| wanted.iter().all(|all| all.contains(name)));
        let common: Vec<String> = common.cloned().collect();
        if wanted.iter().any(|names| *names != wanted[0]) {
            let ways = wanted.iter().map(|names| match names {
                [] => "no more".to_owned(),
                names => names.join(" and "),
            });
            self.notes.push(format!("Give one of: {}.", ways.collect::<Vec<_>>().join("; or ")));
        }
        let is_closed = branches.iter().all(|branch| branch.is_closed);
        let mut union = Fields { required: common, is_closed, ..Fields::default() };
        for branch in &mut branches {
            for (name, schema) in std::mem::take(&mut branch.properties) {
                add_choice(&mut union.properties, name, schema);
            }
            union.notes.append(&mut branch.notes);
            let shared = branch.rest.iter().filter(|(name, _)| name.starts_with('$'));
            let shared: Map<_, _> = shared.map(|(n, v)| (n.clone(), v.clone())).collect();
            union.rest.extend(shared);
        }
        self.also(union);
    }

    fn written(self) -> Map<String, Value> {
        let Fields { properties, required, is_closed, mut rest, notes } = self;
        let mut written = Map::from_iter([
            ("type".to_owned(), Value::from("object")),
            ("properties".to_owned(), Value::Object(properties)),
        ]);
        if !required.is_empty() {
            written.insert("required".to_owned(), required.into());
        }
        if is_closed {
            written.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
        if !notes.is_empty() {
            let said = rest.get("description").and_then(Value::as_str).map(str::to_owned);
            let texts: Vec<String> = said.into_iter().chain(notes).collect();
            rest.insert("description".to_owned(), texts.join("\n").into());
        }
        rest.into_iter().for_each(|(name, value)| {
            written.entry(name).or_insert(value);
        });
        written
    }
}

/// Adds what a field may be in one more alternative.
fn add_choice(properties: &mut Map<String, Value>, name: String, schema: Value) {
    let Some(known) = properties.get_mut(&name) else {
        properties.insert(name, schema);
        return;
    };
    if *known == schema {
        return;
    }
    let is_choice = known.as_object().is_some_and(|one| one.len() == 1);
    match known.get_mut("anyOf").and_then(Value::as_array_mut).filter(|_| is_choice) {
        Some(choices) if choices.contains(&schema) => {}
        Some(choices) => choices.push(schema),
        None => *known = serde_json::json!({ "anyOf": [known.take(), schema] }),
    }
}

#[cfg(test)]
mod tests;
