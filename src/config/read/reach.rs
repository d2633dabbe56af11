//! `proxy` and `ca_file` of a provider.
//!
//! What of an address cannot be used is explained without repeating it. A proxy that is named by
//! its place and is not there makes the provider `misconfigured`, like a missing key: going there
//! directly instead is not what was asked for.

use std::sync::Arc;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;

use super::field::Field;
use super::keys;
use crate::config::key::KeyPlace;
use crate::config::{Env, Proxy, Roots, file};

const PLACES: &str =
    "proxy = { credential = \"NAME\" }, { env = \"VARIABLE\" } or { file = \"PATH\" }";

/// Where the address of a proxy comes from.
pub(super) enum Way<'a> {
    Direct,
    /// From the variables that most programs look at.
    Environment,
    Through(Proxy),
    Place(KeyPlace<'a>),
}

/// Reads `proxy`; `None` after a mistake was reported.
pub(super) fn way<'a>(field: &Field<'a>) -> Option<Way<'a>> {
    let Some(text) = field.value.get_ref().as_str() else {
        if field.value.get_ref().as_table().is_some() {
            return keys::place(field, PLACES, false).map(Way::Place);
        }
        return field.wrong("a URL or the word env in quotes", "\"http://proxy.example:3128\"");
    };
    match text {
        "env" => Some(Way::Environment),
        "none" => Some(Way::Direct),
        _ => match Proxy::parse(text) {
            Ok(proxy) => Some(Way::Through(proxy)),
            Err((problem, hint)) => {
                field.mistake(problem, hint);
                None
            }
        },
    }
}

impl Way<'_> {
    /// The proxy for an address, or why there is none though one was asked for.
    pub(super) fn find(
        self,
        base_url: &str,
        env: &Env,
        field: &Field<'_>,
    ) -> Result<Option<Proxy>, String> {
        match self {
            Way::Direct => Ok(None),
            Way::Through(proxy) => Ok(Some(proxy)),
            Way::Environment => of_environment(base_url, env),
            Way::Place(place) => {
                let fetched = place.fetch(env, field.report.folder())?;
                let text = fetched.known().map(ExposeSecret::expose_secret).unwrap_or_default();
                let proxy = Proxy::parse(text)
                    .map_err(|(problem, _)| format!("the address there is {problem}"))?;
                Ok(Some(proxy))
            }
        }
    }
}

/// The proxy that the environment has for an address, by the rules that curl made common.
fn of_environment(base_url: &str, env: &Env) -> Result<Option<Proxy>, String> {
    let Ok(address) = base_url.parse::<Uri>() else { return Ok(None) };
    let excepted = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| env.var(name));
    let everything = Matcher::builder().all("http://proxy").no(excepted.unwrap_or_default());
    if everything.build().intercept(&address).is_none() {
        return Ok(None);
    }
    let own = match address.scheme_str() {
        Some("https") => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let names = own.into_iter().chain(["ALL_PROXY", "all_proxy"]);
    let found = names.filter_map(|name| Some((name, env.var(name)?))).next();
    let Some((name, text)) = found else { return Ok(None) };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let proxy = Proxy::parse(&whole);
    proxy.map(Some).map_err(|(problem, _)| format!("the value of {name} is {problem}"))
}

/// Reads `ca_file`; `None` after a mistake was reported.
pub(super) fn roots(field: &Field<'_>) -> Option<Arc<Roots>> {
    let path = field.report.folder().join(field.text()?);
    let shown = path.display();
    let bytes = match file::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let hint = "relative paths begin at the folder of this file";
            field.mistake(&format!("{shown} cannot be read: {error}"), hint);
            return None;
        }
    };
    let wanted = "a PEM file with one or more blocks of BEGIN CERTIFICATE";
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let Ok(certificates) = certificates else {
        field.mistake(&format!("{shown} is broken"), wanted);
        return None;
    };
    if certificates.is_empty() {
        field.mistake(&format!("{shown} holds no certificate"), wanted);
        return None;
    }
    let mut store = RootCertStore::empty();
    for (at, certificate) in certificates.iter().enumerate() {
        if store.add(certificate.clone()).is_err() {
            let problem = format!("certificate {} of {shown} cannot be read", at + 1);
            field.mistake(&problem, wanted);
            return None;
        }
    }
    Some(Arc::new(Roots { path, certificates }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(base_url: &str, vars: &[(&str, &str)]) -> Result<Option<String>, String> {
        let env = Env::new(1, vars.iter().copied());
        Ok(of_environment(base_url, &env)?.map(|proxy| proxy.shown().to_owned()))
    }

    #[test]
    fn the_environment_names_a_proxy_per_scheme_and_exceptions() {
        const HTTPS: &str = "https://api.example.com/v1";
        let vars = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2"), ("ALL_PROXY", "a:3")];
        assert_eq!(found(HTTPS, &vars), Ok(Some("s:1".into())));
        assert_eq!(found("http://api.example.com/v1", &vars), Ok(Some("p:2".into())));
        assert_eq!(found(HTTPS, &vars[1..]), Ok(Some("a:3".into())));
        assert_eq!(found(HTTPS, &[]), Ok(None));
        for (exception, goes_direct) in
            [("example.com", true), ("x.org, .example.com", true), ("*", true), ("le.com", false)]
        {
            let vars = [vars[0], ("no_proxy", exception)];
            assert_eq!(found(HTTPS, &vars).unwrap().is_none(), goes_direct, "{exception}");
        }
        let network = [("ALL_PROXY", "a:3"), ("NO_PROXY", "10.0.0.0/8")];
        assert_eq!(found("https://10.1.2.3/v1", &network), Ok(None));
    }

    #[test]
    fn a_proxy_of_the_environment_that_cannot_be_used_is_a_reason_without_its_value() {
        let why = found("https://a.example", &[("ALL_PROXY", "socks5://u:planted@h:1")]);
        assert_eq!(why, Err("the value of ALL_PROXY is neither http nor https".to_owned()));
    }
}
