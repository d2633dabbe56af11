//! Connections that end badly, or not at all, behind an answer that is complete.

use std::io::{Read, Write};
use std::net::TcpListener as PlainListener;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::config::Roots;

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
                      data: {\"choices\":[{\"delta\":{\"content\":\"Hi.\"}}]}\n\n";

const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}";

/// What a server does behind the bytes that it has sent.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Close,
    Reset,
    Hold,
}

async fn ended(text: String, ending: Ending, streams: bool) -> CallResult {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        match ending {
            Ending::Close => {}
            Ending::Reset => stream.set_zero_linger().unwrap(),
            Ending::Hold => {
                let _ = stream.read(&mut [0; 16]).await;
            }
        }
    });
    let model = if streams { model(Kind::OpenAi, &base) } else { unstreamed(Kind::OpenAi, &base) };
    let outcome = call(&http(&[Arc::clone(&model)]), &model).await;
    server.await.unwrap();
    outcome
}

fn content(outcome: CallResult) -> Result<Option<String>, Fault> {
    outcome.map(|answer| answer.content).map_err(|failure| failure.fault)
}

#[tokio::test]
async fn a_whole_answer_counts_however_its_connection_ends() {
    let hi = Ok(Some("Hi.".to_owned()));
    let json = "content-type: application/json\r\n";
    for head in [
        format!("HTTP/1.1 200 OK\r\n{json}content-length: 5000\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{json}\r\n"),
        format!(
            "HTTP/1.1 200 OK\r\n{json}transfer-encoding: chunked\r\n\r\n{:x}\r\n",
            ANSWER.len()
        ),
    ] {
        for ending in [Ending::Close, Ending::Reset, Ending::Hold] {
            let outcome = ended(format!("{head}{ANSWER}"), ending, false).await;
            assert_eq!(content(outcome), hi, "{head} {ending:?}");
        }
        let half = &ANSWER[..ANSWER.len() - 3];
        let outcome = ended(format!("{head}{half}"), Ending::Reset, false).await;
        assert_eq!(content(outcome), Err(Fault::BadBody), "{head}");
    }
}

#[tokio::test]
async fn a_finished_stream_counts_however_its_connection_ends() {
    let hi = Ok(Some("Hi.".to_owned()));
    for ending in [Ending::Close, Ending::Reset, Ending::Hold] {
        for end in ["", "\n", "\n\n", "\n\ndata: {\"choi", "\n\ndata: nonsense\n\n"] {
            // A line that has no end may go on; only the end of the connection tells.
            if matches!(ending, Ending::Hold) && matches!(end, "" | "\n") {
                continue;
            }
            let outcome = ended(format!("{STREAM}{FINISH}{end}"), ending, true).await;
            assert_eq!(content(outcome), hi, "{end:?} {ending:?}");
        }
    }
    let cut = ended(STREAM.to_owned(), Ending::Reset, true).await;
    assert_eq!(content(cut), Err(Fault::StreamCut));
    let half = ended(format!("{STREAM}{}", &FINISH[..40]), Ending::Reset, true).await;
    assert_eq!(content(half), Err(Fault::StreamCut));
}

#[tokio::test]
async fn where_an_end_is_a_finish_a_reset_is_none() {
    for (ending, text, good) in [
        (Ending::Close, STREAM.to_owned(), true),
        (Ending::Hold, format!("{STREAM}data: [DONE]\n\n"), true),
        (Ending::Reset, STREAM.replace("\r\n\r\n", "\r\ncontent-length: 900\r\n\r\n"), false),
    ] {
        let (listener, base) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(text.as_bytes()).await.unwrap();
            match ending {
                Ending::Hold => drop(stream.read(&mut [0; 16]).await),
                _ => tokio::time::sleep(Duration::from_millis(30)).await,
            }
        });
        let mut provider = fixtures::provider(Kind::OpenAi, &base);
        provider.done_ends_stream = true;
        let model = Arc::new(fixtures::model(provider));
        let outcome = call(&http(&[Arc::clone(&model)]), &model).await;
        assert_eq!(outcome.is_ok(), good, "{ending:?}");
        server.await.unwrap();
    }
}

/// Answers one request over TLS, and closes the connection below it without a word.
fn rude_server(answer: String) -> (std::thread::JoinHandle<()>, u16, Roots) {
    install_crypto();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificates = vec![made.cert.der().clone()];
    let authority = Roots { path: "own.pem".into(), certificates };
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let listener = PlainListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        // What is left unread would make the end a reset.
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        stream.flush().unwrap();
    });
    (server, port, authority)
}

async fn over_tls(answer: String, streams: bool) -> Result<Option<String>, Fault> {
    let (server, port, authority) = rude_server(answer);
    let base = format!("https://localhost:{port}/v1");
    let roots = Some(Arc::new(authority));
    let provider =
        config::ProviderConfig { streams, roots, ..fixtures::provider(Kind::OpenAi, &base) };
    let model = Arc::new(fixtures::model(provider));
    let outcome = call(&http(&[Arc::clone(&model)]), &model).await;
    server.join().unwrap();
    content(outcome)
}

#[tokio::test]
async fn a_peer_that_closes_tls_without_saying_so_takes_nothing_from_what_is_complete() {
    let hi = Ok(Some("Hi.".to_owned()));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    assert_eq!(over_tls(format!("{head}{ANSWER}"), false).await, hi);
    assert_eq!(over_tls(format!("{head}{ANSWER}"), true).await, hi);
    assert_eq!(over_tls(format!("{STREAM}{FINISH}\n\n"), true).await, hi);
    assert_eq!(over_tls(format!("{STREAM}{FINISH}"), true).await, hi);
    assert_eq!(over_tls(format!("{head}{{\"choices\":["), false).await, Err(Fault::BadBody));
    assert_eq!(over_tls(STREAM.to_owned(), true).await, Err(Fault::StreamCut));
}
