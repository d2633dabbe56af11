//! What is said of a panic: where, and nothing else.
//!
//! A panic is a fault of our own, and whoever mends it needs the place. Its message may quote what
//! was being worked on, and that may be somebody's prompt: slicing a text in the middle of a
//! character quotes the text. So the message is never looked at. A damaged database makes sled
//! panic over and over; it gets one short line each time, too.

use std::panic::{self, PanicHookInfo};

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
