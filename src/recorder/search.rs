//! What the log still says, for a question: about one request, or about lines of one kind.
//!
//! The files are read from the oldest that may hold it; a request's name says when it arrived, so
//! older files are not touched. Only lines that contain the name are parsed. It blocks, and is for
//! a person's question, not for the path of a request.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::time::UNIX_EPOCH;

use memchr::memmem::Finder;
use ulid::Ulid;

use super::logfile::LogFiles;
use crate::domain::time::{Wall, millis};
use crate::protocol::log::LogLine;

/// Seconds that clocks of files and of lines may differ.
const SLACK_MS: u64 = 60_000;

/// When a request of this name arrived; `None` if it is no name of a request.
pub(crate) fn arrived(request_id: &str) -> Option<Wall> {
    Ulid::from_string(request_id).ok().map(|ulid| Wall(ulid.timestamp_ms()))
}

/// The lines about a request, in the order of the log.
pub(super) fn lines(files: &LogFiles, request_id: &str) -> io::Result<Vec<LogLine>> {
    let since = arrived(request_id).unwrap_or_default();
    let mut found = Vec::new();
    each_line(files, since, &Finder::new(request_id), |line| {
        if let Ok(line) = serde_json::from_slice::<LogLine>(line)
            && line.event.request_id().is_some_and(|its| **its == *request_id)
        {
            found.push(line);
        }
    })?;
    Ok(found)
}

/// Shows `look` the lines in which `finder` finds something, in the order of the log, of all files
/// that were written to since then.
pub(super) fn each_line(
    files: &LogFiles,
    since: Wall,
    finder: &Finder<'_>,
    mut look: impl FnMut(&[u8]),
) -> io::Result<()> {
    for path in files.oldest_first() {
        match File::open(&path) {
            Ok(file) if written_after(&file, since) => scan(file, finder, &mut look)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a file may hold lines from then on.
fn written_after(file: &File, since: Wall) -> bool {
    let modified = file.metadata().and_then(|data| data.modified());
    let modified = modified.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    modified.is_none_or(|at| millis(at).saturating_add(SLACK_MS) >= since.0)
}

fn scan(file: File, finder: &Finder<'_>, look: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if finder.find(&line).is_some() {
            look(&line);
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recorder::logfile::numbered;

    const ID: &str = "01M7W9TJWBQC5AZC8MQKY1RQDG";

    #[test]
    fn lines_are_found_in_rotated_files_too_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("health.jsonl");
        let line = |second: u32, id: &str| {
            let timestamp = format!("2026-11-20T10:00:0{second}.000Z");
            let request = json!({"timestamp":timestamp,"event":"request","request_id":id,
                "task":"t","success":true,"fallback_count":0,"latency_ms":1,"calls":1});
            format!("{request}\n")
        };
        let other = "01M7W9TJWBQC5AZC8MQKY1RQDH";
        std::fs::write(numbered(&path, 1), line(1, ID) + &line(2, other)).unwrap();
        let mention = format!("{{\"task\":\"{ID}\"}}\nnot json {ID}\n");
        std::fs::write(&path, mention + &line(3, ID)).unwrap();
        let found = lines(&LogFiles { path, keep: 8 }, ID).unwrap();
        let stamps: Vec<&str> = found.iter().map(|line| &*line.timestamp).collect();
        assert_eq!(stamps, ["2026-11-20T10:00:01.000Z", "2026-11-20T10:00:03.000Z"]);
        let none = LogFiles { path: folder.path().join("none"), keep: 8 };
        assert!(lines(&none, ID).unwrap().is_empty());
    }

    #[test]
    fn a_name_says_when_its_request_arrived() {
        assert!(arrived(ID).is_some_and(|at| at.0 > 1_700_000_000_000));
        assert_eq!(arrived("yesterday"), None);
    }
}
