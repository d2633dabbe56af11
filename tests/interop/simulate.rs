//! Runs the simulated providers for scripts: prints their addresses as one JSON line and runs until
//! its standard input ends.
//!
//! `cargo run --example simulate -- [--openai-port P] [--anthropic-port P] [--google-port P]
//! [--bedrock-port P] [--key K] [--keep N]`. A model whose name begins with `sim-` gets the reply
//! named after it, in every format: `sim-overloaded`, `sim-rate-limited`, `sim-quota`, `sim-auth`,
//! `sim-server-error`, `sim-not-found`, `sim-context`, `sim-policy`, `sim-empty`, `sim-refusal`,
//! `sim-blocked`, `sim-hang`, `sim-slow` (answers after four seconds), `sim-text` (an answer of 43
//! tokens), `sim-drip` (the same, streamed token by token), and streams that break after 20 of them
//! or lack their end: `sim-cut`, `sim-malformed`, `sim-fails`, `sim-no-end`. All others are
//! answered. Standard input, not a signal, ends it, so that it cannot outlive the script that
//! started it.

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour, Fate, Flow, Meaning};

/// Long enough for a script to do something while an answer is under way.
const SLOW: Duration = Duration::from_secs(4);

/// Simulated OpenAI, Anthropic, Google and Amazon Bedrock on loopback.
#[derive(Parser)]
struct Arguments {
    /// Port of the simulated OpenAI; 0 is a free one.
    #[arg(long, default_value_t = 0)]
    openai_port: u16,
    /// Port of the simulated Anthropic.
    #[arg(long, default_value_t = 0)]
    anthropic_port: u16,
    /// Port of the simulated Google.
    #[arg(long, default_value_t = 0)]
    google_port: u16,
    /// Port of the simulated Amazon Bedrock.
    #[arg(long, default_value_t = 0)]
    bedrock_port: u16,
    /// The only key that is accepted; any is, if not given.
    #[arg(long)]
    key: Option<String>,
    /// How many calls to remember.
    #[arg(long, default_value_t = 0)]
    keep: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let wanted = [
        (Kind::OpenAi, arguments.openai_port),
        (Kind::Anthropic, arguments.anthropic_port),
        (Kind::Google, arguments.google_port),
        (Kind::Bedrock, arguments.bedrock_port),
    ];
    let mut running = Vec::new();
    let mut addresses = serde_json::Map::new();
    for (kind, port) in wanted {
        let simulator = Background::start_at(kind, port)?;
        simulator.keep(arguments.keep);
        if let Some(key) = &arguments.key {
            simulator.require_key(key);
        }
        for (model, behaviour) in by_name() {
            simulator.set_for(model, behaviour);
        }
        addresses.insert(kind.name().to_owned(), simulator.base_url().into());
        running.push(simulator);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::Value::Object(addresses))?;
    out.flush()?;
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(())
}

/// An answer of an ordinary length.
const TEXT: &str = "A gateway keeps programs answering when a provider fails: it asks the next model, \
    remembers who is ill, and tells you what happened. This is here to give it an ordinary length.";

fn by_name() -> [(&'static str, Behaviour); 19] {
    let fated = |fate| Flow::fated(TEXT, 20, fate).into();
    let pace = Duration::from_millis(1);
    let text = Some(TEXT.to_owned());
    [
        ("sim-overloaded", Behaviour::overloaded()),
        ("sim-rate-limited", Behaviour::rate_limited(Some("7"))),
        ("sim-quota", Behaviour::quota()),
        ("sim-auth", Behaviour::auth()),
        ("sim-server-error", Behaviour::server_error()),
        ("sim-not-found", Behaviour::model_not_found()),
        ("sim-context", Behaviour::context_too_long()),
        ("sim-policy", Behaviour::content_policy()),
        ("sim-empty", Behaviour::empty()),
        ("sim-refusal", Behaviour::refusal()),
        ("sim-blocked", Behaviour::blocked_200()),
        ("sim-hang", Behaviour::Hang),
        ("sim-text", Behaviour::Say(TEXT.to_owned())),
        ("sim-drip", Flow { pace, text: text.clone(), ..Flow::default() }.into()),
        ("sim-cut", fated(Fate::Breaks)),
        ("sim-malformed", fated(Fate::Malformed)),
        ("sim-fails", fated(Fate::Fails(Meaning::Overloaded))),
        ("sim-no-end", Flow { no_end: true, text, ..Flow::default() }.into()),
        ("sim-slow", Behaviour::delay(SLOW)),
    ]
}
