//! The socket file: made, guarded and removed without ever touching what is not ours.
//!
//! A lock file beside the socket says that a daemon owns the path. Under the lock, a path that is
//! left over is removed only if it is a socket, belongs to our own user, and nobody answers on it.
//! Permissions are set before the path gets its name, so nobody can connect too early.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown,
};
use std::os::unix::net::UnixStream as Plain;
use std::path::{Path, PathBuf};

use nix::unistd::{Group, geteuid};
use thiserror::Error;
use tokio::net::UnixListener;

/// The socket, for as long as it is ours.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    inode: u64,
    _lock: File,
}

/// Why the socket cannot be made.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ListenError {
    #[error(
        "another fallbackd is running on {path}\nhint: stop it, or choose another `daemon.socket`"
    )]
    Running { path: PathBuf },
    #[error(
        "{path} exists and is not a socket\nhint: move it away, or choose another `daemon.socket`"
    )]
    NotASocket { path: PathBuf },
    #[error(
        "{path} is a socket of user {owner}\nhint: have it removed, or choose another `daemon.socket`"
    )]
    NotOurs { path: PathBuf, owner: u32 },
    #[error("there is no group {group:?}\nhint: create it, or correct `daemon.socket_group`")]
    NoGroup { group: String },
    #[error("cannot {action} {path}: {cause}\nhint: {hint}")]
    Io { action: &'static str, path: PathBuf, cause: io::Error, hint: &'static str },
}

/// Binds `path` with permission bits `mode` and, if given, a group. Missing folders are created
/// 0750. Call within a tokio runtime.
pub fn bind(
    path: &Path,
    mode: u32,
    group: Option<&str>,
) -> Result<(UnixListener, Socket), ListenError> {
    let gid = group.map(gid_of).transpose()?;
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(folder);
        made.map_err(failed("create", folder, "create it, or choose another `daemon.socket`"))?;
    }
    let lock = lock(path)?;
    clear(path)?;
    let new = beside(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &new, "remove it by hand")(error));
        }
        _ => {}
    }
    let hint = "check the folder's permissions, and that the path is shorter than 104 bytes";
    let listener = UnixListener::bind(&new).map_err(failed("listen on", &new, hint))?;
    let hint = "the daemon must be a member of `daemon.socket_group`";
    chown(&new, None, gid).map_err(failed("give a group to", &new, hint))?;
    let hint = "check the folder's permissions";
    let mode = Permissions::from_mode(mode);
    fs::set_permissions(&new, mode).map_err(failed("set permissions of", &new, hint))?;
    fs::rename(&new, path).map_err(failed("create", path, hint))?;
    let inode = fs::metadata(path).map_err(failed("look at", path, hint))?.ino();
    Ok((listener, Socket { path: path.to_owned(), inode, _lock: lock }))
}

/// Removes the path, unless it is no longer ours.
impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // A path that cannot be removed is found and cleared by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn lock(path: &Path) -> Result<File, ListenError> {
    let at = beside(path, ".lock");
    let hint = "check the folder's permissions";
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&at).map_err(failed("open", &at, hint))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ListenError::Running { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed("lock", &at, hint)(error)),
    }
}

/// Makes way for our socket, if what is there may go.
fn clear(path: &Path) -> Result<(), ListenError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path, "check its permissions")(error)),
    };
    let path = path.to_owned();
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket { path });
    }
    if Plain::connect(&path).is_ok() {
        return Err(ListenError::Running { path });
    }
    if found.uid() != geteuid().as_raw() {
        return Err(ListenError::NotOurs { path, owner: found.uid() });
    }
    fs::remove_file(&path).map_err(failed("remove", &path, "remove it by hand"))
}

fn gid_of(group: &str) -> Result<u32, ListenError> {
    let found = Group::from_name(group).ok().flatten();
    let group = group.to_owned();
    found.map(|found| found.gid.as_raw()).ok_or(ListenError::NoGroup { group })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(
    action: &'static str,
    path: &Path,
    hint: &'static str,
) -> impl FnOnce(io::Error) -> ListenError {
    let path = path.to_owned();
    move |cause| ListenError::Io { action, path, cause, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket_in(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("run/fallbackd.sock")
    }

    #[tokio::test]
    async fn the_socket_has_its_mode_from_the_first_moment_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket_in(&folder);
        let (_listener, socket) = bind(&path, 0o660, None).unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o660);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o750);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_left_over_by_a_crash_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket_in(&folder);
        let (listener, socket) = bind(&path, 0o660, None).unwrap();
        drop(listener);
        fs::remove_file(beside(&path, ".lock")).unwrap();
        std::mem::forget(socket);
        assert!(path.exists());
        bind(&path, 0o660, None).unwrap();
    }

    #[tokio::test]
    async fn what_is_not_ours_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket_in(&folder);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = bind(&path, 0o660, None).unwrap_err();
        assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_second_daemon_is_told_about_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket_in(&folder);
        let _first = bind(&path, 0o660, None).unwrap();
        let second = bind(&path, 0o660, None).unwrap_err();
        assert!(second.to_string().contains("another fallbackd is running"), "{second}");
        let other = folder.path().join("other.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&other).unwrap();
        let error = bind(&other, 0o660, None).unwrap_err();
        assert!(matches!(error, ListenError::Running { .. }), "somebody answers on it: {error}");
    }

    #[tokio::test]
    async fn a_path_taken_over_by_somebody_else_is_left_alone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket_in(&folder);
        let (_listener, socket) = bind(&path, 0o660, None).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "new owner").unwrap();
        drop(socket);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn an_unknown_group_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = bind(&socket_in(&folder), 0o660, Some("no-such-group")).unwrap_err();
        assert!(error.to_string().contains("no-such-group"), "{error}");
    }
}
