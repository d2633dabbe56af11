//! What this process as a whole is told: what to say of a panic, and how many descriptors it needs.
//!
//! A panic is a fault of our own, and whoever mends it needs the place. Its message may quote what
//! was being worked on, and that may be somebody's prompt: slicing a text in the middle of a
//! character quotes the text. So the message is never looked at. A damaged database makes sled
//! panic over and over; it gets one short line each time, too.

use std::panic::{self, PanicHookInfo};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// From now on every panic of this process is told in one line, without its message.
pub fn tell_where() {
    panic::set_hook(Box::new(told));
}

fn told(panicked: &PanicHookInfo<'_>) {
    match panicked.location() {
        Some(at) => tracing::error!("a fault of our own (panic) at {}:{}", at.file(), at.line()),
        None => tracing::error!("a fault of our own (panic)"),
    }
}

/// Raises the soft limit on descriptors to the hard one: room for a thousand clients and as many
/// upstream connections. Many systems start programs with a soft limit of 1,024 and a hard limit far
/// above it, for the sake of programs that use `select`; this one does not.
pub(super) fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!(%error, "cannot raise the limit on descriptors");
    }
}
