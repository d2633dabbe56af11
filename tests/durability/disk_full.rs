//! A small disk that fills up under load: everybody is answered, and it comes back by itself.
//!
//! Needs the right to mount; without it the test says so and ends.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use fallbackd::clock::Clock;
use serde_json::{Value, json};

use crate::machine::{Daemon, Machine};

/// A file system of six megabytes, as long as it is held.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn recorder(daemon: &Daemon) -> Value {
    daemon.ask(&json!({"op": "health"}))["recorder"].clone()
}

fn until(what: &str, daemon: &Daemon, holds: impl Fn(&Value) -> bool) {
    let clock = Clock::system();
    while !holds(&recorder(daemon)) {
        let waited = clock.mono().0;
        assert!(waited < Duration::from_secs(60), "in vain until {what}: {}", recorder(daemon));
        thread::sleep(Duration::from_millis(20));
    }
}

/// Everybody who asked was answered: a daemon that runs on leaves no reply out.
fn assert_answered(replies: &[Value]) {
    assert!(!replies.is_empty());
    for reply in replies {
        assert!(reply["ok"] == true || reply["error"]["code"].is_string(), "{reply}");
        assert!(reply["request_id"].is_string(), "{reply}");
    }
}

#[test]
fn a_disk_that_fills_up_under_load_leaves_nobody_unanswered_and_recovers() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(&machine.disk()) else {
        let why = "SKIPPED: a small file system cannot be mounted; run this test as root";
        writeln!(std::io::stderr(), "{why}").unwrap();
        return;
    };
    let daemon = machine.boot();
    let filler = disk.0.join("filler");
    let replies = machine.load(&daemon.socket, || {
        until("there is something in the database", &daemon, |recorder| {
            recorder["last_checkpoint"].is_string() && recorder["lines"].as_u64() > Some(20)
        });
        // As much as there is room for; it ends with an error, which is the point.
        let _ = fs::write(&filler, vec![1; 16 << 20]);
        until("lines are lost", &daemon, |recorder| recorder["dropped"].as_u64() > Some(50));
        assert!(recorder(&daemon)["log_error"].is_string());
    });
    assert_answered(&replies);
    fs::remove_file(&filler).unwrap();
    let before = recorder(&daemon);
    let replies = machine.load(&daemon.socket, || {
        until("everything works again", &daemon, |recorder| {
            let news = |key: &str| recorder[key] != before[key];
            recorder["log_error"].is_null()
                && recorder["store"] == "ok"
                && recorder["store_error"].is_null()
                && news("lines")
                && news("last_checkpoint")
        });
    });
    assert_answered(&replies);
    // What the log has no lines for is as durable as the next checkpoint that begins. One may be
    // under way, so two are waited for, each with something to write.
    for _ in 0..2 {
        let since = recorder(&daemon)["last_checkpoint"].clone();
        daemon.ask(&json!({"messages": [{"role": "user", "content": "p"}]}));
        until("a checkpoint was made", &daemon, |recorder| recorder["last_checkpoint"] != since);
    }
    let known = daemon.ask(&json!({"op": "costs"}));
    assert_eq!(known["incomplete"], Value::Null);
    drop(daemon);
    let daemon = machine.boot();
    let known_again = daemon.ask(&json!({"op": "costs"}));
    assert_eq!(known_again["totals"], known["totals"], "also what the log has no lines for");
}
