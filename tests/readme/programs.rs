//! The programs and shell lines of README.md, run as people would run them.
//!
//! What needs a program that this machine lacks is skipped with a line that begins with SKIP. It
//! is written past the test harness, so that it shows even when all is well.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fixture::{Fixture, programs};
use crate::page::{PAGES, blocks};
use fallbackd::config::{self, Env};

const README: &str = "README.md";

/// Runs every example of this name with `interpreter`; each must print an answer that holds `wanted`.
fn run(marker: &str, interpreter: &[&str], needs: &[&str], wanted: &str) {
    if let Some(missing) = needs.iter().find(|program| !is_there(program)) {
        let told = writeln!(std::io::stderr(), "SKIP {marker}: there is no {missing} here");
        return told.unwrap();
    }
    let fixture = Fixture::start();
    for block in blocks(README, marker) {
        let file = fixture.file("example", &block);
        let output = Command::new(interpreter[0])
            .args(&interpreter[1..])
            .arg(&file)
            .env("PATH", path())
            .env("FALLBACKD_SOCKET", fixture.socket())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let notes = String::from_utf8_lossy(&output.stderr);
        let said = format!("{marker}: {}\n{block}\n{printed}\n{notes}", output.status);
        assert!(output.status.success() && printed.contains(wanted), "{said}");
    }
}

/// The programs just built come first.
fn path() -> OsString {
    let mut path = programs().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn is_there(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
    found.is_ok_and(|output| output.status.success())
}

#[test]
fn the_python_client_gets_an_answer() {
    run("python-client", &["python3"], &["python3"], "Name three rivers.");
}

#[test]
fn the_pipelining_client_gets_every_answer() {
    run("python-pipeline", &["python3"], &["python3"], "Where does the Amazon end?");
}

#[test]
fn the_node_client_gets_an_answer() {
    run("node-client", &["node"], &["node"], "Name three rivers.");
}

#[test]
fn the_bash_client_gets_an_answer() {
    let bash = ["bash", "-euo", "pipefail"];
    run("bash-client", &bash, &["bash", "socat"], "Name three rivers.");
}

#[test]
fn the_shell_lines_work_with_the_programs_just_built() {
    run("shell", &["bash", "-euo", "pipefail"], &["bash"], "");
}

#[test]
fn every_client_can_be_pointed_at_a_daemon() {
    for marker in ["python-client", "python-pipeline", "node-client", "bash-client"] {
        let all = blocks(README, marker);
        assert!(all.iter().all(|block| block.contains("FALLBACKD_SOCKET")), "{marker}");
    }
}

#[test]
fn every_snippet_of_configuration_is_read() {
    for page in PAGES {
        for snippet in blocks(page, "config") {
            let env = Env::new(1000, [("HOME", "/nowhere"), ("OPENAI_API_KEY", "k")]);
            if let Err(mistakes) = config::parse(&snippet, page, &env) {
                panic!("{mistakes}");
            }
        }
    }
}

#[test]
fn every_configuration_that_is_shipped_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let examples = std::fs::read_dir(root.join("examples")).unwrap().flatten();
    let files = examples.map(|entry| entry.path()).chain([root.join("fallbackd.toml")]);
    for file in files {
        let output = Command::new(env!("CARGO_BIN_EXE_fallbackd"))
            .args(["--check", "--config"])
            .arg(&file)
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
