//! The recorder as the rest of the program sees it: lines.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::thread;

use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::domain::ledger::CallKind;
use crate::domain::model::StoredModel;
use crate::domain::need::Verdict;
use crate::domain::price::Nano;
use crate::domain::window::Bucket;
use crate::protocol::log::{CallEvent, CallReplay, DegradedEvent, StopEvent};

pub(super) const LONG: Duration = Duration::from_secs(20);

const PATIENCE: Duration = Duration::from_millis(250);

pub(super) fn settings(dir: &Path) -> RecorderSettings {
    RecorderSettings {
        health_log: dir.join("log/health.jsonl"),
        state_dir: dir.join("state"),
        keeping: Keeping {
            max_size: 1 << 20,
            keep: 3,
            store_size: 256 << 20,
            fine: Duration::from_secs(600),
            retention: Duration::from_secs(48 * 3600),
            ledger_retention: Duration::from_secs(400 * 24 * 3600),
            zone: jiff::tz::TimeZone::UTC,
        },
        patience: PATIENCE,
        clock: Clock::system(),
    }
}

/// Settings with small log files.
pub(super) fn small_files(dir: &Path, keep: u32) -> RecorderSettings {
    let settings = settings(dir);
    RecorderSettings { keeping: Keeping { max_size: 40_000, keep, ..settings.keeping }, ..settings }
}

pub(super) fn start(settings: RecorderSettings) -> (Recorder, Restored) {
    let now = settings.clock.now();
    Recorder::start(settings, &[model()], now).unwrap()
}

pub(super) fn model() -> ModelKey {
    ModelKey::new("gpt", "https://api.example/v1", "gpt-4o")
}

pub(super) fn bucket(start: Wall, success: u32) -> Row {
    let bucket = Bucket { success, ..Bucket::default() };
    Row::Bucket { model: model(), start, bucket }
}

