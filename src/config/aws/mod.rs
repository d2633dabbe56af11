//! Where the keys come from that sign calls to Amazon Bedrock.
//!
//! `env`, `profile:NAME` and `instance` mean here what they mean to Amazon's own tools: the same
//! variables, files and addresses. What the environment says is taken once; files, commands and
//! services are asked again by the one who signs, since temporary keys end.

mod profile;

use std::path::PathBuf;

use secrecy::SecretString;

use super::Env;
use super::key::is_same;
pub(crate) use profile::{AwsProfile, InProfile};

/// Where a machine of Amazon's finds the service that knows its role.
const MACHINE: &str = "http://169.254.169.254";
const MACHINE_V6: &str = "http://[fd00:ec2::254]";

/// Where a container of Amazon's finds the like.
const CONTAINER: &str = "http://169.254.170.2";

/// Hosts other than loopback that a container's keys may be fetched from without encryption.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// How calls with a role are called in Amazon's records, unless somebody says otherwise.
const SESSION: &str = "fallbackd";

/// How the calls of a provider are signed.
#[derive(Clone, PartialEq)]
pub(crate) struct Signing {
    pub(crate) region: String,
    /// The address of the service that exchanges tokens for keys.
    pub(crate) token_service: String,
    pub(crate) source: AwsSource,
}

/// A key of Amazon's: a public name, a secret, and for temporary ones a token.
#[derive(Clone)]
pub(crate) struct AwsKeys {
    /// Names the key, and is shown in every request.
    pub(crate) id: String,
    pub(crate) secret: SecretString,
    pub(crate) token: Option<SecretString>,
}

/// Where such a key is.
#[derive(Clone, PartialEq)]
pub(crate) enum AwsSource {
    /// It was in the environment.
    Fixed(AwsKeys),
    Profile(AwsProfile),
    WebIdentity(WebIdentity),
    Container(Container),
    /// The metadata service of the machine, at this address.
    Machine(String),
}

/// The service that gives a container its keys.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) url: String,
    /// What is sent to it as `authorization`.
    pub(crate) token: Option<SecretString>,
    /// The file that this is in, which changes.
    pub(crate) token_file: Option<PathBuf>,
}

/// A role that whoever holds a token may take.
#[derive(Clone, PartialEq)]
pub(crate) struct WebIdentity {
    /// The file of the token, which changes.
    pub(crate) token_file: PathBuf,
    /// The ARN of the role.
    pub(crate) role: String,
    /// What its calls are called in Amazon's records.
    pub(crate) session: String,
}

impl Signing {
    /// Keys from this source for calls to this region.
    pub(super) fn new(region: &str, source: AwsSource, env: &Env) -> Result<Signing, String> {
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        let usual = format!("https://sts.{region}.amazonaws.com{china}");
        let token_service = env.var("AWS_ENDPOINT_URL_STS").map_or(usual, str::to_owned);
        if !is_safe(&token_service) {
            return Err("AWS_ENDPOINT_URL_STS is neither https nor on this machine".to_owned());
        }
        Ok(Signing { region: region.to_owned(), token_service, source })
    }
}

impl WebIdentity {
    /// What the environment says of one; `None` if it says nothing.
    fn of_env(env: &Env) -> Option<WebIdentity> {
        Some(WebIdentity {
            token_file: env.path("AWS_WEB_IDENTITY_TOKEN_FILE")?,
            role: env.var("AWS_ROLE_ARN")?.trim().to_owned(),
            session: env.var("AWS_ROLE_SESSION_NAME").unwrap_or(SESSION).trim().to_owned(),
        })
    }
}

impl PartialEq for AwsKeys {
    fn eq(&self, other: &AwsKeys) -> bool {
        self.id == other.id
            && is_same(&self.secret, &other.secret)
            && are_same(self.token.as_ref(), other.token.as_ref())
    }
}

impl PartialEq for Container {
    fn eq(&self, other: &Container) -> bool {
        self.url == other.url
            && self.token_file == other.token_file
            && are_same(self.token.as_ref(), other.token.as_ref())
    }
}

