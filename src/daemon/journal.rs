//! The journal of systemd: the daemon's own lines with their fields and priorities.
//!
//! It is used when standard error is connected to the journal, so that nothing is told twice. An
//! entry is one datagram, and sending never waits: a journal that reads nothing costs entries,
//! never an answer (a journal library would wait, and has no way to say *notice* for some lines of
//! a level). All fields also stand in the text, as they would on a terminal.

use std::fmt::{self, Write as _};
use std::io;
use std::os::linux::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::actors::tracing_events::NOTICE;
use crate::config::Env;

const SOCKET: &str = "/run/systemd/journal/socket";
/// Longest value of a field, in bytes: an entry must fit into one datagram.
const LONGEST: usize = 8 * 1024;

/// The way to the journal.
#[derive(Debug)]
pub(super) struct JournalSocket(UnixDatagram);

impl JournalSocket {
    /// The journal, if that is where standard error goes.
    pub(super) fn behind_stderr(env: &Env) -> Option<JournalSocket> {
        let file = std::os::fd::AsFd::as_fd(&io::stderr()).try_clone_to_owned().ok()?;
        let file = std::fs::File::from(file).metadata().ok()?;
        let stream = format!("{}:{}", file.st_dev(), file.st_ino());
        let is_journal = env.var("JOURNAL_STREAM") == Some(&*stream);
        is_journal.then(|| JournalSocket::at(Path::new(SOCKET)).ok()).flatten()
    }

    fn at(path: &Path) -> io::Result<JournalSocket> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_nonblocking(true)?;
        Ok(JournalSocket(socket))
    }
}

impl<S: Subscriber> Layer<S> for JournalSocket {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        let mut entry = JournalEntry::default();
        event.record(&mut entry);
        let JournalEntry { mut text, fields, mut bytes } = entry;
        text.push_str(&fields);
        put(&mut bytes, "MESSAGE", &text);
        put(&mut bytes, "PRIORITY", priority(meta));
        put(&mut bytes, "SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
        put(&mut bytes, "CODE_MODULE", meta.module_path().unwrap_or_default());
        // There is nobody left to tell that this could not be told.
        let _ = self.0.send(&bytes);
    }
}

fn priority(meta: &Metadata<'_>) -> &'static str {
    match *meta.level() {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO if meta.target() == NOTICE => "5",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// An event, taken apart.
#[derive(Default)]
struct JournalEntry {
    text: String,
    /// The other fields as text, each with a space before it.
    fields: String,
    /// The other fields as the journal takes them.
    bytes: Vec<u8>,
}

impl Visit for JournalEntry {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value);
    }
}

impl JournalEntry {
    fn take(&mut self, name: &str, value: &str) {
        if name == "message" {
            self.text.push_str(value);
            return;
        }
        // A String takes whatever is written to it.
        let _ = write!(self.fields, " {name}={value}");
        put(&mut self.bytes, &name.to_ascii_uppercase(), value);
    }
}

/// Adds a field: in one line where it fits, else with its length before it.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(LONGEST)];
    // A name that the journal would not take must not spoil the whole entry.
    if !name.starts_with(|first: char| first.is_ascii_uppercase()) || !name.bytes().all(is_of_name)
    {
        return;
    }
    bytes.extend(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend((value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend(value.as_bytes());
    bytes.push(b'\n');
}

fn is_of_name(letter: u8) -> bool {
    matches!(letter, b'A'..=b'Z' | b'0'..=b'9' | b'_')
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What reaches the journal's socket when `tracing_events` tells one thing.
    fn entry(tracing_events: impl FnOnce()) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let journal = JournalSocket::at(&path).unwrap();
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(journal),
            tracing_events,
        );
        let mut bytes = [0; 64 * 1024];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn fields_are_there_by_name_and_in_the_text() {
        let said = entry(|| tracing::warn!(model = "m", calls = 3, error = %"odd", "it failed"));
        assert!(said.contains("MESSAGE=it failed model=m calls=3 error=odd\n"), "{said}");
        for line in ["MODEL=m\n", "CALLS=3\n", "PRIORITY=4\n", "SYSLOG_IDENTIFIER=fallbackd\n"] {
            assert!(said.contains(line), "{line} in {said}");
        }
    }

    #[test]
    fn outages_are_told_as_notices_and_requests_at_debug() {
        assert!(entry(|| tracing::info!(target: NOTICE, "out")).contains("PRIORITY=5\n"));
        assert!(entry(|| tracing::info!("ordinary")).contains("PRIORITY=6\n"));
        assert!(entry(|| tracing::debug!("a request")).contains("PRIORITY=7\n"));
        assert!(entry(|| tracing::error!("bad")).contains("PRIORITY=3\n"));
    }

    #[test]
    fn a_field_with_line_breaks_cannot_pass_for_other_fields() {
        let said = entry(|| tracing::info!(reason = "a\nPRIORITY=0", "x"));
        let length = char::from(12);
        assert!(
            said.contains(&format!("REASON\n{length}\0\0\0\0\0\0\0a\nPRIORITY=0\n")),
            "{said:?}"
        );
    }

    #[test]
    fn a_journal_that_reads_nothing_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _full = UnixDatagram::bind(&path).unwrap();
        let journal = JournalSocket::at(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            for _ in 0..5000 {
                tracing::info!("one of many");
            }
        });
    }

    #[test]
    fn without_its_stream_behind_stderr_there_is_no_journal() {
        assert!(JournalSocket::behind_stderr(&Env::new(7, [])).is_none());
        assert!(JournalSocket::behind_stderr(&Env::new(7, [("JOURNAL_STREAM", "1:2")])).is_none());
    }
}
