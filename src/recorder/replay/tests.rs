//! Recovery on real files: whatever is missing, what is left is counted, once.

use std::fs;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::super::tests::{LONG, model, small_files, until};
use super::super::{Query, Recorder, Restored, Row};
use crate::clock::Clock;
use crate::domain::ledger::CallKind;
use crate::domain::need::Verdict;
use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::domain::window::{Bucket, FINE_MS, Sample};
use crate::protocol::log::{CallEvent, CallReplay, Event};
use crate::protocol::span::Span;

/// A machine on which daemons come and go.
struct Machine {
    dir: tempfile::TempDir,
    /// Calls made so far.
    calls: u64,
    bucket: Bucket,
    start: Wall,
}

/// One life of a daemon on it.
struct Life {
    recorder: Recorder,
    restored: Restored,
}

impl Machine {
    fn new() -> Machine {
        let now = Clock::system().now().wall.0;
        let start = Wall(now - now % FINE_MS);
        let dir = tempfile::tempdir().unwrap();
        Machine { dir, calls: 0, bucket: Bucket::default(), start }
    }

    fn boot(&self) -> Life {
        let settings = small_files(self.dir.path(), 8);
        let now = settings.clock.now();
        let (recorder, restored) = Recorder::start(settings, &[model()], now).unwrap();
        Life { recorder, restored }
    }

    /// Makes calls; the n-th of all costs n nano-dollars.
    fn call(&mut self, life: &Life, count: u64) {
        for _ in 0..count {
            self.calls += 1;
            let sample = Sample {
                verdict: Verdict::Success,
                counted: true,
                answered_ms: Some(self.calls),
                kind: CallKind::Live,
            };
            self.bucket.add(sample);
            let row =
                Row::Bucket { model: model(), start: self.start, bucket: self.bucket.clone() };
            life.recorder.record(self.start, event(self.calls, self.start), [row]);
        }
    }

    /// Leaves what a kill would leave: whole lines, and whatever the database has.
    fn kill(&self, life: Life) {
        let lines = life.recorder.status().lines;
        until("the lines are written", || {
            life.recorder.0.queue.wake();
            life.recorder.status().lines + 1 >= lines && self.logged() >= self.calls
        });
        let copy = self.dir.path().join("copy");
        for name in ["state", "log"] {
            super::super::store::tests::copy(&self.dir.path().join(name), &copy.join(name));
        }
        assert!(life.recorder.close(LONG));
        for name in ["state", "log"] {
            fs::remove_dir_all(self.dir.path().join(name)).unwrap();
            fs::rename(copy.join(name), self.dir.path().join(name)).unwrap();
        }
    }

    /// The number of the newest call in the log.
    fn logged(&self) -> u64 {
        // A file may be rotated away between the look and the reading; who asks looks again.
        let texts = self.logs().into_iter().filter_map(|path| fs::read_to_string(path).ok());
        texts
            .filter_map(|text| {
                let (_, last) = text.rsplit_once("\"latency_ms\":")?;
                last.split(',').next()?.parse().ok()
            })
            .max()
            .unwrap_or(0)
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("log")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// Everything that was ever recorded is there, once.
    fn assert_all(&self, life: &Life) {
        let sums = costs(life);
        assert_eq!((sums.0, sums.1), (self.calls, self.calls * (self.calls + 1) / 2));
        let restored = &life.restored.models[&model()].buckets;
        assert_eq!(restored, &[(self.start, self.bucket.clone())]);
    }
}

fn event(number: u64, bucket: Wall) -> Event {
    let (cost_usd, primary_cost_usd) = (Some(Nano(number)), Some(Nano(number)));
    Event::Call(CallEvent { latency_ms: number, cost_usd, primary_cost_usd, ..call_at(bucket) })
}

/// A call that was answered.
pub(in crate::recorder) fn call_at(bucket: Wall) -> CallEvent {
    CallEvent {
        model_name: "gpt".into(),
        success: true,
        latency_ms: 1,
        first_token_ms: None,
        error_type: None,
        status: None,
        code: None,
        message: None,
        verdict: Verdict::Success,
        counted: true,
        request_id: "01J".into(),
        task: "task".into(),
        primary: "gpt".into(),
        kind: CallKind::Live,
        input_tokens: Some(21),
        output_tokens: Some(60),
        cached_tokens: None,
        cost_usd: None,
        primary_cost_usd: None,
        cost_estimated: false,
        replay: CallReplay { identity: model().identity, bucket, stored: None },
    }
}

/// Calls and nano-dollars of the ledger.
fn costs(life: &Life) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let costs = runtime
        .block_on(life.recorder.costs(Query { span: Span::default(), zone: TimeZone::UTC }))
        .unwrap();
    assert_eq!(costs.incomplete, None);
    let totals = costs.totals.exact();
    (totals.calls, totals.paid)
}

#[test]
fn what_was_just_recorded_is_counted_before_any_checkpoint() {
    let mut machine = Machine::new();
    let life = machine.boot();
    machine.call(&life, 10);
    assert_eq!(costs(&life), (10, 55));
    machine.call(&life, 1);
    assert_eq!(costs(&life), (11, 66));
}

