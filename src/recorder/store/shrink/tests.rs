//! A database that has become too large, rewritten and interrupted.

use std::cell::Cell;
use std::fs;

use super::super::super::database::settle;
use super::super::super::rows::{Position, RowValue, Rows};
use super::super::Store;
use super::super::tests::{copy as copy_files, store};
use super::*;
use crate::clock::Clock;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::window::{COARSE_MS, FINE_MS};
use crate::protocol::status::StoreState;
use crate::recorder::Keeping;
use crate::recorder::tests::{breaker, bucket, settings};

const MIB: u64 = 1 << 20;
const HOUR: u64 = 3_600_000;

/// Everything that a new start would find in the database, which is opened again for it.
fn contents(store: &mut Store) -> (Rows, Option<Position>) {
    store.connection.close();
    let (database, contents) = Database::open(&store.connection.dir).unwrap();
    let ledger = database.ledger(&(Wall(0)..Wall(u64::MAX)), usize::MAX).unwrap();
    drop(database);
    store.connection.reopen();
    assert_eq!((contents.unreadable, contents.lost), (0, false));
    let mut rows = contents.rows;
    rows.extend(
        ledger.into_iter().map(|(key, sums)| (RowKey::Ledger(key), RowValue::Ledger(sums))),
    );
    (rows, contents.position)
}

/// A moment at which all ages of a test are whole.
fn now() -> u64 {
    let now = Clock::system().now().wall.0;
    now - now % HOUR
}

fn ledger(start: u64, task: &str) -> (RowKey, RowValue) {
    let key = LedgerKey::new(Wall(start), &task.into(), &"gpt".into(), &"gpt".into());
    (RowKey::Ledger(key), RowValue::Ledger(Sums { calls: 1, ..Sums::default() }))
}

fn coarse(start: u64) -> (RowKey, RowValue) {
    let (key, value) = bucket(Wall(start - start % COARSE_MS), 1).split(Wall(0));
    let RowKey::Bucket(slot) = key else { unreachable!() };
    (RowKey::Bucket(Slot { width: Width::Coarse, ..slot }), value)
}

/// An hour of fine buckets, a day of coarse ones, some days of the ledger, and a circuit.
fn rows() -> Rows {
    let now = now();
    let fine = (0..360).map(|at| bucket(Wall(now - at * FINE_MS), 3).split(Wall(0)));
    let coarse = (0..288).map(|at| coarse(now - 2 * HOUR - at * COARSE_MS));
    let costs = (0..3000).map(|at| ledger(now - at * QUARTER_MS, "task"));
    fine.chain(coarse).chain(costs).chain([breaker(Wall(9)).split(Wall(now))]).collect()
}

/// An open store with all these rows in its database.
fn filled(dir: &Path) -> Store {
    let mut store = store(dir);
    store.open(&[], true);
    store.unsaved.rows = rows();
    store.reached = Some(Position { file: "01A".into(), offset: 7 });
    store.checkpoint();
    store
}

/// Makes the database larger than so many bytes by rows that are deleted again.
fn bloat(store: &mut Store, bytes: u64) {
    let task = "t".repeat(2000);
    let more: Rows = (0..3000).map(|at| ledger(now() - at * QUARTER_MS, &task)).collect();
    let keys: Vec<RowKey> = more.keys().cloned().collect();
    store.unsaved.rows = more;
    store.checkpoint();
    in_use(store).remove(&keys).unwrap();
    assert!(size(&store.connection.dir) > bytes, "{}", size(&store.connection.dir));
}

fn in_use(store: &Store) -> &Database {
    store.connection.database().unwrap()
}

#[test]
fn a_database_above_its_budget_is_rewritten_and_holds_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    bloat(&mut store, 4 * MIB);
    let before = contents(&mut store);
    assert_eq!(before.0.len(), rows().len());
    store.shrink();
    assert!(size(&store.connection.dir) > 4 * MIB, "it is below its budget, and left alone");
    store.shrink.budget = 4 * MIB;
    store.shrink();
    assert!(size(&store.connection.dir) < 3 * MIB, "{}", size(&store.connection.dir));
    assert_eq!(contents(&mut store), before);
    assert_eq!(names(dir.path()), ["db"]);
    assert_eq!(store.shared.status().store_size, None);
    // And it goes on from there.
    store.unsaved.rows.extend([bucket(Wall(now() + FINE_MS), 9).split(Wall(0))]);
    store.checkpoint();
    assert_eq!(store.shared.status().store, StoreState::Ok);
    assert_eq!(contents(&mut store).0.len(), before.0.len() + 1);
}

#[test]
fn rows_that_are_too_old_are_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let old = [bucket(Wall(now() - 50 * HOUR), 1).split(Wall(0)), ledger(HOUR, "task")];
    store.unsaved.rows.extend(old.clone());
    store.checkpoint();
    bloat(&mut store, 4 * MIB);
    store.shrink.budget = 4 * MIB;
    store.shrink();
    let (left, _) = contents(&mut store);
    assert_eq!(left.len(), rows().len());
    assert!(old.iter().all(|(key, _)| !left.contains_key(key)));
}

