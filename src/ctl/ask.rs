//! `fallbackctl ask`: one question, one answer.
//!
//! The answer alone goes to standard output, so that it can be piped; who gave it, how long it
//! took and what it cost goes to standard error, and only when a person sits there. On a
//! terminal the answer comes as it is written, and loses its escape sequences; a pipe or a file gets
//! every byte of the answer that counts in the end.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use serde_json::{Value, json};

use super::connect::exchange;
use super::failure::CommandError;
use super::screen::{Screen, Tone};
use super::{Session, attempts, names, text};
use crate::protocol::answer::Finish;
use crate::protocol::reply::{Answered, Attempt, AttemptOutcome, Chat};

/// What the daemon may take beyond the deadline it was given, before it counts as gone.
const GRACE: Duration = Duration::from_secs(15);

const EXAMPLES: &str = "\
Examples:
  fallbackctl ask \"Name three rivers\"
  fallbackctl ask --task code_generation \"A regex for ISO dates\"
  fallbackctl ask --model gpt-4o --model claude-sonnet-4-6 -v \"Hello\"
  git diff | fallbackctl ask --system \"Review this change\" --timeout 2m -
  fallbackctl ask --json \"Hello\" | jq -r .model_used
  fallbackctl ask --json --stream \"Hello\"      the events, one per line, then the reply";

/// The question and how to ask it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AskArgs {
    /// The question; read from standard input when absent or `-`
    prompt: Option<String>,
    /// Task whose chain to use [default: the default chain]
    #[arg(long, short, add = names::tasks())]
    task: Option<String>,
    /// Ask this model instead of a chain; several make a chain of their own
    #[arg(long = "model", short, value_name = "NAME", add = names::models())]
    models: Vec<String>,
    #[arg(long, short, value_name = "TEXT")]
    system: Option<String>,
    /// Most tokens of the answer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// Deadline for everything this request does
    #[arg(long, value_name = "DURATION", value_parser = text::duration)]
    timeout: Option<Duration>,
    /// Print text as it arrives, also into a pipe; with --json, the events as well
    #[arg(long, overrides_with = "no_stream")]
    stream: bool,
    /// Print nothing before the answer is complete, also on a terminal
    #[arg(long, overrides_with = "stream")]
    no_stream: bool,
    /// Show which models were tried
    #[arg(long, short)]
    verbose: bool,
}

/// Asks and prints the answer.
pub(super) fn run(
    args: &AskArgs,
    session: &Session,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    let prompt = prompt(args, screen)?;
    let mut request = request(args, &prompt);
    let patience = args.timeout.map(|deadline| deadline.saturating_add(GRACE));
    let streams = args.stream || (screen.paper.terminal && !session.json && !args.no_stream);
    let chat = if streams {
        request["stream"] = true.into();
        stream::exchange(session, &request, patience, screen)?
    } else {
        let chat: Option<Chat> = exchange(session, &request, patience, screen)?;
        chat.map(|chat| print_answer(&chat.answered, screen).map(|()| chat)).transpose()?
    };
    let Some(chat) = chat else { return Ok(()) };
    remark(&chat.answered, screen)?;
    if args.verbose {
        let table = attempts::render(&chat.attempts, screen.notes_paper);
        write!(screen.notes, "{table}")?;
    }
    if args.verbose || screen.notes_paper.terminal {
        let line = screen.notes_paper.paint(&summary(&chat), Tone::Dim);
        writeln!(screen.notes, "{line}")?;
    }
    Ok(())
}

fn prompt(args: &AskArgs, screen: &mut Screen<'_>) -> Result<String, CommandError> {
    let prompt = match args.prompt.as_deref() {
        Some(text) if text != "-" => text.to_owned(),
        _ => read_prompt(screen)?,
    };
    if prompt.trim().is_empty() {
        return Err(CommandError::Usage {
            message: "the prompt is empty".to_owned(),
            hint: "give it as an argument, `fallbackctl ask \"…\"`, or on standard input",
        });
    }
    Ok(prompt)
}

fn read_prompt(screen: &mut Screen<'_>) -> Result<String, CommandError> {
    let mut input = io::stdin().lock();
    if io::stdin().is_terminal() && screen.notes_paper.terminal {
        writeln!(screen.notes, "type the prompt, then Ctrl-D on a line of its own:")?;
    }
    let mut prompt = String::new();
    input.read_to_string(&mut prompt).map_err(|error| CommandError::Usage {
        message: format!("cannot read the prompt from standard input: {error}"),
        hint: "the prompt must be UTF-8 text",
    })?;
    Ok(prompt)
}

fn request(args: &AskArgs, prompt: &str) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = &args.system {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.push(json!({"role": "user", "content": prompt}));
    let mut request = json!({"op": "chat", "messages": messages});
    let timeout = args.timeout.map(|wait| humantime::format_duration(wait).to_string());
    let optional = [
        ("task", args.task.clone().map(Value::from)),
        ("models", (!args.models.is_empty()).then(|| args.models.clone().into())),
        ("max_tokens", args.max_tokens.map(Value::from)),
        ("temperature", args.temperature.map(Value::from)),
        ("timeout", timeout.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            request[name] = value;
        }
    }
    request
}

fn print_answer(answered: &Answered, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let content = answered.content.as_deref().unwrap_or_default();
    let shown = if screen.paper.terminal { text::clean(content) } else { content.to_owned() };
    if !shown.is_empty() {
        let end = if shown.ends_with('\n') { "" } else { "\n" };
        write!(screen.out, "{shown}{end}")?;
        // Before anything on standard error, so that the two do not swap on a terminal.
        screen.out.flush()?;
    }
    Ok(())
}

/// Says what is special about an answer that was printed.
fn remark(answered: &Answered, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let note = match answered.finish_reason {
        Finish::Length => "the answer was cut at the token limit; raise it with --max-tokens",
        Finish::Refused => "the model refused to answer",
        _ if answered.content.as_deref().is_none_or(str::is_empty) => "the answer is empty",
        Finish::Stop | Finish::ToolCalls => return Ok(()),
    };
    writeln!(screen.notes, "fallbackctl: {note}")?;
    Ok(())
}

/// Who answered, how fast, for how much, and instead of whom.
fn summary(chat: &Chat) -> String {
    let answered = &chat.answered;
    let mut parts = vec![answered.model_used.to_string(), text::span(answered.latency_ms)];
    parts.extend(answered.cost_usd.map(|cost| text::cost(cost, answered.cost_estimated)));
    if answered.used_fallback {
        parts.push(fallback(&answered.primary, &chat.attempts));
    }
    parts.join(" · ")
}

fn fallback(primary: &str, attempts: &[Attempt]) -> String {
    let mut failed = attempts.iter().filter(|one| one.outcome != AttemptOutcome::Answered);
    let why = failed.rfind(|attempt| *attempt.model == *primary).map(attempts::why);
    match why.filter(|why| !why.is_empty()) {
        Some(why) => format!("fallback from {primary} ({why})"),
        None => format!("fallback from {primary}"),
    }
}

fn temperature(typed: &str) -> Result<f64, String> {
    let number = typed.parse().ok().filter(|number| (0.0..=2.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 2".to_owned())
}

mod stream;
#[cfg(test)]
mod tests;
