//! What there is to tell: an event of the log, or that some were lost.

use serde::Deserialize;
use serde_json::Value;

use crate::protocol::log::{Event, LogLine, Watched};

/// One message of the daemon, or one line of its log.
pub(super) enum Told {
    /// An event.
    Event(Box<LogLine>),
    /// An event that this version does not know, as it came.
    Foreign(Value),
    /// So many events were left out, because this reader was too slow.
    Lost(u64),
    /// Something that tells of no event: another reply, or the head of a file.
    Nothing,
}

impl Told {
    /// What a message says to somebody who asked for `events`.
    pub(super) fn of_message(mut message: Value) -> Told {
        match message.get_mut("log").map(Value::take) {
            Some(event) => Told::of_event(event),
            None => match Watched::deserialize(message) {
                Ok(Watched::Lost { log_lost }) => Told::Lost(log_lost),
                _ => Told::Nothing,
            },
        }
    }

    /// What a line of the log says.
    pub(super) fn of_event(event: Value) -> Told {
        if is_checkpoint(&event) {
            return Told::Nothing;
        }
        match LogLine::deserialize(&event) {
            Ok(LogLine { event: Event::Other, .. }) | Err(_) => Told::Foreign(event),
            Ok(line) => Told::Event(Box::new(line)),
        }
    }
}

fn is_checkpoint(event: &Value) -> bool {
    event.get("event").is_some_and(|kind| kind == "checkpoint")
}
