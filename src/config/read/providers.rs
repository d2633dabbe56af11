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
use super::keys::{self, KeysFound};
use super::reach::{self, Way};
use super::section::Section;
use crate::config::vertex::is_vertex;
use crate::config::{Auth, Env, Kind, MaxTokensField, ProviderConfig};

/// All providers by name; `None` for those with mistakes.
pub(super) type Providers<'a> = BTreeMap<&'a str, Option<Arc<ProviderConfig>>>;

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

fn provider(field: &Field<'_>, env: &Env, is_used: bool) -> Option<ProviderConfig> {
    field.check_name("provider");
    let mut section = field.section()?;
    let kind = section.required("kind", "\"openai\"", |f| f.choice(&Kind::choices()));
    let allow_http = section.or("allow_http", Field::flag, false);
    let amazon = Amazon::read(&mut section, kind);
    let address = amazon.address(&mut section, kind, allow_http);
    let api_key = section.field("api_key");
    let places = api_key.as_ref().map(keys::read);
    let auth = section.value("auth", |f| f.choice(&AUTHS));
    let headers = section.or("headers", headers, Vec::new());
    let query = section.or("query", query, Vec::new());
    let habits = Habits::read(&mut section, kind);
    let proxy = section.field("proxy");
    let way = proxy.as_ref().map_or(Some(Way::Direct), reach::way);
    let roots = section.value("ca_file", reach::roots);

    amazon.check_beside(&[("api_key", api_key.is_some()), ("auth", auth.is_some())]);
    let (kind, address) = (kind?, address?);
    let (signing, unsigned) = match amazon.signing(&address, env) {
        Ok(signing) => (signing, None),
        Err(reason) => (None, Some(reason)),
    };
    let auth = match &amazon.credentials {
        Some(_) => Auth::Signed,
        None => auth.unwrap_or_else(|| default_auth(kind, &address, api_key.is_some())),
    };
    let KeysFound { keys, missing } = match places {
        // The mistake in it is reported.
        Some(None) => return None,
        Some(Some(places)) => keys::fetch(api_key.as_ref()?, &places, auth, env, is_used),
        None => KeysFound { missing: without_keys(auth, unsigned), keys: Vec::new() },
    };
    if let Some(reason) = missing.as_ref().filter(|_| is_used) {
        let named = api_key.as_ref().or(amazon.credentials.as_ref());
        warn_of(reason, field, named, way_to_pay(&amazon, &address));
    }
    let proxy = proxy.unwrap_or_else(|| field.clone());
    let through = way?.find(&address.base_url, env, &proxy);
    if let Some(reason) = through.as_ref().err().filter(|_| is_used) {
        let problem = format!("{reason}; the models of this provider are not called");
        proxy.warning(&problem, "name an http:// or https:// proxy, or remove it");
    }
    let Habits { token_field, caches_prompts, streams, done_ends_stream, trusts_cost } = habits;
    Some(ProviderConfig {
        name: field.key.into(),
        kind,
        max_tokens_field: token_field.unwrap_or_else(|| address::auto_field(&address.host)),
        base_url: address.base_url,
        auth,
        keys,
        signing,
        misconfigured: missing.or_else(|| through.as_ref().err().cloned()),
        headers,
        query,
        caches_prompts,
        streams,
        proxy: through.ok().flatten(),
        roots,
        done_ends_stream,
        trusts_cost,
    })
}

/// Why calls without a key cannot work, if so; `unsigned` says why they cannot be signed.
fn without_keys(auth: Auth, unsigned: Option<String>) -> Option<String> {
    match auth {
        Auth::None => None,
        Auth::Signed => unsigned,
        _ => Some("no api_key is configured".to_owned()),
    }
}

/// How a server differs from others of its kind.
struct Habits {
    token_field: Option<MaxTokensField>,
    caches_prompts: bool,
    streams: bool,
    done_ends_stream: bool,
    trusts_cost: bool,
}

impl Habits {
    fn read(section: &mut Section<'_>, kind: Option<Kind>) -> Habits {
        let token_field = section.or("max_tokens_field", |f| token_field(f, kind), None);
        let caches = section.field("prompt_cache");
        Habits {
            token_field,
            caches_prompts: caches.as_ref().is_some_and(|field| prompt_cache(field, kind)),
            streams: section.or("upstream_stream", |f| f.choice(&STREAMS), true),
            done_ends_stream: section.or("done_ends_stream", Field::flag, false),
            trusts_cost: section.or("trust_cost", Field::flag, false),
        }
    }
}

/// The other kinds have one name for the limit each.
fn token_field(field: &Field<'_>, kind: Option<Kind>) -> Option<Option<MaxTokensField>> {
    if kind.is_some_and(|kind| kind != Kind::OpenAi) {
        let hint = "remove it; only bodies of OpenAI's form have two names for the limit";
        field.key_mistake("is for kind = \"openai\" alone", hint);
        return None;
    }
    field.choice(&TOKEN_FIELDS)
}

/// Only Anthropic wants to be told; all others cache by themselves.
fn prompt_cache(field: &Field<'_>, kind: Option<Kind>) -> bool {
    let wanted = field.choice(&[("off", false), ("auto", true)]).unwrap_or_default();
    if wanted && kind.is_some_and(|kind| kind != Kind::Anthropic) {
        field.mistake("is for kind = \"anthropic\" alone", "remove it; others cache by themselves");
    }
    wanted
}

fn default_auth(kind: Kind, address: &Address, has_key: bool) -> Auth {
    match () {
        () if address.is_loopback && !has_key => Auth::None,
        () if is_vertex(&address.base_url) => Auth::Bearer,
        () => kind.auth(),
    }
}

/// How a provider without a key may get one.
fn way_to_pay(amazon: &Amazon<'_>, address: &Address) -> &'static str {
    match () {
        () if amazon.is_bedrock() => {
            "add credentials = \"env\", \"profile:NAME\" or \"instance\" for keys of Amazon's, \
             or api_key = { env = \"AWS_BEARER_TOKEN_BEDROCK\" } for one of Bedrock's own"
        }
        () if is_vertex(&address.base_url) => {
            "add api_key = { command = [\"gcloud\", \"auth\", \"print-access-token\"] }, or another \
             program that prints a token"
        }
        () => "add api_key = { env = \"VARIABLE\" }, or auth = \"none\" if no key is needed",
    }
}

fn warn_of(reason: &str, provider: &Field<'_>, named: Option<&Field<'_>>, way: &str) {
    let (name, at, hint) = match named {
        Some(field) => {
            (&field.name, field.at(), "put the key there and restart, or name another place")
        }
        None => (&provider.name, provider.key_at, way),
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
