//! The recorder as the rest of the program sees it: what survives.

use std::fs;
use std::path::Path;

use super::connection::BACKOFF;
use super::*;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::window::{Bucket, FINE_MS};
use crate::protocol::status::StoreState;
use crate::recorder::tests::{LONG, breaker, bucket, event, model, settings, start, until};

/// A recent start of a bucket.
fn recent() -> Wall {
    let now = Clock::system().now().wall.0;
    Wall(now - now % FINE_MS)
}

fn successes(restored: &Restored) -> Vec<(Wall, u32)> {
    let buckets = restored.models.get(&model()).map(|model| model.buckets.as_slice());
    buckets.unwrap_or_default().iter().map(|(start, bucket)| (*start, bucket.success)).collect()
}

pub(in crate::recorder) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Leaves a database with one bucket and one open circuit in `dir`.
fn fill(dir: &Path) {
    let (recorder, _) = start(settings(dir));
    recorder.record(Wall(0), event(0), [bucket(recent(), 5), breaker(Wall(9))]);
    assert!(recorder.close(LONG));
}

#[test]
fn rows_survive_closing_and_starting_again() {
    let dir = tempfile::tempdir().unwrap();
    let (now, before) = (recent(), Wall(recent().0 - FINE_MS));
    let (recorder, restored) = start(settings(dir.path()));
    assert!(restored.models.is_empty());
    recorder.record(Wall(0), event(0), [bucket(now, 1)]);
    recorder.record(Wall(0), event(0), [bucket(now, 2), bucket(before, 7), breaker(Wall(9))]);
    assert!(recorder.close(LONG));
    let (recorder, restored) = start(settings(dir.path()));
    assert_eq!(successes(&restored), [(before, 7), (now, 2)], "ascending, newest values");
    let open = restored.models[&model()].breaker.as_ref().unwrap();
    assert!(open.breaker.open && open.breaker.until == Wall(9));
    assert!(restored.problems.is_empty(), "{:?}", restored.problems);
    assert_eq!(recorder.status().store, StoreState::Ok);
}

#[test]
fn what_a_checkpoint_wrote_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = start(settings(dir.path()));
    let first = recorder.status().last_checkpoint;
    for number in 1..=3 {
        recorder.record(Wall(0), event(0), [bucket(recent(), number)]);
    }
    // No circuit changed, nothing was closed: the regular checkpoint comes by itself.
    until("rows are durable", || recorder.status().last_checkpoint > first);
    let killed = dir.path().join("killed");
    copy(&dir.path().join("state"), &killed.join("state"));
    copy(&dir.path().join("log"), &killed.join("log"));
    let (_, restored) = start(settings(&killed));
    assert_eq!(successes(&restored).last().map(|(_, count)| *count), Some(3));
    assert!(restored.problems.is_empty(), "{:?}", restored.problems);
}

#[test]
fn rows_older_than_the_retention_and_of_other_models_are_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _) = start(settings(dir.path()));
    let old = Wall(recent().0 - 49 * 3_600_000);
    let other = crate::recorder::Row::Bucket {
        model: ModelKey::new("other", "", ""),
        start: recent(),
        bucket: Bucket::default(),
    };
    recorder.record(Wall(0), event(0), [bucket(old, 1), other]);
    assert!(recorder.close(LONG));
    let (_, restored) = start(settings(dir.path()));
    assert!(restored.models.is_empty(), "{restored:?}");
}

/// Replaces every file of the database by what `damage` makes of it.
fn spoil(dir: &Path, damage: impl Fn(Vec<u8>) -> Vec<u8>) {
    for entry in fs::read_dir(dir.join("state/db")).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::write(entry.path(), damage(fs::read(entry.path()).unwrap())).unwrap();
        }
    }
}

#[test]
fn a_damaged_database_is_put_aside_and_the_recorder_starts() {
    let halve = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    let garble = |_| vec![0xff; 4096];
    for damage in [&halve as &dyn Fn(Vec<u8>) -> Vec<u8>, &garble] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        spoil(dir.path(), damage);
        let (recorder, restored) = start(settings(dir.path()));
        assert!(restored.models.is_empty());
        assert!(restored.problems[0].contains("damaged"), "{:?}", restored.problems);
        assert!(recorder.status().store_put_aside.unwrap().contains("db.damaged-1"));
        assert!(dir.path().join("state/db.damaged-1").exists());
        assert_eq!(recorder.status().store, StoreState::Ok, "a fresh one is in use");
    }
}

#[test]
fn an_emptied_database_does_not_pass_for_a_new_one() {
    // sled makes a new one in the place of such files, without a word.
    for content in ["", "nonsense"] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        spoil(dir.path(), |_| content.into());
        let (_, restored) = start(settings(dir.path()));
        assert!(restored.problems[0].contains("was there but empty"), "{restored:?}");
    }
}

#[test]
fn without_a_database_rows_wait_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the directory should be: this fails for root as well.
    fs::write(dir.path().join("state"), "").unwrap();
    let (recorder, restored) = start(settings(dir.path()));
    assert!(restored.problems[0].contains("cannot open the database"), "{restored:?}");
    assert_eq!(recorder.status().store, StoreState::Absent);
    recorder.record(Wall(0), event(0), [bucket(recent(), 5), breaker(Wall(9))]);
    fs::remove_file(dir.path().join("state")).unwrap();
    until("the database is there", || recorder.status().last_checkpoint.is_some());
    assert_eq!(recorder.status().store, StoreState::Ok);
    assert!(recorder.close(LONG));
    let (_, restored) = start(settings(dir.path()));
    assert_eq!(successes(&restored).len(), 1);
}

