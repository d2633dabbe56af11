//! Reading the health log from where the database stopped counting.
//!
//! The database names a place in the log; all that was written after it is folded into its rows.
//! Without a database, or without such a place in it, everything is: windows from every line there
//! is, circuits and the ledger from the newest `checkpoint` lines and what came after them.
//!
//! A log that was deleted, cut or edited by somebody loses its lines and nothing else: whatever is
//! missing is said, and reading goes on with the next file that is there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::fold::{Fold, LineKind, kind};
use super::logfile::{LogFiles, file_name};
use super::rows::{Position, Rows};
use super::snapshot::CheckpointLine;
use crate::domain::time::Wall;

/// How much is read at a time.
const BLOCK: usize = 256 * 1024;

/// A file of the log, as long as it was when it was looked at.
#[derive(Debug)]
pub(super) struct Segment {
    /// What it calls itself.
    name: Option<Arc<str>>,
    file: File,
    length: u64,
}

/// What the log says.
#[derive(Debug, Default)]
pub(super) struct Caught {
    /// Rows, changed ones, and additions to the ledger.
    pub(super) fold: Fold,
    /// What is missing, in words for the administrator.
    pub(super) problems: Vec<String>,
    /// From when on the ledger is whole, if it had to be told by the logs alone.
    pub(super) ledger_from: Option<Wall>,
}

/// The files of the log, the oldest first. There is a gap only behind the oldest, unless somebody
/// made one.
pub(super) fn segments(files: &LogFiles) -> Vec<Segment> {
    files.oldest_first().filter_map(|path| segment(&path)).collect()
}

fn segment(path: &Path) -> Option<Segment> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(|data| data.is_file())?.len();
    Some(Segment { name: file_name(&file), file, length })
}

/// The place behind the last line of all.
pub(super) fn end(files: &[Segment]) -> Option<Position> {
    let last = files.last()?;
    Some(Position { file: last.name.clone()?, offset: last.length })
}

/// Folds what stands between two places into `rows`: `from` what the rows already count, or from
/// nothing, up to and not including `to`, or to the end.
pub(super) fn catch_up(
    rows: Rows,
    from: Option<&Position>,
    to: Option<&Position>,
    files: &[Segment],
) -> Caught {
    if from.is_some() && from == to {
        return Caught { fold: Fold::new(rows), ..Caught::default() };
    }
    let Some(from) = from else { return rebuild(to, files) };
    let mut caught = Caught { fold: Fold::new(rows), ..Caught::default() };
    let here = files.iter().position(|segment| segment.name.as_ref() == Some(&from.file));
    if here.is_none() {
        let why = format!("its file {} is gone", from.file);
        caught.problems.push(missing(&why));
    }
    let mut unreadable = 0;
    for (at, segment) in files.iter().enumerate() {
        let newer = match here {
            Some(here) => at >= here,
            None => segment.name.as_ref().is_some_and(|name| *name > from.file),
        };
        if !newer {
            continue;
        }
        let start = if here == Some(at) { from.offset } else { 0 };
        if start > segment.length {
            caught.problems.push(missing("its newest file was cut short"));
        }
        let told = segment.lines(start..segment.upto(to), |_, line| {
            unreadable += u64::from(!caught.fold.line(line, None));
        });
        caught.problems.extend(told.err().map(|error| missing(&error.to_string())));
    }
    caught.told(unreadable)
}

/// Everything, from the logs alone.
fn rebuild(to: Option<&Position>, files: &[Segment]) -> Caught {
    let mut caught = Caught::default();
    let checkpoint = newest_checkpoint(files, to);
    let known = checkpoint.first().map(|first| (first.at.clone(), first.ledger_from));
    let mut before = known.clone();
    caught.ledger_from = known.as_ref().map(|(_, from)| *from);
    let mut unreadable = 0;
    for segment in files {
        let told = segment.lines(0..segment.upto(to), |offset, line| {
            if before.as_ref().is_some_and(|(at, _)| segment.is_past(at, offset)) {
                before = None;
                checkpoint.iter().for_each(|part| caught.fold.checkpoint(part));
            }
            let known_from = before.as_ref().map(|&(_, from)| from);
            unreadable += u64::from(!caught.fold.line(line, known_from));
        });
        caught.problems.extend(told.err().map(|error| missing(&error.to_string())));
    }
    if before.is_some() {
        checkpoint.iter().for_each(|part| caught.fold.checkpoint(part));
    }
    caught.told(unreadable)
}

/// All parts of the newest whole checkpoint that stands in the files.
fn newest_checkpoint(files: &[Segment], to: Option<&Position>) -> Vec<CheckpointLine> {
    for segment in files.iter().rev() {
        let mut whole: Vec<CheckpointLine> = Vec::new();
        let mut parts: Vec<CheckpointLine> = Vec::new();
        // What cannot be read is told when the lines are counted.
        let _ = segment.lines(0..segment.upto(to), |_, line| {
            if kind(line) != LineKind::Checkpoint {
                return;
            }
            let Ok(part) = serde_json::from_slice::<CheckpointLine>(line) else { return };
            if parts.first().is_some_and(|first| first.at != part.at) {
                parts.clear();
            }
            let last = !part.more;
            parts.push(part);
            if last {
                whole = std::mem::take(&mut parts);
            }
        });
        if !whole.is_empty() {
            return whole;
        }
    }
    Vec::new()
}

fn missing(why: &str) -> String {
    format!("lines of the health log are missing: {why}; what they said is lost, nothing else is")
}

impl Caught {
    fn told(mut self, unreadable: u64) -> Caught {
        if unreadable > 0 {
            let what = format!("{unreadable} lines of the health log are unreadable");
            self.problems.push(format!("{what}; they were left out"));
        }
        self
    }
}

impl Segment {
    /// Up to where lines are read if none from `to` on are.
    fn upto(&self, to: Option<&Position>) -> u64 {
        match (to, &self.name) {
            (Some(to), Some(name)) if *name == to.file => to.offset.min(self.length),
            (Some(to), Some(name)) if *name > to.file => 0,
            _ => self.length,
        }
    }

    /// Whether a place in this file is not before `at`.
    fn is_past(&self, at: &Position, offset: u64) -> bool {
        self.name.as_ref().is_some_and(|name| (name, offset) >= (&at.file, at.offset))
    }

    /// Calls `each` with the place and the text of every whole line that begins in the range.
    fn lines(&self, range: Range<u64>, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
        let mut offset = range.start;
        let reader = At { file: &self.file, offset }.take(range.end.saturating_sub(offset));
        let mut reader = BufReader::with_capacity(BLOCK, reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if let Some(text) = line.strip_suffix(b"\n") {
                each(offset, text);
            }
            offset += line.len() as u64;
            line.clear();
        }
        Ok(())
    }
}

/// Reads a file from a place without moving anybody else's.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests;
