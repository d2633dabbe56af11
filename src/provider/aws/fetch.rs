//! Fetches Amazon's keys: from files, from a command, from the service of a container or machine.
//!
//! The last two live on the link-local addresses that no provider may have, so they get a client
//! of their own, which goes to the configured place and nowhere else: no proxy, no redirect. What
//! they answer stays out of every message.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::process::Command;

use super::{SERVICE_TIME, sts};
use crate::config::{AwsKeys, AwsProfile, AwsSource, Container, InProfile, Signing};
use crate::domain::fault::Fault;
use crate::domain::time::Wall;
use crate::provider::Failure;
use crate::provider::clients::Connecting;
use crate::provider::program::{self, Bounds, ProgramError};

/// To find out that there is no such service here.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// How long a command may take: some of them ask yet another service.
const COMMAND_TIME: Duration = Duration::from_secs(60);

/// Most of an answer that is read.
const LONGEST: usize = 64 * 1024;

/// How long the token of a machine's service holds, in seconds.
const TOKEN_SECONDS: &str = "300";

/// Where that token is shown.
const TOKEN: &str = "x-aws-ec2-metadata-token";

/// Who is asked, for messages.
const MACHINE: &str = "the machine's metadata service";

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Keys and when they end.
pub(super) struct FreshKeys {
    pub(super) keys: AwsKeys,
    pub(super) end: Option<Wall>,
}

/// What services and commands answer, in the names of both.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PrintedKeys {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    #[serde(alias = "SessionToken")]
    pub(super) token: Option<String>,
    pub(super) expiration: Option<String>,
}

/// Fetches the keys of a source.
///
/// # Errors
/// With `auth` where there are none, and with `connect` where nobody could be asked.
pub(super) async fn fetch(signing: &Signing, reach: &Connecting) -> Result<FreshKeys, Failure> {
    match &signing.source {
        AwsSource::Fixed(keys) => Ok(FreshKeys { keys: keys.clone(), end: None }),
        AwsSource::Profile(profile) => match looked_up(profile).await? {
            InProfile::Keys(keys) => Ok(FreshKeys { keys, end: None }),
            InProfile::Command(line) => of_command(&line, &profile.name).await,
            InProfile::WebIdentity(identity) => {
                sts::exchange(&identity, &signing.token_service, reach).await
            }
        },
        AwsSource::WebIdentity(identity) => {
            sts::exchange(identity, &signing.token_service, reach).await
        }
        AwsSource::Container(container) => of_container(container).await,
        AwsSource::Machine(address) => of_machine(address).await,
    }
}

async fn looked_up(profile: &AwsProfile) -> Result<InProfile, Failure> {
    let asked = profile.clone();
    // Disks block; a file may even be a pipe.
    let found = tokio::task::spawn_blocking(move || asked.find()).await;
    let found = found.unwrap_or_else(|_| Err("the profile cannot be read".to_owned()));
    found.map_err(|why| no_keys(&why))
}

async fn of_command(line: &str, profile: &str) -> Result<FreshKeys, Failure> {
    match printed(line).await {
        Ok(keys) => Ok(keys),
        Err(why) => Err(no_keys(&format!("the credential_process of profile {profile} {why}"))),
    }
}

/// The keys that a command prints, or what it does instead. What it complains about may name
/// secrets and stays out of the message.
async fn printed(line: &str) -> Result<FreshKeys, String> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line);
    let bounds = Bounds { time: COMMAND_TIME, output: LONGEST as u64 };
    let output = program::run(command, bounds).await.map_err(|error| match error {
        ProgramError::TooSlow => "takes longer than a minute".to_owned(),
        ProgramError::NotStarted(_) | ProgramError::Lost(_) => "cannot be run".to_owned(),
        ProgramError::Failed { status, .. } => format!("failed: {status}"),
        ProgramError::TooMuch => "prints too much".to_owned(),
    })?;
    Ok(read(&output).ok_or("prints no credentials")?)
}

