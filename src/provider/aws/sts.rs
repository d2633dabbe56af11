//! Exchanges the token of a workload for Amazon's keys: web identity, as clusters and build
//! servers have it.
//!
//! The service answers in XML, of which four plain texts are wanted, so no reader of XML is needed.
//! It is on the internet, unlike the other places of keys: it is reached in the way that is
//! configured for its provider, through a proxy where there is one.

use std::io::Read;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use super::fetch::{FreshKeys, PrintedKeys, fresh, no_keys, sent};
use crate::config::WebIdentity;
use crate::provider::Failure;
use crate::provider::clients::Connecting;
use crate::provider::http::install_crypto;

/// Who is asked, for messages.
const SERVICE: &str = "Amazon's token service";

/// No token is longer, in bytes.
const LONGEST_TOKEN: u64 = 64 * 1024;

/// Keys of the role that the token may take, from the service at this address.
pub(super) async fn exchange(
    identity: &WebIdentity,
    address: &str,
    reach: &Connecting,
) -> Result<FreshKeys, Failure> {
    let token = token(identity).await?;
    let body = form(&[
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", &identity.role),
        ("RoleSessionName", &identity.session),
        ("WebIdentityToken", &token),
    ]);
    install_crypto();
    let client = reach.builder().and_then(|builder| builder.timeout(super::SERVICE_TIME).build());
    let client = client.map_err(|_| no_keys("the HTTPS client cannot be set up"))?;
    let request = client.post(address).body(body);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = sent(request, SERVICE).await?;
    let text = String::from_utf8_lossy(&answer.body);
    if !answer.status.is_success() {
        let code = element(&text, "Code").filter(|code| is_word(code));
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        let status = answer.status.as_u16();
        return Err(no_keys(&format!("{SERVICE} answers HTTP {status}{code}")));
    }
    read(&text).ok_or_else(|| no_keys(&format!("{SERVICE} gives no credentials")))
}

/// The token as its file has it now: it is replaced long before it ends.
async fn token(identity: &WebIdentity) -> Result<String, Failure> {
    let file = identity.token_file.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let file = std::fs::File::open(file)?;
        file.take(LONGEST_TOKEN).read_to_string(&mut text).map(|_| text)
    });
    let token = read.await.ok().and_then(Result::ok).map(|text| text.trim().to_owned());
    token.filter(|token| !token.is_empty()).ok_or_else(|| {
        let file = identity.token_file.display();
        no_keys(&format!("the token of the web identity in {file} cannot be read"))
    })
}

/// Fields as a form sends them.
fn form(fields: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse("form:") else { return String::new() };
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

fn read(text: &str) -> Option<FreshKeys> {
    let within = element(text, "Credentials")?;
    fresh(PrintedKeys {
        access_key_id: element(within, "AccessKeyId")?.to_owned(),
        secret_access_key: element(within, "SecretAccessKey")?.to_owned(),
        token: element(within, "SessionToken").map(str::to_owned),
        expiration: element(within, "Expiration").map(str::to_owned),
    })
}

/// What stands in the first element of this name. None of those that are wanted has attributes, or
/// texts with characters that XML writes otherwise.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inside.trim())
}

fn is_word(code: &str) -> bool {
    let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    plain && (1..=64).contains(&code.len())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn keys_are_found_in_the_answer_whatever_is_around_them() {
        let keys = read(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn>a</Arn></AssumedRoleUser>\
             <Credentials>\n <AccessKeyId> ASIA1 </AccessKeyId><SecretAccessKey>s/+=</SecretAccessKey>\
             <SessionToken>t==</SessionToken><Expiration>2026-11-20T13:00:00Z</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        )
        .unwrap();
        assert_eq!((&*keys.keys.id, keys.keys.secret.expose_secret()), ("ASIA1", "s/+="));
        assert_eq!(keys.keys.token.unwrap().expose_secret(), "t==");
        assert_eq!(keys.end.unwrap().0, 1_795_179_600_000);
        for text in ["", "<Credentials></Credentials>", "<Credentials><AccessKeyId>A</Credentials>"]
        {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_form_keeps_what_a_token_has() {
        assert_eq!(form(&[("A", "a b+c/d=&e"), ("B", "ü")]), "A=a+b%2Bc%2Fd%3D%26e&B=%C3%BC");
    }
}
