//! The database on a real file system, whole and damaged.

use std::fs;

use super::*;
use crate::domain::time::Wall;
use crate::domain::window::{COARSE_MS, FINE_MS};
use crate::recorder::retention::{Ages, plan};
use crate::recorder::rows::{ModelKey, Width};

fn bucket(start: u64, success: u32) -> (RowKey, RowValue) {
    let model = ModelKey::new("a", "b", "c");
    let slot = Slot { model, start: Wall(start), width: Width::Fine };
    (RowKey::Bucket(slot), RowValue::Bucket(Bucket { success, ..Bucket::default() }))
}

fn successes(database: &Database) -> u32 {
    let rows = database.scan().unwrap().rows;
    rows.values()
        .map(|value| match value {
            RowValue::Bucket(bucket) => bucket.success,
            _ => 0,
        })
        .sum()
}

#[test]
fn rows_come_back_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let rows = Rows::from_iter([bucket(0, 3), bucket(10_000, 4)]);
    let (database, contents) = Database::open(&dir.path().join("db")).unwrap();
    assert!(contents.rows.is_empty() && !contents.lost);
    database.write(&rows, None).unwrap();
    drop(database);
    let (_database, contents) = Database::open(&dir.path().join("db")).unwrap();
    assert_eq!(contents.rows, rows);
    assert_eq!((contents.unreadable, contents.lost), (0, false));
}

#[test]
fn what_was_written_is_in_the_files_before_anything_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let rows = Rows::from_iter([bucket(0, 3)]);
    let (database, _) = Database::open(&dir.path().join("db")).unwrap();
    database.write(&rows, None).unwrap();
    // What a kill would leave.
    copy(&dir.path().join("db"), &dir.path().join("copy"));
    let (_copy, contents) = Database::open(&dir.path().join("copy")).unwrap();
    assert_eq!(contents.rows, rows);
}

#[test]
fn unreadable_rows_are_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (database, _) = Database::open(dir.path()).unwrap();
    database.write(&Rows::from_iter([bucket(0, 3)]), None).unwrap();
    database.on(|db| db.insert(b"b/nonsense", b"x")).unwrap();
    database.on(|db| db.insert(bucket(10_000, 1).0.encode(), b"\x01{}")).unwrap();
    let contents = database.scan().unwrap();
    assert_eq!((contents.rows.len(), contents.unreadable), (1, 2));
}

#[test]
fn merging_keeps_every_call_and_removes_the_fine_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (database, _) = Database::open(dir.path()).unwrap();
    let ages = Ages { fine: Duration::from_secs(3600), all: Duration::from_secs(48 * 3600) };
    let now = Wall(3 * 3_600_000);
    let rows: Rows = (0..60).map(|at| bucket(at * FINE_MS, 1)).collect();
    for late in [0, 7] {
        // The second time around a late row joins what is merged already.
        database
            .write(&if late == 0 { rows.clone() } else { [bucket(0, late)].into() }, None)
            .unwrap();
        let plan = plan(database.slots().unwrap(), now, ages);
        assert!(!plan.is_empty());
        database.carry_out(&plan).unwrap();
        assert_eq!(successes(&database), 60 + late);
    }
    let slots = database.slots().unwrap();
    assert!(slots.iter().all(|slot| slot.width == Width::Coarse));
    assert_eq!(slots.len() as u64, 60 * FINE_MS / COARSE_MS);
}

#[test]
fn a_database_in_use_is_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (_database, _) = Database::open(dir.path()).unwrap();
    assert!(matches!(Database::open(dir.path()), Err(StoreError::Locked)));
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (database, _) = Database::open(dir.path()).unwrap();
    database.on(|db| db.insert(META, &[2])).unwrap();
    database.durable().unwrap();
    drop(database);
    assert!(matches!(Database::open(dir.path()), Err(StoreError::Later)));
}

#[test]
fn two_damaged_databases_are_kept_the_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    for number in 1..=3 {
        fs::create_dir(&db).unwrap();
        fs::write(db.join("number"), number.to_string()).unwrap();
        assert_eq!(put_aside(&db).unwrap(), dir.path().join("db.damaged-1"));
    }
    let number = |name: &str| fs::read_to_string(dir.path().join(name).join("number")).unwrap();
    assert_eq!((number("db.damaged-1"), number("db.damaged-2")), ("3".into(), "2".into()));
    assert!(!dir.path().join("db.damaged-3").exists());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
