//! The health log on disk: whole lines, appended, in files of bounded size.
//!
//! Each batch of lines is one `write(2)` to a file opened for appending. If that fails midway, the
//! piece of a line it left is cut off again, or ended before the next line, so a reader never
//! takes two lines for one. What could not be written is reported, not kept: a full disk must not
//! fill the memory as well.
//!
//! Before each batch the path is looked at. A file that was deleted or renamed by somebody is begun
//! anew; one that was cut short, or does not begin with its own name, is moved out of the way like
//! a full one, because places in it mean nothing any more. The daemon's own rotation is rename and
//! reopen, so `tail -F` follows. No clock and no thread in here.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::rows::Position;
use crate::domain::time::Mono;

/// Permissions of the log.
const FILE_MODE: u32 = 0o640;
/// Permissions of directories that had to be made.
const DIR_MODE: u32 = 0o750;
/// How long a failure is taken to last before the disk is asked again.
const PAUSE: Duration = Duration::from_millis(250);
/// How much is read at a time in search of the last line's start.
const BLOCK: u64 = 64 * 1024;

/// Where the log is, and how many rotated files there may be beside it.
#[derive(Clone, Debug)]
pub(super) struct LogFiles {
    pub(super) path: PathBuf,
    pub(super) keep: u32,
}

impl LogFiles {
    /// The paths of all files, those that are not there included.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = PathBuf> {
        let rotated = (1..=self.keep).rev().map(|number| numbered(&self.path, number));
        rotated.chain([self.path.clone()])
    }
}

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    max_size: u64,
    keep: u32,
    open: Option<Open>,
    /// What somebody did to it, until it was told.
    tampered: Option<&'static str>,
    failed: Option<(Mono, String)>,
    /// Whether it was reported that a full file cannot be moved out of the way.
    stuck: bool,
}

/// The file that lines are written to.
#[derive(Debug)]
struct Open {
    file: Arc<File>,
    /// Its name for itself, and the end of the last whole line that was written to it.
    position: Option<Position>,
    /// How long it was when it was last written to or looked at.
    length: u64,
    /// Whether it ends in a piece of a line that could not be cut off.
    torn: bool,
}

/// What a new file begins with: a line that says its name for itself.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) file: Arc<str>,
    pub(super) line: Vec<u8>,
}

/// Lines that are not in the log, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Lost {
    pub(super) lines: u64,
    pub(super) why: String,
    /// Whether this is a new failure, not one still waited out.
    pub(super) fresh: bool,
}

impl LogFile {
    /// The log at `path`; nothing is opened yet.
    pub(super) fn new(path: PathBuf, max_size: u64, keep: u32) -> LogFile {
        LogFile { path, max_size, keep, open: None, tampered: None, failed: None, stuck: false }
    }

    /// Changes the size at which it is rotated, and how many rotated files are kept.
    pub(super) fn keep(&mut self, max_size: u64, keep: u32) {
        (self.max_size, self.keep) = (max_size, keep);
    }

    /// Opens it, cuts off an unfinished last line, and returns the last whole line.
    pub(super) fn open(&mut self) -> Result<Option<Vec<u8>>, String> {
        let last = self.ready(0).and_then(|ready| last_line(&ready.open.file));
        last.map_err(|error| self.explain(&error))
    }

    /// Appends whole lines, after `head` in a new file; true if there is a new file.
    pub(super) fn append(&mut self, head: &Header, lines: &[u8], now: Mono) -> Result<bool, Lost> {
        if let Some((since, why)) = &self.failed
            && now.since(*since) < PAUSE
        {
            return Err(Lost { lines: count(lines), why: why.clone(), fresh: false });
        }
        let ready = self.ready(lines.len() as u64).map_err(|error| (count(lines), error));
        let appended =
            ready.and_then(|Ready { open, stuck }| Ok((open.append(head, lines)?, stuck)));
        match appended {
            Ok((begun, stuck)) => {
                self.failed = None;
                self.rotated(stuck).map(|()| begun)
            }
            Err((lost, error)) => {
                let why = self.explain(&error);
                self.failed = Some((now, why.clone()));
                Err(Lost { lines: lost, why, fresh: true })
            }
        }
    }

