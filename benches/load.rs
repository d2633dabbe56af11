//! How many replies per second, how late, and at what cost? A closed loop of clients.
//!
//! Each connection keeps `--outstanding` requests under way and sends the next one when a reply
//! comes, over the daemon's Unix socket or, with `--direct`, straight to an HTTP server: the
//! difference of the two is what the daemon costs. Everything runs on one thread and nothing is
//! parsed beyond what tells a good reply from a bad one, because this program shares a machine
//! with what it measures. One JSON line comes out; it also says what the program itself consumed.
//!
//! `benches/nginx.sh` runs it against a real server. Without a target it does nothing and ends
//! well, so that it may be built and run along with the tests.

mod load {
    pub(crate) mod histogram;
    pub(crate) mod process;
    pub(crate) mod wire;
}

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mio::{Events, Poll, Token};
use serde_json::json;
use tokio::time::Instant;

use load::histogram::Histogram;
use load::process::Usage;
use load::wire::{Client, Target};

/// Closed-loop load on a daemon's socket or on an HTTP server.
#[derive(Parser)]
#[command(disable_version_flag = true)]
struct Arguments {
    /// Socket of the daemon
    #[arg(long, conflicts_with = "direct")]
    socket: Option<PathBuf>,
    /// HTTP server to ask instead, such as http://127.0.0.1:8080/v1/chat/completions
    #[arg(long)]
    direct: Option<String>,
    /// Connections at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=5000))]
    connections: u32,
    /// Requests under way on each connection (sockets only)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=5000))]
    outstanding: u32,
    /// Seconds to measure
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Seconds to run before that
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=60))]
    warmup: u32,
    /// Stop after so many replies
    #[arg(long, default_value_t = 100_000_000)]
    requests: u64,
    /// Length of the user's message in bytes
    #[arg(long, default_value_t = 120)]
    prompt: usize,
    /// Seconds to keep trying to connect, for a daemon that is only starting
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=60))]
    wait: u32,
    /// Process whose CPU time and memory are reported
    #[arg(long)]
    pid: Option<u32>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    test: bool,
}

/// What the connections of one run share.
pub(crate) struct Run {
    /// From when on replies count.
    begin: Instant,
    /// When no more requests are sent.
    end: Instant,
    /// How many more requests may be sent.
    left: u64,
    errors: u64,
    first_error: Option<String>,
    latencies: Histogram,
    last: Option<Instant>,
}

impl Run {
    fn new(arguments: &Arguments) -> Run {
        let begin = Instant::now() + Duration::from_secs(arguments.warmup.into());
        Run {
            begin,
            end: begin + Duration::from_secs(arguments.seconds.into()),
            left: arguments.requests,
            errors: 0,
            first_error: None,
            latencies: Histogram::default(),
            last: None,
        }
    }

    /// Whether one more request may be sent; takes it into account.
    pub(crate) fn next(&mut self, now: Instant) -> bool {
        let more = now < self.end && self.left > 0;
        self.left -= u64::from(more);
        more
    }

    /// Counts a reply.
    pub(crate) fn reply(&mut self, (sent, now): (Instant, Instant), good: bool, text: &[u8]) {
        if !good {
            self.failed(&String::from_utf8_lossy(&text[..text.len().min(300)]));
        } else if now >= self.begin {
            self.latencies.add(now.duration_since(sent));
            self.last = Some(now);
        }
    }

    fn failed(&mut self, why: &str) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| why.to_owned());
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let target = match (&arguments.socket, &arguments.direct) {
        (Some(path), _) => Ok(Target::Socket(path.clone())),
        (None, Some(url)) => Target::http(url),
        (None, None) => {
            say(std::io::stderr(), "nothing to measure: give --socket or --direct");
            return ExitCode::SUCCESS;
        }
    };
    let outcome = target.and_then(|target| measure(&arguments, &target));
    match outcome {
        Ok((line, good)) => {
            say(std::io::stdout(), &line);
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            say(std::io::stderr(), &format!("load: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn say(mut to: impl Write, line: &str) {
    // Whoever does not listen misses it.
    let _ = writeln!(to, "{line}");
}

fn measure(arguments: &Arguments, target: &Target) -> Result<(String, bool), String> {
    let slots = arguments.outstanding as usize;
    let mut clients = Vec::new();
    for _ in 0..arguments.connections {
        clients
            .push(connect(arguments, target, slots).map_err(|e| format!("cannot connect: {e}"))?);
    }
    let usage = || (arguments.pid.and_then(Usage::of), Usage::of(std::process::id()));
    let rss_before = usage().0.map(|usage| usage.rss_kib);
    let mut run = Run::new(arguments);
    let before = load(clients, &mut run, usage).map_err(|error| error.to_string())?;
    let after = usage();
    let replies = run.latencies.count();
    let elapsed = run.last.map_or(0.0, |last| (last - run.begin).as_secs_f64());
    let each = |before: Option<Usage>, after: Option<Usage>| {
        let spent = after?.cpu.checked_sub(before?.cpu)?;
        Some(round(spent.as_secs_f64() * 1e6 / replies.max(1) as f64))
    };
    let micros = |share| run.latencies.percentile(share).as_micros() as u64;
    let line = json!({
        "target": if arguments.socket.is_some() { "socket" } else { "direct" },
        "connections": arguments.connections,
        "outstanding": arguments.outstanding,
        "seconds": round(elapsed),
        "replies": replies,
        "errors": run.errors,
        "replies_per_s": (replies as f64 / elapsed.max(1e-9)).round(),
        "p50_us": micros(0.5),
        "p90_us": micros(0.9),
        "p99_us": micros(0.99),
        "p999_us": micros(0.999),
        "max_us": micros(1.0),
        "cpu_us_per_reply": each(before.0, after.0),
        "load_cpu_us_per_reply": each(before.1, after.1),
        "rss_kib": after.0.map(|usage| usage.rss_kib),
        "rss_before_kib": rss_before,
        "first_error": run.first_error,
    });
    Ok((line.to_string(), run.errors == 0 && replies > 0))
}

fn connect(arguments: &Arguments, target: &Target, slots: usize) -> io::Result<Client> {
    let patience = Instant::now() + Duration::from_secs(arguments.wait.into());
    loop {
        match Client::connect(target, arguments.prompt, slots) {
            Err(_) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(1)),
            outcome => return outcome,
        }
    }
}

/// Runs all clients to the end; gives what `usage` said when the warm-up was over.
fn load<U>(mut clients: Vec<Client>, run: &mut Run, usage: impl Fn() -> U) -> io::Result<U> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    for (at, client) in clients.iter_mut().enumerate() {
        client.begin(Token(at), poll.registry(), run)?;
    }
    let mut running = clients.iter().filter(|client| !client.is_done()).count();
    let mut at_begin = None;
    let patience = run.end + Duration::from_secs(30);
    while running > 0 {
        let now = Instant::now();
        if at_begin.is_none() && now >= run.begin {
            at_begin = Some(usage());
        }
        if now >= patience {
            return Err(io::Error::other("replies are missing"));
        }
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let client = &mut clients[event.token().0];
            if client.is_done() {
                continue;
            }
            if let Err(error) = client.turn(run) {
                run.failed(&format!("a connection broke: {error}"));
                running -= 1;
                client.give_up();
            } else if client.is_done() {
                running -= 1;
            }
        }
    }
    Ok(at_begin.unwrap_or_else(usage))
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
