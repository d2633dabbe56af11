//! Under a service manager: what it is told and when, and a socket that is not the daemon's own.
//!
//! A datagram socket plays the manager. What a real one makes of it is shown by the container.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};

use fallbackd::sim::{Background, Behaviour};
use serde_json::json;
use tempfile::TempDir;

use super::harness::{
    Client, Daemon, NO_RETRY, PATIENCE, Setup, chat, chat_with, eventually, openai, wait_calls,
};

/// The manager's end of the line.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Manager {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager { socket, folder }
    }

    /// A setup whose daemon will report here.
    fn of(&self, setup: Setup) -> Setup {
        setup.env("NOTIFY_SOCKET", self.folder.path().join("notify").to_str().unwrap())
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("the daemon tells nothing more");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// All messages up to one that begins like this.
    fn until(&self, start: &str) -> Vec<String> {
        let mut heard = vec![self.next()];
        while !heard.last().unwrap().starts_with(start) {
            heard.push(self.next());
        }
        heard
    }
}

fn setup(sim: &Background) -> Setup {
    Setup::of(sim, &["a", "b"]).toml(NO_RETRY)
}

#[test]
fn ready_is_told_after_the_status_and_only_once_everybody_answers() {
    let (sim, manager) = (openai(), Manager::new());
    let daemon = manager.of(setup(&sim)).start();
    assert_eq!(manager.until("READY=1"), ["STATUS=2 of 2 models up\n", "READY=1\n"]);
    sim.set_for("a", Behaviour::server_error());
    (0..3).for_each(|_| drop(daemon.ask(&chat_with(&["a"], "p"))));
    assert_eq!(manager.next(), "STATUS=1 of 2 models up; circuit open: a\n");
}

#[test]
fn the_watchdog_is_told_again_and_again() {
    let (sim, manager) = (openai(), Manager::new());
    let _daemon = manager.of(setup(&sim)).env("WATCHDOG_USEC", "200000").start();
    manager.until("READY=1");
    for _ in 0..5 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
}

#[test]
fn a_reload_is_told_with_its_time_in_one_message_and_ends_also_when_it_is_refused() {
    let (sim, manager) = (openai(), Manager::new());
    let daemon = manager.of(setup(&sim)).start();
    manager.until("READY=1");
    let mut times = Vec::new();
    for good in [true, false] {
        if !good {
            std::fs::write(daemon.setup.config(), "nonsense = 1\n").unwrap();
        }
        assert_eq!(daemon.ask(&json!({ "op": "reload" }))["ok"], good);
        let reloading = manager.next();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
        times.push(micros.trim_end().parse::<u64>().unwrap());
        assert_eq!(manager.next(), "READY=1\n");
    }
    assert!(times[0] < times[1], "{times:?}");
}

#[test]
fn the_end_is_told_before_what_runs_is_answered_and_more_time_is_asked_for() {
    let (sim, manager) = (openai(), Manager::new());
    sim.set(Behaviour::Held);
    let daemon = manager.of(setup(&sim)).start();
    let mut client = daemon.client();
    client.send(&chat(1, "p"));
    wait_calls(&sim, 1);
    daemon.signal("TERM");
    manager.until("STOPPING=1");
    assert_eq!(manager.next(), "EXTEND_TIMEOUT_USEC=15000000\n");
    assert_eq!(manager.next(), "STATUS=ending, still to answer: 1; 2 of 2 models up\n");
    sim.release();
    assert_eq!(client.recv()["ok"], true);
    assert_eq!(daemon.wait().status.code(), Some(0));
}

#[test]
fn a_configuration_with_mistakes_is_told_as_the_reason() {
    let (sim, manager) = (openai(), Manager::new());
    let setup = manager.of(setup(&sim)).toml("[nonsense]");
    setup.write();
    let output = super::harness::fallbackd(&setup).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(manager.next(), "STATUS=not started: 1 mistake found\n");
}

/// A socket as a socket unit makes it.
fn made(setup: &Setup) -> UnixListener {
    let path = setup.socket();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o606)).unwrap();
    listener
}

#[test]
fn a_socket_that_was_handed_over_keeps_its_permissions_and_outlives_the_daemon() {
    let sim = openai();
    let setup = setup(&sim);
    setup.write();
    let listener = made(&setup);
    let before = std::fs::metadata(setup.socket()).unwrap();
    let daemon = Daemon::start_on(setup, &listener);
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["content"], "[a] p");
    let ended = daemon.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr());
    let after = std::fs::metadata(ended.setup.socket()).unwrap();
    assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
}

#[test]
fn who_connects_while_no_daemon_runs_is_served_by_the_next_one() {
    let sim = openai();
    let setup = setup(&sim);
    setup.write();
    let listener = made(&setup);
    let mut early = Client::connect(&setup.socket());
    early.send(&chat("early", "p"));
    let daemon = Daemon::start_on(setup, &listener);
    assert_eq!(early.recv()["id"], "early");
    let ended = daemon.terminate();
    let mut between = Client::connect(&ended.setup.socket());
    between.send(&chat("between", "p"));
    let _next = Daemon::start_on(ended.setup, &listener);
    assert_eq!(between.recv()["id"], "between");
}

#[test]
fn a_long_answer_is_finished_while_new_clients_already_wait_for_the_next_daemon() {
    let sim = openai();
    let setup = setup(&sim);
    setup.write();
    let listener = made(&setup);
    let daemon = Daemon::start_on(setup, &listener);
    sim.set(Behaviour::Held);
    let mut old = daemon.client();
    old.send(&chat("old", "p"));
    wait_calls(&sim, 1);
    daemon.signal("TERM");
    eventually("the drain has begun", || {
        daemon.stderr().contains("a second signal ends at once").then_some(())
    });
    let mut new = Client::connect(&daemon.socket());
    new.send(&chat("new", "p"));
    sim.well();
    sim.release();
    assert_eq!(old.recv()["id"], "old");
    let ended = daemon.wait();
    assert_eq!(ended.status.code(), Some(0));
    let _next = Daemon::start_on(ended.setup, &listener);
    assert_eq!(new.recv()["id"], "new");
}

#[test]
fn variables_meant_for_another_process_hand_nothing_over() {
    let sim = openai();
    let daemon = setup(&sim).env("LISTEN_FDS", "1").env("LISTEN_PID", "1").start();
    assert_eq!(daemon.ask_ok(&chat(1, "p"))["ok"], true);
    let ended = daemon.terminate();
    assert!(!ended.setup.socket().exists(), "its own socket goes with it");
}
