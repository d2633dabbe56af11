//! Streams between a real client and a real server: what leaving costs, and what a client that
//! reads slowly can and cannot do to others.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{Client, Daemon, PATIENCE, Setup, Stopwatch, chat, code, eventually, openai};

/// A provider that begins to answer one call after the other, and never goes on.
struct Stalled {
    address: String,
    /// A line for every call that has begun, and one for every end of a connection that it saw.
    seen: mpsc::Receiver<Seen>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Begun,
    Ended,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const DELTA: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\
    \"finish_reason\":null}]}\n\n";

impl Stalled {
    fn start() -> Stalled {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, seen) = mpsc::sync_channel(64);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let tell = tell.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &tell));
            }
        });
        Stalled { address, seen }
    }

    fn daemon(&self) -> Daemon {
        let toml = format!(
            "[retry]\nmax = 0\n[providers.local]\nkind = \"openai\"\nauth = \"none\"\n\
             base_url = \"http://{}/v1\"\n",
            self.address
        );
        Setup::new().toml(&toml).model("m", "local", "").start()
    }

    fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("news from the provider")
    }
}

fn serve(mut stream: TcpStream, tell: &mpsc::SyncSender<Seen>) {
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes).unwrap();
    assert!(read > 0);
    stream.write_all(format!("{HEAD}{DELTA}").as_bytes()).unwrap();
    let _ = tell.send(Seen::Begun);
    // What is left of the request, then whatever ends the connection.
    while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
    let _ = tell.send(Seen::Ended);
}

fn streamed(id: u64) -> Value {
    let mut request = chat(id, "p");
    request["stream"] = json!(true);
    // The simulator keeps to it.
    request["max_tokens"] = json!(4_000_000);
    request
}

/// The fastest of some tries must close the provider's connection within 100 ms, and each within
/// a time that only a broken program needs: a busy machine delays one, not all.
fn closes_in_time(provider: &Stalled, mut leave: impl FnMut(u64) -> Duration) {
    let took: Vec<Duration> = (0..5)
        .map(|number| {
            let expected = leave(number);
            let watch = Stopwatch::start();
            assert_eq!(provider.next(), Seen::Ended);
            watch.elapsed().saturating_sub(expected)
        })
        .collect();
    assert!(took.iter().min() < Some(&Duration::from_millis(100)), "{took:?}");
}

#[test]
fn a_cancelled_stream_closes_its_connection_at_once() {
    let provider = Stalled::start();
    let daemon = provider.daemon();
    let mut client = daemon.client();
    closes_in_time(&provider, |number| {
        client.send(&streamed(number));
        assert_eq!(provider.next(), Seen::Begun);
        client.send(&json!({ "op": "cancel", "target": number }));
        Duration::ZERO
    });
    assert_eq!(daemon.health_of("m")["success_rate"], 1.0);
}

#[test]
fn a_client_that_is_gone_closes_its_streams_connection_at_once() {
    let provider = Stalled::start();
    let daemon = provider.daemon();
    closes_in_time(&provider, |number| {
        let mut client = daemon.client();
        client.send(&streamed(number));
        if number % 2 == 1 {
            client.end_writing();
        }
        assert_eq!(provider.next(), Seen::Begun);
        drop(client);
        Duration::ZERO
    });
    let requests = daemon.wait_logged("request", 5);
    assert!(requests.iter().all(|line| line["error"] == "cancelled"), "{requests:?}");
    assert_eq!(daemon.health_of("m")["in_flight"], 0);
}

#[test]
fn a_passed_deadline_closes_the_streams_connection_at_once() {
    let provider = Stalled::start();
    let daemon = provider.daemon();
    let mut client = daemon.client();
    closes_in_time(&provider, |number| {
        let mut request = streamed(number);
        request["timeout"] = json!("700ms");
        let watch = Stopwatch::start();
        client.send(&request);
        assert_eq!(provider.next(), Seen::Begun);
        Duration::from_millis(700).saturating_sub(watch.elapsed())
    });
    assert_eq!(daemon.health_of("m")["success_rate"], 1.0, "held against nobody");
    assert_eq!(daemon.health_of("m")["total_calls"], 5);
}

/// Reads events up to the reply; gives the text that counts, and the reply.
fn heard(client: &mut Client) -> (String, Value) {
    let mut text = String::new();
    loop {
        let line = client.recv();
        match line["event"].as_str() {
            Some("delta") => text.push_str(line["content"].as_str().unwrap()),
            Some("restart") => text.clear(),
            Some(_) => {}
            None => return (text, line),
        }
    }
}

#[test]
fn a_long_answer_arrives_whole_through_events() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let long = "€ \"quoted\" 😀\n".repeat(50_000);
    sim.set(Behaviour::Say(long.clone()));
    let mut client = daemon.client();
    client.send(&streamed(7));
    let (text, reply) = heard(&mut client);
    assert_eq!((&reply["id"], &reply["ok"]), (&json!(7), &json!(true)));
    assert!(text == reply["content"].as_str().unwrap() && text == long);
}

#[test]
fn a_stream_that_is_not_read_holds_up_neither_replies_nor_memory() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let before = daemon.resident_kib();
    // More than a socket takes, several times.
    sim.set(Behaviour::Say("x".repeat(2 << 20)));
    (0..4).for_each(|id| client.send(&streamed(id)));
    eventually("all answers are there", || {
        (daemon.health_of("m")["total_calls"] == 4).then_some(())
    });
    sim.well();
    client.send(&json!({ "op": "ping", "id": "between" }));
    client.send(&chat("short", "p"));
    eventually("the short one is answered", || {
        (daemon.health_of("m")["total_calls"] == 5).then_some(())
    });
    assert!(daemon.resident_kib() < before + 100 * 1024, "{} KiB", daemon.resident_kib());
    let (mut bytes, mut replies) = (0, Vec::new());
    while replies.len() < 6 {
        let line = client.line();
        bytes += line.len();
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["ok"] == true {
            replies.push((line["id"].clone(), bytes));
        }
    }
    for (at, id) in ["between", "short"].iter().enumerate() {
        assert_eq!(replies[at].0, *id, "{replies:?}");
        assert!(replies[at].1 < 1 << 20, "behind {} bytes of events", replies[at].1);
    }
}

#[test]
fn a_client_that_stops_reading_its_stream_is_dropped_after_its_limit() {
    let sim = openai();
    let limits = "[limits]\nreader_timeout = \"1s\"\n";
    let daemon = Setup::of(&sim, &["m"]).toml(limits).start();
    let mut client = daemon.client();
    sim.set(Behaviour::Say("x".repeat(4 << 20)));
    client.send(&streamed(1));
    let lines = daemon.wait_logged("request", 1);
    assert_eq!(lines[0]["error"], "cancelled", "{lines:?}");
    sim.well();
    daemon.ask_ok(&chat(1, "everybody else goes on"));
}

#[test]
fn a_stream_that_nobody_can_answer_ends_with_the_error_alone() {
    let sim = openai();
    sim.set(Behaviour::server_error());
    let daemon = Setup::of(&sim, &["m"]).toml("[retry]\nmax = 0\n").start();
    let reply = daemon.ask(&streamed(1));
    assert_eq!((code(&reply), &reply["event"]), ("all_models_failed", &Value::Null));
}
