//! Streams without end: neither content, nor comments, nor one line fill the daemon's memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fallbackd::config::Kind;
use fallbackd::sim::Background;
use serde_json::json;

use super::harness::{Daemon, Setup, chat, eventually};

const MIB: usize = 1 << 20;

/// What the server wants to say.
const MUCH: usize = 100 * MIB;

/// What the daemon may grow by: two copies of an answer at its limit, and the buffers of sockets.
const GROWTH_KIB: u64 = 64 * 1024;

/// A provider that says `head`, `block` again and again up to 100 MiB in all, and `tail`.
struct Talker {
    base_url: String,
    /// How much it could say.
    said: Arc<AtomicUsize>,
}

impl Talker {
    fn start(block: String, tail: &'static str) -> Talker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let said = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&said);
        // It ends with the test's process; whoever hangs up ends its connection.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = talk(&stream, &block, tail, &count);
            }
        });
        Talker { base_url, said }
    }

    fn said(&self) -> usize {
        self.said.load(Ordering::Relaxed)
    }

    fn daemon(&self, backup: &Background) -> Daemon {
        let provider = format!(
            "[providers.talker]\nkind = \"openai\"\nbase_url = \"{}\"\nauth = \"none\"\n\
             [timeouts]\nfirst_token = \"50s\"",
            self.base_url
        );
        let setup = Setup::new().toml(&provider).model("talker", "talker", "");
        setup.provider("good", backup).model("backup", "good", "").start()
    }
}

fn talk(
    mut stream: &TcpStream,
    block: &str,
    tail: &str,
    said: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
    while said.load(Ordering::Relaxed) < MUCH {
        stream.write_all(block.as_bytes())?;
        said.fetch_add(block.len(), Ordering::Relaxed);
    }
    stream.write_all(tail.as_bytes())
}

const ANSWER: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi.\"},\"finish_reason\":\"stop\"}]}\n\n\
                      data: [DONE]\n\n";

fn text_block() -> String {
    let text = "x".repeat(1000);
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n").repeat(60)
}

#[test]
fn a_hundred_megabytes_without_an_answer_are_left_or_waited_out_in_bounded_memory() {
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let cases = [
        ("text", text_block(), "", "backup"),
        ("one line", "x".repeat(64 * 1024), "", "backup"),
        ("one event", format!("data: {}\n", "x".repeat(1000)).repeat(64), "", "backup"),
        ("comments", format!(": {}\n\n", "x".repeat(500)).repeat(128), ANSWER, "talker"),
        (
            "one comment",
            ":".repeat(64 * 1024),
            "\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Hi.\"},\"finish_reason\":\"stop\"}]}\n\n",
            "talker",
        ),
        (
            "empty deltas",
            role.repeat(16) + &format!(": {}\n", "x".repeat(500)).repeat(128),
            ANSWER,
            "talker",
        ),
    ];
    thread::scope(|scope| {
        for (name, block, tail, by) in cases {
            scope.spawn(move || {
                let backup = Background::start(Kind::OpenAi).unwrap();
                let talker = Talker::start(block, tail);
                let daemon = talker.daemon(&backup);
                let before = daemon.resident_kib();
                let reply = daemon.ask_ok(&chat(1, "hello"));
                assert_eq!(reply["model_used"], by, "{name}: {reply}");
                if by == "backup" {
                    assert_eq!(reply["attempts"][0]["error_type"], "bad_body", "{name}");
                    assert!(talker.said() < 64 * MIB, "{name}: read on to {}", talker.said());
                }
                let grown = daemon.resident_kib().saturating_sub(before);
                assert!(grown < GROWTH_KIB, "{name}: grew by {grown} KiB");
            });
        }
    });
}

#[test]
fn a_provider_is_read_no_faster_than_its_caller_reads() {
    let backup = Background::start(Kind::OpenAi).unwrap();
    let talker = Talker::start(text_block(), ANSWER);
    let daemon = talker.daemon(&backup);
    let before = daemon.resident_kib();
    let mut client = daemon.client();
    let mut request = chat(1, "hello");
    request["stream"] = json!(true);
    client.send(&request);
    // It says what fits between the two, and then no more.
    let mut last = (usize::MAX, 0);
    let said = eventually("the provider is held up", || {
        let said = talker.said();
        last = if said == last.0 { (said, last.1 + 1) } else { (said, 0) };
        (said > 0 && last.1 == 50).then_some(said)
    });
    assert!(said < 32 * MIB, "{said} bytes were read for a caller who reads nothing");
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB, "grew by {grown} KiB");
    assert_eq!(client.recv()["event"], "start");
}
