//! `fallbackctl tail`: events of the health log, one line each, as they happen.
//!
//! What happens now comes over the socket, so it needs no right to the log file, and a rotation
//! is nothing it could notice. A reader too slow to follow loses events, never the daemon's time;
//! what was lost is said. What happened before (`--since`) stands in the log and its rotated
//! files only; then these are read and followed, which also outlives a restart of the daemon.

mod filter;
mod past;
mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use self::filter::Filter;
use self::past::Past;
use super::connect::{Link, SOON, accept, print_json};
use super::failure::CommandError;
use super::screen::Screen;
use super::{Session, text};
use crate::clock::wall;
use crate::config::{self, Env, locate};
use crate::domain::time::{Wall, millis};
use crate::protocol::health::Health;
use crate::protocol::log::{Event, LogLine, Watched};

/// Time between two looks at the end of the log: short for a person, long for a disk.
const LOOK: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  fallbackctl tail                               everything, until Ctrl-C
  fallbackctl tail --failed                      only what goes wrong
  fallbackctl tail --model gpt-4o --event call   only calls of one model
  fallbackctl tail --since 1h --task code        the last hour from the log, then what follows
  fallbackctl tail --since 1h --no-follow --failed --json | jq .log.error_type

Kinds of events: call, request, breaker, degraded, order, comparison, report, config, start, stop.
Without --since they come over the socket; with it, from the log file, which its group may read.";

/// Which events, and since when.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TailArgs {
    #[command(flatten)]
    filter: Filter,
    /// Begin with what the log holds of the last hour (1h), day (1d) …, or since a moment
    #[arg(long, short, value_name = "DURATION", value_parser = since)]
    since: Option<Since>,
    /// End when all of the past is shown
    #[arg(long, requires = "since")]
    no_follow: bool,
    /// The health log to read [default: that of the daemon]
    #[arg(long, value_name = "FILE", requires = "since")]
    log: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Since {
    Ago(Duration),
    Moment(Wall),
}

/// Prints events until there are no more.
pub(super) fn run(
    args: &TailArgs,
    session: &Session,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    match args.since {
        Some(since) => follow(args, since, session, screen),
        None => listen(&args.filter, session, screen),
    }
}

/// What happens from now on, until the daemon closes the connection.
fn listen(filter: &Filter, session: &Session, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let mut link = Link::open(&session.socket, SOON)?;
    link.send(&request(filter))?;
    let (line, reply) = link.reply()?;
    let accepted = accept(reply, session.json, screen.notes_paper);
    if session.json && accepted.is_err() {
        print_json(&line, screen)?;
    }
    accepted?;
    link.wait_for_ever()?;
    let zone = TimeZone::system();
    while let Some((line, message)) = link.next()? {
        let told = TailedEvent::of_message(text::tidy(message));
        if filter.wants(&told) {
            print(&line, &told, session.json, &zone, screen)?;
            screen.out.flush()?;
        }
    }
    writeln!(screen.notes, "fallbackctl: the daemon closed the connection")?;
    Ok(())
}

fn request(filter: &Filter) -> Value {
    match filter.kinds() {
        kinds if kinds.is_empty() => json!({"op": "events"}),
        kinds => json!({"op": "events", "types": kinds}),
    }
}

