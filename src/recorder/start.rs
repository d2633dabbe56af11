//! How the recorder comes up.
//!
//! The log is opened at once; the database is given a few seconds to open and to catch up with the
//! log, and may go on with it behind the daemon's back. Neither can keep the daemon from serving: what went wrong stands in
//! [`Restored::problems`] and in the status, and is tried again.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::tz::TimeZone;
use thiserror::Error;
use tokio::sync::broadcast;

use super::ack::Waiters;
use super::journal::Journal;
use super::line::{Stamper, timestamp};
use super::logfile::{LogFile, LogFiles};
use super::queue::Queue;
use super::replay;
use super::rows::{ModelKey, RowKey, RowValue, Rows};
use super::status::Shared;
use super::store::Store;
use super::write_behind::WriteBehind;
use super::{Inner, Recorder, Threads};
use crate::clock::{Clock, zone};
use crate::config::Config;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::model::StoredModel;
use crate::domain::time::{Now, Wall};
use crate::domain::window::Bucket;

/// Events that wait for the journal thread; a quarter of a second of a very busy day.
const QUEUE: usize = 16_384;
/// Events that a watcher may lag behind.
const WATCH: usize = 1024;
/// How long the start waits for the database.
const OPENING: Duration = Duration::from_secs(5);

/// How much is kept, and how long; a reload may change it.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
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
    pub(crate) fn of(config: &Config) -> Keeping {
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
pub(crate) struct RecorderSettings {
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
pub enum RecorderError {
    /// The system gives no more threads.
    #[error("cannot start the recorder's {name} thread; raise the limit of tasks (TasksMax)")]
    Thread {
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What was stored, by model.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub models: HashMap<ModelKey, RestoredModel>,
    /// The ledger of today, several additions per key.
    pub today: Vec<(LedgerKey, Sums)>,
    /// What went wrong, in words for the administrator.
    pub problems: Vec<String>,
}

/// What was stored of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RestoredModel {
    /// Its buckets in ascending order of their start. Those older than any window are five
    /// minutes wide instead of ten seconds.
    pub buckets: Vec<(Wall, Bucket)>,
    pub breaker: Option<StoredModel>,
}

impl Restored {
    /// Picks what belongs to the `wanted` models and begins at or after `oldest`. Rows of others
    /// stay in the database until the retention ends: a model taken out of the configuration and
    /// put back the next day finds its circuit again.
    pub(super) fn pick(rows: Rows, wanted: &[ModelKey], oldest: Wall) -> Restored {
        let mut models: HashMap<ModelKey, RestoredModel> = HashMap::new();
        for (key, value) in rows {
            let Some(name) = key.model().filter(|model| wanted.contains(model)) else { continue };
            if key.start().is_some_and(|start| start < oldest) {
                continue;
            }
            let model = models.entry(name.clone()).or_default();
            match (key, value) {
                (RowKey::Bucket(slot), RowValue::Bucket(bucket)) => {
                    model.buckets.push((slot.start, bucket));
                }
                (_, RowValue::Breaker(saved)) => model.breaker = Some(saved.stored),
                (_, RowValue::Bucket(_) | RowValue::Ledger(_) | RowValue::Outage(_)) => {}
            }
        }
        models.values_mut().for_each(|model| model.buckets.sort_by_key(|(start, _)| *start));
        Restored { models, ..Restored::default() }
    }
}

impl Recorder {
    /// Starts both threads and hands back what was stored of the `wanted` models.
    ///
    /// Blocks until the database is open, at most five seconds.
    pub(crate) fn start(
        settings: RecorderSettings,
        wanted: &[ModelKey],
        now: Now,
    ) -> Result<(Recorder, Restored), RecorderError> {
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
        let files = replay::segments(&LogFiles { path, keep: settings.keeping.keep });

        let (restored_out, restored) = sync_channel(1);
        let store = Store::new(&settings, wanted, &shared, &write_behind, &queue);
        let asked = wanted.to_vec();
        let store = spawn("store", move || {
            // Dropped at the end, whichever way it comes: that is what `close` waits for.
            let _done = done_out;
            store.run(&asked, files, begun, &restored_out);
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
) -> Result<JoinHandle<()>, RecorderError> {
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(work).map_err(|source| RecorderError::Thread { name, source })
}
