//! `[daemon]`: files, socket and who may steer.
//!
//! Paths are absolute: a daemon has no working directory that anybody knows. What is not
//! configured comes from [`locate`], the same for the daemon and its clients.

use std::path::PathBuf;
use std::time::Duration;

use super::field::Field;
use super::section::Section;
use crate::config::key::shown;
use crate::config::{Daemon, Env, locate};

/// The kernel keeps 108 bytes for the path of a socket, one of them for the end mark.
const SOCKET_PATH: usize = 107;

pub(super) fn read(mut section: Section<'_>, env: &Env) -> Daemon {
    Daemon {
        socket: section.value("socket", socket).unwrap_or_else(|| locate::default_socket(env)),
        socket_mode: section.or("socket_mode", mode, 0o660),
        socket_group: section.value("socket_group", Field::text).map(str::to_owned),
        state_dir: section.value("state_dir", path).unwrap_or_else(|| locate::state_dir(env)),
        health_log: section.value("health_log", path).unwrap_or_else(|| locate::health_log(env)),
        drain_timeout: section.or("drain_timeout", Field::duration, Duration::from_secs(20)),
        admin_uids: section.value("admin_uids", ids).unwrap_or_default(),
        admin_gids: section.value("admin_gids", ids).unwrap_or_default(),
    }
}

fn ids(field: &Field<'_>) -> Option<Vec<u32>> {
    field.list(|item| item.whole(0))
}

fn path(field: &Field<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(field.text()?);
    if !path.is_absolute() {
        field.mistake("not an absolute path", "begin it with a slash");
        return None;
    }
    Some(path)
}

fn socket(field: &Field<'_>) -> Option<PathBuf> {
    let path = path(field)?;
    let length = path.as_os_str().len();
    if length > SOCKET_PATH {
        let problem = format!("{length} bytes are too long for the path of a socket");
        field.mistake(&problem, format!("choose one of at most {SOCKET_PATH} bytes"));
        return None;
    }
    Some(path)
}

fn mode(field: &Field<'_>) -> Option<u32> {
    let sample = "\"0660\"";
    let Some(text) = field.value.get_ref().as_str() else {
        return field.wrong("permission bits in quotes", sample);
    };
    let is_octal =
        (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let bits = u32::from_str_radix(text, 8).ok().filter(|bits| is_octal && *bits <= 0o777);
    if bits.is_none() {
        let problem = format!("{} is no set of permission bits", shown(text));
        field.mistake(&problem, format!("three octal digits, {}", field.example(sample)));
    }
    bits
}
