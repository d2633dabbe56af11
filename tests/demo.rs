//! `fallbackd --demo` as people run it: the built program, its output, its exit code, its traces.
//!
//! The environment is empty but for a folder for temporary files, which shows two things at once:
//! that the demo needs nothing, and that it leaves nothing behind. What happens in the scenes is
//! judged by the demo itself; here it is enough that it says so.

#[cfg(test)]
mod demo {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::{Child, Command, Output, Stdio};
    use std::time::Duration;

    use fallbackd::clock::Clock;
    use serde_json::Value;
    use tempfile::TempDir;

    const SCENES: [&str; 7] = [
        "1 All is well",
        "2 The primary is down",
        "3 A rate limit",
        "4 A model hangs",
        "5 A stream breaks",
        "6 Recovery",
        "7 Everything is down",
    ];

    fn demo(temporary: &TempDir, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackd"));
        command.env_clear().env("TMPDIR", temporary.path()).arg("--demo").args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn is_empty(folder: &TempDir) -> bool {
        std::fs::read_dir(folder.path()).unwrap().next().is_none()
    }

    /// Reads the program's output up to the first line that holds `word`.
    fn read_until(child: &mut Child, word: &str) -> BufReader<std::process::ChildStdout> {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "{word:?} was never said");
        }
        out
    }

    fn signal(child: &Child, name: &str) {
        let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn ask(socket: &Path, task: &str) -> Value {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let messages = r#"[{"role":"user","content":"Name three rivers."}]"#;
        writeln!(stream, r#"{{"task":"{task}","messages":{messages}}}"#).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn assert_went_as_told(output: &Output) {
        let (told, trouble) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{told}\n{trouble}");
        assert_eq!(trouble, "");
    }

    #[test]
    fn every_scene_goes_as_told_within_twenty_seconds_and_leaves_nothing_behind() {
        let temporary = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let output = demo(&temporary, &[]).output().unwrap();
        let took = clock.mono().0;
        assert_went_as_told(&output);
        assert!(took < Duration::from_secs(20), "{took:?}");
        let told = text(&output.stdout);
        let mut rest = told.as_str();
        for scene in SCENES {
            let at = rest.find(scene).unwrap_or_else(|| panic!("{scene:?} is not in\n{told}"));
            rest = &rest[at..];
        }
        assert!(told.contains("All seven scenes went as told"), "{told}");
        assert!(told.contains("--stay"), "how to go on is not in\n{told}");
        assert!(is_empty(&temporary));
    }

    #[test]
    fn off_a_terminal_the_story_is_plain_and_fits_eighty_columns() {
        let temporary = tempfile::tempdir().unwrap();
        let told = text(&demo(&temporary, &[]).output().unwrap().stdout);
        assert!(!told.contains('\x1b'));
        let wide: Vec<_> = told.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }

    #[test]
    fn with_stay_it_answers_until_it_is_ended() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("d.sock");
        let more = ["--stay", "--socket", socket.to_str().unwrap()];
        let mut child = demo(&temporary, &more).spawn().unwrap();
        let out = read_until(&mut child, "export FALLBACKD_SOCKET=");
        let good = ask(&socket, "default");
        assert_eq!(good["content"], "[gpt-4o] Name three rivers.", "{good}");
        let broken = ask(&socket, "broken");
        assert_eq!(broken["used_fallback"], true, "{broken}");
        assert_eq!(broken["attempts"][0]["status"], 503, "{broken}");
        let nothing = ask(&socket, "nothing");
        assert_eq!(nothing["error"]["code"], "all_models_failed", "{nothing}");
        signal(&child, "-TERM");
        // Its output is still open: a closed pipe is the subject of another test.
        let output = child.wait_with_output().unwrap();
        drop(out);
        assert_went_as_told(&output);
        assert!(is_empty(&temporary) && is_empty(&folder));
    }

    #[test]
    fn a_signal_in_the_middle_ends_it_cleanly() {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = demo(&temporary, &[]).spawn().unwrap();
        let out = read_until(&mut child, SCENES[2]);
        signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        drop(out);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stderr), "fallbackd: stopped before the end of the demo\n");
        assert!(is_empty(&temporary));
    }

    #[test]
    fn a_reader_who_leaves_early_does_no_harm() {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = demo(&temporary, &[]).spawn().unwrap();
        drop(read_until(&mut child, SCENES[0]));
        assert_went_as_told(&child.wait_with_output().unwrap());
        assert!(is_empty(&temporary));
    }

    #[test]
    fn a_socket_that_is_in_use_is_named_and_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("d.sock");
        let _other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let output = demo(&temporary, &["--socket", socket.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("another fallbackd is running"));
        assert!(socket.exists() && is_empty(&temporary));
    }

    #[test]
    fn flags_that_make_no_sense_together_are_a_usage_error() {
        for flags in [&["--stay"][..], &["--demo", "--check"], &["--demo", "--config", "x"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackd"));
            let output = command.args(flags).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{flags:?}");
        }
    }
}
