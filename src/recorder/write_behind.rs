//! The way of changed rows from the journal thread to the store thread.
//!
//! Not a queue: rows hold absolute values, so the buffer keeps the newest per key, and sums of the
//! ledger are added up. It cannot overflow, however long a disk takes, and the journal never waits
//! for the store. Rows travel behind their lines together with the place in the log that they
//! reach to, under one lock: what is taken out always belongs together.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::costs::Question;
use super::rows::{Position, Rows};
use super::start::Keeping;
use crate::domain::ledger::{self, Ledger};

/// How long ordinary rows gather before the store takes them.
pub(super) const GATHER: Duration = Duration::from_millis(500);

/// A buffer that one thread fills and another empties.
#[derive(Debug, Default)]
pub(super) struct WriteBehind {
    buffered: Mutex<UnsavedChanges>,
    changed: Condvar,
}

/// What lines changed, and what else goes with them.
#[derive(Debug, Default)]
pub(super) struct UnsavedChanges {
    /// Newest row per key.
    pub(super) rows: Rows,
    /// Additions to the ledger, beside rows of it.
    pub(super) ledger: Ledger,
    /// The place in the log that all this reaches to.
    pub(super) reached: Option<Position>,
    /// Files of the log that were written to, in their order.
    pub(super) files: Vec<Arc<File>>,
    /// Whether one of the rows must not wait.
    pub(super) urgent: bool,
    /// Whether a new file was begun.
    pub(super) begun: bool,
    /// What somebody wants to know as it is after all this.
    pub(super) questions: Vec<Question>,
    /// How much is to be kept from now on.
    pub(super) keeping: Option<Keeping>,
    /// Whether nothing will come after.
    pub(super) closed: bool,
}

impl UnsavedChanges {
    /// Adds what came later.
    pub(super) fn add(&mut self, later: UnsavedChanges) {
        self.rows.extend(later.rows);
        for (key, sums) in later.ledger {
            ledger::add(&mut self.ledger, key, sums);
        }
        self.reached = later.reached.or(self.reached.take());
        for file in later.files {
            if !self.files.last().is_some_and(|last| Arc::ptr_eq(last, &file)) {
                self.files.push(file);
            }
        }
        self.urgent |= later.urgent;
        self.begun |= later.begun;
        self.questions.extend(later.questions);
        self.keeping = later.keeping.or(self.keeping.take());
        self.closed |= later.closed;
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.ledger.is_empty() && !self.is_pressing()
    }

    fn is_pressing(&self) -> bool {
        self.urgent
            || self.begun
            || self.closed
            || self.keeping.is_some()
            || !self.questions.is_empty()
    }
}

impl WriteBehind {
    /// Adds what a batch of lines changed.
    pub(super) fn add(&self, changes: UnsavedChanges) {
        let mut buffered = self.buffered();
        let before = (buffered.is_empty(), buffered.is_pressing());
        buffered.add(changes);
        // The store sleeps through ordinary rows once it knows that there are any.
        let news = before != (buffered.is_empty(), buffered.is_pressing());
        drop(buffered);
        if news {
            self.changed.notify_one();
        }
    }

    /// Says that nothing will come after.
    pub(super) fn close(&self) {
        self.buffered().closed = true;
        self.changed.notify_one();
    }

    /// Empties the buffer: half a second after the first row, at once when something in it is
    /// pressing, and after `idle` without any row.
    pub(super) fn take(&self, idle: Duration) -> UnsavedChanges {
        let (buffered, _) = self
            .changed
            .wait_timeout_while(self.buffered(), idle, |buffered| buffered.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let (mut buffered, _) = self
            .changed
            .wait_timeout_while(buffered, GATHER, |buffered| {
                !buffered.is_empty() && !buffered.is_pressing()
            })
            .unwrap_or_else(PoisonError::into_inner);
        let closed = buffered.closed;
        let taken = std::mem::take(&mut *buffered);
        buffered.closed = closed;
        taken
    }

    fn buffered(&self) -> MutexGuard<'_, UnsavedChanges> {
        self.buffered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::{LedgerKey, Sums};
    use crate::domain::time::Wall;
    use crate::domain::window::Bucket;
    use crate::recorder::rows::{ModelKey, Row, RowValue};

    fn batch(successes: &[u32]) -> UnsavedChanges {
        let model = ModelKey::new("a", "b", "c");
        let bucket = |&success| Bucket { success, ..Bucket::default() };
        let row = |bucket| Row::Bucket { model: model.clone(), start: Wall(0), bucket };
        let rows = successes.iter().map(bucket).map(row).map(|row| row.split(Wall(1))).collect();
        let key = LedgerKey::new(Wall(0), &"t".into(), &"p".into(), &"m".into());
        let ledger = Ledger::from([(key, Sums { calls: 1, ..Sums::default() })]);
        UnsavedChanges { rows, ledger, ..UnsavedChanges::default() }
    }

    #[test]
    fn only_the_newest_row_of_a_key_is_taken_and_sums_are_added_up() {
        let write_behind = WriteBehind::default();
        write_behind.add(batch(&[1, 2]));
        write_behind.add(batch(&[3]));
        let taken = write_behind.take(Duration::ZERO);
        let values: Vec<RowValue> = taken.rows.into_values().collect();
        assert_eq!(values, [RowValue::Bucket(Bucket { success: 3, ..Bucket::default() })]);
        assert_eq!(taken.ledger.into_values().map(|sums| sums.calls).collect::<Vec<_>>(), [2]);
        assert!(write_behind.take(Duration::ZERO).is_empty());
    }

    #[test]
    fn a_closed_buffer_stays_closed_and_waits_for_nobody() {
        let write_behind = WriteBehind::default();
        write_behind.add(batch(&[1]));
        write_behind.close();
        let hour = Duration::from_secs(3600);
        assert_eq!(write_behind.take(hour).rows.len(), 1);
        assert!(write_behind.take(hour).closed);
    }
}
