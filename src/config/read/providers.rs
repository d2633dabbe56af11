//! `[providers.NAME]`: where calls go and how they prove who they come from.
//!
//! A key that cannot be found is a warning and makes the provider `misconfigured`; the daemon
//! starts all the same, since the other providers may carry everything. Values of headers and
//! query parameters may be secret and stay out of every message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::address::{self, Address};
use super::amazon::Amazon;
use super::field::Field;
use super::section::Section;
use crate::config::key::{KeyPlace, looks_like_key};
use crate::config::{Auth, Env, Kind, MaxTokensField, Provider};

/// All providers by name; `None` for those with mistakes.
pub(super) type Providers<'a> = BTreeMap<&'a str, Option<Arc<Provider>>>;

const AUTHS: [(&str, Auth); 5] = [
    ("bearer", Auth::Bearer),
    ("x-api-key", Auth::XApiKey),
    ("api-key", Auth::ApiKey),
    ("x-goog-api-key", Auth::XGoogApiKey),
    ("none", Auth::None),
];

const STREAMS: [(&str, bool); 2] = [("auto", true), ("never", false)];

const TOKEN_FIELDS: [(&str, Option<MaxTokensField>); 3] = [
    ("auto", None),
    ("max_tokens", Some(MaxTokensField::MaxTokens)),
    ("max_completion_tokens", Some(MaxTokensField::MaxCompletionTokens)),
];

const PLACES: &str =
    "api_key = { credential = \"NAME\" }, { env = \"VARIABLE\" } or { file = \"PATH\" }";

pub(super) fn read<'a>(root: &mut Section<'a>, env: &Env) -> Providers<'a> {
    let entries = root.entries("providers");
    let in_use = in_use(root);
    let providers = entries.iter().map(|field| {
        let is_used = in_use.contains(field.key);
        (field.key, provider(field, env, is_used).map(Arc::new))
    });
    providers.collect()
}

/// The providers that models name. Nobody needs to hear that the key of another one is missing.
fn in_use<'a>(root: &Section<'a>) -> BTreeSet<&'a str> {
    let models = root.peek("models").and_then(|field| field.value.get_ref().as_table());
    let models = models.into_iter().flat_map(|models| models.values());
    models.filter_map(|model| model.get_ref().get("provider")?.get_ref().as_str()).collect()
}

fn provider(field: &Field<'_>, env: &Env, is_used: bool) -> Option<Provider> {
    field.check_name("provider");
    let mut section = field.section()?;
    let kind = section.required("kind", "\"openai\"", |f| f.choice(&Kind::choices()));
    let allow_http = section.or("allow_http", Field::flag, false);
    let amazon = Amazon::read(&mut section, kind);
    let address = amazon.address(&mut section, kind, allow_http);
    let api_key = section.field("api_key");
    let source = api_key.as_ref().map(key_source);
    let auth = section.value("auth", |f| f.choice(&AUTHS));
    let headers = section.or("headers", headers, Vec::new());
    let query = section.or("query", query, Vec::new());
    let token_field = section.or("max_tokens_field", |f| f.choice(&TOKEN_FIELDS), None);
    let streams = section.or("upstream_stream", |f| f.choice(&STREAMS), true);

    let (kind, address) = (kind?, address?);
    let beside = [("api_key", api_key.is_some()), ("auth", auth.is_some())];
    let (signing, unsigned) = match amazon.signing(&address, &beside, env) {
        Ok(signing) => (signing, None),
        Err(reason) => (None, Some(reason)),
    };
    let auth = match &amazon.credentials {
        Some(_) => Auth::Signed,
        None => auth.unwrap_or_else(|| default_auth(kind, &address, api_key.is_some())),
    };
    let (key, misconfigured) = match source {
        // The mistake in it is reported.
        Some(None) => return None,
        Some(Some(source)) => fetch(api_key.as_ref()?, source, auth, env),
        None if auth == Auth::None => (None, None),
        None if auth == Auth::Signed => (None, unsigned),
        None => (None, Some("no api_key is configured".to_owned())),
    };
    if let Some(reason) = misconfigured.as_ref().filter(|_| is_used) {
        warn_of(reason, field, api_key.as_ref().or(amazon.credentials.as_ref()));
    }
    Some(Provider {
        name: field.key.into(),
        kind,
        max_tokens_field: token_field.unwrap_or_else(|| address::auto_field(&address.host)),
        base_url: address.base_url,
        auth,
        key,
        signing,
        misconfigured,
        headers,
        query,
        streams,
    })
}

