//! How a request shows who pays for it.
//!
//! A signer gets the finished request, body included, since some services sign that too.

use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::config::Auth;

/// Puts the key, or what is made of it, into a request.
pub(super) trait Signer {
    /// Signs a request that is otherwise complete.
    fn sign(&self, request: &mut Request);
}

/// For servers that ask for no key.
struct Unsigned;

/// The key in a header. One that was configured by hand wins.
struct KeyHeader {
    name: HeaderName,
    value: HeaderValue,
}

impl Signer for Unsigned {
    fn sign(&self, _: &mut Request) {}
}

impl Signer for KeyHeader {
    fn sign(&self, request: &mut Request) {
        request.headers_mut().entry(&self.name).or_insert_with(|| self.value.clone());
    }
}

/// The signer of a provider; `None` if its key cannot be sent as a header.
pub(super) fn signer(auth: Auth, key: Option<&SecretString>) -> Option<Box<dyn Signer>> {
    let Some(key) = key else { return Some(Box::new(Unsigned)) };
    let key = key.expose_secret();
    let (name, value) = match auth {
        Auth::Bearer => (AUTHORIZATION, SecretString::from(format!("Bearer {key}"))),
        Auth::XApiKey => (HeaderName::from_static("x-api-key"), SecretString::from(key)),
        Auth::ApiKey => (HeaderName::from_static("api-key"), SecretString::from(key)),
        Auth::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), SecretString::from(key)),
        Auth::None => return Some(Box::new(Unsigned)),
    };
    let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(Box::new(KeyHeader { name, value }))
}
