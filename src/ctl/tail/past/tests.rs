//! Lines of a log that is written to, rotated and taken away while it is read.

use std::io::Write;

use super::*;

const EARLY: &str = "2026-11-20T10:00:00.000Z";
const LATE: &str = "2026-11-20T11:00:00.000Z";

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn line(stamp: &str, n: u32) -> String {
    format!("{{\"timestamp\":\"{stamp}\",\"n\":{n}}}\n")
}

/// What the daemon does with a full file.
fn rotate(path: &Path) {
    for number in (0..3).rev() {
        if name(path, number).exists() {
            fs::rename(name(path, number), name(path, number + 1)).unwrap();
        }
    }
}

fn numbers(past: &mut Past) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut take = |line: &str| -> io::Result<()> {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        seen.push(value["n"].as_u64().unwrap());
        Ok(())
    };
    past.read(&mut take).unwrap();
    seen
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("health.jsonl");
    (folder, path)
}

#[test]
fn the_past_is_read_from_the_oldest_file_on_and_begins_at_the_moment_asked_for() {
    let (_folder, path) = folder();
    append(&name(&path, 2), &line(EARLY, 1));
    append(&name(&path, 1), &(line(EARLY, 2) + &line(LATE, 3)));
    append(&path, &line(LATE, 4));
    append(&path.with_extension("jsonl.20261120"), &line(LATE, 99));
    let mut past = Past::open(&path, Wall(0)).unwrap();
    assert_eq!(numbers(&mut past), [1, 2, 3, 4]);
    let late = super::super::super::text::moment(LATE).unwrap();
    assert_eq!(numbers(&mut Past::open(&path, late).unwrap()), [3, 4]);
}

#[test]
fn a_rotation_loses_nothing_and_repeats_nothing() {
    let (_folder, path) = folder();
    append(&path, &line(LATE, 1));
    let mut past = Past::open(&path, Wall(0)).unwrap();
    assert_eq!(numbers(&mut past), [1]);
    append(&path, &line(LATE, 2));
    rotate(&path);
    assert_eq!(numbers(&mut past), [2], "while the name is absent");
    append(&path, &line(LATE, 3));
    rotate(&path);
    append(&path, &line(LATE, 4));
    rotate(&path);
    append(&path, &line(LATE, 5));
    assert_eq!(numbers(&mut past), [3, 4, 5], "three files later");
    assert!(numbers(&mut past).is_empty());
    assert_eq!(past.files.len(), 4);
}

#[test]
fn files_that_were_given_up_are_let_go() {
    let (_folder, path) = folder();
    append(&path, &line(LATE, 1));
    let mut past = Past::open(&path, Wall(0)).unwrap();
    for n in 1..20 {
        assert_eq!(numbers(&mut past), [u64::from(n)]);
        rotate(&path);
        append(&path, &line(LATE, n + 1));
    }
    assert!(past.files.len() <= 5, "{}", past.files.len());
}

#[test]
fn half_a_line_waits_for_its_other_half_and_a_deleted_log_for_the_next() {
    let (_folder, path) = folder();
    let whole = line(LATE, 1);
    let (left, right) = whole.split_at(20);
    append(&path, left);
    let mut past = Past::open(&path, Wall(0)).unwrap();
    assert!(numbers(&mut past).is_empty());
    append(&path, right);
    assert_eq!(numbers(&mut past), [1]);
    fs::remove_file(&path).unwrap();
    assert!(numbers(&mut past).is_empty());
    append(&path, &line(LATE, 2));
    assert_eq!(numbers(&mut past), [2]);
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    let (_folder, path) = folder();
    assert!(Past::open(&path, Wall(0)).is_err());
}
