//! `[providers.NAME]`: where calls go and how they prove who they come from.
//!
//! A key that cannot be found is a warning and makes the provider `misconfigured`; the daemon
//! starts all the same, since the other providers may carry everything. Values of headers and
//! query parameters may be secret and stay out of every message.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;
use toml::Spanned;
use toml::de::DeValue;

use super::address::{self, Address};
use super::api_key;
use super::field::Field;
use super::name;
use super::section::Section;
use crate::config::key::Source;
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

pub(super) fn read<'a>(root: &mut Section<'a>, env: &Env) -> Providers<'a> {
    let entries = root.entries("providers");
    let in_use = in_use(root);
    let read = |field: &Field<'a>| {
        let is_used = in_use.contains(field.key);
        (field.key, provider(field, env, is_used).map(Arc::new))
    };
    entries.iter().map(read).collect()
}

/// The providers that models name. Nobody needs to hear that the key of another one is missing.
fn in_use<'a>(root: &Section<'a>) -> BTreeSet<&'a str> {
    let models = root.peek("models").and_then(|field| field.value.get_ref().as_table());
    let provider =
        |model: &'a Spanned<DeValue<'a>>| model.get_ref().get("provider")?.get_ref().as_str();
    models.into_iter().flat_map(|models| models.values()).filter_map(provider).collect()
}

fn provider(field: &Field<'_>, env: &Env, is_used: bool) -> Option<Provider> {
    name::check(field, "provider");
    let mut section = field.section()?;
    let kind = section.required("kind", "\"openai\"", |f| f.choice(&Kind::choices()));
    let allow_http = section.value("allow_http", Field::flag).unwrap_or(false);
    let sample = format!("\"{}\"", address::sample(kind));
    let address = section.required("base_url", &sample, |f| address::read(f, kind, allow_http));
    let api_key = section.field("api_key");
    let source = api_key.as_ref().map(api_key::read);
    let auth = section.value("auth", |f| f.choice(&AUTHS));
    let headers = section.value("headers", headers).unwrap_or_default();
    let query = section.value("query", query).unwrap_or_default();
    let max_tokens_field = section.value("max_tokens_field", |f| f.choice(&TOKEN_FIELDS)).flatten();
    let streams = section.value("upstream_stream", |f| f.choice(&STREAMS)).unwrap_or(true);
    section.done();

    let (kind, address) = (kind?, address?);
    let auth = auth.unwrap_or_else(|| default_auth(kind, &address, api_key.is_some()));
    let (key, misconfigured) = match source {
        // The mistake in it is reported.
        Some(None) => return None,
        Some(Some(source)) => fetch(api_key.as_ref()?, source, auth, env),
        None if auth == Auth::None => (None, None),
        None => (None, Some("no api_key is configured".to_owned())),
    };
    if let Some(reason) = misconfigured.as_ref().filter(|_| is_used) {
        warn_of(reason, field, api_key.as_ref());
    }
    let max_tokens_field = max_tokens_field.unwrap_or_else(|| address::auto_field(&address.host));
    let (name, base_url) = (field.key.into(), address.base_url);
    Some(Provider {
        name,
        kind,
        base_url,
        auth,
        key,
        misconfigured,
        headers,
        query,
        max_tokens_field,
        streams,
    })
}

fn default_auth(kind: Kind, address: &Address, has_key: bool) -> Auth {
    if address.is_loopback && !has_key { Auth::None } else { kind.auth() }
}

/// The key, or the reason why there is none.
fn fetch(
    field: &Field<'_>,
    source: Source<'_>,
    auth: Auth,
    env: &Env,
) -> (Option<SecretString>, Option<String>) {
    if auth == Auth::None {
        field.warning("not used, as auth is \"none\"", "remove one of the two");
        return (None, None);
    }
    let folder = Path::new(field.report.file()).parent().unwrap_or(Path::new(""));
    match source.fetch(env, folder) {
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
        let hint = "header names are letters, digits and hyphens";
        field.report.mistake(field.key_at, format!("{}: not a header name", field.name), hint);
        return None;
    }
    if FRAMING.contains(&name.as_str()) {
        let message = format!("{}: this header belongs to the connection", field.name);
        field.report.mistake(field.key_at, message, "remove it");
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
    let parameter = |entry: &Field<'_>| Some((entry.key.to_owned(), entry.text()?.into()));
    Some(field.entries()?.iter().filter_map(parameter).collect())
}
