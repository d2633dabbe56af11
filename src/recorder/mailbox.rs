//! The way of changed rows from the journal thread to the store thread.
//!
//! Not a queue: rows hold absolute values, so the box keeps the newest per key. It cannot
//! overflow, however long a disk takes, and the journal never waits for the store. Rows travel
//! behind their lines, in the order of the log.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rows::{Row, Rows};
use crate::domain::time::Wall;

/// How long ordinary rows gather before the store takes them.
pub(super) const GATHER: Duration = Duration::from_millis(500);

/// A box that one thread fills and another empties.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

/// What was in the box.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Newest row per key.
    pub(super) rows: Rows,
    /// Whether one of them must not wait.
    pub(super) urgent: bool,
    /// Whether nothing will come after.
    pub(super) closed: bool,
}

impl Mailbox {
    /// Puts rows in, each with the moment it was recorded.
    pub(super) fn post(&self, rows: impl Iterator<Item = (Wall, Row)>) {
        let mut inbox = self.inbox();
        let (was_empty, was_urgent) = (inbox.rows.is_empty(), inbox.urgent);
        for (at, row) in rows {
            inbox.urgent |= row.is_urgent();
            let (key, value) = row.split(at);
            inbox.rows.insert(key, value);
        }
        // The store sleeps through ordinary rows once it knows that there are any.
        let news = was_empty != inbox.rows.is_empty() || was_urgent != inbox.urgent;
        drop(inbox);
        if news {
            self.changed.notify_one();
        }
    }

    /// Says that nothing will come after.
    pub(super) fn close(&self) {
        self.inbox().closed = true;
        self.changed.notify_one();
    }

    /// Empties the box: half a second after the first row, at once when one is urgent or the box
    /// was closed, and after `idle` without any row.
    pub(super) fn take(&self, idle: Duration) -> Inbox {
        let empty = |inbox: &mut Inbox| inbox.rows.is_empty() && !inbox.closed;
        let patient = |inbox: &mut Inbox| !inbox.rows.is_empty() && !inbox.urgent && !inbox.closed;
        let (inbox, _) = self
            .changed
            .wait_timeout_while(self.inbox(), idle, empty)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut inbox, _) = self
            .changed
            .wait_timeout_while(inbox, GATHER, patient)
            .unwrap_or_else(PoisonError::into_inner);
        let closed = inbox.closed;
        let taken = std::mem::take(&mut *inbox);
        inbox.closed = closed;
        taken
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::window::Bucket;
    use crate::recorder::rows::{ModelKey, RowValue};

    fn bucket(success: u32) -> (Wall, Row) {
        let model = ModelKey::new("a", "b", "c");
        let bucket = Bucket { success, ..Bucket::default() };
        (Wall(1), Row::Bucket { model, start: Wall(0), bucket })
    }

    #[test]
    fn only_the_newest_row_of_a_key_is_taken() {
        let mailbox = Mailbox::default();
        mailbox.post([bucket(1), bucket(2)].into_iter());
        mailbox.post([bucket(3)].into_iter());
        let taken = mailbox.take(Duration::ZERO);
        let values: Vec<RowValue> = taken.rows.into_values().collect();
        assert_eq!(values, [RowValue::Bucket(Bucket { success: 3, ..Bucket::default() })]);
        assert!(mailbox.take(Duration::ZERO).rows.is_empty());
    }

    #[test]
    fn a_closed_box_stays_closed_and_waits_for_nobody() {
        let mailbox = Mailbox::default();
        mailbox.post([bucket(1)].into_iter());
        mailbox.close();
        let hour = Duration::from_secs(3600);
        assert_eq!(mailbox.take(hour).rows.len(), 1);
        assert!(mailbox.take(hour).closed);
    }
}
