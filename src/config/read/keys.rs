//! `api_key` of a provider: one place of a key, or a list of them.
//!
//! A key written inline is refused, because configurations are copied, shared and committed; what
//! was written is never shown, not even in part. A key that cannot be found is a warning; a
//! provider without any is `misconfigured`, and the daemon starts all the same.

use std::time::Duration;

use super::field::Field;
use super::section::Section;
use crate::config::key::{Fetched, KeyPlace, begins_like_key, is_same, looks_like_key};
use crate::config::{Auth, Env, Key};

/// The tokens of most services are good for an hour.
const REFRESH: Duration = Duration::from_secs(50 * 60);

/// A command that is run more often is no way to get a key.
const LEAST_REFRESH: Duration = Duration::from_secs(10);

const PLACES: &str = "api_key = { credential = \"NAME\" }, { env = \"VARIABLE\" }, \
                      { file = \"PATH\" } or { command = [\"PROGRAM\", \"ARGUMENT\"] }";

/// A place, and where it is written.
pub(super) struct WrittenPlace<'a> {
    field: Field<'a>,
    place: KeyPlace<'a>,
}

/// What was found at the places of a provider's keys.
#[derive(Default)]
pub(super) struct KeysFound {
    pub(super) keys: Vec<Key>,
    /// Why there is none though some were named.
    pub(super) missing: Option<String>,
}

/// Reads `api_key`; `None` after a mistake was reported.
pub(super) fn read<'a>(field: &Field<'a>) -> Option<Vec<WrittenPlace<'a>>> {
    if field.value.get_ref().as_array().is_none() {
        return written(field).map(|place| vec![place]);
    }
    let items = field.items()?;
    if items.is_empty() {
        field.mistake("names no place", format!("use {PLACES}, or a list of them"));
        return None;
    }
    // Each reports its own mistakes; one that is wrong makes the whole list wrong.
    let places: Vec<Option<WrittenPlace<'a>>> = items.iter().map(written).collect();
    places.into_iter().collect()
}

fn written<'a>(field: &Field<'a>) -> Option<WrittenPlace<'a>> {
    Some(WrittenPlace { place: place(field, PLACES, true)?, field: field.clone() })
}

/// Fetches the keys and warns of what is wrong with those there are.
pub(super) fn fetch(
    field: &Field<'_>,
    places: &[WrittenPlace<'_>],
    auth: Auth,
    env: &Env,
    is_used: bool,
) -> KeysFound {
    if auth == Auth::None {
        field.warning("not used, as auth is \"none\"", "remove one of the two");
        return KeysFound::default();
    }
    let mut found = KeysFound::default();
    let mut reasons: Vec<(&Field<'_>, String)> = Vec::new();
    for WrittenPlace { field, place } in places {
        match place.fetch(env, field.report.folder()) {
            Ok(fetched) => {
                warn_of(field, &fetched, &found.keys);
                found.keys.push(fetched.key);
            }
            Err(reason) => reasons.push((field, reason)),
        }
    }
    if found.keys.is_empty() {
        found.missing = reasons.into_iter().next().map(|(_, reason)| reason);
        return found;
    }
    for (field, reason) in reasons.iter().filter(|_| is_used) {
        let hint = "put the key there and restart, or remove this place";
        field.warning(&format!("{reason}; the other keys are used"), hint);
    }
    found
}

fn warn_of(field: &Field<'_>, fetched: &Fetched, before: &[Key]) {
    if let Some(path) = &fetched.open_to_all {
        let problem = "everybody on this machine can read the key file";
        field.warning(problem, format!("chmod o-rwx {}", path.display()));
    }
    if let Some(doubt) = &fetched.doubt {
        field.warning(doubt, "install it, or name it with its whole path");
    }
    let known = before.iter().filter_map(Key::known);
    if fetched.known().is_some_and(|key| known.into_iter().any(|one| is_same(one, key))) {
        field.warning("the same key as one before it", "remove one of the two");
    }
}

/// Where something secret is: a table that names one place.
pub(super) fn place<'a>(
    field: &Field<'a>,
    places: &'static str,
    commands: bool,
) -> Option<KeyPlace<'a>> {
    if field.value.get_ref().is_str() {
        field.mistake("a key must not stand in the configuration", format!("use {places}"));
        return None;
    }
    let mut section = field.section()?;
    let name = |field: &Field<'a>| name(field, places);
    let mut found = vec![
        section.value("credential", name).map(KeyPlace::Credential),
        section.value("env", name).map(KeyPlace::Variable),
        section.value("file", name).map(KeyPlace::File),
    ];
    if commands {
        found.push(command(&mut section, places));
    }
    let mut given = found.into_iter().flatten();
    let source = given.next();
    if given.next().is_some() {
        field.mistake("names more than one place", format!("use one of {places}"));
    } else if field.value.get_ref().as_table().is_some_and(|table| table.is_empty()) {
        field.mistake("names no place", format!("use {places}"));
    }
    source.filter(|source| fits(field, source))
}

fn name<'a>(field: &Field<'a>, places: &str) -> Option<&'a str> {
    let text = field.text()?;
    if looks_like_key(text) {
        field.mistake("looks like the key itself", format!("name its place: {places}"));
        return None;
    }
    Some(text)
}

fn command<'a>(section: &mut Section<'a>, places: &'static str) -> Option<KeyPlace<'a>> {
    let argv = section.field("command");
    let refresh = section.field("refresh");
    let Some(field) = argv else {
        if let Some(refresh) = refresh {
            refresh.key_mistake("only a command has it", "add command, or remove refresh");
        }
        return None;
    };
    let refresh = refresh.map_or(Some(REFRESH), |field| refresh_time(&field));
    Some(KeyPlace::Command { argv: words(&field, places)?, refresh: refresh? })
}

fn words<'a>(field: &Field<'a>, places: &str) -> Option<Vec<&'a str>> {
    let sample = "for example command = [\"gcloud\", \"auth\", \"print-access-token\"]";
    let is_empty = field.value.get_ref().as_array().is_none_or(|list| list.is_empty());
    if is_empty {
        field.mistake("expected a list of the program and its arguments, without a shell", sample);
        return None;
    }
    let words: Vec<Option<&str>> = field.items()?.iter().map(|item| word(item, places)).collect();
    let words: Vec<&str> = words.into_iter().collect::<Option<_>>()?;
    if words[0].trim().is_empty() {
        field.mistake("the name of the program is empty", sample);
        return None;
    }
    Some(words)
}

fn word<'a>(item: &Field<'a>, places: &str) -> Option<&'a str> {
    let text = item.any_text()?;
    if begins_like_key(text) {
        item.mistake("looks like the key itself", format!("name its place: {places}"));
        return None;
    }
    Some(text)
}

fn refresh_time(field: &Field<'_>) -> Option<Duration> {
    let refresh = field.duration()?;
    if refresh < LEAST_REFRESH {
        field.mistake("less than 10s", "half to nine tenths of the time that a key is good");
        return None;
    }
    Some(refresh)
}

fn fits(field: &Field<'_>, source: &KeyPlace<'_>) -> bool {
    match source {
        KeyPlace::Credential(name) if name.contains('/') || name.starts_with('.') => {
            field
                .mistake("a credential is a plain name", "the name of LoadCredential= in the unit");
            false
        }
        KeyPlace::Variable(name) if !is_variable(name) => {
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