fn are_same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl AwsSource {
    /// The keys in the environment, or the web identity there, or which variable is missing.
    pub(super) fn of_env(env: &Env) -> Result<AwsSource, String> {
        let has_key = env.var("AWS_ACCESS_KEY_ID").is_some();
        if let Some(identity) = WebIdentity::of_env(env).filter(|_| !has_key) {
            return Ok(AwsSource::WebIdentity(identity));
        }
        Ok(AwsSource::Fixed(AwsKeys {
            id: required(env, "AWS_ACCESS_KEY_ID")?.to_owned(),
            secret: required(env, "AWS_SECRET_ACCESS_KEY")?.into(),
            token: env.var("AWS_SESSION_TOKEN").map(|token| token.trim().into()),
        }))
    }

    /// A profile of Amazon's files, or what is wrong with it now.
    pub(super) fn of_profile(name: &str, env: &Env) -> Result<AwsSource, String> {
        let credentials = shared(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = shared(env, "AWS_CONFIG_FILE", "config");
        let (Some(credentials), Some(config)) = (credentials, config) else {
            return Err("the environment variable HOME is not set".to_owned());
        };
        let profile = AwsProfile { name: name.to_owned(), credentials, config };
        profile.find()?;
        Ok(AwsSource::Profile(profile))
    }

    /// The service that gives this machine or container its keys: the one for workloads of a
    /// cluster, of a container, of the machine, in the order of Amazon's own tools. It is not asked
    /// yet.
    pub(super) fn of_instance(env: &Env) -> Result<AwsSource, String> {
        if let Some(identity) = WebIdentity::of_env(env) {
            return Ok(AwsSource::WebIdentity(identity));
        }
        let relative = env.var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = env.var("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let url = relative.map(|path| format!("{CONTAINER}{path}")).or(full.map(str::to_owned));
        if let Some(url) = url {
            if !is_safe(&url) {
                return Err(
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor a service of \
                            this machine"
                        .to_owned(),
                );
            }
            return Ok(AwsSource::Container(Container {
                url,
                token: env.var("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(SecretString::from),
                token_file: env.var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
            }));
        }
        if env.var("AWS_EC2_METADATA_DISABLED").is_some_and(|on| on.eq_ignore_ascii_case("true")) {
            return Err("AWS_EC2_METADATA_DISABLED says not to ask this machine".to_owned());
        }
        let mode = env.var("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").unwrap_or_default();
        let usual = if mode.eq_ignore_ascii_case("ipv6") { MACHINE_V6 } else { MACHINE };
        let address = env.var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(usual);
        Ok(AwsSource::Machine(address.trim_end_matches('/').to_owned()))
    }
}

/// A variable that must be set.
fn required<'e>(env: &'e Env, name: &str) -> Result<&'e str, String> {
    let value = env.var(name).map(str::trim);
    value.ok_or_else(|| format!("the environment variable {name} is not set"))
}

/// One of the files that Amazon's tools share, where a variable or custom puts it.
fn shared(env: &Env, variable: &str, usual: &str) -> Option<PathBuf> {
    let named = env.var(variable).map(PathBuf::from);
    named.or_else(|| Some(env.path("HOME")?.join(".aws").join(usual)))
}

/// Whether keys may be fetched from there: nobody on the way can read or change them.
fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let bare: Result<std::net::IpAddr, _> = host.trim_matches(['[', ']']).parse();
    let is_here = host == "localhost" || bare.is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || is_here || CONTAINER_HOSTS.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(vars: &[(&str, &str)]) -> Result<AwsSource, String> {
        AwsSource::of_instance(&Env::new(1, vars.iter().copied()))
    }

    fn container(vars: &[(&str, &str)]) -> Option<String> {
        match instance(vars) {
            Ok(AwsSource::Container(container)) => Some(container.url),
            _ => None,
        }
    }

    #[test]
    fn a_container_is_asked_before_the_machine_and_only_where_it_is_safe() {
        let relative = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];
        assert_eq!(container(&relative).as_deref(), Some("http://169.254.170.2/v2/x"));
        let full = |url| container(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]);
        for url in [
            "https://keys.example/x",
            "http://127.0.0.1:9/x",
            "http://169.254.170.23/v1/credentials",
        ] {
            assert_eq!(full(url).as_deref(), Some(url));
        }
        for url in ["http://keys.example/x", "http://169.254.169.254/x", "nonsense"] {
            assert_eq!(full(url), None, "{url}");
        }
    }

    #[test]
    fn the_machine_is_asked_where_the_environment_says() {
        let at = |vars: &[(&str, &str)]| match instance(vars) {
            Ok(AwsSource::Machine(address)) => address,
            _ => "none".to_owned(),
        };
        assert_eq!(at(&[]), "http://169.254.169.254");
        let mode = ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
        assert_eq!(at(&[mode]), "http://[fd00:ec2::254]");
        let other = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:7/");
        assert_eq!(at(&[other, mode]), "http://127.0.0.1:7");
        assert_eq!(at(&[("AWS_EC2_METADATA_DISABLED", "true")]), "none");
    }

    #[test]
    fn a_web_identity_comes_before_the_container_and_behind_keys() {
        let identity = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn:x")];
        let container = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
        let role = |source| match source {
            Ok(AwsSource::WebIdentity(identity)) => Some(identity.session),
            _ => None,
        };
        let both = [identity[0], identity[1], container];
        assert_eq!(role(instance(&both)).as_deref(), Some("fallbackd"));
        assert_eq!(role(instance(&[identity[0], container])), None, "without a role it is none");
        let name = ("AWS_ROLE_SESSION_NAME", "pod-1");
        let of_env =
            |vars: &[(&str, &str)]| role(AwsSource::of_env(&Env::new(1, vars.iter().copied())));
        assert_eq!(of_env(&[identity[0], identity[1], name]).as_deref(), Some("pod-1"));
        let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "planted")];
        assert_eq!(of_env(&[identity[0], identity[1], keys[0], keys[1]]), None);
    }

    #[test]
    fn the_token_service_is_the_regions_own_or_the_one_that_is_named() {
        let at = |region: &str, vars: &[(&str, &str)]| {
            let source = AwsSource::Machine(MACHINE.to_owned());
            let signing = Signing::new(region, source, &Env::new(1, vars.iter().copied()));
            signing.map(|signing| signing.token_service)
        };
        assert_eq!(at("eu-central-1", &[]).unwrap(), "https://sts.eu-central-1.amazonaws.com");
        assert_eq!(at("cn-north-1", &[]).unwrap(), "https://sts.cn-north-1.amazonaws.com.cn");
        let here = [("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:7/")];
        assert_eq!(at("eu-central-1", &here).unwrap(), "http://127.0.0.1:7/");
        assert!(at("eu-central-1", &[("AWS_ENDPOINT_URL_STS", "http://sts.example")]).is_err());
    }

    #[test]
    fn a_variable_that_is_missing_is_named() {
        let env = Env::new(1, [("AWS_ACCESS_KEY_ID", "AKID")]);
        let why = AwsSource::of_env(&env).err().unwrap();
        assert_eq!(why, "the environment variable AWS_SECRET_ACCESS_KEY is not set");
    }
}
