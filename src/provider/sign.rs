//! How a request shows who pays for it.
//!
//! A signer gets the finished request, body included, since some services sign that too.

use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::config::Auth;
use crate::domain::time::Wall;

/// Puts the key, or what is made of it, into a request.
pub(super) trait Signer {
    /// Signs a request that is otherwise complete.
    fn sign(&self, request: &mut Request, now: Wall);
}

/// For servers that ask for no key.
struct Unsigned;

/// The key in a header. One that was configured by hand wins.
struct KeyHeader {
    name: HeaderName,
    value: HeaderValue,
}

impl Signer for Unsigned {
    fn sign(&self, _: &mut Request, _: Wall) {}
}

impl Signer for KeyHeader {
    fn sign(&self, request: &mut Request, _: Wall) {
        request.headers_mut().entry(&self.name).or_insert_with(|| self.value.clone());
    }
}

/// The signer of a provider; `None` if its key cannot be sent as a header.
pub(super) fn signer(auth: Auth, key: Option<&SecretString>) -> Option<Box<dyn Signer>> {
    let Some(key) = key else { return Some(Box::new(Unsigned)) };
    let bearer = || SecretString::from(format!("Bearer {}", key.expose_secret()));
    let (name, value) = match auth {
        Auth::Bearer => (AUTHORIZATION, secret_value(&bearer())),
        Auth::XApiKey => (HeaderName::from_static("x-api-key"), secret_value(key)),
        Auth::ApiKey => (HeaderName::from_static("api-key"), secret_value(key)),
        Auth::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), secret_value(key)),
        // Who signs has no key to send.
        Auth::Signed | Auth::None => return Some(Box::new(Unsigned)),
    };
    Some(Box::new(KeyHeader { name, value: value? }))
}

/// The value of a header that no debug print shows; `None` if it cannot be one.
pub(super) fn secret_value(value: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
