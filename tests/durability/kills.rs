//! Killed at random moments under load, again and again.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::books::Books;
use crate::machine::Machine;

#[test]
fn kills_under_load_lose_no_reply_and_count_nothing_twice() {
    let kills: u64 = std::env::var("FALLBACKD_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let machine = Machine::new();
    let mut replies: Vec<Value> = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..kills {
        let mut daemon = machine.boot();
        let socket = daemon.socket.clone();
        starts.push(daemon.started_in);
        Books::read(&machine).agree_with(&daemon);
        // Often before the first checkpoint, now and then after some.
        let longest = if fastrand::u8(0..4) == 0 { 900 } else { 200 };
        let life = Duration::from_millis(10 + fastrand::u64(0..longest));
        replies.extend(machine.load(&socket, || {
            thread::sleep(life);
            daemon.kill();
        }));
    }
    let daemon = machine.boot();
    starts.push(daemon.started_in);
    let books = Books::read(&machine);
    books.agree_with(&daemon);
    books.hold(&replies);
    let answered = replies.iter().filter(|reply| reply["ok"] == true).count();
    assert!(answered as u64 > kills, "{answered} replies in {kills} lives");
    starts.sort_unstable();
    let middle = starts[starts.len() / 2];
    assert!(middle < Duration::from_secs(1), "half of the starts took longer than {middle:?}");
}