pub(super) fn breaker(until: Wall) -> Row {
    let stored: StoredModel = serde_json::from_value(serde_json::json!({
        "breaker": {
            "open": true, "reason": "3 failures", "blocked": false,
            "since": 0, "until": until, "openings": 1, "run": 3, "forced": null,
        },
        "judged_from": { "bucket": 0, "before": { "success": 0, "failure": 0 } },
    }))
    .unwrap();
    Row::Breaker { model: model(), stored }
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::system();
    while !holds() {
        assert!(clock.mono().0 < LONG, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn event(number: usize) -> Event {
    Event::Stop(StopEvent { reason: "asked".to_owned(), unanswered: number })
}

fn call() -> Event {
    Event::Call(CallEvent {
        model_name: "gpt".into(),
        success: true,
        latency_ms: 812,
        first_token_ms: Some(204),
        error_type: None,
        status: None,
        code: None,
        message: None,
        verdict: Verdict::Success,
        counted: true,
        request_id: "01J".into(),
        task: "a \"task\"\nof two lines".into(),
        primary: "gpt".into(),
        kind: CallKind::Live,
        input_tokens: Some(21),
        output_tokens: Some(60),
        cached_tokens: None,
        cost_usd: Some(Nano(963_000)),
        primary_cost_usd: Some(Nano(963_000)),
        cost_estimated: false,
        replay: CallReplay { identity: model().identity, bucket: Wall(0), stored: None },
    })
}

fn lines(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("log/health.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_call_is_one_line_with_the_promised_fields() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, restored) = start(settings(dir.path()));
    assert!(restored.problems.is_empty(), "{:?}", restored.problems);
    recorder.record(Clock::system().now().wall, call(), []);
    assert!(recorder.close(LONG));
    let lines = lines(dir.path());
    assert_eq!(lines[0]["event"], "checkpoint");
    assert_eq!(lines[0]["file"].as_str().unwrap().len(), 26);
    let call = &lines[1];
    for (field, value) in [
        ("event", Value::from("call")),
        ("model_name", "gpt".into()),
        ("success", true.into()),
        ("latency_ms", 812.into()),
        ("error_type", Value::Null),
        ("verdict", "success".into()),
        ("counted", true.into()),
        ("request_id", "01J".into()),
        ("task", "a \"task\"\nof two lines".into()),
        ("primary", "gpt".into()),
        ("kind", "live".into()),
        ("input_tokens", 21.into()),
        ("output_tokens", 60.into()),
        ("cost_usd", 0.000963.into()),
    ] {
        assert_eq!(call[field], value, "{field}");
    }
    let fields: Vec<&str> = call.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields[..2], ["timestamp", "event"]);
}

#[test]
fn timestamps_never_decrease_even_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let wall = Arc::new(AtomicU64::new(1_795_168_800_000));
    for back in [0, 3_600_000] {
        let source = Arc::clone(&wall);
        let clock = Clock::with_wall(move || Wall(source.load(Ordering::Relaxed)));
        wall.fetch_sub(back, Ordering::Relaxed);
        let (recorder, _) =
            start(RecorderSettings { clock: clock.clone(), ..settings(dir.path()) });
        for step in [0, 500, -90_000, 100_000, -1] {
            wall.fetch_add(step as u64, Ordering::Relaxed);
            recorder.record(clock.now().wall, event(0), []);
        }
        assert!(recorder.close(LONG));
    }
    let stamps: Vec<String> =
        lines(dir.path()).iter().map(|line| line["timestamp"].to_string()).collect();
    assert_eq!(stamps.len(), 11);
    assert!(stamps.is_sorted(), "{stamps:?}");
}

#[test]
fn every_event_is_in_the_log_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = start(small_files(dir.path(), 3));
    for number in 0..1000 {
        recorder.clone().record(Wall(0), event(number), []);
    }
    let shared = Arc::clone(&recorder.0.shared);
    assert!(recorder.close(LONG));
    assert_eq!((shared.status().lines, shared.status().dropped), (1000, 0));
    let mut seen = Vec::new();
    for name in ["health.jsonl.3", "health.jsonl.2", "health.jsonl.1", "health.jsonl"] {
        let text = fs::read_to_string(dir.path().join("log").join(name)).unwrap_or_default();
        let read = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        seen.extend(read.filter_map(|line| line["unanswered"].as_u64()));
    }
    assert_eq!(seen, (0..1000).collect::<Vec<u64>>());
}

#[tokio::test]
async fn whoever_waits_finds_the_line_and_all_before_it_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = start(settings(dir.path()));
    for number in 0..100 {
        recorder.record(Wall(0), event(2 * number), []);
        recorder.record_and_wait(Wall(0), event(2 * number + 1)).await;
        let last = lines(dir.path()).len();
        assert_eq!(last, 2 * number + 3);
    }
    assert_eq!(recorder.status().late, 0);
}

/// A recorder whose queue nobody reads, as behind a disk that hangs.
fn unread(queue: Arc<Queue<JournalMessage>>) -> Recorder {
    Recorder(Arc::new(Inner {
        queue,
        waiters: Arc::default(),
        watchers: broadcast::Sender::new(1),
        shared: Arc::default(),
        owed: Mutex::default(),
        patience: PATIENCE,
        log: Default::default(),
        keep: Default::default(),
        threads: Mutex::default(),
    }))
}

#[tokio::test(start_paused = true)]
async fn a_line_that_takes_too_long_is_not_waited_for_and_counted() {
    let recorder = unread(Arc::new(Queue::new(2)));
    let clock = Clock::system();
    recorder.record_and_wait(Wall(0), event(0)).await;
    let waited = clock.mono().0;
    assert!(waited >= PATIENCE && waited < PATIENCE * 2, "{waited:?}");
    assert_eq!(recorder.status().late, 1);
    recorder.record_and_wait(Wall(0), event(1)).await;
    recorder.record_and_wait(Wall(0), event(2)).await;
    assert_eq!((recorder.status().late, recorder.status().dropped), (2, 1));
}

