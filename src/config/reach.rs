//! How a provider is reached beside its address: through which proxy, and trusting whom.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};

/// An HTTP proxy on the way to a provider. Its address may hold a name and a password.
#[derive(Clone)]
pub(crate) struct Proxy {
    url: SecretString,
    shown: String,
}

/// Authorities whose certificates are trusted beside those of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roots {
    /// The file that they come from.
    pub(crate) path: PathBuf,
    /// At least one, each of a form that can be used.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl Proxy {
    /// The proxy at an address.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, and what to write instead; neither repeats it.
    pub(crate) fn parse(text: &str) -> Result<Proxy, (&'static str, &'static str)> {
        const FORM: &str = "write http://HOST:PORT, with USER:PASSWORD@ before the host if the \
                            proxy wants them";
        let url = Url::parse(text).map_err(|_| ("not the URL of a proxy", FORM))?;
        if !["http", "https"].contains(&url.scheme()) {
            let hint =
                "begin the address with http:// or https://; other proxies are not spoken to";
            return Err(("neither http nor https", hint));
        }
        let Some(host) = url.host_str() else { return Err(("not the URL of a proxy", FORM)) };
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(("goes beyond the host and the port of the proxy", FORM));
        }
        let port = url.port_or_known_default().map(|port| format!(":{port}"));
        let shown = format!("{host}{}", port.unwrap_or_default());
        Ok(Proxy { shown, url: SecretString::from(url.as_str()) })
    }

    /// The whole address, for the one who connects; never to be shown.
    pub(crate) fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// Its host and port, for people.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Its host without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        let host = self.shown.rsplit_once(':').map_or(self.shown.as_str(), |(host, _)| host);
        host.trim_matches(['[', ']'])
    }

    /// Name and password in every form in which they may come back.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        let Ok(url) = Url::parse(self.url()) else { return Vec::new() };
        let mut found: Vec<String> = url.password().into_iter().map(str::to_owned).collect();
        found.push(url.username().to_owned());
        let anywhere = Uri::from_static("http://anywhere/");
        let sent = Matcher::builder().all(self.url()).build().intercept(&anywhere);
        let header = sent.as_ref().and_then(|sent| sent.basic_auth()?.to_str().ok());
        if let Some(coded) = header.and_then(|header| header.strip_prefix("Basic ")) {
            let plain = STANDARD.decode(coded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let plain = plain.unwrap_or_default();
            found.extend(plain.split_once(':').map(|(_, password)| password.to_owned()));
            found.extend([plain, coded.to_owned()]);
        }
        found.into_iter().map(SecretString::from).collect()
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Proxy) -> bool {
        self.url() == other.url()
    }
}

/// Shows neither name nor password.
impl fmt::Debug for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_shows_its_host_and_port_and_knows_its_secrets() {
        let proxy = Proxy::parse("http://user:pass%2Fword@proxy.example:3128").ok().unwrap();
        assert_eq!((proxy.shown(), proxy.host()), ("proxy.example:3128", "proxy.example"));
        assert!(!format!("{proxy:?}").contains("pass"));
        let secrets: Vec<String> =
            proxy.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect();
        for secret in ["pass%2Fword", "pass/word", "user:pass/word", "dXNlcjpwYXNzL3dvcmQ="] {
            assert!(secrets.iter().any(|one| one == secret), "{secret} of {secrets:?}");
        }
        let v6 = Proxy::parse("https://[::1]").ok().unwrap();
        assert_eq!((v6.shown(), v6.host()), ("[::1]:443", "::1"));
    }

    #[test]
    fn what_is_no_http_proxy_is_refused() {
        for text in ["proxy.example:3128", "socks5://h:1", "http://", "http://h/path", "http://h?q"]
        {
            assert!(Proxy::parse(text).is_err(), "{text}");
        }
    }
}
