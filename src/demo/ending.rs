//! What is told when the scenarios are over: health, money, and how to go on by hand.

use std::path::Path;

use serde_json::json;

use super::Trouble;
use super::fixture::Fixture;
use super::printer::{Printer, span};
use crate::config::Env;
use crate::ctl::screen::Tone;
use crate::ctl::{attempts, text};
use crate::domain::breaker::State;
use crate::protocol::health::ModelHealth;

/// How every model did, as `health` has it.
pub(super) async fn health(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    let health = fixture.client.health().await?;
    let heading = printer.paint("Health after all that", Tone::Bold);
    printer.say(&format!("\n{heading}"));
    let cells = ["MODEL", "STATE", "SUCCESS", "CALLS", "P50", "LAST ERROR"];
    let heads = printer.paint(&row(cells.map(str::to_owned)), Tone::Dim);
    printer.say(&heads);
    for (name, model) in health.models.iter().filter(|(_, model)| model.total_calls != 0) {
        printer.say(&row(cells_of(name, model)));
    }
    Ok(())
}

/// What the fallbacks cost.
pub(super) fn costs(fixture: &Fixture, printer: &mut Printer) {
    let tally = &fixture.tally;
    let (paid, would) = (text::cost(tally.paid, false), text::cost(tally.primary_would, false));
    let (fallbacks, answers) = (tally.by_fallback, tally.answered);
    printer.say(&format!(
        "\n{fallbacks} of {answers} answers were fallbacks: {paid} paid, {would} at primary prices."
    ));
}

/// Puts every circuit back to closed, as a person would with `fallbackctl breaker`, so that who
/// tries things out does not begin with the end of the story.
pub(super) async fn close_circuits(fixture: &mut Fixture) -> Result<(), Trouble> {
    let health = fixture.client.health().await?;
    let not_closed = health.models.iter().filter(|(_, model)| model.breaker.state != State::Closed);
    for (name, _) in not_closed {
        for set in ["closed", "auto"] {
            let order = json!({"op": "breaker", "model": name, "set": set});
            fixture.client.exchange(order).await?;
        }
    }
    Ok(())
}

/// What to type to talk to the daemon.
pub(super) fn by_hand(socket: &Path, env: &Env, printer: &mut Printer) {
    let (socket, ctl) = (socket.display(), fallbackctl(env));
    let heading = printer.paint("The daemon keeps running; Ctrl-C ends it.", Tone::Bold);
    printer.say(&format!(
        r#"
{heading} In another terminal:

  export FALLBACKD_SOCKET={socket}

  {ctl} ask -v "Name three rivers."
  {ctl} health        # also: chains, tail, ping

  echo '{{"messages":[{{"role":"user","content":"Name three rivers."}}]}}' |
    socat -t 600 - UNIX-CONNECT:$FALLBACKD_SOCKET

  python3 -c 'import os, socket; s = socket.socket(socket.AF_UNIX); (
    s.connect(os.environ["FALLBACKD_SOCKET"]),
    s.sendall(b"""{{"messages":[{{"role":"user","content":"Hello"}}]}}\n"""),
    print(s.makefile().readline()))'

The first model of each of these tasks misbehaves. Ask a few times, and look at
`health`: as in  {ctl} ask -v --task broken Hello

  broken    says 503; after three failed calls its circuit opens
  limited   says 429, and to come back after 20 s
  hanging   never answers
  nothing   all models of the chain fail"#
    ));
}

/// What to type for `fallbackctl`: its name, or its path if it was built beside this program but
/// is not where the shell looks.
fn fallbackctl(env: &Env) -> String {
    let name = "fallbackctl";
    let folder = std::env::current_exe().ok();
    let folder = folder.as_deref().and_then(Path::parent);
    let path = env.var("PATH").unwrap_or_default();
    match folder {
        Some(folder) if std::env::split_paths(path).any(|known| known == folder) => name.to_owned(),
        Some(folder) if folder.join(name).exists() => folder.join(name).display().to_string(),
        _ => "cargo run --release --bin fallbackctl --".to_owned(),
    }
}

fn cells_of(name: &str, model: &ModelHealth) -> [String; 6] {
    let state = match model.breaker.state {
        State::Closed if model.hold_until.is_some() => "on hold",
        State::Closed if model.degraded => "degraded",
        state => state.word(),
    };
    let error = model
        .last_error
        .as_ref()
        .map(|error| attempts::failure(Some(error.error_type), error.status, None));
    [
        name.to_owned(),
        state.to_owned(),
        format!("{:.0} %", (model.success_rate * 100.0).floor()),
        model.total_calls.to_string(),
        model.p50_ms.map(span).unwrap_or_default(),
        error.unwrap_or_default(),
    ]
}

fn row([name, state, success, calls, p50, error]: [String; 6]) -> String {
    let line = format!("  {name:<19}{state:<10}{success:>8}{calls:>7}{p50:>9}  {error}");
    line.trim_end().to_owned()
}
