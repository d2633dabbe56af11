//! How the recorder comes up.
//!
//! The log is opened at once; the database is given a few seconds to open and to catch up with the
//! log, and may go on with it behind the daemon's back. Neither can keep the daemon from serving: what went wrong stands in
//! [`Restored::problems`] and in the status, and is tried again.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::broadcast;

use super::ack::Waiters;
use super::journal::Journal;
use super::line::Stamper;
use super::logfile::LogFile;
use super::queue::Queue;
use super::replay;
use super::restore::Restored;
use super::rows::ModelKey;
use super::status::Shared;
use super::store::Store;
use super::write_behind::WriteBehind;
use super::{Inner, Recorder, Threads};
use crate::clock::{Clock, zone};
use crate::config::Config;
use crate::domain::time::{Now, Wall};
use crate::protocol::calendar::moment;

/// Events that wait for the journal thread; a quarter of a second of a very busy day.
const QUEUE: usize = 16_384;
/// Events that a watcher may lag behind.
const WATCH: usize = 1024;
/// How long the start waits for the database.
const OPENING: Duration = Duration::from_secs(5);

/// How much is kept, and how long; a reload may change it.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Size at which a log file is rotated, in bytes.
    pub max_size: u64,
    /// Rotated files that are kept.
    pub keep: u32,
    /// Size above which the database is rewritten, in bytes.
    pub store_size: u64,
    /// How long buckets of ten seconds are kept, at least an hour.
    pub fine: Duration,
    /// How long buckets are kept at all.
    pub retention: Duration,
    /// How long the ledger is kept.
    pub ledger_retention: Duration,
    /// Whose weeks are reported.
    pub zone: TimeZone,
}

impl Keeping {
    /// What a configuration says about it.
    pub fn of(config: &Config) -> Keeping {
        let longest = config.models.iter().map(|model| model.health.window).max();
        Keeping {
            max_size: config.log.max_size,
            keep: config.log.keep,
            store_size: config.store.max_size,
            fine: longest.unwrap_or_default(),
            retention: config.retention,
            ledger_retention: config.costs.retention,
            zone: zone(config.costs.timezone.as_deref()),
        }
    }
}

/// What the recorder is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The health log.
    pub health_log: PathBuf,
    /// Where the database lives.
    pub state_dir: PathBuf,
    /// How much of all that is kept.
    pub keeping: Keeping,
    /// Longest time that a reply waits for its line in the log.
    pub patience: Duration,
    /// The clocks, for the recorder's own affairs.
    pub clock: Clock,
}

/// Why there can be no recorder.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system gives no more threads.
    #[error("cannot start the recorder's {name} thread; raise the limit of tasks (TasksMax)")]
    Thread {
        /// Which thread.
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Recorder {
    /// Starts both threads and hands back what was stored of the `wanted` models.
    ///
    /// Blocks until the database is open, at most five seconds.
    pub fn start(
        settings: Settings,
        wanted: &[ModelKey],
        now: Now,
    ) -> Result<(Recorder, Restored), StartError> {
        let shared = Arc::new(Shared::default());
        let write_behind = Arc::new(WriteBehind::default());
        let (done_out, done) = sync_channel(0);

        let queue = Arc::new(Queue::new(QUEUE));
        let waiters = Arc::new(Waiters::default());

        // The log first: the store reads it up to where the journal will go on.
        let path = settings.health_log.clone();
        let mut log = LogFile::new(path.clone(), settings.keeping.max_size, settings.keeping.keep);
        let opened = log.open();
        // The log may be ahead of a clock that was set back while nobody was running.
        let last = opened.as_ref().ok().and_then(|line| timestamp(line.as_ref()?));
        let watchers = broadcast::Sender::new(WATCH);
        let mut journal = Journal {
            queue: Arc::clone(&queue),
            waiters: Arc::clone(&waiters),
            log,
            stamper: Stamper::new(last.unwrap_or_default().max(now.wall)),
            watchers: watchers.clone(),
            shared: Arc::clone(&shared),
            write_behind: Arc::clone(&write_behind),
            clock: settings.clock.clone(),
        };
        let begun = journal.begin(now.wall);
        let log = (replay::segments(&path, settings.keeping.keep), begun);

        let (restored_out, restored) = sync_channel(1);
        let store = Store::new(&settings, wanted, (&shared, &write_behind, &queue));
        let asked = wanted.to_vec();
        let store = spawn("store", move || {
            // Dropped at the end, whichever way it comes: that is what `close` waits for.
            let _done = done_out;
            store.run(&asked, log, &restored_out);
        })?;
        let mut restored = wait_for(&restored);
        if let Err(why) = opened {
            shared.log_failed(why.clone());
            restored.problems.push(why);
        }
        let journal =
            spawn("journal", move || journal.run()).inspect_err(|_| write_behind.close())?;

        let inner = Inner {
            queue,
            waiters,
            watchers,
            shared,
            owed: Mutex::default(),
            owes: AtomicBool::new(false),
            patience: settings.patience,
            log: settings.health_log,
            keep: AtomicU32::new(settings.keeping.keep),
            threads: Mutex::new(Some(Threads { done, handles: [journal, store] })),
        };
        inner.shared.started();
        Ok((Recorder(Arc::new(inner)), restored))
    }
}

fn wait_for(restored: &Receiver<Restored>) -> Restored {
    restored.recv_timeout(OPENING).unwrap_or_else(|_| {
        let limit = humantime::format_duration(OPENING);
        let why = format!("the database did not open within {limit}; windows start empty");
        Restored { problems: vec![why], ..Restored::default() }
    })
}

fn spawn(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(work).map_err(|source| StartError::Thread { name, source })
}

/// The timestamp of a line of the log, if it is one.
fn timestamp(line: &[u8]) -> Option<Wall> {
    #[derive(Deserialize)]
    struct Stamped {
        timestamp: String,
    }
    let stamped: Stamped = serde_json::from_slice(line).ok()?;
    moment(&stamped.timestamp)
}