#[tokio::test]
async fn a_line_that_cannot_be_written_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log"), "").unwrap();
    let (recorder, _) = start(settings(dir.path()));
    recorder.record_and_wait(Wall(0), event(0)).await;
    assert_eq!((recorder.status().late, recorder.status().dropped), (0, 1));
}

#[test]
fn dropping_every_handle_still_writes_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = start(settings(dir.path()));
    recorder.record(Wall(0), event(7), []);
    let shared = Arc::clone(&recorder.0.shared);
    drop(recorder);
    until("the line is written", || shared.status().lines == 1);
    assert_eq!(lines(dir.path())[1]["unanswered"], 7);
}

#[tokio::test]
async fn watchers_get_the_very_lines_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = start(settings(dir.path()));
    let mut watcher = recorder.subscribe();
    recorder.record(Clock::system().now().wall, call(), []);
    let degraded =
        DegradedEvent { model_name: "gpt".into(), degraded: true, success_rate: 0.75, calls: 12 };
    recorder.record(Wall(5), Event::Degraded(degraded), []);
    let mut seen = Vec::new();
    for name in ["call", "degraded"] {
        let logged = watcher.recv().await.unwrap();
        assert_eq!(logged.event.kind().unwrap().name(), name);
        let line: Value = serde_json::from_str(&logged.line()).unwrap();
        assert_eq!(line["event"], name);
        seen.push(logged.line());
    }
    assert!(recorder.close(LONG));
    let text = fs::read_to_string(dir.path().join("log/health.jsonl")).unwrap();
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), seen);
}

#[test]
fn a_full_queue_costs_lines_but_no_rows() {
    let queue = Arc::new(Queue::new(2));
    let recorder = unread(Arc::clone(&queue));
    let record = |number: usize| {
        recorder.record(Wall(0), event(number), [bucket(Wall(0), number as u32)]);
    };
    (0..5).for_each(record);
    assert_eq!(recorder.status().dropped, 3);
    let rows = |message| match message {
        JournalMessage::Entry(entry) => entry.rows,
        _ => Vec::new(),
    };
    let mut taken = Vec::new();
    queue.take(&mut taken);
    record(5);
    queue.take(&mut taken);
    let taken: Vec<Vec<Row>> = taken.into_iter().map(rows).collect();
    let late: Vec<Row> = (2..=5).map(|number| bucket(Wall(0), number)).collect();
    assert_eq!(taken, [vec![bucket(Wall(0), 0)], vec![bucket(Wall(0), 1)], late], "newest last");
}

#[test]
fn rows_kept_back_are_the_newest_of_their_keys() {
    let many = (0..10).flat_map(|number| [bucket(Wall(0), number), breaker(Wall(number.into()))]);
    let mut left = rows::newest(many.collect());
    left.sort_by_key(|row| matches!(row, Row::Breaker { .. }));
    assert_eq!(left, [bucket(Wall(0), 9), breaker(Wall(9))]);
}

#[test]
fn a_log_that_cannot_be_opened_is_reported_and_taken_up_later() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log"), "").unwrap();
    let (recorder, restored) = start(settings(dir.path()));
    assert!(restored.problems[0].contains("cannot write the health log"), "{restored:?}");
    assert!(recorder.status().log_error.is_some());
    recorder.record(Wall(0), event(1), []);
    until("the line is lost", || recorder.status().dropped == 1);
    fs::remove_file(dir.path().join("log")).unwrap();
    until("lines are written again", || {
        recorder.record(Wall(0), event(2), []);
        recorder.status().lines > 0
    });
    assert_eq!(recorder.status().log_error, None);
    assert!(recorder.close(LONG));
    assert_eq!(lines(dir.path())[1]["unanswered"], 2);
}
