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

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, timeout};

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
    most: u64,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    sent: u64,
    errors: u64,
    first_error: Option<String>,
    latencies: Histogram,
    last: Option<Instant>,
}

impl Run {
    /// Whether one more request may be sent.
    pub(crate) fn next(&self, now: Instant) -> bool {
        let mut seen = self.seen.borrow_mut();
        let more = now < self.end && seen.sent < self.most;
        seen.sent += u64::from(more);
        more
    }

    /// Counts a reply.
    pub(crate) fn reply(&self, sent: Instant, now: Instant, good: bool, text: &[u8]) {
        let mut seen = self.seen.borrow_mut();
        if !good {
            seen.failed(&String::from_utf8_lossy(&text[..text.len().min(300)]));
        } else if now >= self.begin {
            seen.latencies.add(now.duration_since(sent));
            seen.last = Some(now);
        }
    }
}

impl Seen {
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = target.and_then(|target| {
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(measure(&arguments, &target))
    });
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

async fn measure(arguments: &Arguments, target: &Target) -> Result<(String, bool), String> {
    let mut clients = Vec::new();
    for _ in 0..arguments.connections {
        clients.push(connect(arguments, target).await?);
    }
    let usage = |pid: Option<u32>| Usage::of(&pid.map_or("self".to_owned(), |p| p.to_string()));
    let rss_before = arguments.pid.and_then(|pid| usage(Some(pid))).map(|usage| usage.rss_kib);
    let now = Instant::now();
    let begin = now + Duration::from_secs(arguments.warmup.into());
    let end = begin + Duration::from_secs(arguments.seconds.into());
    let seen = RefCell::default();
    let run = Rc::new(Run { begin, end, most: arguments.requests, seen });
    let work = join_all(clients.into_iter().map(|client| client.run(run.clone())));
    let at_begin = async {
        tokio::time::sleep_until(begin).await;
        (usage(arguments.pid), usage(None))
    };
    let patience = end - now + Duration::from_secs(30);
    let both = async { tokio::join!(work, at_begin) };
    let (ends, before) =
        timeout(patience, both).await.map_err(|_| "replies are missing".to_owned())?;
    let after = (usage(arguments.pid), usage(None));
    let mut seen = run.seen.borrow_mut();
    for why in ends.into_iter().filter_map(Result::err) {
        seen.failed(&why);
    }
    let replies = seen.latencies.count();
    let elapsed = seen.last.map_or(0.0, |last| (last - begin).as_secs_f64());
    let each = |before: Option<Usage>, after: Option<Usage>| {
        let spent = after?.cpu.checked_sub(before?.cpu)?;
        Some(round(spent.as_secs_f64() * 1e6 / replies.max(1) as f64))
    };
    let micros = |share| seen.latencies.percentile(share).as_micros() as u64;
    let daemon = arguments.pid.is_some();
    let line = json!({
        "target": if arguments.socket.is_some() { "socket" } else { "direct" },
        "connections": arguments.connections,
        "outstanding": arguments.outstanding,
        "seconds": round(elapsed),
        "replies": replies,
        "errors": seen.errors,
        "replies_per_s": (replies as f64 / elapsed.max(1e-9)).round(),
        "p50_us": micros(0.5),
        "p90_us": micros(0.9),
        "p99_us": micros(0.99),
        "p999_us": micros(0.999),
        "max_us": micros(1.0),
        "cpu_us_per_reply": daemon.then(|| each(before.0, after.0)),
        "load_cpu_us_per_reply": each(before.1, after.1),
        "rss_kib": after.0.filter(|_| daemon).map(|usage| usage.rss_kib),
        "rss_before_kib": rss_before,
        "first_error": seen.first_error,
    });
    Ok((line.to_string(), seen.errors == 0 && replies > 0))
}

async fn connect(arguments: &Arguments, target: &Target) -> Result<Client, String> {
    let patience = Instant::now() + Duration::from_secs(arguments.wait.into());
    loop {
        let outstanding = arguments.outstanding as usize;
        match Client::connect(target, arguments.prompt, outstanding).await {
            Err(_) if Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            outcome => return outcome,
        }
    }
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