    /// The end of the last whole line, and the file it is in.
    pub(super) fn position(&self) -> Option<(Position, Arc<File>)> {
        let open = self.open.as_ref()?;
        Some((open.position.clone()?, Arc::clone(&open.file)))
    }

    /// What somebody did to the file since this was last asked.
    pub(super) fn tampered(&mut self) -> Option<String> {
        let what = self.tampered.take()?;
        Some(format!(
            "the health log {} was {what} by somebody; the lines that were in it are lost to \
             `why` and to recovery, nothing else is",
            self.path.display()
        ))
    }

    /// Reports that a full file could not be moved out of the way, as new the first time.
    fn rotated(&mut self, stuck: Option<io::Error>) -> Result<(), Lost> {
        let told = std::mem::replace(&mut self.stuck, stuck.is_some());
        let Some(error) = stuck else { return Ok(()) };
        let why = format!("cannot rotate the health log {}: {error}", self.path.display());
        Err(Lost { lines: 0, why, fresh: !told })
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&self) -> Result<(), String> {
        let open = self.open.as_ref();
        open.map_or(Ok(()), |open| open.file.sync_data()).map_err(|error| self.explain(&error))
    }

    /// Finds the file to write `more` bytes to.
    fn ready(&mut self, more: u64) -> io::Result<Ready<'_>> {
        let length = self.length_if_ours()?;
        let mut stuck = None;
        let mut kept = None;
        if let (Some(open), Some(length)) = (&mut self.open, length) {
            let cut_short = length < open.length;
            if cut_short {
                self.tampered = Some("cut short");
            } else if length > open.length {
                open.torn = !ends_in_newline(&open.file, length)?;
            }
            let full = length.saturating_add(more) > self.max_size;
            let done = length > 0 && (full || cut_short);
            if done {
                stuck = rotate(&self.path, self.keep).err();
            }
            // A file that cannot be moved grows on: too long a log is better than none.
            if !done || stuck.is_some() {
                open.length = length;
                kept = self.open.take();
            }
        } else if self.open.is_some() {
            self.tampered = Some("moved or deleted");
        }
        self.open = None;
        let open = kept.map_or_else(|| self.reopen(), Ok)?;
        Ok(Ready { open: self.open.insert(open), stuck })
    }

    /// Opens what is at the path, after moving away what is not a log of this daemon.
    fn reopen(&mut self) -> io::Result<Open> {
        let open = Open::at(&self.path)?;
        if open.length > 0 && open.position.is_none() && rotate(&self.path, self.keep).is_ok() {
            self.tampered = Some("replaced by another file");
            return Open::at(&self.path);
        }
        Ok(open)
    }

    /// The length of the file at the path, if it is the one that is open.
    fn length_if_ours(&self) -> io::Result<Option<u64>> {
        let Some(Open { file, .. }) = &self.open else { return Ok(None) };
        let there = match fs::metadata(&self.path) {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let here = file.metadata()?;
        let same = (there.dev(), there.ino()) == (here.dev(), here.ino());
        Ok(same.then_some(there.len()))
    }

    fn explain(&self, error: &io::Error) -> String {
        format!("cannot write the health log {}: {error}", self.path.display())
    }
}

/// The file to write to, and why it is not a new one although it should be.
struct Ready<'a> {
    open: &'a mut Open,
    stuck: Option<io::Error>,
}

impl Open {
    /// Opens or makes the file, and cuts off an unfinished last line.
    fn at(path: &Path) -> io::Result<Open> {
        let file = open(path)?;
        let torn = cut_unfinished_line(&file)?;
        let length = file.metadata()?.len();
        let position = file_name(&file).map(|file| Position { file, offset: length });
        Ok(Open { file: Arc::new(file), position, length, torn })
    }