#[test]
fn kills_between_checkpoints_lose_and_double_nothing() {
    let mut machine = Machine::new();
    for count in [1, 30, 0, 250, 7] {
        let life = machine.boot();
        assert!(life.restored.problems.is_empty(), "{:?}", life.restored.problems);
        if machine.calls > 0 {
            machine.assert_all(&life);
        }
        machine.call(&life, count);
        machine.kill(life);
    }
    machine.assert_all(&machine.boot());
    assert!(machine.logs().len() > 2, "it was rotated meanwhile");
}

#[test]
fn without_a_database_the_logs_alone_tell_everything() {
    let mut machine = Machine::new();
    for count in [400, 3] {
        let life = machine.boot();
        machine.call(&life, count);
        machine.kill(life);
        fs::remove_dir_all(machine.dir.path().join("state")).unwrap();
    }
    machine.assert_all(&machine.boot());
}

#[test]
fn a_checkpoint_in_the_log_stands_for_files_that_are_gone() {
    let mut machine = Machine::new();
    let life = machine.boot();
    machine.call(&life, 300);
    // Behind the next rotation the checkpoint lines are written.
    until("a checkpoint is in the newest file", || {
        machine.call(&life, 1);
        // Between the two steps of a rotation there is no such file.
        let newest = fs::read_to_string(machine.dir.path().join("log/health.jsonl"));
        let text = newest.unwrap_or_default();
        text.contains("\"ledger_from\"") && machine.logs().len() > 3
    });
    machine.kill(life);
    fs::remove_dir_all(machine.dir.path().join("state")).unwrap();
    // The last line may have begun one more file, whose checkpoint was still to come.
    let has_checkpoint =
        |path: &PathBuf| fs::read_to_string(path).unwrap().contains("\"ledger_from\"");
    let logs = machine.logs();
    let newest = logs.iter().position(has_checkpoint).unwrap();
    for path in &logs[newest + 1..] {
        fs::remove_file(path).unwrap();
    }
    let life = machine.boot();
    assert_eq!(costs(&life).0, machine.calls, "the ledger is whole");
}

#[test]
fn a_log_deleted_by_somebody_loses_only_its_lines_and_is_said() {
    let mut machine = Machine::new();
    let life = machine.boot();
    let first = life.recorder.status().last_checkpoint;
    machine.call(&life, 5);
    until("they are safe", || life.recorder.status().last_checkpoint > first);
    machine.kill(life);
    fs::remove_dir_all(machine.dir.path().join("log")).unwrap();
    let life = machine.boot();
    assert!(life.restored.problems[0].contains("is gone"), "{:?}", life.restored.problems);
    assert!(life.recorder.status().log_damage.is_some());
    machine.assert_all(&life);
    machine.call(&life, 5);
    machine.kill(life);
    let life = machine.boot();
    assert!(life.restored.problems.is_empty(), "said once: {:?}", life.restored.problems);
    machine.assert_all(&life);
}

#[test]
fn a_log_cut_in_the_middle_of_a_line_goes_on_in_a_new_file() {
    let mut machine = Machine::new();
    let life = machine.boot();
    let first = life.recorder.status().last_checkpoint;
    machine.call(&life, 5);
    until("they are safe", || life.recorder.status().last_checkpoint > first);
    let log = machine.dir.path().join("log/health.jsonl");
    let length = fs::metadata(&log).unwrap().len();
    fs::File::options().write(true).open(&log).unwrap().set_len(length - 100).unwrap();
    machine.call(&life, 5);
    machine.kill(life);
    assert_eq!(machine.logs().len(), 2);
    let life = machine.boot();
    machine.assert_all(&life);
    // The same while nobody was running.
    machine.kill(life);
    let length = fs::metadata(&log).unwrap().len();
    fs::File::options().write(true).open(&log).unwrap().set_len(length - 100).unwrap();
    let life = machine.boot();
    machine.assert_all(&life);
    machine.call(&life, 1);
    machine.kill(life);
    machine.assert_all(&machine.boot());
}

#[test]
fn a_damaged_database_is_filled_from_the_logs() {
    let mut machine = Machine::new();
    let life = machine.boot();
    machine.call(&life, 300);
    machine.kill(life);
    for entry in fs::read_dir(machine.dir.path().join("state/db")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, vec![0xff; 4096]).unwrap();
        }
    }
    let life = machine.boot();
    assert!(life.restored.problems[0].contains("damaged"), "{:?}", life.restored.problems);
    machine.assert_all(&life);
    machine.call(&life, 1);
    machine.kill(life);
    machine.assert_all(&machine.boot());
}

#[test]
fn a_database_that_opens_late_is_brought_up_to_date() {
    let mut machine = Machine::new();
    let life = machine.boot();
    machine.call(&life, 20);
    machine.kill(life);
    let (state, away) = (machine.dir.path().join("state"), machine.dir.path().join("away"));
    fs::rename(&state, &away).unwrap();
    fs::write(&state, "in the way").unwrap();
    let life = machine.boot();
    assert_eq!(life.restored.models[&model()].buckets[0].1, machine.bucket, "from the logs");
    machine.call(&life, 20);
    fs::remove_file(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    until("the database is open", || life.recorder.status().last_checkpoint.is_some());
    assert_eq!(costs(&life).0, 40);
    machine.kill(life);
    machine.assert_all(&machine.boot());
}
