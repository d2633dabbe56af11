//! One connection: its requests out, its replies in.
//!
//! Requests are made once; on the socket only their id differs, and it is the number of the slot
//! that waits for the reply. Over HTTP one request is under way at a time and a reply ends where
//! its `content-length` says. Streams never block; what a full one does not take waits here.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use serde_json::json;
use tokio::time::Instant;

use crate::Run;

/// Whom to ask.
pub(crate) enum Target {
    /// The daemon.
    Socket(PathBuf),
    /// An HTTP server: its address and the path.
    Http(SocketAddr, String),
}

/// One connection.
pub(crate) struct Client {
    stream: Stream,
    /// One for each slot.
    requests: Vec<Vec<u8>>,
    /// Since when each slot waits for a reply.
    since: Vec<Option<Instant>>,
    waiting: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Finds a whole reply at the start of the input.
    whole: fn(&[u8]) -> Option<Reply>,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A reply that is there.
struct Reply {
    length: usize,
    slot: usize,
    good: bool,
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

impl Client {
    /// Connects, and prepares the requests for `slots` of them under way at once.
    pub(crate) fn connect(target: &Target, prompt: usize, slots: usize) -> io::Result<Client> {
        let text: String = "How do I keep answering? ".chars().cycle().take(prompt).collect();
        let messages = json!([{ "role": "user", "content": text }]);
        let (stream, requests, whole): (_, _, fn(&[u8]) -> _) = match target {
            Target::Socket(path) => {
                let line = |id: usize| format!("{}\n", json!({ "id": id, "messages": messages }));
                let requests = (0..slots).map(|id| line(id).into_bytes()).collect();
                (unix(path)?, requests, whole_line)
            }
            Target::Http(address, path) => {
                let body = json!({ "model": "bench", "messages": messages }).to_string();
                let request = format!(
                    "POST {path} HTTP/1.1\r\nhost: {address}\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                (tcp(*address)?, vec![request.into_bytes()], whole_response)
            }
        };
        let since = vec![None; requests.len()];
        let (input, output) = (Vec::new(), Vec::new());
        Ok(Client { stream, requests, since, waiting: 0, input, output, whole })
    }

    /// Sends the first requests and waits for events under `token`.
    pub(crate) fn begin(
        &mut self,
        token: Token,
        registry: &Registry,
        run: &mut Run,
    ) -> io::Result<()> {
        let now = Instant::now();
        (0..self.requests.len()).for_each(|slot| self.ask(slot, now, run));
        // Room to write is only asked for by those who lack it: whoever asks for it is woken up
        // for every byte that the other side takes.
        self.flush()?;
        let wanted = match self.output.is_empty() {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        match &mut self.stream {
            Stream::Unix(stream) => registry.register(stream, token, wanted),
            Stream::Tcp(stream) => registry.register(stream, token, wanted),
        }
    }

    /// Whether everything is answered.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting == 0
    }

    /// Waits for nothing any more.
    pub(crate) fn give_up(&mut self) {
        self.waiting = 0;
    }

    /// Takes the replies that are there and sends as many further requests.
    pub(crate) fn turn(&mut self, run: &mut Run) -> io::Result<()> {
        self.flush()?;
        self.fill()?;
        let now = Instant::now();
        let mut taken = 0;
        while let Some(reply) = (self.whole)(&self.input[taken..]) {
            let since = self.since.get_mut(reply.slot).and_then(Option::take);
            let since = since.ok_or_else(|| io::Error::other("a reply to nothing came"))?;
            self.waiting -= 1;
            let text = &self.input[taken..taken + reply.length];
            run.reply((since, now), reply.good, text);
            taken += reply.length;
            self.ask(reply.slot, now, run);
        }
        self.input.drain(..taken);
        self.flush()
    }

    fn ask(&mut self, slot: usize, now: Instant, run: &mut Run) {
        if run.next(now) {
            self.since[slot] = Some(now);
            self.waiting += 1;
            self.output.extend_from_slice(&self.requests[slot]);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let written = match &mut self.stream {
                Stream::Unix(stream) => stream.write(&self.output),
                Stream::Tcp(stream) => stream.write(&self.output),
            };
            match written {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until a read is short: then nothing more is there.
    fn fill(&mut self) -> io::Result<()> {
        loop {
            let mut room = [0; 16 * 1024];
            let read = match &mut self.stream {
                Stream::Unix(stream) => stream.read(&mut room),
                Stream::Tcp(stream) => stream.read(&mut room),
            };
            match read {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if matches!(read, Ok(count) if count < room.len()) {
                return Ok(());
            }
        }
    }
}

fn unix(path: &Path) -> io::Result<Stream> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(Stream::Unix(UnixStream::from_std(stream)))
}

fn tcp(address: SocketAddr) -> io::Result<Stream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(Stream::Tcp(TcpStream::from_std(stream)))
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
