//! Connections that fail, break, hang or lead nowhere.

use super::super::super::whole::ERROR_BYTES;
use super::*;

#[tokio::test]
async fn nobody_listening_is_a_failed_connection() {
    let (listener, base) = listen().await;
    drop(listener);
    let model = model(Kind::OpenAi, &base);
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    assert_eq!((failure.fault, failure.status), (Fault::Connect, None));
    assert_eq!(failure.message, "cannot connect to 127.0.0.1: connection refused");
}

#[tokio::test]
async fn two_unreachable_providers_mean_no_network_until_one_answers() {
    let (listener, base) = listen().await;
    drop(listener);
    let (server, alive) = answer_once(response("500 Oops", "", "")).await;
    let dead = |name: &str| {
        let provider =
            config::ProviderConfig { name: name.into(), ..fixtures::provider(Kind::OpenAi, &base) };
        Arc::new(Model { name: name.into(), ..fixtures::model(provider) })
    };
    let (one, two, alive) = (dead("one"), dead("two"), model(Kind::OpenAi, &alive));
    let http = http(&[Arc::clone(&one), Arc::clone(&two), Arc::clone(&alive)]);
    let mut faults = Vec::new();
    for model in [&one, &one, &two, &alive, &one] {
        faults.push(call(&http, model).await.err().unwrap().fault);
    }
    use Fault::{Connect, NoNetwork, ServerError};
    assert_eq!(faults, [Connect, Connect, NoNetwork, ServerError, Connect]);
    server.await.unwrap();
}

#[tokio::test]
async fn a_reset_on_a_new_connection_is_not_repeated() {
    let (listener, base) = listen().await;
    let (done, wait) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let mut connections = 0;
        let reset_all = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections += 1;
                read_request(&mut stream).await;
            }
        };
        tokio::select! { () = reset_all => {}, _ = wait => {} }
        connections
    });
    let model = model(Kind::OpenAi, &base);
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    done.send(()).unwrap();
    assert_eq!(failure.fault, Fault::Reset);
    assert_eq!(server.await.unwrap(), 1);
}

#[tokio::test]
async fn a_reset_on_a_pooled_connection_is_repeated_on_a_new_one() {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        read_request(&mut first).await;
        first.write_all(response("200 OK", "", ANSWER).as_bytes()).await.unwrap();
        // The second request arrives on the same connection, which breaks without an answer.
        read_request(&mut first).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        read_request(&mut second).await;
        second.write_all(response("200 OK", "", ANSWER).as_bytes()).await.unwrap();
    });
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_ok());
    assert!(call(&http, &model).await.is_ok());
    server.await.unwrap();
}

#[tokio::test]
async fn a_truncated_answer_is_a_bad_body() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\":[";
    let failure = failure_of(cut.to_owned()).await;
    assert_eq!((failure.fault, failure.status), (Fault::BadBody, Some(200)));
}

#[tokio::test]
async fn a_truncated_error_is_judged_by_its_status() {
    let cut = "HTTP/1.1 429 Too Many\r\nretry-after: 3\r\ncontent-length: 1000\r\n\r\n{\"error\":";
    let failure = failure_of(cut.to_owned()).await;
    assert_eq!(failure.fault, Fault::RateLimited);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused_announced_or_not() {
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", LIMIT + 1);
    let failure = failure_of(announced).await;
    assert_eq!(failure.fault, Fault::BadBody);
    assert!(failure.message.contains("limits.response_bytes"));
    let unannounced = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(LIMIT + 1));
    assert!(failure_of(unannounced).await.message.contains("limits.response_bytes"));
}

#[tokio::test]
async fn a_large_error_is_read_in_part_only() {
    let body = format!("{} tail", "x".repeat(ERROR_BYTES * 2));
    let failure = failure_of(format!("HTTP/1.1 500 Oops\r\n\r\n{body}")).await;
    assert_eq!(failure.fault, Fault::ServerError);
    assert!(failure.message.chars().count() <= 300);
}

#[tokio::test]
async fn silence_ends_with_the_calls_limit() {
    let (listener, base) = listen().await;
    let model = unstreamed(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    let request = request();
    let limit = Duration::from_millis(50);
    let mut call = fixtures::call(&model, &request);
    call.limits.complete = limit;
    let silent = http.call(call);
    let failure = end(silent).await.err().unwrap();
    assert_eq!(failure.fault, Fault::Timeout);
    assert_eq!(failure.message, "no complete answer from 127.0.0.1 within 50ms");
    drop(listener);
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    let (listener, base) = listen().await;
    let (arrived, begun) = oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        arrived.send(()).unwrap();
        stream.read(&mut [0; 16]).await.map_or(0, |read| read)
    });
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    let request = request();
    tokio::select! {
        _ = end(http.call(fixtures::call(&model, &request))) => panic!("nobody answered"),
        begun = begun => begun.unwrap(),
    }
    assert_eq!(server.await.unwrap(), 0, "the server sees the end of the connection");
}

#[tokio::test]
async fn what_is_not_http_or_not_json_is_a_bad_body() {
    assert_eq!(failure_of("SSH-2.0-server\r\n\r\n".to_owned()).await.fault, Fault::BadBody);
    let page = response("200 OK", "content-type: text/html\r\n", "<html>Welcome</html>");
    let failure = failure_of(page).await;
    assert_eq!(failure.fault, Fault::BadBody);
    assert!(failure.message.contains("HTML"));
}

#[tokio::test]
async fn a_line_of_text_is_a_bad_body_whether_or_not_a_stream_was_asked_for() {
    for (said, kind) in [("overloaded", "text/plain"), ("database is down", "text/plain; a=b")] {
        let text = || response("200 OK", &format!("content-type: {kind}\r\n"), said);
        assert_eq!(failure_of(text()).await.fault, Fault::BadBody, "{said}");
        let (server, base) = answer_once(text()).await;
        let model = unstreamed(Kind::OpenAi, &base);
        let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
        assert_eq!(failure.fault, Fault::BadBody, "{said}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn https_to_a_plain_server_is_a_tls_failure() {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let model = model(Kind::OpenAi, &base.replace("http:", "https:"));
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    assert_eq!(failure.fault, Fault::Tls);
    assert!(failure.message.contains("the TLS handshake failed"), "{}", failure.message);
    server.await.unwrap();
}

#[tokio::test]
async fn link_local_and_unusable_addresses_are_never_called() {
    for base in
        ["http://169.254.169.254/v1", "http://[fe80::1]/v1", "http://2852039166", "nonsense"]
    {
        let model = model(Kind::OpenAi, base);
        let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
        assert_eq!(failure.fault, Fault::BadEndpoint, "{base}");
    }
}
