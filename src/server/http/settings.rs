//! What the HTTP front needs of the configuration, ready for use.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::config::{Config, HttpRules, Model};
use crate::domain::time::Wall;
use crate::protocol::calendar::rfc3339;

/// What a reload may change about the front.
pub(in super::super) struct FrontSettings {
    pub(super) rules: HttpRules,
    /// Names that a program may ask for: tasks, aliases, models.
    names: Vec<String>,
    /// The kind of each provider.
    kinds: HashMap<Arc<str>, &'static str>,
    /// What programs on TCP must show.
    token: Option<SecretString>,
    /// When the daemon began to serve.
    since: Wall,
}

/// All names, in the form that programs of every dialect read.
#[derive(Serialize)]
pub(super) struct NameList<'a> {
    object: &'static str,
    data: Vec<NameEntry<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

/// One name in that form.
#[derive(Serialize)]
pub(super) struct NameEntry<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    r#type: &'static str,
    display_name: &'a str,
    created_at: String,
}

impl FrontSettings {
    /// As `config` says; `made` is the token that the daemon made itself.
    pub(in super::super) fn of(
        config: &Config,
        made: Option<&SecretString>,
        since: Wall,
    ) -> FrontSettings {
        let rules = config.http.clone();
        let mut names = vec!["default".to_owned()];
        let aliases = rules.aliases.iter().filter(|alias| !alias.is_prefix);
        let further = config.chains.keys().cloned();
        let further = further.chain(aliases.map(|alias| alias.name.clone()));
        let models = config.models.iter().map(|model| model.name.to_string());
        for name in further.chain(models) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        FrontSettings {
            names,
            kinds: config.models.iter().map(|model| kind(model)).collect(),
            token: rules.token.as_ref().or(made).cloned(),
            since,
            rules,
        }
    }

    /// All names that may be asked for.
    pub(super) fn list(&self) -> NameList<'_> {
        NameList {
            object: "list",
            data: self.names.iter().map(|name| self.entry(name)).collect(),
            has_more: false,
            first_id: self.names.first().map(String::as_str),
            last_id: self.names.last().map(String::as_str),
        }
    }

    /// One of them, or a name that an alias stands for.
    pub(super) fn one<'a>(&'a self, name: &'a str) -> Option<NameEntry<'a>> {
        let known = self.names.iter().any(|known| known == name);
        (known || self.rules.task_of(name).is_some()).then(|| self.entry(name))
    }

    fn entry<'a>(&self, name: &'a str) -> NameEntry<'a> {
        NameEntry {
            id: name,
            object: "model",
            created: self.since.0 / 1000,
            owned_by: "fallbackd",
            r#type: "model",
            display_name: name,
            created_at: rfc3339(self.since),
        }
    }

    /// Whether a provider is of this kind.
    pub(super) fn is_of_kind(&self, provider: &str, kind: &str) -> bool {
        self.kinds.get(provider).is_some_and(|known| *known == kind)
    }

    /// Whether this is the token; how long that takes says nothing about it.
    pub(super) fn knows(&self, shown: &[u8]) -> bool {
        let token = self.token.as_ref().map(|token| token.expose_secret().as_bytes());
        token.is_some_and(|token| bool::from(token.ct_eq(shown)))
    }
}

fn kind(model: &Model) -> (Arc<str>, &'static str) {
    (model.provider.name.clone(), model.provider.kind.name())
}
