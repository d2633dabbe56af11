//! Streams between a real client and a real server: what leaving costs, and what a client that
//! reads slowly can and cannot do to others.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use fallbackd::sim::Behaviour;
use serde_json::{Value, json};

use super::harness::{Client, PATIENCE, Setup, Stopwatch, chat, code, eventually, openai};

/// A provider that answers every call in the same way.
struct Provider {
    address: String,
    /// A line for every call that has begun, and one for every end of a connection that it saw.
    seen: mpsc::Receiver<Seen>,
    /// Bytes that were taken from it.
    written: Arc<AtomicUsize>,
}

/// How a call is answered.
#[derive(Clone, Copy)]
enum Plan {
    /// A first piece, and nothing ever again.
    Stall,
    /// So many pieces of 16 KiB, as fast as they are taken.
    Flood(usize),
}

#[derive(Debug, PartialEq)]
enum Seen {
    Begun,
    Ended,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: [DONE]\n\n";

fn delta(content: &str) -> String {
    let delta = json!({ "role": "assistant", "content": content });
    let choices = json!([{ "index": 0, "delta": delta, "finish_reason": null }]);
    format!("data: {}\n\n", json!({ "id": "c", "choices": choices }))
}

impl Provider {
    fn start(plan: Plan) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // No test makes more calls than this before it looks.
        let (tell, seen) = mpsc::sync_channel(16);
        let written = Arc::new(AtomicUsize::new(0));
        let count = written.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tell, count) = (tell.clone(), count.clone());
                std::thread::spawn(move || serve(stream.unwrap(), plan, &tell, &count));
            }
        });
        Provider { address, seen, written }
    }

    fn setup(&self) -> Setup {
        let toml = format!(
            "[retry]\nmax = 0\n[providers.local]\nkind = \"openai\"\nauth = \"none\"\n\
             base_url = \"http://{}/v1\"\n",
            self.address
        );
        Setup::new().toml(&toml).model("m", "local", "")
    }

    fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("news from the provider")
    }

    /// Waits until nothing is taken from it any more; gives how much was.
    fn wait_until_nothing_is_taken(&self) -> usize {
        let mut before = 0;
        eventually("nothing more is taken", || {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.written.load(Ordering::Relaxed);
            (now > 0 && std::mem::replace(&mut before, now) == now).then_some(now)
        })
    }
}

fn serve(mut stream: TcpStream, plan: Plan, tell: &mpsc::SyncSender<Seen>, count: &AtomicUsize) {
    let mut bytes = [0; 4096];
    assert!(stream.read(&mut bytes).unwrap() > 0);
    stream.write_all(format!("{HEAD}{}", delta("Hel")).as_bytes()).unwrap();
    let _ = tell.send(Seen::Begun);
    if let Plan::Flood(pieces) = plan {
        let piece = delta(&"x".repeat(16 * 1024));
        for _ in 0..pieces {
            if stream.write_all(piece.as_bytes()).is_err() {
                break;
            }
            count.fetch_add(piece.len(), Ordering::Relaxed);
        }
        let _ = stream.write_all(END.as_bytes());
        return;
    }
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
fn closes_in_time(provider: &Provider, mut leave: impl FnMut(u64) -> Duration) {
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
    let provider = Provider::start(Plan::Stall);
    let daemon = provider.setup().start();
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
    let provider = Provider::start(Plan::Stall);
    let daemon = provider.setup().start();
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
    let provider = Provider::start(Plan::Stall);
    let daemon = provider.setup().start();
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
    let long = "€ \"quoted\" 😀\n".repeat(2000);
    sim.set(Behaviour::Say(long.clone()));
    let mut client = daemon.client();
    client.send(&streamed(7));
    let (text, reply) = heard(&mut client);
    assert_eq!((&reply["id"], &reply["ok"]), (&json!(7), &json!(true)));
    assert!(text == reply["content"].as_str().unwrap() && text == long);
}

#[test]
fn a_stream_that_is_not_read_is_not_read_from_its_provider_and_holds_nobody_up() {
    const PIECES: usize = 900;
    let (provider, sim) = (Provider::start(Plan::Flood(PIECES)), openai());
    let daemon = provider.setup().provider("quick", &sim).model("q", "quick", "").start();
    let mut client = daemon.client();
    let before = daemon.resident_kib();
    (0..2).for_each(|id| client.send(&streamed(id)));
    (0..2).for_each(|_| assert_eq!(provider.next(), Seen::Begun));
    let taken = provider.wait_until_nothing_is_taken();
    assert!(taken < 2 * PIECES * 16 * 1024, "all of {taken} bytes were taken");
    let grown = daemon.resident_kib() - before;
    assert!(grown < 40 * 1024, "{grown} KiB for {taken} bytes");

    client.send(&json!({ "op": "ping", "id": "ping" }));
    let mut short = chat("short", "p");
    short["models"] = json!(["q"]);
    client.send(&short);
    eventually("the short one is answered", || {
        (daemon.health_of("q")["total_calls"] == 1).then_some(())
    });
    let (mut bytes, mut replies) = (0, Vec::new());
    while replies.len() < 2 {
        let line = client.line();
        bytes += line.len();
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["ok"] == true {
            replies.push(line["id"].clone());
        }
    }
    assert_eq!(replies, ["ping", "short"]);
    assert!(bytes < 1 << 20, "behind {bytes} bytes of events");
}

#[test]
fn a_client_that_stops_reading_its_stream_is_dropped_after_its_limit() {
    let provider = Provider::start(Plan::Flood(900));
    let daemon = provider.setup().toml("[limits]\nreader_timeout = \"1s\"\n").start();
    let mut client = daemon.client();
    client.send(&streamed(1));
    let lines = daemon.wait_logged("request", 1);
    assert_eq!(lines[0]["error"], "cancelled", "{lines:?}");
    assert_eq!(daemon.health_of("m")["success_rate"], 1.0, "its model did nothing wrong");
}

#[test]
fn a_stream_that_nobody_can_answer_ends_with_the_error_alone() {
    let sim = openai();
    sim.set(Behaviour::server_error());
    let daemon = Setup::of(&sim, &["m"]).toml("[retry]\nmax = 0\n").start();
    let reply = daemon.ask(&streamed(1));
    assert_eq!((code(&reply), &reply["event"]), ("all_models_failed", &Value::Null));
}
