//! Through proxies, and to servers of an authority of one's own.

use std::io::{Read, Write};
use std::net::TcpListener as Listener;
use std::sync::Mutex;

use base64::Engine;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::config::{Proxy, Roots};

const PASSWORD: &str = "planted-p%40ss";

/// An authority, and a server on loopback that shows a certificate of it and answers each request.
struct Server {
    base: String,
    authority: Arc<Roots>,
}

impl Server {
    fn start() -> Server {
        install_crypto();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let base = format!("https://localhost:{}/v1", listener.local_addr().unwrap().port());
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer_tls(stream, Arc::clone(&config));
            }
        });
        let authority = Roots { path: "own.pem".into(), certificates: vec![own.der().clone()] };
        Server { base, authority: Arc::new(authority) }
    }
}

fn answer_tls(stream: std::net::TcpStream, config: Arc<rustls::ServerConfig>) {
    let connection = rustls::ServerConnection::new(config).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !seen.ends_with(b"}") {
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => seen.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let _ = stream.write_all(response("200 OK", "connection: close\r\n", ANSWER).as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// A proxy that wants a name and a password, and remembers the heads of what it was asked.
struct Through {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Through {
    /// One that answers a right request with `instead`, or does as it is asked.
    fn start(instead: Option<&'static str>) -> Through {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || pass_on(stream, &seen, instead));
            }
        });
        Through { port, heads }
    }

    fn with(&self, credentials: &str) -> Option<Proxy> {
        Proxy::parse(&format!("http://{credentials}127.0.0.1:{}", self.port)).ok()
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn pass_on(mut client: std::net::TcpStream, seen: &Mutex<Vec<String>>, instead: Option<&str>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    let right = base64::engine::general_purpose::STANDARD.encode("user:planted-p@ss");
    if !head.to_lowercase().contains("proxy-authorization: basic ") || !head.contains(&right) {
        let refused = response("407 Proxy Authentication Required", "connection: close\r\n", "no");
        client.write_all(refused.as_bytes()).unwrap();
        return;
    }
    if let Some(instead) = instead {
        let _ = client.write_all(instead.as_bytes());
        return;
    }
    if let Some(target) = head.strip_prefix("CONNECT ") {
        let target = target.split(' ').next().unwrap();
        let mut server = std::net::TcpStream::connect(target).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
        let _ = std::io::copy(&mut client, &mut server);
        return;
    }
    let _ = client.write_all(response("200 OK", "connection: close\r\n", ANSWER).as_bytes());
}

fn reached(base: &str, proxy: Option<Proxy>, roots: Option<Arc<Roots>>) -> Arc<Model> {
    let provider =
        config::ProviderConfig { proxy, roots, ..fixtures::provider(Kind::OpenAi, base) };
    Arc::new(fixtures::model(provider))
}

async fn outcome(model: &Arc<Model>) -> CallResult {
    call(&http(&[Arc::clone(model)]), model).await
}

#[tokio::test]
async fn a_server_of_an_authority_of_ones_own_is_trusted_with_its_file_alone() {
    let server = Server::start();
    let strange = outcome(&reached(&server.base, None, None)).await.err().unwrap();
    assert_eq!(strange.fault, Fault::Tls, "{}", strange.message);
    let trusted = reached(&server.base, None, Some(Arc::clone(&server.authority)));
    assert!(outcome(&trusted).await.is_ok());
}

#[tokio::test]
async fn models_trust_only_whom_their_own_provider_trusts() {
    let server = Server::start();
    let trusting = reached(&server.base, None, Some(Arc::clone(&server.authority)));
    let other = reached(&server.base, None, None);
    let provider = config::ProviderConfig { name: "other".into(), ..(*other.provider).clone() };
    let other =
        Arc::new(Model { name: "o".into(), provider: Arc::new(provider), ..(*other).clone() });
    let http = http(&[Arc::clone(&trusting), Arc::clone(&other)]);
    assert!(call(&http, &trusting).await.is_ok());
    assert_eq!(call(&http, &other).await.err().unwrap().fault, Fault::Tls);
}

#[tokio::test]
async fn https_goes_through_a_proxy_in_a_tunnel_that_carries_its_credentials() {
    let server = Server::start();
    let through = Through::start(None);
    let proxy = through.with(&format!("user:{PASSWORD}@"));
    let model = reached(&server.base, proxy, Some(Arc::clone(&server.authority)));
    let answer = outcome(&model).await;
    assert!(answer.is_ok(), "{:?}", answer.err());
    let heads = through.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("CONNECT localhost:"), "{}", heads[0]);
    assert!(!heads[0].contains(KEY), "the key is for the provider alone");
}

#[tokio::test]
async fn a_proxy_that_refuses_its_credentials_is_a_failed_connection_that_names_it() {
    let server = Server::start();
    let through = Through::start(None);
    let plain = "http://api.example.test/v1";
    for base in [server.base.as_str(), plain] {
        for credentials in ["", "user:planted-wrong@"] {
            let model = reached(base, through.with(credentials), None);
            let failure = outcome(&model).await.err().unwrap();
            assert_eq!(failure.fault, Fault::Connect, "{}", failure.message);
            let said = format!("{failure:?}");
            assert!(said.contains(&format!("127.0.0.1:{}", through.port)), "{said}");
            assert!(said.contains("407") && !said.contains("planted"), "{said}");
        }
    }
}

#[tokio::test]
async fn http_is_given_to_a_proxy_whole() {
    let through = Through::start(None);
    let proxy = through.with(&format!("user:{PASSWORD}@"));
    // A name that only the proxy could resolve.
    let model = reached("http://api.example.test/v1", proxy, None);
    assert!(outcome(&model).await.is_ok());
    let head = &through.heads()[0];
    assert!(head.starts_with("POST http://api.example.test/v1/chat/completions "), "{head}");
}

#[tokio::test]
async fn a_proxy_that_fails_is_named_and_no_model_is() {
    let (listener, _) = listen().await;
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let refusing = Through::start(Some("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    let closing = Through::start(Some(""));
    let base = "https://api.example.test/v1";
    let credentials = format!("user:{PASSWORD}@");
    for (proxy, why) in [
        (Proxy::parse(&format!("http://{credentials}{gone}")).ok(), "connection refused"),
        (refusing.with(&credentials), "the proxy does not connect to it"),
        (closing.with(&credentials), "the proxy closed the connection"),
    ] {
        let shown = proxy.as_ref().unwrap().shown().to_owned();
        let failure = outcome(&reached(base, proxy, None)).await.err().unwrap();
        assert_eq!(failure.fault, Fault::Connect);
        let expected = format!("cannot connect to api.example.test through proxy {shown}: {why}");
        assert_eq!(failure.message, expected);
    }
}

#[tokio::test]
async fn behind_a_proxy_the_certificate_of_the_provider_is_still_looked_at() {
    let server = Server::start();
    let through = Through::start(None);
    let model = reached(&server.base, through.with(&format!("user:{PASSWORD}@")), None);
    assert_eq!(outcome(&model).await.err().unwrap().fault, Fault::Tls);
}

#[tokio::test]
async fn metadata_addresses_are_refused_as_providers_and_as_proxies() {
    let through = Through::start(None);
    let credentials = format!("user:{PASSWORD}@");
    for model in [
        reached("http://169.254.169.254/v1", through.with(&credentials), None),
        reached("https://a.example", Proxy::parse("http://169.254.169.254:80").ok(), None),
        reached("https://a.example", Proxy::parse("http://[fe80::1]:80").ok(), None),
    ] {
        assert_eq!(outcome(&model).await.err().unwrap().fault, Fault::BadEndpoint);
    }
    assert!(through.heads().is_empty());
}

#[tokio::test]
async fn credentials_of_a_proxy_that_come_back_are_masked() {
    let echo = "HTTP/1.1 400 Bad Request\r\ncontent-length: 48\r\n\r\n\
                dXNlcjpwbGFudGVkLXBAc3M= planted-p@ss user:plante";
    let through = Through::start(Some(echo));
    let proxy = through.with(&format!("user:{PASSWORD}@"));
    let failure = outcome(&reached("http://api.example.test/v1", proxy, None)).await.err().unwrap();
    let said = format!("{failure:?}");
    assert!(!said.contains("planted-p") && !said.contains("dXNlc"), "{said}");
}