    /// Appends whole lines, after `head` if it is empty, which is told; or says how many were lost.
    fn append(&mut self, head: &Header, lines: &[u8]) -> Result<bool, (u64, io::Error)> {
        let begun = self.length == 0;
        let prefix = match (begun, self.torn) {
            (true, _) => &*head.line,
            (false, true) => b"\n",
            (false, false) => b"",
        };
        let outcome = write_whole(&self.file, prefix)
            .map_err(|broken| ShortWrite { whole: 0, ..broken })
            .and_then(|()| write_whole(&self.file, lines));
        let whole = match &outcome {
            Ok(()) => lines.len(),
            Err(broken) => broken.whole,
        };
        self.torn = match &outcome {
            Ok(()) => false,
            Err(broken) => broken.torn || (self.torn && broken.whole == 0),
        };
        if begun && self.file.metadata().is_ok_and(|data| data.len() > 0) {
            self.position = Some(Position { file: head.file.clone(), offset: 0 });
        }
        let end = self.length + (prefix.len() + whole) as u64;
        if let Some(position) = self.position.as_mut().filter(|_| whole > 0 || outcome.is_ok()) {
            position.offset = end;
        }
        self.length = match &outcome {
            Ok(()) => end,
            Err(_) => self.file.metadata().map_or(end, |data| data.len()),
        };
        outcome.map(|()| begun).map_err(|broken| (count(&lines[broken.whole..]), broken.error))
    }
}

/// Makes a directory and those above it.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        make_dir(dir)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(FILE_MODE);
    let file = match options.clone().create_new(true).open(path) {
        Ok(file) => {
            // The umask may have taken the group's right to read.
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.create(true).open(path)?
        }
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

fn ends_in_newline(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, length.saturating_sub(1))?;
    Ok(last == *b"\n")
}

/// Cuts off what follows the last newline; true if that could not be done.
fn cut_unfinished_line(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let end = after_newline_before(file, length)?;
    // An append-only attribute forbids cutting; then the line is ended instead.
    Ok(end < length && file.set_len(end).is_err())
}

/// The place after the last newline before `end`, 0 if there is none.
fn after_newline_before(file: &File, mut end: u64) -> io::Result<u64> {
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize((end - start) as usize, 0);
        file.read_exact_at(&mut block, start)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// What a file calls itself in its first line.
pub(super) fn file_name(file: &File) -> Option<Arc<str>> {
    #[derive(Deserialize)]
    struct Named {
        file: Arc<str>,
    }
    let mut start = vec![0; 512];
    let read = file.read_at(&mut start, 0).ok()?;
    let line = start[..read].split_inclusive(|&byte| byte == b'\n').next()?;
    let line = line.strip_suffix(b"\n")?;
    serde_json::from_slice(line).ok().map(|named: Named| named.file)
}

fn last_line(mut file: &File) -> io::Result<Option<Vec<u8>>> {
    let end = after_newline_before(file, file.metadata()?.len())?;
    let start = after_newline_before(file, end.saturating_sub(1))?;
    let mut line = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end - start).read_to_end(&mut line)?;
    Ok(Some(line).filter(|line| !line.is_empty()))
}

/// Moves `log` to `log.1`, `log.1` to `log.2` and so on; the oldest falls off the end.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path);
    }
    // A gap in the row takes the shift; nothing behind it needs to move.
    let gap = (1..keep).find(|&number| !numbered(path, number).exists()).unwrap_or(keep);
    for number in (1..gap).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    fs::rename(path, numbered(path, 1))
}

/// The name of the rotated file of that number; 1 is the youngest.
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// A write that broke off.
struct ShortWrite {
    /// How much of what was to be written stands in the file, in whole lines.
    whole: usize,
    /// Whether a piece of a line stands behind it.
    torn: bool,
    error: io::Error,
}

fn write_whole(mut file: &File, lines: &[u8]) -> Result<(), ShortWrite> {
    let mut done = 0;
    while done < lines.len() {
        let error = match file.write(&lines[done..]) {
            Ok(0) => ErrorKind::WriteZero.into(),
            Ok(more) => {
                done += more;
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let whole = lines[..done].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = whole < done && !matches!(cut_unfinished_line(file), Ok(false));
        return Err(ShortWrite { whole, torn, error });
    }
    Ok(())
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
