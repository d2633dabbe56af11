//! The socket file: made with the right permissions, replaced when it was left over, and never
//! taken away from anybody else.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use super::harness::{Setup, chat, exit_code, fallbackd, openai, skipped};

/// Runs a daemon that is expected to end by itself at once.
fn refused(setup: &Setup) -> Output {
    setup.write();
    fs::create_dir_all(setup.socket().parent().unwrap()).unwrap();
    fallbackd(setup).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_socket_and_its_folder_have_the_permissions_that_were_asked_for() {
    let sim = openai();
    for (lines, mode) in [("", 0o660), ("socket_mode = \"0600\"", 0o600)] {
        let daemon = Setup::of(&sim, &["m"]).daemon(lines).start();
        let found = fs::symlink_metadata(daemon.socket()).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.mode() & 0o777, mode);
        let folder = fs::metadata(daemon.socket().parent().unwrap()).unwrap();
        assert_eq!(folder.mode() & 0o777, 0o750);
        let log = fs::metadata(daemon.setup.log()).unwrap();
        assert_eq!(log.mode() & 0o777, 0o640);
    }
}

#[test]
fn the_socket_belongs_to_the_group_that_was_asked_for() {
    let groups = String::from_utf8(Command::new("id").arg("-Gn").output().unwrap().stdout).unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    // Root may give a file to any group; others only to those they are members of.
    let group = if is_root { "daemon" } else { groups.split_whitespace().last().unwrap() };
    let file = fs::read_to_string("/etc/group").unwrap_or_default();
    let gid =
        file.lines().find_map(|line| line.strip_prefix(&format!("{group}:"))?.split(':').nth(1));
    let Some(gid) = gid else {
        let test = "the_socket_belongs_to_the_group_that_was_asked_for";
        return skipped(test, &format!("no group {group} in /etc/group"));
    };
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).daemon(&format!("socket_group = {group:?}")).start();
    assert_eq!(fs::metadata(daemon.socket()).unwrap().gid().to_string(), gid);

    let unknown = Setup::of(&sim, &["m"]).daemon("socket_group = \"no-such-group\"");
    let output = refused(&unknown);
    assert_eq!(exit_code(&output), 1);
    assert!(said(&output).contains("no-such-group"), "{}", said(&output));
}

#[test]
fn a_clean_end_removes_the_socket_and_a_new_daemon_makes_another() {
    let sim = openai();
    let ended = Setup::of(&sim, &["m"]).start().terminate();
    assert!(!ended.setup.socket().exists());
    ended.restart().ask_ok(&chat(1, "p"));
}

#[test]
fn a_socket_left_over_by_a_kill_is_replaced() {
    let sim = openai();
    let ended = Setup::of(&sim, &["m"]).start().kill();
    assert!(ended.setup.socket().exists(), "nobody had the time to remove it");
    ended.restart().ask_ok(&chat(1, "p"));
}

#[test]
fn a_file_at_the_path_of_the_socket_is_never_removed() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]);
    fs::create_dir_all(setup.socket().parent().unwrap()).unwrap();
    fs::write(setup.socket(), "precious").unwrap();
    let output = refused(&setup);
    assert_eq!(exit_code(&output), 1);
    let said = said(&output);
    assert!(said.contains("is not a socket") && said.contains("hint:"), "{said}");
    assert_eq!(fs::read(setup.socket()).unwrap(), b"precious");
}

#[test]
fn a_symbolic_link_at_the_path_of_the_socket_is_never_followed_or_removed() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]);
    fs::create_dir_all(setup.socket().parent().unwrap()).unwrap();
    let target = setup.folder().join("target");
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, setup.socket()).unwrap();
    assert_eq!(exit_code(&refused(&setup)), 1);
    assert!(setup.socket().is_symlink());
    assert_eq!(fs::read(target).unwrap(), b"precious");
}

#[test]
fn a_socket_on_which_somebody_else_answers_is_left_to_them() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]);
    fs::create_dir_all(setup.socket().parent().unwrap()).unwrap();
    let listener = UnixListener::bind(setup.socket()).unwrap();
    let inode = fs::metadata(setup.socket()).unwrap().ino();
    let output = refused(&setup);
    assert_eq!(exit_code(&output), 1);
    assert_eq!(fs::metadata(setup.socket()).unwrap().ino(), inode);
    drop(listener);
}

#[test]
fn a_second_daemon_refuses_to_start_and_the_first_goes_on_undisturbed() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let before = daemon.log().len();
    let output = fallbackd(&daemon.setup).output().unwrap();
    assert_eq!(exit_code(&output), 1);
    let said = said(&output);
    assert!(said.contains("another fallbackd is running"), "{said}");
    assert!(said.contains("hint:"), "{said}");
    assert_eq!(daemon.log().len(), before, "the second one wrote to the first one's log");
    daemon.ask_ok(&chat(1, "p"));
    assert!(daemon.terminate().status.success());
}

#[test]
fn the_command_line_and_the_environment_win_over_the_configuration() {
    let sim = openai();
    let setup = Setup::of(&sim, &["m"]);
    let elsewhere = setup.folder().join("elsewhere.sock");
    let busy = UnixListener::bind(&elsewhere).unwrap();
    setup.write();
    let by_flag = fallbackd(&setup).arg("--socket").arg(&elsewhere).output().unwrap();
    let by_variable = fallbackd(&setup).env("FALLBACKD_SOCKET", &elsewhere).output().unwrap();
    for output in [by_flag, by_variable] {
        assert!(said(&output).contains("elsewhere.sock"), "{}", said(&output));
        assert!(!setup.socket().exists());
    }
    drop(busy);
}