#[test]
fn without_room_for_all_rows_the_oldest_go_and_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let tasks: Vec<String> = (0..8).map(|number| format!("{number}-{}", "t".repeat(200))).collect();
    for task in &tasks {
        store.unsaved.rows.extend((0..3000).map(|at| ledger(now() - at * QUARTER_MS, task)));
        store.checkpoint();
    }
    store.shrink.budget = 6 * MIB;
    store.shrink();
    assert!(size(&store.connection.dir) <= 6 * MIB, "{}", size(&store.connection.dir));
    let (left, position) = contents(&mut store);
    assert!(position.is_some() && left.contains_key(&breaker(Wall(9)).split(Wall(0)).0));
    let fine = left.keys().filter(|key| rank(key).is_some_and(|rank| rank.fine)).count();
    assert_eq!(fine, 360, "the windows that decide are left alone");
    // What is left is exactly what is younger than a moment.
    let ledger_starts = left.keys().filter_map(|key| match key {
        RowKey::Ledger(key) => Some(key.start),
        _ => None,
    });
    let oldest = ledger_starts.min().unwrap();
    let kept = left.keys().filter(|key| matches!(key, RowKey::Ledger(_))).count() as u64;
    assert_eq!(kept, ((now() - oldest.0) / QUARTER_MS + 1) * (1 + tasks.len() as u64));
    let status = store.shared.status();
    let told = status.store_size.unwrap();
    assert!(told.contains("max_size") && told.contains(&rfc3339(oldest)), "{told}");
    assert!(status.rows_lost > 0);
}

#[test]
fn a_kill_while_it_is_rewritten_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    let state = dir.path().join("state");
    let killed = |name: &str| dir.path().join("killed").join(name).join("state");
    let before = contents(&mut store);
    // While rows are copied: before the first, behind a part that is on the disk, at the last.
    let seen = Cell::new(0);
    let copied = in_use(&store).copy(&store.connection.dir, |_| {
        if [0, 2500, 3600].contains(&seen.get()) {
            copy_files(&state, &killed(&format!("row-{}", seen.get())));
        }
        seen.set(seen.get() + 1);
        true
    });
    copied.unwrap();
    assert!(seen.get() > 3600);
    // And between all steps that follow; the first of them lets go of the database.
    copy_files(&state, &killed("copied"));
    drop(store);
    copy_files(&state, &killed("closed"));
    for (name, renames) in [("first", 1), ("second", 2), ("removing", 2)] {
        let state = killed(name);
        copy_files(&killed("closed"), &state);
        fs::rename(state.join("db"), state.join("db.old")).unwrap();
        if renames == 2 {
            fs::rename(state.join("db.new"), state.join("db")).unwrap();
        }
    }
    fs::remove_file(killed("removing").join("db.old/db")).unwrap();
    for entry in fs::read_dir(dir.path().join("killed")).unwrap() {
        let killed = entry.unwrap().path();
        let mut store = super::super::tests::store(&killed);
        let (_, problems) = store.open(&[], true);
        // There is no log beside it, which is all that is missing.
        assert!(problems.len() == 1 && problems[0].contains("01A is gone"), "{problems:?}");
        assert!(contents(&mut store) == before, "{}", killed.display());
        assert_eq!(names(&killed), ["db"], "{}", killed.display());
    }
}

#[test]
fn what_another_process_is_writing_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    fs::create_dir(dir.path().join("state/db.new")).unwrap();
    settle(&store.connection.dir).unwrap();
    assert_eq!(names(dir.path()), ["db", "db.new"]);
    drop(store);
    settle(&dir.path().join("state/db")).unwrap();
    assert_eq!(names(dir.path()), ["db"]);
}

#[test]
fn a_rewrite_that_fails_leaves_the_database_in_use_and_is_not_repeated_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    // A file where the copy should be: this fails for root as well.
    let blocked = dir.path().join("state/db.new");
    fs::write(&blocked, "in the way").unwrap();
    let before = contents(&mut store);
    store.shrink.budget = 1;
    for _ in 0..2 {
        store.shrink();
        assert_eq!(contents(&mut store), before);
    }
    let status = store.shared.status();
    assert_eq!((status.store, status.errors), (StoreState::Ok, 1), "{status:?}");
    assert!(status.store_size.unwrap().contains("cannot be rewritten"));
}

#[test]
fn a_reload_changes_the_size_and_what_failed_is_tried_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path());
    bloat(&mut store, 4 * MIB);
    store.shrink.next = store.clock.mono().plus(PAUSE);
    store.keep(&Keeping { store_size: 4 * MIB, ..settings(dir.path()).keeping });
    store.shrink();
    assert!(size(&store.connection.dir) < 4 * MIB);
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("state")).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
