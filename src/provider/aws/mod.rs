//! Calls that are signed instead of carrying a key: Amazon's credentials, and when they are
//! renewed.
//!
//! All models of a provider share them. Temporary keys are fetched when the first call needs them,
//! five minutes before they end, and again when the service says that they have ended. One call
//! fetches, the others wait for it. While old keys still hold, a service that cannot be asked for
//! new ones harms nobody.

mod fetch;
pub(crate) mod sigv4;
mod sts;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use reqwest::Request;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::Failure;
use super::clients::Connecting;
use super::errors::redact::Generations;
use super::sign::{Signer, secret_value};
use crate::config::{AwsKeys, AwsSource, ProviderConfig, Signing};
use crate::domain::time::Wall;
use fetch::FreshKeys;
use sigv4::{Scope, Signable};

/// How long a service that gives keys is waited for. It answers within milliseconds.
const SERVICE_TIME: Duration = Duration::from_secs(5);

/// How long a connection to the token service may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long before their end keys are renewed.
const BEFORE_END: Duration = Duration::from_secs(5 * 60);

/// How long keys without an end are believed; those in files may change.
const UNLIMITED: Duration = Duration::from_secs(10 * 60);

/// The least time between two fetches while the keys at hand still hold, and between one fetch and
/// the word of the service that its keys have ended.
const PAUSE: Duration = Duration::from_secs(30);

/// The credentials of one provider's calls.
pub(super) struct Credentials {
    signing: Signing,
    /// How the provider is reached, and the token service with it.
    reach: Connecting,
    /// Where keys are noted, which must not be shown.
    generations: Rc<Generations>,
    held: RefCell<Option<Held>>,
    /// How often keys were fetched.
    generation: Cell<u64>,
    /// Whoever holds this fetches.
    fetching: tokio::sync::Mutex<()>,
    /// When the last fetch began.
    asked: Cell<Option<Wall>>,
}

/// Keys that were fetched.
struct Held {
    keys: AwsKeys,
    /// When they are to be fetched anew; never for those of the environment.
    renew: Option<Wall>,
    /// When they end, where they do.
    end: Option<Wall>,
}

impl Credentials {
    /// Nothing fetched so far. All that is fetched is noted as secret.
    pub(super) fn new(
        signing: &Signing,
        provider: &ProviderConfig,
        generations: Rc<Generations>,
    ) -> Credentials {
        Credentials {
            signing: signing.clone(),
            reach: Connecting::within(provider, CONNECT_TIME),
            generations,
            held: RefCell::default(),
            generation: Cell::default(),
            fetching: tokio::sync::Mutex::default(),
            asked: Cell::new(None),
        }
    }

    /// Whether they would be the same for this provider, so that what was fetched may stay.
    pub(super) fn serve(&self, provider: &ProviderConfig) -> bool {
        provider.signing.as_ref() == Some(&self.signing)
            && Connecting::within(provider, CONNECT_TIME) == self.reach
    }

    /// Makes sure that there are keys to sign with.
    ///
    /// # Errors
    /// When there are none and none can be fetched.
    pub(super) async fn ready(&self, now: Wall) -> Result<(), Failure> {
        if self.is_fresh(now) {
            return Ok(());
        }
        let _turn = self.fetching.lock().await;
        if self.is_fresh(now) {
            return Ok(());
        }
        self.asked.set(Some(now));
        match fetch::fetch(&self.signing, &self.reach).await {
            Ok(fetched) => {
                self.held.replace(Some(self.held(fetched, now)));
                self.generation.set(self.generation.get() + 1);
                Ok(())
            }
            Err(_) if self.still_holds(now) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Whether no fetch is due.
    fn is_fresh(&self, now: Wall) -> bool {
        let held = self.held.borrow();
        let asked_lately = self.asked.get().is_some_and(|asked| now < asked.plus(PAUSE));
        match &*held {
            Some(held) if held.renew.is_none_or(|renew| now < renew) => true,
            Some(held) => asked_lately && held.end.is_none_or(|end| now < end),
            None => false,
        }
    }

    fn still_holds(&self, now: Wall) -> bool {
        let held = self.held.borrow();
        held.as_ref().is_some_and(|held| held.end.is_none_or(|end| now < end))
    }

    /// Which keys the next request is signed with.
    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Forgets keys that the service refused, unless they cannot change or have just been fetched;
    /// true when others may be had, or already were by another call.
    pub(super) fn refused(&self, generation: u64, now: Wall) -> bool {
        if generation < self.generation() {
            return true;
        }
        let is_fixed = matches!(self.signing.source, AwsSource::Fixed(_));
        let asked_lately = self.asked.get().is_some_and(|asked| now < asked.plus(PAUSE));
        if is_fixed || asked_lately {
            return false;
        }
        self.held.take().is_some()
    }

    fn held(&self, fetched: FreshKeys, now: Wall) -> Held {
        let FreshKeys { keys, end } = fetched;
        let renew = match (&self.signing.source, end) {
            (AwsSource::Fixed(_), _) => None,
            (_, Some(end)) => Some(end.minus(BEFORE_END).max(now.plus(PAUSE)).min(end)),
            (_, None) => Some(now.plus(UNLIMITED)),
        };
        let id = SecretString::from(keys.id.as_str());
        let all = [&id, &keys.secret].into_iter().chain(&keys.token);
        all.for_each(|secret| self.generations.note(secret));
        Held { keys, renew, end }
    }
}

impl Signer for Rc<Credentials> {
    /// Without keys the request stays as it is, and the service says what is missing.
    fn sign(&self, request: &mut Request, now: Wall) {
        if let Some(held) = &*self.held.borrow() {
            sign(request, &held.keys, &self.signing.region, now);
        }
    }
}

/// Signs the request with its body, its type and its host; other headers may be changed on the way.
fn sign(request: &mut Request, keys: &AwsKeys, region: &str, now: Wall) {
    let at = sigv4::date(now);
    let url = request.url();
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let token = keys.token.as_ref().map(ExposeSecret::expose_secret);
    let signed: Vec<(String, String)> = kind
        .map(|kind| ("content-type", kind))
        .into_iter()
        .chain([("host", host.as_str()), ("x-amz-date", at.as_str())])
        .chain(token.map(|token| ("x-amz-security-token", token)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    let what = Signable { method: request.method().as_str(), url, headers: &signed, body };
    let authorization = sigv4::authorization(&what, Scope { region, at: &at }, keys);
    let headers = request.headers_mut();
    if let Ok(at) = HeaderValue::from_str(&at) {
        headers.insert(HeaderName::from_static("x-amz-date"), at);
    }
    if let Some(token) = keys.token.as_ref().and_then(secret_value) {
        headers.insert(HeaderName::from_static("x-amz-security-token"), token);
    }
    if let Some(value) = secret_value(&authorization.into()) {
        headers.insert(AUTHORIZATION, value);
    }
}

#[cfg(test)]
mod tests;
