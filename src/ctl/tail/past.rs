//! The health log from disk: what happened since a moment, and on from there.
//!
//! It follows files, not a name: a full file is renamed by the daemon and a new one begun, so the
//! reader finishes the one it holds and goes on with those it has not seen. Which file is which
//! is told by device and inode, and a file is held open as long as it has a name, so that its
//! inode cannot be given to another. Names only ever move to a higher number; they are looked
//! through from the lowest, and none can slip past.
//!
//! Every whole line comes exactly once and in order. A piece of a line waits for its end, and is
//! dropped with a file that ends in it, as the daemon does after a crash.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::domain::time::Wall;
use crate::protocol::calendar::rfc3339;
use crate::recorder::numbered;

/// How much is read at a time.
const CHUNK: usize = 1 << 18;
/// A higher number behind the log's name, such as a date, is no number of a rotation.
const MOST: u32 = 10_000;
/// Seconds by which the clock of a file system may lag behind that of lines.
const SLACK: i64 = 60;

/// A reader of the log and its rotated siblings.
pub(super) struct Past {
    path: PathBuf,
    since: Wall,
    /// Files with a name, in the order they were written. The last one is being read.
    files: Vec<OpenLogFile>,
}

struct OpenLogFile {
    file: File,
    id: (u64, u64),
    /// The piece of a line that its last read ended in.
    rest: Vec<u8>,
}

impl Past {
    /// The log at `path`, beginning with lines of the moment `since`.
    ///
    /// # Errors
    /// When there is no log, or it cannot be read.
    pub(super) fn open(path: &Path, since: Wall) -> io::Result<Past> {
        // Between two steps of a rotation the name itself is absent.
        if highest(path)? == 0 {
            fs::metadata(path)?;
        }
        Ok(Past { path: path.to_owned(), since, files: Vec::new() })
    }

    /// Hands every line that was written since the last time to `take`, without its newline.
    ///
    /// # Errors
    /// When a file cannot be read, or `take` fails.
    pub(super) fn read<E: From<io::Error>>(
        &mut self,
        take: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read_last(take)?;
        while self.is_rotated()? {
            let newer = self.unseen()?;
            if newer.is_empty() {
                break;
            }
            // What was appended between the last read and the renaming.
            self.read_last(take)?;
            for part in newer {
                self.files.push(part);
                self.read_last(take)?;
            }
        }
        Ok(())
    }

    /// Whether the file under the log's name is another than the one being read.
    fn is_rotated(&self) -> io::Result<bool> {
        let Some(last) = self.files.last() else { return Ok(true) };
        match fs::metadata(&self.path) {
            Ok(data) => Ok(last.id != id(&data)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens the files that were not seen yet, oldest first, and lets go of those that are gone.
    fn unseen(&mut self) -> io::Result<Vec<OpenLogFile>> {
        let (mut present, mut newer) = (Vec::new(), Vec::<OpenLogFile>::new());
        for number in 0..=highest(&self.path)?.saturating_add(1) {
            let file = match File::open(name(&self.path, number)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let data = file.metadata()?;
            let id = id(&data);
            present.push(id);
            let seen = self.files.iter().chain(&newer).any(|part| part.id == id);
            if !seen && (number == 0 || self.may_hold(&data)) {
                newer.push(OpenLogFile { file, id, rest: Vec::new() });
            }
        }
        let last = self.files.last().map(|part| part.id);
        self.files.retain(|part| present.contains(&part.id) || Some(part.id) == last);
        newer.reverse();
        Ok(newer)
    }

    /// Whether a file was written to since the moment asked for.
    fn may_hold(&self, data: &Metadata) -> bool {
        let since = i64::try_from(self.since.0 / 1000).unwrap_or(i64::MAX);
        data.mtime().saturating_add(SLACK) >= since
    }

    /// Reads the newest file up to its end.
    fn read_last<E: From<io::Error>>(
        &mut self,
        take: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let since = rfc3339(self.since);
        let Some(part) = self.files.last_mut() else { return Ok(()) };
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = part.file.read(&mut chunk)?;
            if length == 0 {
                return Ok(());
            }
            part.rest.extend_from_slice(&chunk[..length]);
            let whole = part.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            for line in String::from_utf8_lossy(&part.rest[..whole]).lines() {
                if is_since(line, &since) {
                    take(line)?;
                }
            }
            part.rest.drain(..whole);
        }
    }
}

/// Whether a line is of that moment or later. All moments are written with the same digits, so
/// their order is that of their texts.
fn is_since(line: &str, since: &str) -> bool {
    let stamp = line.strip_prefix("{\"timestamp\":\"").and_then(|rest| rest.get(..since.len()));
    stamp.is_none_or(|stamp| stamp >= since)
}

/// The highest number behind the log's name.
fn highest(path: &Path) -> io::Result<u32> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(0) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut highest = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let number = entry.to_str().zip(name.to_str()).and_then(|(entry, name)| {
            entry.strip_prefix(name)?.strip_prefix('.')?.parse::<u32>().ok()
        });
        highest = highest.max(number.filter(|number| *number <= MOST).unwrap_or_default());
    }
    Ok(highest)
}

fn name(path: &Path, number: u32) -> PathBuf {
    if number == 0 { path.to_owned() } else { numbered(path, number) }
}

fn id(data: &Metadata) -> (u64, u64) {
    (data.dev(), data.ino())
}

#[cfg(test)]
mod tests;
