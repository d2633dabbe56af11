//! Clients that keep the daemon waiting: lines that never end, answers that nobody reads.
//!
//! The two times are fixed, so these tests take as long; they run beside all others. Each also
//! looks whether anybody else noticed.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::harness::{Client, PATIENCE, Setup, Stopwatch, chat, code, openai};

/// Waits until the daemon has closed, without reading anything.
fn wait_hung_up(client: &mut Client) {
    let watch = Stopwatch::start();
    loop {
        let stream: &UnixStream = client.stream();
        let mut polled = [PollFd::new(stream.as_fd(), PollFlags::empty())];
        poll(&mut polled, PollTimeout::from(1000u16)).unwrap();
        let seen = polled[0].revents().unwrap();
        if seen.contains(PollFlags::POLLHUP) {
            return;
        }
        assert!(watch.elapsed() < PATIENCE, "the daemon keeps the connection");
    }
}

#[test]
fn half_a_line_and_silence_is_closed_after_ten_seconds() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let mut idle = daemon.client();
    let watch = Stopwatch::start();
    client.send_bytes(b"{\"id\":1,");
    daemon.ask_ok(&chat(1, "undisturbed"));
    let reply = client.recv();
    assert!(watch.elapsed() > Duration::from_millis(9_500), "after {:?}", watch.elapsed());
    assert_eq!(code(&reply), "bad_request", "{reply}");
    client.expect_end();
    assert_eq!(idle.ask_ok(&chat(2, "p"))["id"], 2, "silence between lines is no offence");
}

#[test]
fn a_trickle_of_bytes_does_not_keep_a_line_open() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let watch = Stopwatch::start();
    let closed = loop {
        assert!(watch.elapsed() < PATIENCE, "the line is still open");
        match client.stream().write_all(b" x") {
            Ok(()) => std::thread::sleep(Duration::from_millis(200)),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(closed.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{closed}"
    );
    assert!(watch.elapsed() > Duration::from_millis(9_500), "after {:?}", watch.elapsed());
}

#[test]
fn a_reader_that_takes_nothing_is_dropped_after_thirty_seconds() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let watch = Stopwatch::start();
    // Far more answers than a socket's buffer holds.
    client.send_bytes(&b"x\n".repeat(20_000));
    daemon.ask_ok(&chat(1, "undisturbed"));
    wait_hung_up(&mut client);
    let took = watch.elapsed();
    assert!(took > Duration::from_millis(29_500), "dropped after {took:?}");
    daemon.ask_ok(&chat(2, "undisturbed"));
}

#[test]
fn a_client_that_asks_without_reading_is_not_read_either() {
    const MANY: usize = 1 << 20;
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let before = daemon.resident_kib();
    let mut client = daemon.client();
    client.stream().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let lines = b"x\n".repeat(4 * 1024);
    let mut sent = 0;
    while sent < MANY {
        match client.stream().write(&lines) {
            Ok(some) => sent += some,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent < MANY, "the daemon read {sent} bytes of a client that reads nothing");
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB for the answers to one client");
    daemon.ask_ok(&chat(1, "undisturbed"));
}

#[test]
fn a_client_that_reads_late_gets_every_answer() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    client.send_bytes(&b"x\n".repeat(30_000));
    client.send(&chat("last", "p"));
    client.end_writing();
    for _ in 0..30_000 {
        assert!(client.line().contains("invalid_json"));
    }
    assert_eq!(client.recv()["id"], "last");
    client.expect_end();
}