/// What the log holds, and what is added to it.
fn follow(
    args: &TailArgs,
    since: Since,
    session: &Session,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    let from = match since {
        Since::Moment(moment) => moment,
        Since::Ago(ago) => Wall(wall().0.saturating_sub(millis(ago))),
    };
    let path = args.log.clone().unwrap_or_else(|| log_of(session));
    let mut past =
        Past::open(&path, from).map_err(|why| CommandError::Log { path: path.clone(), why })?;
    let zone = TimeZone::system();
    loop {
        let mut take = |line: &str| {
            // A line that somebody else wrote, or half overwrote, tells no event.
            let Ok(event) = serde_json::from_str::<Value>(line) else { return Ok(()) };
            let told = TailedEvent::of_event(text::tidy(event));
            if !args.filter.wants(&told) {
                return Ok(());
            }
            let line = format!("{{\"log\":{line}}}");
            print(&line, &told, session.json, &zone, screen).map_err(ReadError::Output)
        };
        past.read(&mut take).map_err(|stopped| match stopped {
            ReadError::Log(why) => CommandError::Log { path: path.clone(), why },
            ReadError::Output(failure) => failure,
        })?;
        screen.out.flush()?;
        if args.no_follow {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// Why reading the log came to an end.
enum ReadError {
    Log(std::io::Error),
    Output(CommandError),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> ReadError {
        ReadError::Log(error)
    }
}

fn print(
    line: &str,
    told: &TailedEvent,
    json: bool,
    zone: &TimeZone,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    if json {
        print_json(line, screen)?;
    } else if let Some(line) = show::render(told, wall(), zone, screen.paper) {
        writeln!(screen.out, "{line}")?;
    }
    Ok(())
}

/// The log of the daemon that answers, else the one that the configuration names.
fn log_of(session: &Session) -> PathBuf {
    told(&session.socket).unwrap_or_else(|| {
        let env = Env::of_process();
        let file = locate::config_file(session.config.clone(), &env);
        match config::load(&file, &env) {
            Ok(loaded) => loaded.config.daemon.health_log,
            Err(_) => locate::health_log(&env),
        }
    })
}

fn told(socket: &Path) -> Option<PathBuf> {
    let health: Health = Link::open(socket, SOON).ok()?.ask(&json!({"op": "health"})).ok()?;
    Some(health.recorder.log).filter(|log| !log.is_empty()).map(PathBuf::from)
}

fn since(typed: &str) -> Result<Since, String> {
    if let Some(moment) = text::moment(typed) {
        return Ok(Since::Moment(moment));
    }
    text::duration(typed).map(Since::Ago).map_err(|_| {
        "expected how long ago, such as 30m or 1h, or a moment such as 2026-11-20T10:00:00Z".into()
    })
}

/// One message of the daemon, or one line of its log.
enum TailedEvent {
    Event(Box<LogLine>),
    /// An event that this version does not know, as it came.
    Foreign(Value),
    /// So many events were left out, because this reader was too slow.
    Lost(u64),
    /// Something that tells of no event: another reply, or the head of a file.
    Nothing,
}

impl TailedEvent {
    /// What a message says to somebody who asked for `events`.
    fn of_message(mut message: Value) -> TailedEvent {
        match message.get_mut("log").map(Value::take) {
            Some(event) => TailedEvent::of_event(event),
            None => match Watched::deserialize(message) {
                Ok(Watched::Lost { log_lost }) => TailedEvent::Lost(log_lost),
                _ => TailedEvent::Nothing,
            },
        }
    }

    /// What a line of the log says.
    fn of_event(event: Value) -> TailedEvent {
        if is_checkpoint(&event) {
            return TailedEvent::Nothing;
        }
        match LogLine::deserialize(&event) {
            Ok(LogLine { event: Event::Other, .. }) | Err(_) => TailedEvent::Foreign(event),
            Ok(line) => TailedEvent::Event(Box::new(line)),
        }
    }
}

fn is_checkpoint(event: &Value) -> bool {
    event.get("event").is_some_and(|kind| kind == "checkpoint")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::EventType;

    #[test]
    fn the_help_names_every_kind_of_event_that_can_be_asked_for() {
        let line = EXAMPLES.lines().find_map(|line| line.strip_prefix("Kinds of events: "));
        let names: Vec<&str> = line.unwrap().trim_end_matches('.').split(", ").collect();
        let known: Vec<&str> = EventType::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names, known);
    }

    #[test]
    fn the_past_begins_some_time_ago_or_at_a_moment() {
        assert_eq!(since("1h"), Ok(Since::Ago(Duration::from_secs(3600))));
        assert_eq!(since("2026-11-20T10:00:00Z"), Ok(Since::Moment(Wall(1_795_168_800_000))));
        assert!(since("yesterday").is_err());
    }
}
