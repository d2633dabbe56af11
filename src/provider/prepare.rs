//! What is the same in every call to a model, made once: address, headers, secrets to hide.
//!
//! Building these for each request would cost more than sending it. A model whose address or
//! headers cannot be built still gets an entry, so that a call to it says what is wrong.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret, SecretString};

use super::aws::Credentials;
use super::errors::redact::Secrets;
use super::formats::{self, Format};
use super::keys::Keyring;
use super::sign::{Signer, secret_value};
use super::{Failure, resolve};
use crate::config::{Auth, Kind, Model, ProviderConfig, Proxy};
use crate::domain::fault::Fault;
use crate::domain::time::Wall;

/// Sent with every request.
const AGENT: &str = concat!("fallbackd/", env!("CARGO_PKG_VERSION"));

/// Everything about a model's calls that no request changes.
pub(super) struct Prepared {
    pub(super) provider: Arc<str>,
    pub(super) format: &'static dyn Format,
    pub(super) host: String,
    secrets: Rc<Secrets>,
    /// Its server sends no finish values: the proper end of a stream is one.
    pub(super) end_finishes: bool,
    url: Url,
    /// Where streams are asked for; only Google has another place for them.
    stream_url: Url,
    headers: HeaderMap,
    /// The proxy on the way there, as people may see it.
    pub(super) proxy: Option<String>,
    /// What signs in place of a key, where calls are signed.
    credentials: Option<Rc<Credentials>>,
}

impl Prepared {
    /// Prepares a model, or says why it cannot be called.
    pub(super) fn new(model: &Model, ring: &Keyring) -> Result<Prepared, Failure> {
        let provider = &*model.provider;
        if provider.keys.is_empty() && !matches!(provider.auth, Auth::None | Auth::Signed) {
            let or = if provider.kind == Kind::Bedrock { " or credentials" } else { "" };
            let what = format!("provider {} has no API key; set its api_key{or}", provider.name);
            return Err(Failure::new(Fault::Auth, what));
        }
        if let Some(why) = &provider.misconfigured {
            return Err(Failure::new(Fault::Auth, why.as_str()));
        }
        let format = formats::at(provider.kind, &provider.base_url);
        let (url, stream_url) = (url(model, format, false)?, url(model, format, true)?);
        let host = url.host_str().unwrap_or_default().to_owned();
        let proxy = provider.proxy.as_ref();
        let hosts = [Some(host.as_str()), proxy.map(Proxy::host)];
        hosts.into_iter().flatten().try_for_each(allowed)?;
        let configured = provider.headers.iter().chain(&provider.query).map(|(_, value)| value);
        // A server that echoes the address echoes its values as they were encoded.
        let encoded = url.query().unwrap_or_default().split('&');
        let encoded = encoded.filter_map(|pair| pair.split_once('='));
        let encoded: Vec<_> = encoded.map(|(_, value)| SecretString::from(value)).collect();
        let of_proxy = proxy.map(Proxy::secrets).unwrap_or_default();
        let hidden: Vec<_> = configured.chain(&encoded).chain(&of_proxy).cloned().collect();
        Ok(Prepared {
            provider: Arc::clone(&provider.name),
            format,
            end_finishes: provider.done_ends_stream,
            credentials: ring.credentials(),
            secrets: Rc::new(Secrets::new(&hidden).with(ring.generations())),
            proxy: proxy.map(|proxy| proxy.shown().to_owned()),
            headers: headers(provider, format)?,
            host,
            url,
            stream_url,
        })
    }

    /// Makes sure that requests can be signed; with which generation of credentials.
    ///
    /// # Errors
    /// When what they are signed with cannot be had.
    pub(super) async fn ready(&self, now: Wall) -> Result<u64, Failure> {
        let Some(credentials) = &self.credentials else { return Ok(0) };
        credentials.ready(now).await?;
        Ok(credentials.generation())
    }

    /// Takes note that the provider refused who asks, by this generation of credentials; true when a
    /// call may be worth another try.
    pub(super) fn refused(&self, generation: u64, now: Wall) -> bool {
        self.credentials.as_ref().is_some_and(|credentials| credentials.refused(generation, now))
    }

    /// What must not be shown of what the provider says.
    pub(super) fn secrets(&self) -> Rc<Secrets> {
        Rc::clone(&self.secrets)
    }

    /// A request with this body, signed by its credentials or else with a key.
    pub(super) fn request(
        &self,
        body: impl Into<reqwest::Body>,
        streams: bool,
        signer: &dyn Signer,
        now: Wall,
    ) -> Request {
        let url = if streams { &self.stream_url } else { &self.url };
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = Some(body.into());
        match &self.credentials {
            Some(credentials) => credentials.sign(&mut request, now),
            None => signer.sign(&mut request, now),
        }
        request
    }
}

/// Refuses a host that is an address where no provider and no proxy is.
fn allowed(host: &str) -> Result<(), Failure> {
    let bare = host.trim_matches(['[', ']']);
    if bare.parse::<IpAddr>().is_ok_and(resolve::is_refused) {
        let what = format!("connections to {host} are refused: a link-local or metadata address");
        return Err(Failure::new(Fault::BadEndpoint, what));
    }
    Ok(())
}

fn url(model: &Model, format: &dyn Format, streams: bool) -> Result<Url, Failure> {
    let provider = &model.provider;
    let mut url = Url::parse(&provider.base_url).map_err(|_| {
        let what = format!("base_url of provider {} is not an address", provider.name);
        Failure::new(Fault::BadEndpoint, what)
    })?;
    if !provider.query.is_empty() {
        let pairs = provider.query.iter().map(|(name, value)| (name, value.expose_secret()));
        url.query_pairs_mut().extend_pairs(pairs);
    }
    format.address(&mut url, &model.model_id, streams);
    Ok(url)
}

fn headers(provider: &ProviderConfig, format: &dyn Format) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    format.headers(&mut headers);
    for (name, value) in &provider.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let header = parsed.ok().zip(secret_value(value));
        let unusable = || unusable(provider, &format!("header `{name}`"));
        let (name, value) = header.ok_or_else(unusable)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn unusable(provider: &ProviderConfig, what: &str) -> Failure {
    let message = format!("{what} of provider {} cannot be sent as a header", provider.name);
    Failure::new(Fault::Auth, message)
}
