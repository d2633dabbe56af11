//! `fallbackctl breaker`: take a model out, put it back, or leave it to the rules again.
//!
//! Deliberately without a way to set several models at once: an override is an act on one model
//! that somebody decided, and it is logged with who did it.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::circuit::Obstacles;
use super::connect::{SOON, exchange};
use super::failure::CommandError;
use super::screen::{Paper, Screen};
use super::{Session, names, text};
use crate::clock::wall;
use crate::domain::time::Wall;
use crate::protocol::health::BreakerOrdered;

const EXAMPLES: &str = "\
Examples:
  fallbackctl breaker gpt-4o open --for 10m    no calls to gpt-4o for ten minutes
  fallbackctl breaker gpt-4o closed            call it whatever its record, until told otherwise
  fallbackctl breaker gpt-4o auto              back to the rules

An override survives a restart. Only root, the daemon's own user and its configured admins may
set one.";

/// Which model, and what to set.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BreakerArgs {
    /// Name of the model in the configuration
    #[arg(add = names::models())]
    model: String,
    /// What its circuit should be
    set: Set,
    /// End the override by itself after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = text::duration)]
    lasting: Option<Duration>,
}

/// What a circuit is set to.
#[derive(Clone, Copy, ValueEnum)]
enum Set {
    Open,
    /// Calls whatever its record
    Closed,
    /// As the rules say
    Auto,
}

/// Sets the override and shows what came of it.
pub(super) fn run(
    args: &BreakerArgs,
    session: &Session,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    let request = request(args)?;
    if let Some(ordered) = exchange(session, &request, SOON, screen)? {
        writeln!(screen.out, "{}", line(&ordered, wall(), screen.paper))?;
    }
    Ok(())
}

fn request(args: &BreakerArgs) -> Result<Value, CommandError> {
    let set = match args.set {
        Set::Open => "open",
        Set::Closed => "closed",
        Set::Auto => "auto",
    };
    let mut request = json!({"op": "breaker", "model": args.model, "set": set});
    match (args.set, args.lasting) {
        (Set::Auto, Some(_)) => {
            return Err(CommandError::Usage {
                message: "`auto` has no end, so `--for` cannot go with it".to_owned(),
                hint: "leave --for out, or set `open` or `closed` for a time",
            });
        }
        (_, Some(wait)) => {
            request["for"] = humantime::format_duration(wait).to_string().into();
        }
        (_, None) => {}
    }
    Ok(request)
}

fn line(ordered: &BreakerOrdered, now: Wall, paper: Paper) -> String {
    let circuit = Obstacles::from(ordered);
    let state = circuit.state(now);
    let why = circuit.explain(now).map_or_else(String::new, |why| format!(" ({why})"));
    format!("{}: {}{why}", ordered.model, paper.paint(&state.text, state.tone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(set: Set, seconds: Option<u64>) -> BreakerArgs {
        BreakerArgs { model: "gpt-4o".to_owned(), set, lasting: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn the_request_carries_the_model_the_setting_and_its_end() {
        assert_eq!(
            request(&args(Set::Open, Some(600))).unwrap(),
            json!({"op":"breaker","model":"gpt-4o","set":"open","for":"10m"})
        );
        assert_eq!(
            request(&args(Set::Auto, None)).unwrap(),
            json!({"op":"breaker","model":"gpt-4o","set":"auto"})
        );
    }

    #[test]
    fn auto_for_a_time_is_a_usage_mistake() {
        assert_eq!(request(&args(Set::Auto, Some(1))).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_answer_tells_the_state_and_the_reason() {
        let now = text::moment("2026-11-20T10:00:00Z").unwrap();
        let line = |overridden: Value| {
            let circuit = json!({"state": "closed", "since": "", "consecutive_failures": 0,
                "override": overridden});
            let ordered = json!({"model": "gpt-4o", "breaker": circuit});
            line(&serde_json::from_value(ordered).unwrap(), now, Paper::default())
        };
        assert_eq!(
            line(json!({"set": "open", "until": "2026-11-20T10:10:00.000Z"})),
            "gpt-4o: forced open (forced open by an override, for another 10m)"
        );
        assert_eq!(line(Value::Null), "gpt-4o: closed");
    }
}
