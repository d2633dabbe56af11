//! The `base_url` of a provider.
//!
//! Requests carry a key and whatever people ask, so an address is https, or on this machine, or
//! explicitly allowed to be neither. Messages never repeat the address: user names, passwords
//! and keys are found in URLs.

use std::net::IpAddr;

use reqwest::Url;

use super::field::Field;
use super::hosts;
use crate::config::{Kind, MaxTokensField, vertex};

/// An address that passed every check.
pub(super) struct Address {
    /// Without a slash at the end.
    pub(super) base_url: String,
    pub(super) host: String,
    pub(super) is_loopback: bool,
}

pub(super) fn read(field: &Field<'_>, kind: Option<Kind>, allow_http: bool) -> Option<Address> {
    let text = field.text()?;
    let Ok(url) = Url::parse(text) else {
        let sample = format!("\"{}\"", sample(kind));
        field.mistake("not a URL", field.example(&sample));
        return None;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let is_loopback = is_loopback(&host);
    if let Some((problem, hint)) = refusal(&url, is_loopback || allow_http) {
        field.mistake(problem, hint);
        return None;
    }
    let base_url = url.as_str().trim_end_matches('/').to_owned();
    if let Some(end) = kind.and_then(|kind| kind.superfluous_end(&base_url)) {
        let hint = format!("remove {end}: it is added to every call");
        field.mistake("goes too far into the API", hint);
        return None;
    }
    if let Some((problem, hint)) = kind.and_then(|kind| vertex::refusal(&url, kind)) {
        field.mistake(problem, hint);
        return None;
    }
    if let Some((problem, hint)) = kind.and_then(|kind| hosts::doubt(&url, kind)) {
        field.warning(&problem, hint);
    }
    Some(Address { base_url, host, is_loopback })
}

fn refusal(url: &Url, http_allowed: bool) -> Option<(&'static str, &'static str)> {
    if !["http", "https"].contains(&url.scheme()) {
        return Some(("neither http nor https", "begin the address with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "remove what stands before the @ and use api_key or headers";
        return Some(("a user name or password in the URL would end in logs", hint));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let hint = "remove ? or # and what follows; parameters go to query = { name = \"value\" }";
        return Some(("has a query or a fragment", hint));
    }
    if url.scheme() == "http" && !http_allowed {
        let hint = "use https, or set allow_http = true if the network between is trusted";
        return Some(("http would send keys and prompts unencrypted", hint));
    }
    None
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The address that most providers of this kind have.
pub(super) fn sample(kind: Option<Kind>) -> &'static str {
    kind.unwrap_or(Kind::OpenAi).base_url()
}

/// What `max_tokens_field = "auto"` means for a host: OpenAI's newer models refuse the old name,
/// most compatible servers know only that.
pub(super) fn auto_field(host: &str) -> MaxTokensField {
    const AZURE: [&str; 3] =
        [".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"];
    if host == "api.openai.com" || AZURE.iter().any(|end| host.ends_with(end)) {
        return MaxTokensField::MaxCompletionTokens;
    }
    MaxTokensField::MaxTokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for host in ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "128.0.0.1", "::2", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn the_new_name_of_the_token_limit_is_for_openai_and_azure() {
        for host in ["api.openai.com", "res.openai.azure.com", "x.services.ai.azure.com"] {
            assert_eq!(auto_field(host), MaxTokensField::MaxCompletionTokens, "{host}");
        }
        for host in ["localhost", "api.groq.com", "openai.azure.com.example.org"] {
            assert_eq!(auto_field(host), MaxTokensField::MaxTokens, "{host}");
        }
    }
}
