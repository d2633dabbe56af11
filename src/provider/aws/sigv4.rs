//! Amazon's signature, version 4, of a request with its body.
//!
//! A page of our own on the hashes that TLS brings anyway: Amazon's crate for it comes with thirty
//! others, a second library of times among them. What it makes is compared with what botocore
//! makes.
//!
//! Pure: the time is an argument. The request's path is encoded a second time, as all services but
//! the store of files want it.

use std::fmt::Write;

use reqwest::Url;
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

use crate::config::AwsKeys;
use crate::domain::time::Wall;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What Bedrock is called in signatures.
const SERVICE: &str = "bedrock";

/// What is signed of a request.
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    /// Names in lower case, sorted, and values.
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a [u8],
}

/// For where and when a signature holds.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    /// As in `x-amz-date`: `20261120T120000Z`.
    pub(crate) at: &'a str,
}

/// The value of the `authorization` header.
pub(crate) fn authorization(request: &Signable<'_>, scope: Scope<'_>, keys: &AwsKeys) -> String {
    format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
        keys.id,
        scope.name(),
        request.signed_headers(),
        signature(request, scope, &keys.secret),
    )
}

/// The signature alone, in hexadecimal digits.
pub(crate) fn signature(request: &Signable<'_>, scope: Scope<'_>, secret: &SecretString) -> String {
    let hashed = hex(digest::digest(&digest::SHA256, request.canonical().as_bytes()).as_ref());
    let text = format!("{ALGORITHM}\n{}\n{}\n{hashed}", scope.at, scope.name());
    let first = format!("AWS4{}", secret.expose_secret());
    let parts = [scope.day(), scope.region, SERVICE, "aws4_request", &text];
    let key = parts.iter().fold(first.into_bytes(), |key, part| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::sign(&key, part.as_bytes()).as_ref().to_vec()
    });
    hex(&key)
}

/// A moment as `x-amz-date` has it.
pub(crate) fn date(at: Wall) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string()
}

impl<'a> Scope<'a> {
    fn day(&self) -> &'a str {
        self.at.split('T').next().unwrap_or_default()
    }

    fn name(&self) -> String {
        format!("{}/{}/{SERVICE}/aws4_request", self.day(), self.region)
    }
}

impl Signable<'_> {
    fn signed_headers(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.join(";")
    }

    fn canonical(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.method, self.path(), self.query());
        for (name, value) in self.headers {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{name}:{}", value.trim());
        }
        let body = hex(digest::digest(&digest::SHA256, self.body).as_ref());
        let _ = write!(text, "\n{}\n{body}", self.signed_headers());
        text
    }

    fn path(&self) -> String {
        encoded(self.url.path(), true)
    }

    fn query(&self) -> String {
        let pairs = self.url.query_pairs();
        let mut pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{}={}", encoded(&name, false), encoded(&value, false)))
            .collect();
        pairs.sort();
        pairs.join("&")
    }
}

/// Everything but letters, digits and `-_.~` as `%XX`.
pub(crate) fn encoded(text: &str, keep_slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if plain || (keep_slashes && byte == b'/') {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing into a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(token: Option<&str>) -> AwsKeys {
        AwsKeys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            token: token.map(SecretString::from),
        }
    }

    /// What is made of a request with these headers beside those that all have.
    fn authorized(url: &str, token: Option<&str>) -> String {
        let url: Url = url.parse().unwrap();
        let host = url.host_str().unwrap().to_owned();
        let date = date(Wall(1_795_176_000_000));
        let headers =
            [("content-type", "application/json"), ("host", &host), ("x-amz-date", &date)];
        let token = token.map(|token| ("x-amz-security-token", token));
        let headers: Vec<(String, String)> = headers
            .into_iter()
            .chain(token)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body = br#"{"messages":[]}"#;
        let request = Signable { method: "POST", url: &url, headers: &headers, body };
        let scope = Scope { region: "eu-central-1", at: &date };
        authorization(&request, scope, &keys(token.map(|(_, token)| token)))
    }

    #[test]
    fn the_time_is_written_as_the_header_wants_it() {
        assert_eq!(date(Wall(1_795_176_000_000)), "20261120T120000Z");
    }

    #[test]
    fn signatures_are_those_that_botocore_makes() {
        let url = "https://bedrock-runtime.eu-central-1.amazonaws.com\
                   /model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse";
        assert_eq!(
            authorized(url, Some("session/token+1==")),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/eu-central-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
             Signature=33e27244811daca52724c086c32319059d6da875abb62d7b147877b6e499a8be"
        );
        let queried = "https://gw.example/base/model/m/converse?b=2&a=x%20y%2Fz&a=1";
        let authorization = authorized(queried, None);
        let signature = "2830c8def616d03d3b8e25a1b26626adc15cefbc0cdae2a700fc1bbb618ea814";
        assert!(authorization.ends_with(signature), "{authorization}");
    }

    #[test]
    fn whatever_a_path_has_is_encoded_but_its_slashes() {
        assert_eq!(encoded("a/b%3Ac d", true), "a/b%253Ac%20d");
        assert_eq!(encoded("arn:aws/é~", false), "arn%3Aaws%2F%C3%A9~");
    }
}
