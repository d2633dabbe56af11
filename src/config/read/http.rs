//! `[http]`: where programs that speak HTTP are served, and what names they may use.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::field::Field;
use super::keys;
use super::section::Section;
use crate::config::key::shown;
use crate::config::{Alias, ChainConfig, Env, HttpRules, suggest};

/// The task that needs no chain.
const DEFAULT: &str = "default";

const PLACES: &str =
    "token = { credential = \"NAME\" }, { env = \"VARIABLE\" } or { file = \"PATH\" }";

pub(super) fn read(
    mut section: Section<'_>,
    chains: &BTreeMap<String, Arc<ChainConfig>>,
    env: &Env,
) -> HttpRules {
    let unknown = [("reject", false), ("default", true)];
    let hosted = [("drop", false), ("refuse", true)];
    HttpRules {
        listen: section.value("listen", address),
        token: section.value("token", |f| token(f, env)),
        body_bytes: section.or("body_bytes", |f| f.size(1024), 32 << 20),
        aliases: section.value("aliases", |f| aliases(f, chains)).unwrap_or_default(),
        unknown_is_default: section.or("unknown_model", |f| f.choice(&unknown), false),
        retry_after_max: section.or("retry_after_max", Field::duration, Duration::from_secs(30)),
        refuses_hosted_tools: section.or("hosted_tools", |f| f.choice(&hosted), false),
    }
}

/// An address of this machine alone: whoever reaches it may spend money.
fn address(field: &Field<'_>) -> Option<SocketAddr> {
    let sample = "\"127.0.0.1:4141\"";
    let text = field.text()?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        let problem = format!("{} is not an address and port", shown(text));
        field.mistake(&problem, field.example(sample));
        return None;
    };
    if !address.ip().is_loopback() {
        let problem = "not an address of this machine alone";
        let hint = "listen on 127.0.0.1 or [::1]; for other machines put a proxy in front that knows its users";
        field.mistake(problem, hint);
        return None;
    }
    Some(address)
}

fn token(field: &Field<'_>, env: &Env) -> Option<SecretString> {
    let place = keys::place(field, PLACES, false)?;
    match place.fetch(env, field.report.folder()) {
        Ok(fetched) => {
            if let Some(path) = &fetched.open_to_all {
                let hint = format!("chmod o-rwx {}", path.display());
                field.warning("everybody on this machine can read the token", hint);
            }
            fetched.known().cloned()
        }
        Err(reason) => {
            let hint = "put it there; until then the daemon shows its own, as without the key";
            field.warning(&reason, hint);
            None
        }
    }
}

fn aliases(field: &Field<'_>, chains: &BTreeMap<String, Arc<ChainConfig>>) -> Option<Vec<Alias>> {
    Some(field.entries()?.iter().filter_map(|entry| alias(entry, chains)).collect())
}

fn alias(entry: &Field<'_>, chains: &BTreeMap<String, Arc<ChainConfig>>) -> Option<Alias> {
    let task = entry.text()?;
    if task != DEFAULT && !chains.contains_key(task) {
        let names: Vec<&str> = chains.keys().map(String::as_str).collect();
        let problem = format!("{} is not a task", shown(task));
        entry.mistake(&problem, suggest::hint(task, &names, "configured tasks"));
        return None;
    }
    let (name, is_prefix) = match entry.key.strip_suffix('*') {
        Some(beginning) => (beginning, true),
        None => (entry.key, false),
    };
    if name.contains('*') || (name.is_empty() && !is_prefix) {
        let hint = "a whole name, or the beginning of names and one * at the end";
        entry.key_mistake("not usable as an alias", hint);
        return None;
    }
    Some(Alias { name: name.to_owned(), is_prefix, task: task.to_owned() })
}
