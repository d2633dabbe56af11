//! Keys stay where they belong, whatever a server sends back.

use super::*;

/// Everything that a failure could show.
fn shown(failure: &Failure) -> String {
    format!("{failure:?} {} {:?}", failure.message, failure.code)
}

/// A server that answers with the request itself, in this frame.
async fn echo(status: &'static str, frame: fn(&str) -> String) -> (JoinHandle<()>, String) {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        let body = frame(&request);
        stream.write_all(response(status, "", &body).as_bytes()).await.unwrap();
    });
    (server, base)
}

#[tokio::test]
async fn a_server_that_echoes_the_request_reveals_no_key() {
    let frames: [fn(&str) -> String; 4] = [
        |request| request.to_owned(),
        |request| json!({"error": {"message": request, "code": "x"}}).to_string(),
        |_| json!({"error": {"message": KEY, "code": KEY, "type": KEY}}).to_string(),
        |request| format!("<html><title>{request}</title></html>"),
    ];
    for status in ["401 Unauthorized", "500 Oops", "200 OK", "404 Not Found"] {
        for frame in frames {
            let (server, base) = echo(status, frame).await;
            let model = model(Kind::OpenAi, &base);
            let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
            server.await.unwrap();
            let shown = shown(&failure);
            assert!(!shown.contains(KEY) && !shown.contains(&KEY.to_lowercase()), "{shown}");
        }
    }
}

#[tokio::test]
async fn values_of_headers_and_query_are_secrets_too() {
    let (server, base) = echo("400 Bad Request", |request| request.to_owned()).await;
    let mut provider = fixtures::provider(Kind::OpenAi, &base);
    provider.headers = vec![("x-org".into(), "quiet header".to_owned().into())];
    provider.query = vec![("sig".into(), "quiet query/1".to_owned().into())];
    let model = Arc::new(fixtures::model(provider));
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    server.await.unwrap();
    assert!(!shown(&failure).contains("quiet"), "{}", shown(&failure));
}

#[tokio::test]
async fn addresses_with_secrets_are_not_shown_when_the_connection_fails() {
    let (listener, base) = listen().await;
    drop(listener);
    let mut provider = fixtures::provider(Kind::OpenAi, &base);
    provider.query = vec![("key".into(), "quiet-query".to_owned().into())];
    let model = Arc::new(fixtures::model(provider));
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    assert!(!shown(&failure).contains("quiet"), "{}", shown(&failure));
}

#[tokio::test]
async fn a_missing_key_is_never_sent_as_an_empty_one() {
    let (listener, base) = listen().await;
    let provider =
        config::ProviderConfig { keys: Vec::new(), ..fixtures::provider(Kind::OpenAi, &base) };
    let model = Arc::new(fixtures::model(provider));
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    assert_eq!(failure.fault, Fault::Auth);
    let reached = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
    assert!(reached.is_err(), "a request was sent without a key");
}