async fn of_container(container: &Container) -> Result<FreshKeys, Failure> {
    let mut request = client()?.get(&container.url);
    let token = match &container.token_file {
        Some(file) => {
            let token = tokio::task::spawn_blocking({
                let file = file.clone();
                move || std::fs::read_to_string(file)
            });
            let token = token.await.ok().and_then(Result::ok);
            let why = "the file in AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read";
            Some(SecretString::from(token.ok_or_else(|| no_keys(why))?.trim()))
        }
        None => container.token.clone(),
    };
    if let Some(token) = token {
        request = request.header("authorization", token.expose_secret());
    }
    read(&answer(request, "the container's service").await?)
        .ok_or_else(|| no_keys("the container's service gives no credentials"))
}

/// The second version of this service's protocol: the first is refused by careful machines.
async fn of_machine(address: &str) -> Result<FreshKeys, Failure> {
    let client = client()?;
    let put = client.request(Method::PUT, format!("{address}/latest/api/token"));
    let put = put.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS);
    let token = answer(put, MACHINE).await?;
    let roles = client.get(format!("{address}{ROLES}")).header(TOKEN, &token[..]);
    let roles = answer(roles, MACHINE).await?;
    let roles = String::from_utf8_lossy(&roles);
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
    let role = role.ok_or_else(|| no_keys("this machine has no role"))?;
    let keys = client.get(format!("{address}{ROLES}{role}")).header(TOKEN, &token[..]);
    read(&answer(keys, MACHINE).await?)
        .ok_or_else(|| no_keys("the machine's metadata service gives no credentials"))
}

fn client() -> Result<Client, Failure> {
    super::super::http::install_crypto();
    let client = Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIME)
        .timeout(SERVICE_TIME);
    client.build().map_err(|_| no_keys("the HTTP client cannot be set up"))
}

/// The body of a good answer.
async fn answer(request: RequestBuilder, who: &str) -> Result<Vec<u8>, Failure> {
    let ServiceAnswer { status, body } = sent(request, who).await?;
    match status.is_success() {
        true => Ok(body),
        false => Err(no_keys(&format!("{who} answers HTTP {}", status.as_u16()))),
    }
}

/// What a service says that is able to answer.
pub(super) struct ServiceAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// Asks a service; with `connect` when it cannot answer at the moment.
pub(super) async fn sent(request: RequestBuilder, who: &str) -> Result<ServiceAnswer, Failure> {
    let mut response = request.send().await.map_err(|_| unreachable(who))?;
    let status = response.status();
    if status.is_server_error() || status.as_u16() == 429 {
        let what = format!("{who} answers HTTP {} instead of credentials", status.as_u16());
        return Err(Failure::new(Fault::Connect, what));
    }
    let mut body = Vec::new();
    while let Some(more) = response.chunk().await.map_err(|_| unreachable(who))? {
        if body.len() + more.len() > LONGEST {
            return Err(no_keys(&format!("{who} answers too much")));
        }
        body.extend_from_slice(&more);
    }
    Ok(ServiceAnswer { status, body })
}

fn read(bytes: &[u8]) -> Option<FreshKeys> {
    fresh(serde_json::from_slice(bytes).ok()?)
}

/// Keys with their end as a time; `None` if that is none.
pub(super) fn fresh(answer: PrintedKeys) -> Option<FreshKeys> {
    let end = match answer.expiration {
        Some(text) => {
            let end: jiff::Timestamp = text.parse().ok()?;
            Some(Wall(u64::try_from(end.as_millisecond()).ok()?))
        }
        None => None,
    };
    let keys = AwsKeys {
        id: answer.access_key_id,
        secret: answer.secret_access_key.into(),
        token: answer.token.map(SecretString::from),
    };
    Some(FreshKeys { keys, end })
}

fn unreachable(who: &str) -> Failure {
    Failure::new(Fault::Connect, format!("{who} cannot be asked for credentials"))
}

pub(super) fn no_keys(why: &str) -> Failure {
    Failure::new(Fault::Auth, format!("no credentials of Amazon's: {why}"))
}
