//! A client of HTTP that hides nothing: what is sent is written out, and a reply says whether it
//! ended as it should.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::harness::PATIENCE;

/// A connection of either kind.
pub(crate) trait Stream: Read + Write {}

impl Stream for UnixStream {}

impl Stream for TcpStream {}

/// One connection.
pub(crate) struct Web {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

/// What came back for one request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Whether the body ended as its head had promised.
    pub(crate) whole: bool,
}

impl Web {
    /// A connection to the daemon's own socket.
    pub(crate) fn on(socket: &Path) -> Web {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Web { stream: Box::new(stream), read: Vec::new() }
    }

    /// A connection to this port.
    pub(crate) fn at(port: u16) -> Web {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Web { stream: Box::new(stream), read: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // A daemon that has refused and hung up has still answered.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends one request in full.
    pub(crate) fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &str) {
        let mut head = format!("{line} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("host: x\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.write(format!("{head}\r\n{body}").as_bytes());
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(&format!("GET {path}"), &[], "");
        self.reply()
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.send(
            &format!("POST {path}"),
            &[("content-type", "application/json")],
            &body.to_string(),
        );
        self.reply()
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Reply {
        self.next().expect("a reply")
    }

    /// The next reply; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        let (status, headers, length) = loop {
            let mut slots = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut slots);
            if let httparse::Status::Complete(length) = response.parse(&self.read).unwrap() {
                let header = |header: &httparse::Header<'_>| {
                    let value = String::from_utf8(header.value.to_vec()).unwrap();
                    (header.name.to_ascii_lowercase(), value)
                };
                let headers: Vec<_> = response.headers.iter().map(header).collect();
                break (response.code.unwrap(), headers, length);
            }
            if !self.more() {
                return None;
            }
        };
        self.read.drain(..length);
        let mut reply = Reply { status, headers, body: String::new(), whole: true };
        let (body, whole) = match reply.header("content-length") {
            Some(length) => self.sized(length.parse().unwrap()),
            None if reply.header("transfer-encoding").is_some() => self.chunks(),
            None => (Vec::new(), true),
        };
        reply.body = String::from_utf8(body).unwrap();
        reply.whole = whole;
        Some(reply)
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 64 * 1024];
        let read = self.stream.read(&mut bytes).unwrap_or(0);
        self.read.extend_from_slice(&bytes[..read]);
        read > 0
    }

    fn sized(&mut self, length: usize) -> (Vec<u8>, bool) {
        while self.read.len() < length {
            if !self.more() {
                return (std::mem::take(&mut self.read), false);
            }
        }
        (self.read.drain(..length).collect(), true)
    }

    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let (start, size) = match httparse::parse_chunk_size(&self.read).unwrap() {
                httparse::Status::Complete(found) => found,
                httparse::Status::Partial if self.more() => continue,
                httparse::Status::Partial => return (body, false),
            };
            self.read.drain(..start);
            let (chunk, whole) = self.sized(usize::try_from(size).unwrap() + 2);
            if !whole {
                return (body, false);
            }
            if size == 0 {
                return (body, true);
            }
            body.extend_from_slice(&chunk[..chunk.len() - 2]);
        }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The data of the events of a stream, without the word that ends it.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        let data = data.filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// Whether it is a stream with its proper end.
    pub(crate) fn is_done(&self) -> bool {
        self.whole && self.body.ends_with("data: [DONE]\n\n")
    }

    /// All text of a stream, or of a whole answer.
    pub(crate) fn text(&self) -> String {
        if self.header("content-type") == Some("application/json") {
            let content = &self.json()["choices"][0]["message"]["content"];
            return content.as_str().unwrap_or_default().to_owned();
        }
        let events = self.events();
        let pieces = events.iter().filter_map(|event| {
            event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
        });
        pieces.collect()
    }
}
