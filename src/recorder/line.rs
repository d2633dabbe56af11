//! How an event becomes a line of the health log.
//!
//! `timestamp` first, then `event`, then the event's own fields; RFC 3339 in UTC with
//! milliseconds. Lines are written tens of thousands of times per second on a busy day, so the
//! calendar is consulted once per second of log time, not once per line.
//!
//! Timestamps never decrease, whatever the wall clock does: `Stamper` repeats the latest one
//! until the clock has caught up. A line never holds a newline of its own; JSON escapes them.

use std::ops::Range;

use serde::Serialize;

use crate::domain::time::Wall;
use crate::protocol::calendar::{moment, rfc3339};
use crate::protocol::log::Event;

/// Version of the lines' format, named at the head of each file.
const VERSION: u32 = 1;
/// Length of `2026-11-20T10:00:00.`, which all lines of a second share.
const PREFIX: usize = 20;

/// An event as it stands in the log, for those who watch.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// The timestamp it was given.
    pub at: Wall,
    pub event: Event,
}

impl Logged {
    /// Its JSON, the same text as in the file, without the newline.
    pub(crate) fn line(&self) -> String {
        let mut out = Vec::with_capacity(512);
        Stamper::new(self.at).line(self.at, &self.event, &mut out);
        out.pop();
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Gives lines their timestamps.
pub(super) struct Stamper {
    last: Wall,
    second: u64,
    prefix: [u8; PREFIX],
}

impl Stamper {
    /// Timestamps from `floor` on.
    pub(super) fn new(floor: Wall) -> Stamper {
        // No second has this number, so that the first line fills the prefix.
        Stamper { last: floor, second: u64::MAX, prefix: [b'0'; PREFIX] }
    }

    /// The timestamp for something that happened at `at`.
    pub(super) fn stamp(&mut self, at: Wall) -> Wall {
        self.last = self.last.max(at);
        self.last
    }

    /// Appends a line; false, and nothing appended, if it could not be put into words.
    pub(super) fn line(&mut self, stamp: Wall, event: &impl Serialize, out: &mut Vec<u8>) -> bool {
        self.head(stamp, out);
        self.body(event, out)
    }

    /// Appends the line at the head of each file, which names the file.
    pub(super) fn file_line(&mut self, stamp: Wall, file: &str, out: &mut Vec<u8>) -> bool {
        self.head(stamp, out);
        self.body(&HeadLine { event: "checkpoint", file, version: VERSION }, out)
    }

    fn head(&mut self, stamp: Wall, out: &mut Vec<u8>) {
        let (second, millis) = (stamp.0 / 1000, stamp.0 % 1000);
        if second != self.second {
            let text = rfc3339(Wall(second.saturating_mul(1000)));
            if let Some(prefix) = text.as_bytes().first_chunk() {
                self.prefix = *prefix;
            }
            self.second = second;
        }
        out.extend_from_slice(b"{\"timestamp\":\"");
        out.extend_from_slice(&self.prefix);
        out.extend([millis / 100, millis / 10, millis].map(|number| b'0' + (number % 10) as u8));
        out.extend_from_slice(b"Z\"");
    }

    /// The object's own fields go behind the timestamp: its opening brace becomes the comma.
    fn body(&self, fields: &impl Serialize, out: &mut Vec<u8>) -> bool {
        let brace = out.len();
        if serde_json::to_writer(&mut *out, fields).is_err() || out.get(brace) != Some(&b'{') {
            out.truncate(brace - PREFIX_LEN);
            return false;
        }
        out[brace] = b',';
        out.push(b'\n');
        true
    }
}

/// Bytes that [`Stamper::head`] writes.
pub(super) const PREFIX_LEN: usize = TIMESTAMP.end + 1;

/// Where the timestamp stands in every line.
const TIMESTAMP: Range<usize> = 14..14 + PREFIX + 4;

/// The timestamp of a line of this program, which stands at a fixed place.
pub(super) fn timestamp(line: &[u8]) -> Option<Wall> {
    moment(std::str::from_utf8(line.get(TIMESTAMP)?).ok()?)
}

#[derive(Serialize)]
struct HeadLine<'a> {
    event: &'static str,
    file: &'a str,
    version: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::protocol::log::StopEvent;

    fn stop() -> Event {
        Event::Stop(StopEvent { reason: "asked".to_owned(), unanswered: 0 })
    }

    #[test]
    fn a_line_begins_with_timestamp_and_event() {
        let logged = Logged { at: Wall(1_795_168_800_123), event: stop() };
        assert_eq!(
            logged.line(),
            r#"{"timestamp":"2026-11-20T10:00:00.123Z","event":"stop","reason":"asked","unanswered":0}"#
        );
    }

    #[test]
    fn the_cached_second_gives_the_same_text_as_the_calendar() {
        let mut stamper = Stamper::new(Wall(0));
        for at in [0, 7, 999, 1000, 1001, 1_795_168_799_999, 1_795_168_800_000, 59_999] {
            let mut out = Vec::new();
            assert!(stamper.line(Wall(at), &stop(), &mut out));
            let read: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(read["timestamp"], rfc3339(Wall(at)));
        }
    }

    #[test]
    fn timestamps_stand_still_while_the_wall_clock_is_behind() {
        let mut stamper = Stamper::new(Wall(50));
        let stamps = [40, 60, 10, 59, 61].map(|at| stamper.stamp(Wall(at)).0);
        assert_eq!(stamps, [50, 60, 60, 60, 61]);
    }

    #[test]
    fn the_head_of_a_file_names_it() {
        let mut out = Vec::new();
        assert!(Stamper::new(Wall(0)).file_line(Wall(1), "01J", &mut out));
        let read: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&read["event"], &read["file"]), (&"checkpoint".into(), &"01J".into()));
        assert_eq!(read["version"], 1);
    }
}
