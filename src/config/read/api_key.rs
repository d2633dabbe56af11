//! The `api_key` of a provider: a table that names the place of the key.
//!
//! A key written inline is refused, because configurations are copied, shared and committed.
//! What was written there is never shown, not even in part.

use super::field::Field;
use crate::config::key::{Source, looks_like_key};

const PLACES: &str =
    "api_key = { credential = \"NAME\" }, { env = \"VARIABLE\" } or { file = \"PATH\" }";

pub(super) fn read<'a>(field: &Field<'a>) -> Option<Source<'a>> {
    if field.value.get_ref().is_str() {
        field.mistake("a key must not stand in the configuration", format!("use {PLACES}"));
        return None;
    }
    let mut section = field.section()?;
    let credential = section.value("credential", place);
    let env = section.value("env", place);
    let file = section.value("file", place);
    section.done();
    let sources =
        [credential.map(Source::Credential), env.map(Source::Variable), file.map(Source::File)];
    let mut given = sources.into_iter().flatten();
    let source = given.next();
    if given.next().is_some() {
        field.mistake("names more than one place", format!("use one of {PLACES}"));
    } else if field.value.get_ref().as_table().is_some_and(|table| table.is_empty()) {
        field.mistake("names no place", format!("use {PLACES}"));
    }
    source.filter(|source| fits(field, *source))
}

fn place<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.text()?;
    if looks_like_key(text) {
        field.mistake("looks like the key itself", format!("name its place: {PLACES}"));
        return None;
    }
    Some(text)
}

fn fits(field: &Field<'_>, source: Source<'_>) -> bool {
    match source {
        Source::Credential(name) if name.contains('/') || name.starts_with('.') => {
            field
                .mistake("a credential is a plain name", "the name of LoadCredential= in the unit");
            false
        }
        Source::Variable(name) if !is_variable(name) => {
            let hint = "for example env = \"OPENAI_API_KEY\", without a dollar sign";
            field.mistake("not the name of an environment variable", hint);
            false
        }
        _ => true,
    }
}

fn is_variable(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
