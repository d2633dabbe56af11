//! Do copies of requests slow callers down? Two daemons, asked in turn: a paired comparison.
//!
//! Both stand before the same simulated provider, which answers at once, so that nothing hides what
//! the daemons do; one copies no request, the other `--rate` of them. Each pair of requests goes to
//! both, the first of the pair changing from one to the next, so that whatever else the machine does
//! falls on both alike. One JSON line comes out: latencies of both, and the mean difference of a pair
//! with its 95 % interval. If that holds zero, the copies are lost in the noise.
//!
//! `cargo bench --bench shadow` runs it; `--requests`, `--rate` and `--pause` follow `--`.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Parser;
use fallbackd::config::Kind;
use fallbackd::sim::Background;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// Requests that each daemon answers before anything is measured.
const WARMUP: u32 = 300;

/// A paired comparison of a daemon that copies requests with one that does not.
#[derive(Parser)]
#[command(disable_version_flag = true)]
struct Arguments {
    /// Pairs of requests to measure
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    requests: u32,
    /// Share of requests that one of the two copies
    #[arg(long, default_value_t = 0.05)]
    rate: f64,
    /// Milliseconds between two requests: without a pause a copy takes the machine from the next one
    #[arg(long, default_value_t = 5)]
    pause: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    test: bool,
}

/// A daemon and a connection to it.
struct Daemon {
    child: Child,
    _folder: TempDir,
    line: BufReader<UnixStream>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.test {
        return Ok(());
    }
    let sim = Background::start(Kind::OpenAi)?;
    let mut without = Daemon::start(&sim, 0.0)?;
    let mut with = Daemon::start(&sim, arguments.rate)?;
    for _ in 0..WARMUP {
        without.ask()?;
        with.ask()?;
    }
    let (mut plain, mut copying) = (Vec::new(), Vec::new());
    let pause = || std::thread::sleep(Duration::from_millis(arguments.pause));
    for pair in 0..arguments.requests {
        for copies in [pair % 2 == 0, pair % 2 == 1] {
            pause();
            match copies {
                true => copying.push(with.ask()?),
                false => plain.push(without.ask()?),
            }
        }
    }
    let differences: Vec<f64> = copying.iter().zip(&plain).map(|(with, out)| with - out).collect();
    let copies = sim.calls_for("backup").len();
    let line = json!({
        "pairs": arguments.requests,
        "rate": arguments.rate,
        "pause_ms": arguments.pause,
        "copies": copies,
        "without_us": percentiles(plain),
        "with_us": percentiles(copying),
        "difference_us": difference(&differences),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

impl Daemon {
    fn start(sim: &Background, rate: f64) -> Result<Daemon, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let model =
            |name: &str| format!("[models.{name}]\nprovider = \"sim\"\nmodel_id = \"{name}\"\n");
        let text = format!(
            "[daemon]\nsocket = {:?}\nstate_dir = {:?}\nhealth_log = {:?}\n\
             [shadow]\nrate = {rate:?}\n\
             [providers.sim]\nkind = \"openai\"\n\
             api_key = {{ env = \"BENCH_KEY\" }}\nbase_url = {:?}\n{}{}\
             [chains]\ndefault = [\"primary\", \"backup\"]\n",
            at("s"),
            at("state"),
            at("health.jsonl"),
            sim.base_url(),
            model("primary"),
            model("backup"),
        );
        std::fs::write(at("fallbackd.toml"), text)?;
        let child = Command::new(env!("CARGO_BIN_EXE_fallbackd"))
            .args(["--config", &at("fallbackd.toml")])
            .env("FALLBACKD_LOG", "error")
            .env("BENCH_KEY", "key-of-the-benchmark")
            .stdout(Stdio::null())
            .spawn()?;
        let socket = loop {
            match UnixStream::connect(at("s")) {
                Ok(socket) => break socket,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        Ok(Daemon { child, _folder: folder, line: BufReader::new(socket) })
    }

    /// Asks once; gives how long the answer took, in microseconds.
    fn ask(&mut self) -> Result<f64, Box<dyn Error>> {
        let request = b"{\"messages\":[{\"role\":\"user\",\"content\":\"A river?\"}]}\n";
        let mut reply = String::new();
        let began = Instant::now();
        self.line.get_mut().write_all(request)?;
        self.line.read_line(&mut reply)?;
        let took = began.elapsed().as_secs_f64() * 1e6;
        if reply.contains("\"ok\":true") { Ok(took) } else { Err(reply.into()) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is only ended; its folder goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn percentiles(mut sorted: Vec<f64>) -> Value {
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize].round();
    json!({ "p50": at(0.5), "p95": at(0.95), "p99": at(0.99) })
}

/// The mean, its 95 % interval, and the median, which single hiccups do not move.
fn difference(of: &[f64]) -> Value {
    let count = of.len() as f64;
    let mean = of.iter().sum::<f64>() / count;
    let variance = of.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let margin = 1.96 * (variance / count).sqrt();
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    let round = |value: f64| (value * 10.0).round() / 10.0;
    json!({
        "mean": round(mean),
        "ci95": [round(mean - margin), round(mean + margin)],
        "median": round(sorted[sorted.len() / 2]),
    })
}