fn default_auth(kind: Kind, address: &Address, has_key: bool) -> Auth {
    if address.is_loopback && !has_key { Auth::None } else { kind.auth() }
}

/// The key, or the reason why there is none.
fn fetch(
    field: &Field<'_>,
    source: KeyPlace<'_>,
    auth: Auth,
    env: &Env,
) -> (Option<SecretString>, Option<String>) {
    if auth == Auth::None {
        field.warning("not used, as auth is \"none\"", "remove one of the two");
        return (None, None);
    }
    match source.fetch(env, field.report.folder()) {
        Ok(fetched) => {
            if let Some(path) = fetched.open_to_all {
                let problem = "everybody on this machine can read the key file";
                field.warning(problem, format!("chmod o-rwx {}", path.display()));
            }
            (Some(fetched.key), None)
        }
        Err(reason) => (None, Some(reason)),
    }
}

fn warn_of(reason: &str, provider: &Field<'_>, api_key: Option<&Field<'_>>) {
    let (name, at, hint) = match api_key {
        Some(field) => {
            (&field.name, field.at(), "put the key there and restart, or name another place")
        }
        None => (
            &provider.name,
            provider.key_at,
            "add api_key = { env = \"VARIABLE\" }, or auth = \"none\" if no key is needed",
        ),
    };
    let message = format!("{name}: {reason}; the models of this provider are not called");
    provider.report.warning(Some(at), message, hint);
}

fn headers(field: &Field<'_>) -> Option<Vec<(String, SecretString)>> {
    Some(field.entries()?.iter().filter_map(header).collect())
}

fn header(field: &Field<'_>) -> Option<(String, SecretString)> {
    // The connection's own business; overriding these breaks the framing of a request.
    const FRAMING: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];
    let name = field.key.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        field.key_mistake("not a header name", "header names are letters, digits and hyphens");
        return None;
    }
    if FRAMING.contains(&name.as_str()) {
        field.key_mistake("this header belongs to the connection", "remove it");
        return None;
    }
    let value = field.text()?;
    if HeaderValue::from_str(value).is_err() {
        field.mistake("not usable as a header value", "remove line breaks and control characters");
        return None;
    }
    Some((name, SecretString::from(value)))
}

fn query(field: &Field<'_>) -> Option<Vec<(String, SecretString)>> {
    let entries = field.entries()?;
    let parameters = entries.iter().map(|entry| (entry.key, entry.text()));
    Some(parameters.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect())
}

/// Where the key is: a table that names the place. A key written inline is refused, because
/// configurations are copied, shared and committed; what was written is never shown, not even in part.
fn key_source<'a>(field: &Field<'a>) -> Option<KeyPlace<'a>> {
    if field.value.get_ref().is_str() {
        field.mistake("a key must not stand in the configuration", format!("use {PLACES}"));
        return None;
    }
    let mut section = field.section()?;
    let credential = section.value("credential", place);
    let env = section.value("env", place);
    let file = section.value("file", place);
    let sources = [
        credential.map(KeyPlace::Credential),
        env.map(KeyPlace::Variable),
        file.map(KeyPlace::File),
    ];
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

fn fits(field: &Field<'_>, source: KeyPlace<'_>) -> bool {
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
