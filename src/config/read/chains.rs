//! `[chains]`: for each task, the models to try and their order.
//!
//! A chain is a list of names, or a table when it has more to say. Without a `default` chain the
//! map simply has none: what an unknown task gets is decided where requests are routed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::field::Field;
use super::section::Section;
use crate::config::key::shown;
use crate::config::{ChainConfig, file, suggest};
use crate::domain::accept::{Accept, Schema};
use crate::domain::ceiling::Ceilings;

pub(super) fn read(
    root: &mut Section<'_>,
    models: &BTreeSet<&str>,
) -> BTreeMap<String, Arc<ChainConfig>> {
    let entries = root.entries("chains");
    let chains = entries.iter().map(|field| (field.key.to_owned(), chain(field, models)));
    chains.filter_map(|(task, chain)| Some((task, Arc::new(chain?)))).collect()
}

fn chain(field: &Field<'_>, known: &BTreeSet<&str>) -> Option<ChainConfig> {
    field.check_name("task");
    let value = field.value.get_ref();
    if value.is_array() {
        let models = models(field, known)?;
        return Some(ChainConfig { models, ..ChainConfig::default() });
    }
    if !value.is_table() {
        return field.wrong("a list of models or a table", "[\"gpt-4o\"]");
    }
    let mut section = field.section()?;
    let models = section.required("models", "[\"gpt-4o\"]", |f| models(f, known));
    Some(ChainConfig {
        timeout: section.value("timeout", Field::duration),
        system: section.value("system", Field::text).map(Arc::from),
        accept: section.value("accept", accept).map(Arc::new),
        ceilings: Ceilings {
            max_factor: section.value("max_cost_factor", |f| f.number(1.0..=f64::INFINITY)),
            max_cost: section.value("max_cost_usd", Field::dollars),
            daily_budget: section.value("daily_budget_usd", Field::dollars),
        },
        hedge_after: section.value("hedge_after", Field::duration),
        // Last, so that the other keys are looked at even when this one is wrong.
        models: models?,
    })
}

fn models(field: &Field<'_>, known: &BTreeSet<&str>) -> Option<Vec<Arc<str>>> {
    let items = field.items()?;
    if items.is_empty() {
        field.mistake("a chain needs at least one model", field.example("[\"gpt-4o\"]"));
    }
    let mut seen: Vec<Arc<str>> = Vec::new();
    for item in items {
        let Some(name) = item.text() else { continue };
        if seen.iter().any(|earlier| **earlier == *name) {
            let problem = format!("{} stands in this chain twice", shown(name));
            item.mistake(&problem, "remove one; a repeat on the same model is [retry] max");
        } else if !known.contains(name) {
            let names: Vec<_> = known.iter().copied().collect();
            let problem = format!("{} is not a configured model", shown(name));
            item.mistake(&problem, suggest::hint(name, &names, "configured models"));
        }
        seen.push(name.into());
    }
    Some(seen)
}

/// What answers of a chain must be, made ready for use once.
fn accept(field: &Field<'_>) -> Option<Accept> {
    let mut section = field.section()?;
    Some(Accept {
        non_empty: section.or("non_empty", Field::flag, false),
        json: section.or("json", Field::flag, false),
        schema: section.value("json_schema", schema),
        max_chars: section.value("max_chars", |f| f.whole(1)),
        deny: section.or("deny", |f| f.list(pattern), Vec::new()),
    })
}

/// The schema in a file, beside the configuration if its path is relative.
fn schema(field: &Field<'_>) -> Option<Schema> {
    let path = field.report.folder().join(field.text()?);
    match schema_in(&path) {
        Ok(schema) => Some(schema),
        Err((problem, hint)) => {
            field.mistake(&format!("the schema {} {problem}", path.display()), hint);
            None
        }
    }
}

/// The schema in a file, or what is wrong and a hint.
fn schema_in(path: &Path) -> Result<Schema, (String, &'static str)> {
    let text = file::read(path).map_err(|error| {
        let hint = "name a file; a relative path begins at the configuration's folder";
        (format!("cannot be read: {error}"), hint)
    })?;
    let schema: Value = serde_json::from_slice(&text)
        .map_err(|error| (format!("is not JSON: {error}"), "correct the file"))?;
    Schema::new(&schema).map_err(|why| {
        let why: String = why.chars().take(200).collect();
        (format!("cannot be used: {why}"), "schemas elsewhere are not fetched")
    })
}

fn pattern(field: &Field<'_>) -> Option<Regex> {
    let text = field.text()?;
    Regex::new(text)
        .map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            field.mistake(
                &format!("not a regular expression: {why}"),
                "the syntax is that of Rust's regex: no look-around, no backreferences",
            );
        })
        .ok()
}
