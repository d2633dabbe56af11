//! The log on a real file system: rotation, repair, and others who touch it.

use std::os::unix::fs::symlink;

use super::*;

const HEAD: &str = "{\"file\":\"head\"}\n";

fn log(dir: &Path, max_size: u64, keep: u32) -> LogFile {
    LogFile::new(dir.join("logs/health.jsonl"), max_size, keep)
}

fn text(log: &LogFile) -> String {
    fs::read_to_string(&log.path).unwrap().replace(HEAD, "head\n")
}

fn head() -> Header {
    Header { file: "head".into(), line: HEAD.into() }
}

fn put(log: &mut LogFile, lines: &str) {
    log.append(&head(), lines.as_bytes(), Mono::default()).unwrap();
}

/// Reads like `tail -F`: to the end of the open file, then looks whether the path has moved on.
struct Tail {
    path: PathBuf,
    open: Option<File>,
    seen: String,
}

impl Tail {
    fn poll(&mut self) {
        if let Some(file) = &mut self.open {
            file.read_to_string(&mut self.seen).unwrap();
            if file.metadata().unwrap().ino() == fs::metadata(&self.path).unwrap().ino() {
                return;
            }
        }
        let mut file = File::open(&self.path).unwrap();
        file.read_to_string(&mut self.seen).unwrap();
        self.open = Some(file);
    }
}

#[test]
fn missing_directories_are_made_and_modes_are_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 1000, 2);
    assert_eq!(log.open(), Ok(None));
    put(&mut log, "one\n");
    assert_eq!(text(&log), "head\none\n");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&log.path), 0o640);
    assert_eq!(mode(log.path.parent().unwrap()) & 0o027, 0, "nothing for others");
}

#[test]
fn an_unfinished_last_line_is_cut_off_and_the_head_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 1_000_000, 2);
    log.open().unwrap();
    let long = "x".repeat(BLOCK as usize * 2);
    fs::write(&log.path, format!("{HEAD}whole\n{long}")).unwrap();
    log.open = None;
    assert_eq!(log.open(), Ok(Some(b"whole\n".to_vec())));
    put(&mut log, "next\n");
    assert_eq!(text(&log), "head\nwhole\nnext\n");
}

#[test]
fn a_file_that_holds_only_a_piece_of_a_line_becomes_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 1000, 2);
    fs::create_dir(log.path.parent().unwrap()).unwrap();
    fs::write(&log.path, "{\"timest").unwrap();
    assert_eq!(log.open(), Ok(None));
    put(&mut log, "one\n");
    assert_eq!(text(&log), "head\none\n");
}

#[test]
fn rotation_keeps_as_many_files_as_asked_and_loses_no_line_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 32, 3);
    for number in 0..10 {
        put(&mut log, &format!("line {number}\n"));
    }
    assert_eq!(text(&log), "head\nline 8\nline 9\n");
    for (number, lines) in [(1, "line 6\nline 7"), (2, "line 4\nline 5"), (3, "line 2\nline 3")] {
        let old = fs::read_to_string(numbered(&log.path, number)).unwrap();
        assert_eq!(old, format!("{HEAD}{lines}\n"));
    }
    assert!(!numbered(&log.path, 4).exists());
}

#[test]
fn keeping_no_files_is_possible() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 8, 0);
    put(&mut log, "one\n");
    put(&mut log, "two\n");
    assert_eq!(text(&log), "head\ntwo\n");
    assert!(!numbered(&log.path, 1).exists());
}

#[test]
fn a_reader_that_follows_the_path_sees_every_line_across_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 100, 2);
    log.open().unwrap();
    let mut tail = Tail { path: log.path.clone(), open: None, seen: String::new() };
    let mut written = String::new();
    for number in 0..200 {
        put(&mut log, &format!("line {number}\n"));
        written.push_str(&format!("line {number}\n"));
        tail.poll();
    }
    assert_eq!(tail.seen.replace(HEAD, ""), written);
    assert!(tail.seen.matches(HEAD).count() > 10, "it was rotated");
}

#[test]
fn a_log_deleted_renamed_or_emptied_by_others_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 1000, 2);
    put(&mut log, "one\n");
    fs::remove_file(&log.path).unwrap();
    put(&mut log, "two\n");
    assert_eq!(text(&log), "head\ntwo\n");
    fs::rename(&log.path, dir.path().join("moved")).unwrap();
    put(&mut log, "three\n");
    assert_eq!(text(&log), "head\nthree\n");
    File::options().write(true).open(&log.path).unwrap().set_len(0).unwrap();
    put(&mut log, "four\n");
    assert_eq!(text(&log), "head\nfour\n");
    fs::remove_dir_all(log.path.parent().unwrap()).unwrap();
    put(&mut log, "five\n");
    assert_eq!(text(&log), "head\nfive\n");
}

#[test]
fn a_path_that_cannot_be_written_costs_lines_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 1000, 2);
    // A file where the directory should be: this fails for root as well.
    fs::write(dir.path().join("logs"), "").unwrap();
    assert!(log.open().is_err());
    let lost = log.append(&head(), b"one\ntwo\n", Mono::default()).unwrap_err();
    assert_eq!((lost.lines, lost.fresh), (2, true));
    fs::remove_file(dir.path().join("logs")).unwrap();
    let lost = log.append(&head(), b"three\n", Mono(PAUSE / 2)).unwrap_err();
    assert_eq!((lost.lines, lost.fresh), (1, false), "the disk is not asked all the time");
    log.append(&head(), b"four\n", Mono(PAUSE)).unwrap();
    assert_eq!(text(&log), "head\nfour\n");
}

#[test]
fn a_full_disk_costs_lines_and_says_so() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let broken = write_whole(&full, b"one\ntwo\n").unwrap_err();
    assert_eq!(broken.error.kind(), ErrorKind::StorageFull);
    assert_eq!((broken.whole, broken.torn), (0, false));
}

#[test]
fn a_piece_of_a_line_is_ended_when_it_could_not_be_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 1000, 2);
    put(&mut log, "one\n");
    let open = log.open.as_mut().unwrap();
    (&*open.file).write_all(b"{\"tim").unwrap();
    open.torn = true;
    put(&mut log, "two\n");
    put(&mut log, "three\n");
    assert_eq!(text(&log), "head\none\n{\"tim\ntwo\nthree\n");
}

#[test]
fn a_log_that_cannot_be_rotated_grows_on_and_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 32, 1);
    put(&mut log, "line 0\nline 1\n");
    // A directory that is not empty cannot be replaced by a file.
    fs::create_dir_all(numbered(&log.path, 1).join("full")).unwrap();
    let first = log.append(&head(), b"line 2\n", Mono::default()).unwrap_err();
    assert_eq!((first.lines, first.fresh), (0, true));
    let second = log.append(&head(), b"line 3\n", Mono::default()).unwrap_err();
    assert_eq!((second.lines, second.fresh), (0, false));
    assert_eq!(text(&log), "head\nline 0\nline 1\nline 2\nline 3\n");
    fs::remove_dir_all(numbered(&log.path, 1)).unwrap();
    put(&mut log, "line 4\n");
    assert_eq!(text(&log), "head\nline 4\n");
}

#[test]
fn something_else_than_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), 1000, 2);
    fs::create_dir(log.path.parent().unwrap()).unwrap();
    symlink("/dev/null", &log.path).unwrap();
    assert!(log.open().unwrap_err().contains("not a regular file"));
}
