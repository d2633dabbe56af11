//! `fallbackd --demo`: does it do what it says? Without a key, a configuration or a network.
//!
//! Three simulated providers, the real daemon and a client of its socket run in this process, on
//! the one runtime, and play a story of outages. Every scenario is checked; the exit code is 0 only
//! if each of them went as told. Everything it makes lies in a private folder that goes at the
//! end, whichever way the end comes. It must not touch the files of a real daemon: neither its
//! configuration nor its environment is read.

mod client;
mod ending;
mod fixture;
mod printer;
mod scenarios;

use std::cell::Cell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::{Env, Mistakes};
use crate::ctl::screen::Tone;
use crate::daemon::{RunningDaemon, StartError, logging, system};
use crate::domain::time::millis;
use client::Client;
use fixture::{Fixture, Folder, LockFile, SimulatedProviders, Tally};
use printer::{Printer, span};

/// The story takes a quarter of this on an ordinary machine.
const LONGEST: Duration = Duration::from_secs(17);

/// What the command line says about the demo.
pub struct Options {
    /// Where to listen, if not in the private folder.
    pub socket: Option<PathBuf>,
    /// Whether to keep running afterwards.
    pub stay: bool,
}

/// Why the story could not be told to its end.
#[derive(Debug, Error)]
enum Trouble {
    #[error("cannot make the folder {path}: {cause}\nhint: set TMPDIR to one you may write to")]
    Folder { path: PathBuf, cause: io::Error },
    #[error("cannot run the simulated providers on 127.0.0.1: {0}")]
    Simulator(#[source] io::Error),
    #[error("the demo's own configuration has mistakes\n{0}")]
    Config(Mistakes),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the demo's connection to the daemon broke: {0}")]
    Client(#[source] io::Error),
    #[error("the daemon closed the demo's connection")]
    HungUp,
    #[error("the daemon's reply is not what the protocol says: {0}")]
    Reply(#[source] serde_json::Error),
    #[error("{what} did not come in time\nhint: try again when the machine is less busy")]
    TooSlow { what: &'static str },
}

impl Trouble {
    fn too_slow(what: &'static str) -> Trouble {
        Trouble::TooSlow { what }
    }
}

enum StoryEnd {
    AsTold,
    NotAsTold,
    Interrupted,
}

/// Plays the demo, and says with its exit code whether it went as told.
pub fn run(options: &Options, env: &Env) -> ExitCode {
    // A story is easier to follow without the daemon's own remarks; who asks gets them.
    if env.var("FALLBACKD_LOG").is_some() {
        logging::start(env);
    }
    let mut printer = Printer::of_stdout(env);
    let played = system().map_err(Trouble::Start);
    let played = played.and_then(|system| system.block_on(perform(options, env, &mut printer)));
    let problem = match played {
        Ok(StoryEnd::AsTold) => return ExitCode::SUCCESS,
        Ok(StoryEnd::NotAsTold) => "not everything went as told".to_owned(),
        Ok(StoryEnd::Interrupted) => "stopped before the end of the demo".to_owned(),
        Err(trouble) => trouble.to_string(),
    };
    let _ = writeln!(io::stderr().lock(), "fallbackd: {problem}");
    ExitCode::FAILURE
}

/// Sets the fixture, plays, and clears everything away, also after trouble and signals.
async fn perform(options: &Options, env: &Env, printer: &mut Printer) -> Result<StoryEnd, Trouble> {
    let mut signals = ExitSignals::listen()?;
    let folder = Folder::create()?;
    let providers = SimulatedProviders::start()?;
    let socket = options.socket.clone();
    let socket = socket.unwrap_or_else(|| folder.path().join("fallbackd.sock"));
    let config = providers.config(folder.path(), &socket)?;
    let lock = LockFile::beside(&socket);
    let clock = Clock::system();
    let running = RunningDaemon::start(&config, None, clock.clone()).await?;
    let is_told = Cell::new(false);
    let told = async {
        let client = Client::connect(&socket).await?;
        let mut fixture = Fixture { providers, client, tally: Tally::default() };
        let story = timeout(LONGEST, story(&mut fixture, &clock, printer)).await;
        story.unwrap_or(Err(Trouble::too_slow("the end of the story")))?;
        let as_told = printer.broken().is_empty();
        if as_told && options.stay {
            ending::close_circuits(&mut fixture).await?;
            ending::by_hand(&socket, env, printer);
            is_told.set(true);
            // Until a signal drops this future.
            std::future::pending::<()>().await;
        }
        if as_told {
            printer.say("To talk to it yourself, add --stay: it keeps running and says how.");
        }
        Ok(if as_told { StoryEnd::AsTold } else { StoryEnd::NotAsTold })
    };
    let end = tokio::select! {
        biased;
        () = signals.next() => {
            Ok(if is_told.get() { StoryEnd::AsTold } else { StoryEnd::Interrupted })
        }
        end = told => end,
    };
    running.stop("the demo is over", signals.next()).await;
    // A lock that somebody else holds by now is theirs.
    let _ = lock.remove();
    end
}

/// The whole story, from its first line to the last.
async fn story(fixture: &mut Fixture, clock: &Clock, printer: &mut Printer) -> Result<(), Trouble> {
    let began = clock.mono();
    let title = printer.paint("fallbackd --demo", Tone::Bold);
    let [openai, anthropic, google] = fixture.providers.all().map(|one| one.address().port());
    printer.say(&format!(
        "{title}\n\
         Three simulated providers on 127.0.0.1 (OpenAI at port {openai}, Anthropic at\n\
         {anthropic}, Google at {google}), the real daemon, and a client on its socket. No key\n\
         is needed, and nothing leaves this machine."
    ));
    scenarios::play(fixture, printer).await?;
    ending::health(fixture, printer).await?;
    ending::costs(fixture, printer);
    let broken = printer.broken().to_vec();
    if broken.is_empty() {
        let took = span(millis(clock.mono().since(began)));
        let good = printer.paint("All seven scenes went as told", Tone::Good);
        printer.say(&format!("{good}, in {took}."));
        return Ok(());
    }
    let bad = printer.paint("Not as told:", Tone::Bad);
    printer.say(&format!("\n{bad}"));
    for claim in broken {
        printer.say(&format!("  {claim}"));
    }
    Ok(())
}

/// The signals that end a program politely.
struct ExitSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ExitSignals {
    fn listen() -> Result<ExitSignals, Trouble> {
        ExitSignals::of_process().map_err(|cause| Trouble::Start(StartError::Runtime(cause)))
    }

    fn of_process() -> std::io::Result<ExitSignals> {
        Ok(ExitSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
