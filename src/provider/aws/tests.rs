//! Credentials from every source, fetched over real sockets, and what is done when they end.

use std::cell::Cell;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::{Container, Kind, WebIdentity};
use crate::domain::fault::Fault;
use crate::provider::errors::redact::Secrets;
use crate::provider::fixtures;

const NOON: Wall = Wall(1_795_176_000_000);

/// A service that answers requests one after the other, and gives what it was asked.
async fn service(answers: Vec<(u16, String)>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let mut request = String::from_utf8(request).unwrap();
            let length = request.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            let mut form = vec![0; length];
            stream.read_exact(&mut form).await.unwrap();
            request.push_str(&String::from_utf8(form).unwrap());
            asked.push(request);
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
        asked
    });
    (address, served)
}

fn keys_json(id: &str, end: &str) -> String {
    json!({ "Code": "Success", "AccessKeyId": id, "SecretAccessKey": "planted-secret",
        "Token": "planted-token", "Expiration": end })
    .to_string()
}

fn credentials(source: AwsSource) -> Rc<Credentials> {
    credentials_at("http://127.0.0.1:1", source)
}

/// The same with a token service at this address.
fn credentials_at(address: &str, source: AwsSource) -> Rc<Credentials> {
    let (region, token_service) = ("eu-central-1".to_owned(), address.to_owned());
    let signing = Signing { region, token_service, source };
    let provider = fixtures::provider(Kind::Bedrock, "http://127.0.0.1:1");
    Rc::new(Credentials::new(&signing, &provider, Rc::default()))
}

fn id(credentials: &Credentials) -> Option<String> {
    credentials.held.borrow().as_ref().map(|held| held.keys.id.clone())
}

#[tokio::test]
async fn a_machine_is_asked_for_a_token_its_role_and_then_its_keys() {
    let answers = vec![
        (200, "the-token".to_owned()),
        (200, "my-role\n".to_owned()),
        (200, keys_json("ASIA1", "2026-11-20T18:00:00Z")),
    ];
    let (address, served) = service(answers).await;
    let credentials = credentials(AwsSource::Machine(address));
    credentials.ready(NOON).await.unwrap();
    // As long as they hold nobody is asked again.
    credentials.ready(NOON.plus(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(id(&credentials).as_deref(), Some("ASIA1"));
    let asked = served.await.unwrap();
    assert!(asked[0].starts_with("PUT /latest/api/token HTTP"), "{}", asked[0]);
    assert!(asked[0].contains("x-aws-ec2-metadata-token-ttl-seconds: 300"));
    let roles = "GET /latest/meta-data/iam/security-credentials/";
    assert!(asked[1].starts_with(&format!("{roles} HTTP")), "{}", asked[1]);
    assert!(asked[2].starts_with(&format!("{roles}my-role HTTP")), "{}", asked[2]);
    assert!(asked[1..].iter().all(|one| one.contains("x-aws-ec2-metadata-token: the-token")));
}

#[tokio::test]
async fn a_container_is_asked_with_its_token_as_the_file_has_it_now() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "file-token\n").unwrap();
    let answers = vec![(200, keys_json("ASIA2", "2026-11-20T18:00:00Z"))];
    let (address, served) = service(answers).await;
    let container = Container {
        url: format!("{address}/v2/x"),
        token: Some("other".into()),
        token_file: Some(token_file),
    };
    let credentials = credentials(AwsSource::Container(container));
    credentials.ready(NOON).await.unwrap();
    let asked = served.await.unwrap();
    assert!(
        asked[0].starts_with("GET /v2/x HTTP") && asked[0].contains("authorization: file-token")
    );
}

fn identity(folder: &tempfile::TempDir) -> AwsSource {
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "planted.token+1/=\n").unwrap();
    let (role, session) = ("arn:aws:iam::1:role/r".to_owned(), "fallbackd".to_owned());
    AwsSource::WebIdentity(WebIdentity { token_file, role, session })
}

fn sts_answer(id: &str, end: &str) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>planted-secret</SecretAccessKey>\
         <SessionToken>planted-token</SessionToken><Expiration>{end}</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}

