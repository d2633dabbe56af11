//! One connection: its requests out, its replies in.
//!
//! Requests are made once; on the socket only their id differs, and it is the number of the slot
//! that waits for the reply. Over HTTP one request is under way at a time and a reply ends where
//! its `content-length` says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use crate::Run;

/// Whom to ask.
pub(crate) enum Target {
    /// The daemon.
    Socket(PathBuf),
    /// An HTTP server: its address and the path.
    Http(SocketAddr, String),
}

impl Target {
    /// An HTTP server by its URL, with a numeric address.
    pub(crate) fn http(url: &str) -> Result<Target, String> {
        let wrong = || format!("--direct {url}: expected http://ADDRESS:PORT/PATH");
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Target::Http(address.parse().map_err(|_| wrong())?, format!("/{path}")))
    }
}

/// One connection.
pub(crate) enum Client {
    Socket(Wire<UnixStream>),
    Http(Wire<TcpStream>),
}

/// A stream, the requests for it, and since when each of them is under way.
pub(crate) struct Wire<S> {
    stream: S,
    requests: Vec<Vec<u8>>,
    since: Vec<Option<Instant>>,
    input: BytesMut,
    /// Finds a whole reply at the start of the input.
    whole: fn(&[u8]) -> Option<Reply>,
}

/// A reply that is there.
struct Reply {
    length: usize,
    slot: usize,
    good: bool,
}

impl Client {
    pub(crate) async fn connect(
        target: &Target,
        prompt: usize,
        outstanding: usize,
    ) -> Result<Client, String> {
        let text = "How do I keep answering? ".chars().cycle().take(prompt).collect::<String>();
        let messages = json!([{ "role": "user", "content": text }]);
        let failed = |error: std::io::Error| format!("cannot connect: {error}");
        match target {
            Target::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                let line = |id: usize| format!("{}\n", json!({ "id": id, "messages": messages }));
                let requests = (0..outstanding).map(|id| line(id).into_bytes()).collect();
                Ok(Client::Socket(Wire::new(stream, requests, whole_line)))
            }
            Target::Http(address, path) => {
                let stream = TcpStream::connect(address).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                let body = json!({ "model": "bench", "messages": messages }).to_string();
                let request = format!(
                    "POST {path} HTTP/1.1\r\nhost: {address}\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                Ok(Client::Http(Wire::new(stream, vec![request.into_bytes()], whole_response)))
            }
        }
    }

    /// Asks until the run is over and everything is answered.
    pub(crate) async fn run(self, run: Rc<Run>) -> Result<(), String> {
        match self {
            Client::Socket(wire) => wire.run(&run).await,
            Client::Http(wire) => wire.run(&run).await,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S, requests: Vec<Vec<u8>>, whole: fn(&[u8]) -> Option<Reply>) -> Wire<S> {
        let since = vec![None; requests.len()];
        Wire { stream, requests, since, input: BytesMut::new(), whole }
    }

    async fn run(mut self, run: &Run) -> Result<(), String> {
        let broken = |error: std::io::Error| format!("the connection broke: {error}");
        let mut free: Vec<usize> = (0..self.requests.len()).collect();
        loop {
            self.send(run, &mut free).await.map_err(broken)?;
            if self.since.iter().all(Option::is_none) {
                return Ok(());
            }
            self.input.reserve(16 * 1024);
            if self.stream.read_buf(&mut self.input).await.map_err(broken)? == 0 {
                return Err("the connection was closed before every reply came".to_owned());
            }
            let now = Instant::now();
            while let Some(reply) = (self.whole)(&self.input) {
                let since = self.since.get_mut(reply.slot).and_then(Option::take);
                let since = since.ok_or("a reply came for a request that was not made")?;
                run.reply(since, now, reply.good, &self.input[..reply.length]);
                self.input.advance(reply.length);
                free.push(reply.slot);
            }
        }
    }

    /// Sends a request for every free slot, all in one go.
    async fn send(&mut self, run: &Run, free: &mut Vec<usize>) -> std::io::Result<()> {
        let now = Instant::now();
        if let [slot] = free[..] {
            if run.next(now) {
                self.since[slot] = Some(now);
                self.stream.write_all(&self.requests[slot]).await?;
            }
        } else {
            let mut out = Vec::new();
            for slot in free.drain(..).filter(|_| run.next(now)) {
                self.since[slot] = Some(now);
                out.extend_from_slice(&self.requests[slot]);
            }
            self.stream.write_all(&out).await?;
        }
        free.clear();
        Ok(())
    }
}

/// `{"id":SLOT,"ok":true,…}` and a newline.
fn whole_line(input: &[u8]) -> Option<Reply> {
    let length = memchr::memchr(b'\n', input)? + 1;
    let rest = input[..length].strip_prefix(b"{\"id\":").unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse().ok());
    let good = rest[digits..].starts_with(b",\"ok\":true,");
    Some(Reply { length, slot: number.unwrap_or(usize::MAX), good })
}

/// A response with its body.
fn whole_response(input: &[u8]) -> Option<Reply> {
    let head = memchr::memmem::find(input, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&input[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let found = name.eq_ignore_ascii_case("content-length");
        found.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let length = head + length.unwrap_or(0);
    let good = text.starts_with("HTTP/1.1 200 ");
    (input.len() >= length).then_some(Reply { length, slot: 0, good })
}
