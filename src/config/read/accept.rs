//! `accept` of a chain: what its answers must be, made ready for use once.

use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::field::Field;
use crate::config::file;
use crate::domain::accept::{Accept, Schema};

pub(super) fn read(field: &Field<'_>) -> Option<Accept> {
    let mut section = field.section()?;
    let accept = Accept {
        non_empty: section.value("non_empty", Field::flag).unwrap_or_default(),
        json: section.value("json", Field::flag).unwrap_or_default(),
        schema: section.value("json_schema", schema),
        max_chars: section.value("max_chars", |f| f.whole(1)),
        deny: section.value("deny", |f| f.list(pattern)).unwrap_or_default(),
    };
    section.done();
    Some(accept)
}

/// The schema in a file, beside the configuration if its path is relative.
fn schema(field: &Field<'_>) -> Option<Schema> {
    let name = field.text()?;
    let folder = Path::new(field.report.file()).parent().unwrap_or(Path::new(""));
    let path = folder.join(name);
    let wrong = |problem: String, hint: &str| {
        field.mistake(&format!("the schema {} {problem}", path.display()), hint);
        None
    };
    let text = match file::read(&path) {
        Ok(text) => text,
        Err(error) => {
            let hint = "name a file; a relative path begins at the configuration's folder";
            return wrong(format!("cannot be read: {error}"), hint);
        }
    };
    let schema: Value = match serde_json::from_slice(&text) {
        Ok(schema) => schema,
        Err(error) => return wrong(format!("is not JSON: {error}"), "correct the file"),
    };
    match Schema::new(&schema) {
        Ok(schema) => Some(schema),
        Err(why) => {
            let why: String = why.chars().take(200).collect();
            wrong(format!("cannot be used: {why}"), "schemas elsewhere are not fetched")
        }
    }
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