#[tokio::test]
async fn a_web_identity_takes_its_role_with_the_token_as_the_file_has_it_now() {
    let folder = tempfile::tempdir().unwrap();
    let answers = vec![
        (200, sts_answer("ASIA1", "2026-11-20T13:00:00Z")),
        (200, sts_answer("ASIA2", "2026-11-20T14:00:00Z")),
    ];
    let (address, served) = service(answers).await;
    let credentials = credentials_at(&address, identity(&folder));
    credentials.ready(NOON).await.unwrap();
    assert_eq!(id(&credentials).as_deref(), Some("ASIA1"));
    std::fs::write(folder.path().join("token"), "planted.token.2").unwrap();
    credentials.ready(NOON.plus(Duration::from_secs(56 * 60))).await.unwrap();
    assert_eq!(id(&credentials).as_deref(), Some("ASIA2"));
    let asked = served.await.unwrap();
    let form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&\
        RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=fallbackd&\
        WebIdentityToken=planted.token";
    assert!(asked[0].starts_with("POST / HTTP"), "{}", asked[0]);
    assert!(asked[0].ends_with(&format!("{form}%2B1%2F%3D")), "{}", asked[0]);
    assert!(asked[1].ends_with(&format!("{form}.2")), "{}", asked[1]);
}

#[tokio::test]
async fn a_token_that_takes_no_role_is_told_by_the_code_of_the_service_alone() {
    let folder = tempfile::tempdir().unwrap();
    let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>\
                   <Message>planted</Message></Error></ErrorResponse>";
    let ill = "<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>";
    for (status, body, fault, told) in [
        (400, refused, Fault::Auth, "token service answers HTTP 400 (InvalidIdentityToken)"),
        (403, "<Code>planted secret</Code>", Fault::Auth, "token service answers HTTP 403"),
        (503, ill, Fault::Connect, "answers HTTP 503"),
        (200, "<html>planted</html>", Fault::Auth, "token service gives no credentials"),
    ] {
        let (address, served) = service(vec![(status, body.to_owned())]).await;
        let failure = credentials_at(&address, identity(&folder)).ready(NOON).await.unwrap_err();
        assert_eq!(failure.fault, fault, "{}", failure.message);
        assert!(failure.message.contains(told), "{}", failure.message);
        assert!(!failure.message.contains("planted"), "{}", failure.message);
        served.await.unwrap();
    }
    let source = identity(&folder);
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let failure = credentials(source).ready(NOON).await.unwrap_err();
    assert!(failure.message.contains("/token cannot be read"), "{}", failure.message);
}

#[tokio::test]
async fn keys_are_renewed_before_they_end_and_old_ones_serve_while_nobody_answers() {
    let first = vec![(200, keys_json("OLD", "2026-11-20T13:00:00Z"))];
    let (address, served) = service(first).await;
    let container = Container { url: address.clone(), token: None, token_file: None };
    let credentials = credentials(AwsSource::Container(container));
    credentials.ready(NOON).await.unwrap();
    served.await.unwrap();
    // Nobody listens there now: until their end the keys at hand serve, and no longer.
    let soon = NOON.plus(Duration::from_secs(56 * 60));
    credentials.ready(soon).await.unwrap();
    assert_eq!(id(&credentials).as_deref(), Some("OLD"));
    let failure = credentials.ready(NOON.plus(Duration::from_secs(3601))).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Connect, "{}", failure.message);
}

#[tokio::test]
async fn keys_that_the_service_refused_are_fetched_anew_but_not_at_once_and_never_fixed_ones() {
    let answers =
        ["ASIA1", "ASIA2"].map(|id| (200, keys_json(id, "2026-11-20T18:00:00Z"))).to_vec();
    let (url, served) = service(answers).await;
    let credentials_ =
        credentials(AwsSource::Container(Container { url, token: None, token_file: None }));
    credentials_.ready(NOON).await.unwrap();
    let first = credentials_.generation();
    assert!(!credentials_.refused(first, NOON.plus(Duration::from_secs(1))), "they are new");
    let later = NOON.plus(Duration::from_secs(60));
    assert!(credentials_.refused(first, later));
    credentials_.ready(later).await.unwrap();
    assert_eq!(id(&credentials_).as_deref(), Some("ASIA2"));
    assert!(credentials_.refused(first, later), "another call has already fetched others");
    assert_eq!(id(&credentials_).as_deref(), Some("ASIA2"));
    served.await.unwrap();
    let keys = AwsKeys { id: "AKIA".to_owned(), secret: "planted".into(), token: None };
    let fixed = credentials(AwsSource::Fixed(keys));
    fixed.ready(NOON).await.unwrap();
    assert!(!fixed.refused(fixed.generation(), later));
}

