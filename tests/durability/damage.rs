//! Damage to every file of the database: it starts, and knows what the logs say.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::books::Books;
use crate::machine::{Machine, copy};

/// Something that happens to a file.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 7] = [
    ("one bit", |path| flip(path, 1)),
    ("another bit", |path| flip(path, 1)),
    ("many bits", |path| flip(path, 64)),
    ("half of it gone", |path| cut(path, 2)),
    ("the last of it gone", |path| {
        let length = fs::metadata(path).unwrap().len();
        set_len(path, length.saturating_sub(1 + fastrand::u64(0..200)));
    }),
    ("emptied", |path| set_len(path, 0)),
    ("deleted", |path| fs::remove_file(path).unwrap()),
];

fn flip(path: &Path, count: usize) {
    let mut bytes = fs::read(path).unwrap();
    // The end of sled's file is mostly unused.
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    for _ in 0..count.min(used) {
        bytes[fastrand::usize(0..used)] ^= 1 << fastrand::u8(0..8);
    }
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, share: u64) {
    let length = fs::metadata(path).unwrap().len();
    set_len(path, length / share);
}

fn set_len(path: &Path, length: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn whatever_is_damaged_in_the_database_the_logs_make_good() {
    let machine = Machine::new();
    let mut daemon = machine.boot();
    let socket = daemon.socket.clone();
    let replies = machine.load(&socket, || {
        thread::sleep(Duration::from_millis(1500));
        daemon.kill();
    });
    assert!(Books::read(&machine).calls() > 50);
    let whole = machine.dir.path().join("whole");
    copy(&machine.state(), &whole);
    let names: Vec<PathBuf> = files(&whole)
        .into_iter()
        .map(|path| path.strip_prefix(&whole).unwrap().to_owned())
        .collect();
    assert!(names.len() > 1, "{names:?}");
    for name in &names {
        for (what, damage) in DAMAGES {
            fs::remove_dir_all(machine.state()).unwrap();
            copy(&whole, &machine.state());
            damage(&machine.state().join(name));
            let told = format!("{what}: {}", name.display());
            let daemon = machine.boot();
            let reply = daemon.ask(&json!({"messages": [{"role": "user", "content": told}]}));
            assert_eq!(reply["ok"], true, "{reply}");
            let books = Books::read(&machine);
            books.agree_with(&daemon);
            books.hold(&replies);
        }
    }
}

#[test]
fn a_damaged_database_is_told_in_health_and_put_aside() {
    let machine = Machine::new();
    drop(machine.boot());
    for path in files(&machine.state()) {
        fs::write(path, [0xff; 4096]).unwrap();
    }
    let daemon = machine.boot();
    let recorder = &daemon.ask(&json!({"op": "health"}))["recorder"];
    assert_eq!(recorder["store"], "ok", "{recorder}");
    assert!(recorder["store_put_aside"].as_str().unwrap().contains("db.damaged-1"));
    assert!(machine.state().join("db.damaged-1").exists());
}

#[test]
fn without_state_and_log_directories_everything_starts_empty() {
    let machine = Machine::new();
    let daemon = machine.boot();
    Books::read(&machine).agree_with(&daemon);
}
