//! Weeks of busy days, in a few seconds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::super::database::size;
use super::super::super::logfile::{Header, LogFile, LogFiles};
use super::super::super::replay::segments;
use super::super::super::rows::{Row, Slot, Width};
use super::super::Store;
use super::super::tests::store_of;
use super::*;
use crate::clock::Clock;
use crate::domain::histogram::Histogram;
use crate::domain::ledger::CallKind;
use crate::domain::ledger::{self, LedgerKey, QUARTER_MS, Sums};
use crate::domain::need::Verdict;
use crate::domain::time::Mono;
use crate::domain::window::{Bucket, COARSE_MS, FINE_MS, Sample, Window};
use crate::recorder::tests::{model, settings};
use crate::recorder::{Keeping, RecorderSettings};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const START: u64 = 20_000 * DAY;
const WEEKS: u64 = 3;
/// Calls in a second.
const CALLS: u64 = 50;
/// The last hours have a bucket for each ten seconds; before, one for each two minutes has all of
/// their calls, which takes a twelfth of the time.
const DENSE: u64 = 3 * HOUR;
const SPARSE_MS: u64 = 120_000;
/// Simulated time between two checkpoints, each with all that happened in it.
const STEP: u64 = HOUR / 2;
const BUDGET: u64 = 3 << 20;
const LOG_SIZE: u64 = 64 * 1024;
const LOG_KEEP: u32 = 3;

/// What works for weeks: a model's window, the store and the log.
struct Daemon {
    wall: Arc<AtomicU64>,
    window: Window,
    /// How long the calls of each bucket took.
    latency: Histogram,
    store: Store,
    log: LogFile,
    log_path: PathBuf,
}

impl Daemon {
    fn new(dir: &Path) -> Daemon {
        let wall = Arc::new(AtomicU64::new(START));
        let source = Arc::clone(&wall);
        let keeping = Keeping {
            max_size: LOG_SIZE,
            keep: LOG_KEEP,
            store_size: BUDGET,
            ledger_retention: Duration::from_millis(7 * DAY),
            zone: jiff::tz::TimeZone::UTC,
            ..settings(dir).keeping
        };
        let clock = Clock::with_wall(move || Wall(source.load(Ordering::Relaxed)));
        let settings = RecorderSettings { keeping: keeping.clone(), clock, ..settings(dir) };
        let mut store = store_of(&settings);
        store.open(&[], true);
        let mut latency = Histogram::default();
        (0..50).for_each(|call| latency.add(400 + call * 37));
        Daemon {
            wall,
            latency,
            window: Window::new(keeping.fine, keeping.retention),
            store,
            log: LogFile::new(settings.health_log.clone(), LOG_SIZE, LOG_KEEP),
            log_path: settings.health_log,
        }
    }

    /// Some seconds of calls, as the model's owner and the journal tell of them.
    fn calls(&mut self, at: Wall, span: u64) {
        let calls = u32::try_from(CALLS * span / 1000).unwrap();
        let sample = Sample {
            verdict: Verdict::Success,
            counted: true,
            answered_ms: Some(800),
            kind: CallKind::Live,
        };
        // The window needs one call to make and throw away its buckets; the rows carry them all.
        self.window.record(sample, at);
        let bucket = Bucket {
            success: calls - 20,
            failure: 20,
            judged_success: calls - 20,
            judged_failure: 20,
            latency_sum_ms: u64::from(calls) * 800,
            latency: self.latency.clone(),
            ..Bucket::default()
        };
        let row = Row::Bucket { model: model(), start: at, bucket };
        self.store.unsaved.rows.extend([row.split(at)]);
        let sums = Sums { calls: calls.into(), paid: 963_000, ..Sums::default() };
        for task in ["chat", "code"] {
            let key = LedgerKey::new(at, &task.into(), &model().name, &model().name);
            ledger::add(&mut self.store.unsaved.ledger, key, sums);
        }
    }

    fn step(&mut self, from: u64) {
        let mut line = "x".repeat(300);
        line.push('\n');
        let dense = from >= START + WEEKS * 7 * DAY - DENSE;
        let span = if dense { FINE_MS } else { SPARSE_MS };
        for at in (from..from + STEP).step_by(usize::try_from(span).unwrap()) {
            self.calls(Wall(at), span);
            let head = Header { file: "head".into(), line: b"{\"file\":\"head\"}\n".to_vec() };
            self.log.append(&head, line.as_bytes(), Mono::default()).unwrap();
        }
        self.wall.store(from + STEP, Ordering::Relaxed);
        self.store.checkpoint();
        self.store.sweep();
        self.store.shrink();
    }

    fn log_bytes(&self) -> u64 {
        let parent = self.log_path.parent().unwrap();
        size(parent)
    }
}

/// The number of rows: fine, coarse, ledger.
fn rows(store: &Store) -> [u64; 3] {
    let mut counts = [0; 3];
    let count = |key: RowKey, _: u64| match key {
        RowKey::Bucket(Slot { width: Width::Fine, .. }) => counts[0] += 1,
        RowKey::Bucket(_) => counts[1] += 1,
        RowKey::Ledger(_) => counts[2] += 1,
        RowKey::Breaker(_) | RowKey::Outage(_) => {}
    };
    store.connection.database().unwrap().weigh(count).unwrap();
    counts
}

#[test]
fn weeks_at_fifty_calls_a_second_stay_inside_all_configured_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(dir.path());
    // An hour of fine buckets, what of five minutes is not over yet, and half an hour between looks.
    let fine = (HOUR + COARSE_MS + STEP) / FINE_MS;
    let coarse = 2 * DAY / COARSE_MS + STEP / COARSE_MS;
    let costs = 2 * (7 * DAY + STEP) / QUARTER_MS;
    let (mut database, mut log) = (0, 0);
    for step in 0..WEEKS * 7 * DAY / STEP {
        daemon.step(START + step * STEP);
        database = database.max(size(&daemon.store.connection.dir));
        log = log.max(daemon.log_bytes());
        assert!(daemon.window.len() as u64 <= fine + coarse, "{}", daemon.window.len());
        let store = &daemon.store;
        assert!(
            store.unsaved.rows.is_empty()
                && store.unsaved.ledger.is_empty()
                && store.unsynced.is_empty()
        );
        if step % 48 == 47 {
            let [fines, coarses, ledgers] = rows(store);
            assert!(fines <= fine && coarses <= coarse && ledgers <= costs, "{:?}", rows(store));
        }
    }
    assert!(database <= BUDGET, "{database}");
    assert!(log <= LOG_SIZE * u64::from(LOG_KEEP + 1), "{log}");
    let files = LogFiles { path: daemon.log_path.clone(), keep: 100 };
    assert_eq!(segments(&files).len() as u32, LOG_KEEP + 1);
    let status = daemon.store.shared.status();
    assert_eq!((status.rows_lost, status.errors, status.store_size), (0, 0, None));
}
