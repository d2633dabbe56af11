//! Calls that are signed: to the service, and to who gives the keys.

use std::cell::Cell;

use super::*;
use crate::config::{Auth, AwsKeys, AwsSource, Container, Signing};

const CONVERSE: &str =
    r#"{"output":{"message":{"content":[{"text":"Hi."}]}},"stopReason":"end_turn"}"#;

const EXPIRED: &str = r#"{"message":"The security token included in the request is expired"}"#;

/// A server that gives these answers, each on a connection of its own; and what it was asked.
async fn answers(all: Vec<String>) -> (JoinHandle<Vec<String>>, String) {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        for text in all {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.push(read_request(&mut stream).await);
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        asked
    });
    (server, base)
}

fn signed(base: &str, source: AwsSource) -> Arc<Model> {
    let signing = Some(Signing {
        region: "eu-central-1".to_owned(),
        token_service: "http://127.0.0.1:1".to_owned(),
        source,
    });
    let provider = fixtures::provider(Kind::Bedrock, base);
    let provider =
        config::ProviderConfig { keys: Vec::new(), auth: Auth::Signed, signing, ..provider };
    Arc::new(Model { model_id: "a.b-v1:0".to_owned(), ..fixtures::model(provider) })
}

#[tokio::test]
async fn a_signed_call_has_its_model_in_the_path_and_no_key() {
    let (server, base) = answers(vec![response("200 OK", "", CONVERSE)]).await;
    let keys = AwsKeys { id: "AKID".to_owned(), secret: "planted".into(), token: None };
    let model = signed(&base, AwsSource::Fixed(keys));
    let answer = call(&http(&[Arc::clone(&model)]), &model).await.ok().unwrap();
    assert_eq!(answer.content.as_deref(), Some("Hi."));
    let sent = server.await.unwrap().remove(0);
    assert!(sent.starts_with("POST /model/a.b-v1%3A0/converse-stream HTTP/1.1\r\n"), "{sent}");
    let start = "authorization: AWS4-HMAC-SHA256 Credential=AKID/20261120/eu-central-1/bedrock";
    assert!(sent.contains(start) && !sent.contains("planted"), "{sent}");
    assert!(sent.contains("x-amz-date: 20261120T000000Z\r\n"), "{sent}");
}

#[tokio::test]
async fn keys_that_have_ended_are_fetched_and_the_call_is_made_again() {
    let keys = |id: &str| {
        let keys = json!({ "AccessKeyId": id, "SecretAccessKey": "planted-secret",
            "Token": "planted-token", "Expiration": "2026-11-21T00:00:00Z" });
        response("200 OK", "connection: close\r\n", &keys.to_string())
    };
    let (keeper, url) = answers(vec![keys("OLD"), keys("NEW")]).await;
    let expired = || {
        let name = "x-amzn-errortype: ExpiredTokenException:http://a/\r\nconnection: close\r\n";
        response("403 Forbidden", name, EXPIRED)
    };
    let good = || response("200 OK", "connection: close\r\n", CONVERSE);
    let (server, base) = answers(vec![good(), expired(), good(), expired()]).await;
    let model =
        signed(&base, AwsSource::Container(Container { url, token: None, token_file: None }));
    let now = Rc::new(Cell::new(1_795_132_800_000));
    let clock: TimeSource = Rc::new({
        let now = Rc::clone(&now);
        move || Now { mono: Mono(Duration::from_secs(1)), wall: Wall(now.get()) }
    });
    let http = Http::new(&[Arc::clone(&model)], LIMIT, clock).unwrap();
    assert!(call(&http, &model).await.is_ok());
    now.set(now.get() + 60_000);
    assert!(call(&http, &model).await.is_ok(), "nobody has to hear of it");
    // New ones that are refused, too, are refused.
    let failure = call(&http, &model).await.err().unwrap();
    assert_eq!((failure.fault, failure.status), (Fault::Auth, Some(403)));
    let asked = server.await.unwrap();
    let by = |id: &str| format!("Credential={id}/");
    let signers = ["OLD", "OLD", "NEW", "NEW"];
    assert!(asked.iter().zip(signers).all(|(one, id)| one.contains(&by(id))), "{asked:?}");
    keeper.await.unwrap();
}

#[tokio::test]
async fn the_models_of_a_provider_share_what_was_fetched_and_a_reload_leaves_it() {
    let keys = json!({ "AccessKeyId": "ASIA1", "SecretAccessKey": "planted-secret",
        "Token": "planted-token", "Expiration": "2026-11-21T00:00:00Z" });
    // Nobody is there to be asked again.
    let (keeper, url) = answers(vec![response("200 OK", "", &keys.to_string())]).await;
    let good = || response("200 OK", "connection: close\r\n", CONVERSE);
    let refused = response("400 Bad Request", "", r#"{"message":"planted-secret is no key"}"#);
    let (server, base) = answers(vec![good(), good(), good(), refused]).await;
    let one = signed(&base, AwsSource::Container(Container { url, token: None, token_file: None }));
    let two = Arc::new(Model { name: "two".into(), model_id: "x".to_owned(), ..(*one).clone() });
    let models = [Arc::clone(&one), Arc::clone(&two)];
    let http = http(&models);
    let (first, second) = tokio::join!(call(&http, &one), call(&http, &two));
    assert!(first.is_ok() && second.is_ok());
    http.update(&models, LIMIT).unwrap();
    assert!(call(&http, &two).await.is_ok());
    let failure = call(&http, &one).await.err().unwrap();
    assert_eq!(failure.message, "[hidden] is no key");
    assert_eq!((keeper.await.unwrap().len(), server.await.unwrap().len()), (1, 4));
}

#[tokio::test]
async fn without_keys_nothing_is_sent_and_the_reason_is_told() {
    let (listener, base) = listen().await;
    let (keeper, url) = answers(vec![response("404 Not Found", "", "planted")]).await;
    let model =
        signed(&base, AwsSource::Container(Container { url, token: None, token_file: None }));
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    assert_eq!(failure.fault, Fault::Auth);
    assert!(
        failure.message.contains("the container's service answers HTTP 404"),
        "{}",
        failure.message
    );
    keeper.await.unwrap();
    assert!(listener.accept().now_or_never().is_none(), "somebody connected");
}