#[test]
fn a_database_held_by_another_process_is_not_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = start(settings(dir.path()));
    let (second, restored) = start(settings(dir.path()));
    assert!(restored.problems[0].contains("another process uses it"), "{:?}", restored.problems);
    assert_eq!(second.status().store, StoreState::Absent);
    assert_eq!(first.status().store, StoreState::Ok);
    assert!(!dir.path().join("state/db.damaged-1").exists());
}

#[test]
fn too_many_waiting_rows_cost_the_oldest_buckets_never_a_circuit() {
    let mut store = store(Path::new("unused"));
    for number in 0..=unsaved::MOST_ROWS as u64 {
        store.unsaved.rows.extend([bucket(Wall(number * FINE_MS), 1).split(Wall(0))]);
    }
    store.unsaved.rows.extend([breaker(Wall(9)).split(Wall(0))]);
    store.checkpoint();
    assert!(store.unsaved.rows.len() < unsaved::MOST_ROWS);
    assert!(store.unsaved.rows.contains_key(&RowKey::Breaker(model())));
    let oldest = store.unsaved.rows.keys().filter_map(RowKey::start).min();
    assert!(oldest > Some(Wall(0)));
    assert!(store.shared.status().rows_lost > 0);
}

#[test]
fn a_database_that_keeps_failing_is_tried_less_and_less_often() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("state")).unwrap();
    fs::write(dir.path().join("state/db"), "a file in the way").unwrap();
    let mut store = store(dir.path());
    for _ in 0..20 {
        store.open(&[], false);
    }
    assert!(store.connection.database().is_none());
    assert_eq!(store.connection.backoff, BACKOFF.1);
    fs::remove_file(dir.path().join("state/db")).unwrap();
    store.open(&[], false);
    assert_eq!(store.connection.backoff, BACKOFF.1, "opening alone proves nothing");
    store.unsaved.rows.extend([bucket(recent(), 1).split(Wall(0))]);
    store.checkpoint();
    assert_eq!(store.connection.backoff, BACKOFF.0);
}

#[test]
fn tidying_merges_old_buckets_and_forgets_circuits_nobody_configures() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    store.open(&[], true);
    let hours = |hours: u64| Wall(recent().0 - hours * 3_600_000);
    let rows = [bucket(hours(49), 1), bucket(hours(2), 2), bucket(recent(), 3)];
    store.unsaved.rows.extend(rows.map(|row| row.split(Wall(0))));
    store.unsaved.rows.extend([breaker(Wall(9)).split(hours(49))]);
    store.checkpoint();
    store.known.insert(model());
    store.sweep();
    let database = store.connection.database().unwrap();
    assert_eq!(database.breakers().unwrap().len(), 1, "it is configured");
    let slots = database.slots().unwrap();
    assert_eq!(slots.len(), 2);
    assert!(slots.iter().any(|slot| slot.end() < hours(1) && slot.end().0 % 300_000 == 0));
    store.known.clear();
    store.sweep();
    assert!(store.connection.database().unwrap().breakers().unwrap().is_empty());
}

#[test]
fn the_ledger_is_kept_as_long_as_it_is_configured_and_not_longer() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    store.open(&[], true);
    let days = |days: u64| Wall(recent().0 - days * 24 * 3_600_000);
    for age in [401, 399, 0] {
        let key = LedgerKey::new(days(age), &"task".into(), &"gpt".into(), &"gpt".into());
        store.unsaved.ledger.insert(key, Sums { calls: 1, ..Sums::default() });
    }
    store.checkpoint();
    store.sweep();
    let database = store.connection.database().unwrap();
    let kept = database.ledger(&(Wall(0)..Wall(u64::MAX)), usize::MAX).unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|(key, _)| key.start > days(400)));
}

#[test]
fn a_checkpoint_that_seemed_to_fail_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    store.open(&[], true);
    let key = || LedgerKey::new(recent(), &"task".into(), &"gpt".into(), &"gpt".into());
    let call = Sums { calls: 1, ..Sums::default() };
    store.reached = Some(Position { file: "01A".into(), offset: 1 });
    store.unsaved.ledger.insert(key(), call);
    store.checkpoint();
    store.reached = Some(Position { file: "01A".into(), offset: 2 });
    store.unsaved.ledger.insert(key(), call);
    // It was written, but whoever wrote it was told otherwise.
    let (counted, reached) = (store.counted.clone(), store.reached.clone());
    store.write().unwrap();
    let written = RowValue::Ledger(Sums { calls: 2, ..Sums::default() });
    store.unsaved.rows.insert(RowKey::Ledger(key()), written);
    store.counted = counted;
    store.connection.close();
    store.unsaved.ledger.insert(key(), call);
    store.open(&[], false);
    assert_eq!(store.counted, reached);
    store.checkpoint();
    let sums = store.connection.database().unwrap().sums(&key()).unwrap();
    assert_eq!(sums.calls, 3);
}

pub(super) fn store(dir: &Path) -> Store {
    store_of(&settings(dir))
}

pub(super) fn store_of(settings: &RecorderSettings) -> Store {
    let queue = Arc::new(Queue::new(8));
    Store::new(settings, &[], &Arc::default(), &Arc::default(), &queue)
}
