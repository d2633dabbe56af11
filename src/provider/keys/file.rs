//! A key in a file that may be replaced while the daemon runs.
//!
//! The file is looked at when its key is used, at most once a second, on a thread of its own: a
//! disk that does not answer holds up one call for a moment and nobody else. A file that is away,
//! or half written, takes no key away.

use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::{Instant, timeout};

use crate::config::key::read_file;

/// Least time between two looks at the file.
const EVERY: Duration = Duration::from_secs(1);

/// Longest time that a call waits for a look. The result of a later one is found by the next.
const PATIENCE: Duration = Duration::from_millis(250);

/// A file, and what it was like when its key was read.
pub(super) struct FileKey {
    seen: Arc<WatchedFile>,
    looked: Cell<Option<Instant>>,
}

/// What the thread that looks shares with the calls.
struct WatchedFile {
    path: PathBuf,
    /// Somebody looks at this moment.
    busy: AtomicBool,
    last: Mutex<Last>,
}

/// What the last look found.
#[derive(Default)]
struct Last {
    /// What the file was like when it was read.
    stamp: Option<Stamp>,
    /// A key that no call has heard of yet.
    untold: Option<SecretString>,
}

/// What changes with the content of a file: device, inode, size, and time of change.
#[derive(Clone, Copy, PartialEq)]
struct Stamp(u64, u64, u64, i64, i64);

impl FileKey {
    pub(super) fn new(path: &Path) -> FileKey {
        let seen = WatchedFile {
            path: path.to_owned(),
            busy: AtomicBool::new(false),
            last: Mutex::default(),
        };
        FileKey { seen: Arc::new(seen), looked: Cell::new(None) }
    }

    /// The key in the file, if it may have changed since it was read; `anew` looks whatever the
    /// time, and reads it whatever it looks like.
    pub(super) async fn look(&self, anew: bool) -> Option<SecretString> {
        let lately = self.looked.get().is_some_and(|looked| looked.elapsed() < EVERY);
        if (!lately || anew) && !self.seen.busy.swap(true, Ordering::AcqRel) {
            self.looked.set(Some(Instant::now()));
            let seen = Arc::clone(&self.seen);
            let looking = tokio::task::spawn_blocking(move || {
                seen.read(anew);
                seen.busy.store(false, Ordering::Release);
            });
            // What comes later is told to the next call.
            let _ = timeout(PATIENCE, looking).await;
        }
        self.seen.last().untold.take()
    }
}

impl WatchedFile {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, anew: bool) {
        let stamp = Stamp::of(&self.path);
        if !anew && stamp == self.last().stamp {
            return;
        }
        // One that cannot be read, or is half written, is looked at again.
        if let Ok(key) = read_file(&self.path) {
            *self.last() = Last { stamp, untold: Some(key) };
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let file = path.metadata().ok()?;
        Some(Stamp(file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    async fn look(filed: &FileKey, anew: bool) -> Option<String> {
        filed.look(anew).await.map(|key| key.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_file_is_read_when_it_changed_and_a_second_has_passed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "one").unwrap();
        let filed = FileKey::new(&path);
        assert_eq!(look(&filed, false).await.as_deref(), Some("one"));
        std::fs::write(&path, "second").unwrap();
        assert_eq!(look(&filed, false).await, None, "a second has not passed");
        assert_eq!(look(&filed, true).await.as_deref(), Some("second"));
        filed.looked.set(None);
        assert_eq!(look(&filed, false).await, None, "it has not changed");
        std::fs::remove_file(&path).unwrap();
        filed.looked.set(None);
        assert_eq!(look(&filed, false).await, None, "a file that is away gives nothing");
        std::fs::write(&path, "third").unwrap();
        filed.looked.set(None);
        assert_eq!(look(&filed, false).await.as_deref(), Some("third"));
    }
}
