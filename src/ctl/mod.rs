//! `fallbackctl`: what people type to talk to the daemon.
//!
//! One file per verb, named like the operation it sends; this file only reads the arguments,
//! picks the verb and turns the result into an exit code. Everything is blocking and
//! single-threaded: a command sends one line and prints one reply, and must start in
//! milliseconds. It decides nothing about models: the daemon does, and this shows it.
//!
//! Replies are read tolerantly (absent and additional fields are fine), so that the command and
//! the daemon may be of different versions while an update is under way.

mod ask;
pub(crate) mod attempts;
mod breaker;
mod chains;
mod circuit;
mod completions;
mod connect;
mod costs;
mod doctor;
mod env;
mod failure;
mod grid;
mod health;
mod names;
mod ping;
mod reload;
#[cfg(test)]
mod samples;
mod schema;
pub(crate) mod screen;
mod tail;
pub(crate) mod text;
mod watch;
mod why;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::CommandError;
use screen::{Paper, Screen};

const GLOBAL: &str = "Global options";

const EXAMPLES: &str = "\
Examples:
  fallbackctl ask \"Name three rivers\"         one question, one answer
  git diff | fallbackctl ask --system \"Review this\" -
  fallbackctl health                          how every model is doing
  fallbackctl tail                            watch calls as they happen

Exit codes:
  0 done   1 the daemon answered with an error   2 wrong usage
  69 daemon unreachable   75 try again later   78 configuration";

/// Talk to fallbackd, the local gateway with fallback between AI models.
#[derive(Parser)]
#[command(name = "fallbackctl", version, after_help = EXAMPLES)]
struct Cli {
    /// Socket of the daemon [default: $FALLBACKD_SOCKET, then the configuration's]
    #[arg(long, global = true, value_name = "PATH", help_heading = GLOBAL)]
    socket: Option<PathBuf>,
    /// Configuration to look the socket up in
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Print the daemon's reply as one line of JSON
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Ask a question and print the answer
    Ask(ask::AskArgs),
    /// Show how every model is doing
    Health(health::HealthArgs),
    /// Show every chain, and the order it would take right now
    #[command(after_help = chains::EXAMPLES)]
    Chains,
    /// Show what was paid, and what the primary models would have cost
    Costs(costs::CostsArgs),
    /// Force a model's circuit open or closed, or give it back to the rules
    Breaker(breaker::BreakerArgs),
    /// Tell the story of one request
    Why(why::WhyArgs),
    /// Have the daemon read its configuration again
    #[command(after_help = reload::EXAMPLES)]
    Reload,
    /// Look for whatever is wrong around the daemon, and say what to do about it
    #[command(after_help = doctor::EXAMPLES)]
    Doctor,
    /// Print the variables with which programs that speak HTTP find the daemon
    #[command(after_help = env::EXAMPLES)]
    Env,
    /// Ask whether the daemon is there
    #[command(after_help = ping::EXAMPLES)]
    Ping,
    /// Print events of the health log, as they happen or from the past
    Tail(tail::TailArgs),
    /// Print the JSON Schema of the protocol
    #[command(after_help = schema::EXAMPLES)]
    Schema,
    /// Print a script with which a shell completes command lines
    Completions(completions::CompletionsArgs),
}

/// What every verb needs to know beside its own arguments.
struct Session {
    socket: PathBuf,
    /// The configuration that was named, if one was.
    config: Option<PathBuf>,
    json: bool,
}

/// The command line of `fallbackctl`, for its manual.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match completed() {
        Ok(false) => {}
        // A shell asked, and has been told.
        Ok(true) => return ExitCode::SUCCESS,
        Err(mistake) => return help_or_mistake(&mistake),
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mistake) => return help_or_mistake(&mistake),
    };
    let mut screen = Screen {
        out: &mut io::stdout().lock(),
        paper: Paper::of_stdout(),
        notes: &mut io::stderr().lock(),
        notes_paper: Paper::of_stderr(),
    };
    match run(&cli, &mut screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&mut screen),
    }
}

fn run(cli: &Cli, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let socket = connect::socket(cli.socket.as_deref(), cli.config.as_deref())?;
    let session = Session { socket, config: cli.config.clone(), json: cli.json };
    match &cli.verb {
        Verb::Ask(args) => ask::run(args, &session, screen),
        Verb::Health(args) => health::run(args, &session, screen),
        Verb::Chains => chains::run(&session, screen),
        Verb::Costs(args) => costs::run(args, &session, screen),
        Verb::Breaker(args) => breaker::run(args, &session, screen),
        Verb::Why(args) => why::run(args, &session, screen),
        Verb::Reload => reload::run(&session, screen),
        Verb::Doctor => doctor::run(&session, screen),
        Verb::Env => env::run(&session, screen),
        Verb::Ping => ping::run(&session, screen),
        Verb::Tail(args) => tail::run(args, &session, screen),
        Verb::Schema => schema::run(session.json, screen),
        Verb::Completions(args) => completions::run(args, screen),
    }?;
    screen.out.flush()?;
    Ok(())
}

/// Answers a shell that asks what may stand where the cursor is; false if none does.
fn completed() -> clap::error::Result<bool> {
    let asked = clap_complete::CompleteEnv::with_factory(Cli::command).var(completions::ASKED);
    asked.try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref())
}

/// Help and version count as done, everything else clap says is a usage mistake (2).
fn help_or_mistake(mistake: &clap::Error) -> ExitCode {
    // Nothing can be told to a reader that has gone away.
    let _ = mistake.print();
    ExitCode::from(u8::try_from(mistake.exit_code()).unwrap_or(failure::USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_shows_examples_in_its_help() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has none", verb.get_name());
            assert!(help.contains(&format!("fallbackctl {}", verb.get_name())));
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        let mut verbs: Vec<clap::Command> = Cli::command().get_subcommands().cloned().collect();
        verbs.push(Cli::command());
        let help = |verb: &clap::Command| verb.get_after_help().map(ToString::to_string);
        let mut tried = 0;
        for line in verbs.iter().filter_map(help).flat_map(|help| lines(&help)) {
            let parsed = Cli::try_parse_from(&line);
            assert!(parsed.is_ok(), "{line:?}: {}", parsed.err().unwrap());
            tried += 1;
        }
        assert!(tried > 40, "{tried}");
    }

    /// The words of the last call of this program in each example, as a shell would part them.
    fn lines(help: &str) -> Vec<Vec<String>> {
        let examples = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        let examples = examples.take_while(|line| line.starts_with("  "));
        let calls = examples.filter_map(|line| line.rfind("fallbackctl ").map(|at| &line[at..]));
        calls.map(words).collect()
    }

    fn words(call: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for (at, char) in call.char_indices() {
            let ends = call[at..].starts_with("  ") || matches!(char, '|' | '>' | ';' | ')' | '&');
            match char {
                '"' => quoted = !quoted,
                _ if quoted => words.last_mut().unwrap().push(char),
                _ if ends => break,
                ' ' => words.push(String::new()),
                _ => words.last_mut().unwrap().push(char),
            }
        }
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }

    #[test]
    fn global_flags_may_stand_behind_the_verb() {
        let cli = Cli::try_parse_from(["fallbackctl", "ping", "--json", "--socket", "/x"]).unwrap();
        assert!(cli.json);
        assert_eq!(cli.socket, Some(PathBuf::from("/x")));
    }
}
