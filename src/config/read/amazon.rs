//! What only a provider of kind `bedrock` has: a region, and keys that sign instead of being sent.
//!
//! The region gives the address; with an address of its own (a gateway, an endpoint within a
//! private network) it is needed for signatures alone, and Amazon's own host names say it.

use super::address::{self, Address};
use super::field::Field;
use super::section::Section;
use crate::config::aws::{AwsSource, Signing};
use crate::config::{Env, Kind};

const SAMPLE: &str = "\"eu-central-1\"";

/// The keys of a provider that say which of Amazon's services it is.
pub(super) struct Amazon<'a> {
    is_bedrock: bool,
    region: Option<Field<'a>>,
    pub(super) credentials: Option<Field<'a>>,
    /// What `credentials` names, if that is a place.
    place: Option<AmazonPlace<'a>>,
}

/// Where keys are that sign calls.
enum AmazonPlace<'a> {
    Env,
    Instance,
    Profile(&'a str),
}

impl<'a> Amazon<'a> {
    /// Takes these keys; on a provider of another kind they are a mistake.
    pub(super) fn read(section: &mut Section<'a>, kind: Option<Kind>) -> Amazon<'a> {
        let is_bedrock = kind == Some(Kind::Bedrock);
        let (region, credentials) = (section.field("region"), section.field("credentials"));
        if kind.is_some() && !is_bedrock {
            for field in region.iter().chain(&credentials) {
                let hint = "remove it, or set kind = \"bedrock\"";
                field.key_mistake("only a provider of kind \"bedrock\" has this", hint);
            }
            return Amazon { is_bedrock, region: None, credentials: None, place: None };
        }
        let place = credentials.as_ref().and_then(place);
        Amazon { is_bedrock, region: region.filter(says_region), credentials, place }
    }

    /// Whether only calls that are signed or carry a key can work.
    pub(super) fn is_bedrock(&self) -> bool {
        self.is_bedrock
    }

    /// Reports what cannot stand beside `credentials`.
    pub(super) fn check_beside(&self, beside: &[(&str, bool)]) {
        let other = beside.iter().find(|(_, given)| *given);
        if let (Some(field), Some((other, _))) = (&self.credentials, other) {
            field.mistake(&format!("stands beside {other}"), "remove one of the two");
        }
    }

    /// Where calls go: what `base_url` says, or what follows from the region.
    pub(super) fn address(
        &self,
        section: &mut Section<'a>,
        kind: Option<Kind>,
        allow_http: bool,
    ) -> Option<Address> {
        if !self.is_bedrock {
            let sample = format!("\"{}\"", address::sample(kind));
            return section
                .required("base_url", &sample, |field| address::read(field, kind, allow_http));
        }
        match (section.field("base_url"), self.region()) {
            (Some(field), _) => address::read(&field, kind, allow_http),
            (None, Some(region)) => Some(of_region(region)),
            (None, None) => section.required("region", SAMPLE, |_| None),
        }
    }

    /// How calls are signed, if they are; or why they cannot be at the moment.
    pub(super) fn signing(&self, address: &Address, env: &Env) -> Result<Option<Signing>, String> {
        let Some(field) = &self.credentials else {
            self.warn_of_region(address);
            return Ok(None);
        };
        let region = self.region().or_else(|| region_of(&address.host));
        let Some(region) = region else {
            field.mistake("base_url does not say the region", format!("add region = {SAMPLE}"));
            return Ok(None);
        };
        let source = match self.place {
            None => return Ok(None),
            Some(AmazonPlace::Env) => AwsSource::of_env(env),
            Some(AmazonPlace::Instance) => AwsSource::of_instance(env),
            Some(AmazonPlace::Profile(name)) => AwsSource::of_profile(name, env),
        };
        Signing::new(region, source?, env).map(Some)
    }

    fn region(&self) -> Option<&'a str> {
        self.region.as_ref().and_then(Field::any_text)
    }

    /// A region that neither makes the address nor signs does nothing.
    fn warn_of_region(&self, address: &Address) {
        let Some(field) = &self.region else { return };
        if self.region().is_some_and(|region| address.base_url != of_region(region).base_url) {
            field.warning("not used, as base_url says where calls go", "remove one of the two");
        }
    }
}

/// The place that `credentials` names; anything else is reported.
fn place<'a>(field: &Field<'a>) -> Option<AmazonPlace<'a>> {
    let text = field.text()?;
    let profile = text.strip_prefix("profile:").filter(|name| !name.trim().is_empty());
    match (text, profile) {
        ("env", _) => Some(AmazonPlace::Env),
        ("instance", _) => Some(AmazonPlace::Instance),
        (_, Some(name)) => Some(AmazonPlace::Profile(name)),
        (_, None) => {
            let hint = "use \"env\", \"profile:NAME\" or \"instance\"; keys for api_key are \
                        another thing";
            field.mistake("names no place of Amazon's keys", hint);
            None
        }
    }
}

/// Whether the value is a region; if not, that is reported.
fn says_region(field: &Field<'_>) -> bool {
    let is_one = field.text().map(is_region);
    if is_one == Some(false) {
        field.mistake("not the name of a region", field.example(SAMPLE));
    }
    is_one == Some(true)
}

fn of_region(region: &str) -> Address {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    let host = format!("bedrock-runtime.{region}.amazonaws.com{china}");
    Address { base_url: format!("https://{host}"), host, is_loopback: false }
}

/// The region in one of Amazon's own host names, those of private endpoints included.
fn region_of(host: &str) -> Option<&str> {
    let (rest, _) = host.split_once(".amazonaws.com")?;
    let rest = rest.strip_suffix(".vpce").unwrap_or(rest);
    rest.rsplit('.').next().filter(|region| is_region(region))
}

/// Whether this is formed like `eu-central-1` or `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    words.len() >= 2
        && !parts.contains(&"")
        && words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_found_in_amazons_own_host_names() {
        for (host, region) in [
            ("bedrock-runtime.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("bedrock-runtime.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("vpce-0a-1b.bedrock-runtime.us-east-1.vpce.amazonaws.com", Some("us-east-1")),
            ("gateway.example", None),
            ("s3.amazonaws.com", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
        assert_eq!(region_of(&of_region("cn-north-1").host), Some("cn-north-1"));
    }

    #[test]
    fn names_of_regions_are_told_from_other_words() {
        for text in ["eu-central-1", "ap-southeast-12", "us-iso-east-1"] {
            assert!(is_region(text), "{text}");
        }
        for text in
            ["", "europe", "eu-central", "eu-central-1a", "EU-central-1", "eu--1", "a/b-c-1"]
        {
            assert!(!is_region(text), "{text}");
        }
    }
}