#[tokio::test]
async fn calls_at_the_same_time_fetch_once() {
    let (url, served) = service(vec![(200, keys_json("ASIA1", "2026-11-20T18:00:00Z"))]).await;
    let credentials =
        credentials(AwsSource::Container(Container { url, token: None, token_file: None }));
    let done = Cell::new(0);
    let one = async || {
        credentials.ready(NOON).await.unwrap();
        done.set(done.get() + 1);
    };
    tokio::join!(one(), one(), one());
    assert_eq!((done.get(), served.await.unwrap().len()), (3, 1));
}

#[tokio::test]
async fn a_service_that_is_ill_is_not_the_same_as_one_without_a_role() {
    for (status, fault) in [(500, Fault::Connect), (404, Fault::Auth), (200, Fault::Auth)] {
        let (address, served) = service(vec![(status, "planted nonsense".to_owned())]).await;
        let container = Container { url: address, token: None, token_file: None };
        let failure = credentials(AwsSource::Container(container)).ready(NOON).await.unwrap_err();
        assert_eq!(failure.fault, fault, "{}", failure.message);
        assert!(!failure.message.contains("planted"), "{}", failure.message);
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_profile_may_name_a_command_that_prints_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("credentials"), folder.path().join("config"));
    let command = |line: &str| {
        std::fs::write(&config, format!("[profile p]\ncredential_process = {line}\n")).unwrap();
        let name = "p".to_owned();
        credentials(AwsSource::Profile(crate::config::AwsProfile {
            name,
            credentials: file.clone(),
            config: config.clone(),
        }))
    };
    let printed = json!({ "Version": 1, "AccessKeyId": "ASIAP", "SecretAccessKey": "s",
        "SessionToken": "t", "Expiration": "2026-11-20T18:00:00Z" });
    let good = command(&format!("printf '%s' '{printed}'"));
    good.ready(NOON).await.unwrap();
    assert_eq!(id(&good).as_deref(), Some("ASIAP"));
    assert!(good.held.borrow().as_ref().unwrap().keys.token.is_some());
    let failed = command("echo planted; exit 3").ready(NOON).await.unwrap_err();
    assert!(failed.message.contains("exit status: 3"), "{}", failed.message);
    assert!(!failed.message.contains("planted"));
    let loud = command("yes | head -c 1000000").ready(NOON).await.unwrap_err();
    assert!(loud.message.ends_with("of profile p prints too much"), "{}", loud.message);
    let silent = command("true").ready(NOON).await.unwrap_err();
    assert!(silent.message.contains("prints no credentials"), "{}", silent.message);
}

#[tokio::test]
async fn a_request_is_signed_with_its_host_its_time_and_its_token() {
    let token = Some("planted/token==".into());
    let keys = AwsKeys { id: "AKID".to_owned(), secret: "planted-secret".into(), token };
    let credentials = credentials(AwsSource::Fixed(keys));
    credentials.ready(NOON).await.unwrap();
    let url = "http://127.0.0.1:8/model/a%3A0/converse".parse().unwrap();
    let mut request = Request::new(reqwest::Method::POST, url);
    *request.body_mut() = Some("{}".into());
    credentials.sign(&mut request, NOON);
    let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-amz-date"), "20261120T120000Z");
    assert_eq!(header("x-amz-security-token"), "planted/token==");
    let start = "AWS4-HMAC-SHA256 Credential=AKID/20261120/eu-central-1/bedrock/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=";
    assert!(header("authorization").starts_with(start), "{}", header("authorization"));
    assert!(request.headers()["authorization"].is_sensitive());
    // What the service says back about the signature shows none of it.
    let secrets = Secrets::default().with(Rc::clone(&credentials.generations));
    let shown = secrets.clean("of AKID-1 planted/token== planted-secret");
    assert!(!shown.contains("planted"), "{shown}");
}
