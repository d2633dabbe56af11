//! Who may ask the simulated Bedrock: bearers of a key, and those who sign with one.
//!
//! The secret of a key named K is `secret-of-K`, so that every signature can be made again and
//! compared. Headers that were signed must have come, and their values are those that came.

use reqwest::Url;

use crate::provider::aws::sigv4::{Scope, Signable, signature};
use crate::sim::wire::Incoming;

/// Parts of an `authorization` header.
struct SignedBy<'c> {
    /// Key, day, region, service and what ends them all.
    credential: Vec<&'c str>,
    headers: &'c str,
    signature: &'c str,
}

/// The name of the key that a call was signed with.
pub(super) fn key_id(call: &Incoming) -> Option<&str> {
    SignedBy::of(call)?.credential.first().copied()
}

/// Whether the signature of a call is right; `None` for one that has none.
pub(super) fn is_right(call: &Incoming) -> Option<bool> {
    let signed = SignedBy::of(call)?;
    Some(signed.again(call).is_some_and(|again| again == signed.signature))
}

impl<'c> SignedBy<'c> {
    fn of(call: &'c Incoming) -> Option<SignedBy<'c>> {
        let parts = call.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        Some(SignedBy {
            credential: part(parts, "Credential=")?.split('/').collect(),
            headers: part(parts, "SignedHeaders=")?,
            signature: part(parts, "Signature=")?,
        })
    }

    /// The signature as it should be.
    fn again(&self, call: &Incoming) -> Option<String> {
        let [id, day, region, "bedrock", "aws4_request"] = self.credential[..] else {
            return None;
        };
        let at = call.header("x-amz-date").filter(|at| at.starts_with(day))?;
        let headers = self.headers.split(';').map(|name| {
            let value = call.header(name)?;
            Some((name.to_owned(), value.to_owned()))
        });
        let headers: Vec<(String, String)> = headers.collect::<Option<_>>()?;
        let must = ["host", "x-amz-date"];
        if !must.iter().all(|must| headers.iter().any(|(name, _)| name == must)) {
            return None;
        }
        let url = format!("http://simulated{}?{}", call.path, call.query);
        let url: Url = url.trim_end_matches('?').parse().ok()?;
        let request = Signable { method: "POST", url: &url, headers: &headers, body: &call.raw };
        Some(signature(&request, Scope { region, at }, &format!("secret-of-{id}").into()))
    }
}

/// The value behind this name in a list with commas.
fn part<'p>(parts: &'p str, name: &str) -> Option<&'p str> {
    parts.split(',').find_map(|part| part.trim().strip_prefix(name))
}
