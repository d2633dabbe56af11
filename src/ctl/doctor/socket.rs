//! The socket: is it there, may this user use it, does somebody answer.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, getgroups};

use super::CheckResult;

const CHECK: &str = "socket";
const START: &str = "`systemctl start fallbackd`, or `fallbackd --config FILE`";

/// Looks at the socket without sending anything.
pub(super) fn look(path: &Path) -> Vec<CheckResult> {
    let shown = path.display();
    let found = match fs::symlink_metadata(path).or_else(|_| fs::metadata(path)) {
        Ok(found) => found,
        Err(error) => return vec![absent(path, &error)],
    };
    if !found.file_type().is_socket() {
        let what = format!("{shown} is there and is no socket");
        return vec![CheckResult::wrong(CHECK, what, "move it away, or set `daemon.socket`")];
    }
    let mut findings = vec![match UnixStream::connect(path) {
        Ok(_) => CheckResult::ok(CHECK, format!("{shown} takes connections ({})", rights(&found))),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let what = format!("{shown} is left over: the daemon that made it has ended");
            let todo = format!("start the daemon, which replaces it: {START}");
            CheckResult::wrong(CHECK, what, todo)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => not_allowed(path, &found),
        Err(error) => CheckResult::wrong(CHECK, format!("{shown}: {error}"), START),
    }];
    if found.mode() & 0o002 != 0 {
        findings.push(CheckResult::warning(
            CHECK,
            format!("everybody on this machine may use {shown} ({})", rights(&found)),
            "set `daemon.socket_mode` to \"0660\", and `daemon.socket_group`",
        ));
    }
    findings
}

fn absent(path: &Path, error: &io::Error) -> CheckResult {
    let shown = path.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        let folder = path.parent().unwrap_or(path);
        return match fs::metadata(folder) {
            Ok(found) => not_allowed(folder, &found),
            Err(_) => CheckResult::wrong(
                CHECK,
                format!("{shown} is in a folder that this user may not enter"),
                "run this as the user or with the group of the daemon",
            ),
        };
    }
    CheckResult::wrong(
        CHECK,
        format!("{shown}: {error}; no daemon runs there"),
        format!("start it: {START}; or name its socket with --socket or FALLBACKD_SOCKET"),
    )
}

/// Says which group would be let in, and whether this user is in it and only has to log in again.
fn not_allowed(path: &Path, found: &Metadata) -> CheckResult {
    let what = format!("this user may not use {} ({})", path.display(), rights(found));
    // Nobody should join the group of root for this.
    let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten();
    let Some(group) = group.filter(|group| group.gid.as_raw() != 0) else {
        return CheckResult::wrong(
            CHECK,
            what,
            "give the socket a group with `daemon.socket_group`",
        );
    };
    let user = User::from_uid(Uid::effective()).ok().flatten().map(|user| user.name);
    let user = user.unwrap_or_else(|| "$USER".to_owned());
    let is_member = group.mem.contains(&user);
    let has_it = getgroups().is_ok_and(|groups| groups.contains(&group.gid));
    let todo = match (is_member, has_it) {
        (true, false) => format!(
            "{user} is a member of {} since after this login: log in again, or `newgrp {0}`",
            group.name
        ),
        (_, true) => "let the group write with `daemon.socket_mode = \"0660\"`".to_owned(),
        (false, false) => {
            format!("`sudo usermod -aG {} {user}`, then log in again", group.name)
        }
    };
    CheckResult::wrong(CHECK, what, todo)
}

/// Mode, owner and group as `ls` shows them.
fn rights(found: &Metadata) -> String {
    let user = User::from_uid(Uid::from_raw(found.uid())).ok().flatten().map(|user| user.name);
    let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten().map(|group| group.name);
    format!(
        "{:04o} {}:{}",
        found.mode() & 0o7777,
        user.unwrap_or_else(|| found.uid().to_string()),
        group.unwrap_or_else(|| found.gid().to_string())
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::super::CheckState;
    use super::*;

    fn states(path: &Path) -> Vec<CheckState> {
        look(path).into_iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn nobody_is_told_to_join_the_group_of_root() {
        let of = |path: &Path| not_allowed(path, &fs::metadata(path).unwrap()).todo.unwrap();
        // Whoever runs this, the root folder belongs to root.
        assert!(of(Path::new("/")).contains("daemon.socket_group"), "{}", of(Path::new("/")));
    }

    #[test]
    fn a_socket_is_there_or_left_over_or_absent_or_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.sock");
        assert_eq!(states(&path), [CheckState::Wrong]);
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(states(&path), [CheckState::Ok]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(states(&path), [CheckState::Ok, CheckState::Warning]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        drop(listener);
        let left = look(&path);
        assert_eq!(left[0].state, CheckState::Wrong);
        assert!(left[0].finding.contains("left over"), "{left:?}");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "x").unwrap();
        assert!(look(&path)[0].finding.contains("no socket"));
    }
}
