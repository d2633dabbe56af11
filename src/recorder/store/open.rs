//! Opening the database, and bringing it up to where the log is.
//!
//! A ladder: open it; put it aside and begin a new one; go on without. Whichever step holds, the
//! log tells what the rows do not count yet, or everything. What was put aside or found missing is
//! said, to the caller and in the status; none of it ends the store.

use super::super::database::Contents;
use super::super::replay::{self, Caught, Segment};
use super::super::rows::Rows;
use super::Store;

impl Store {
    /// Opens the database and catches up with the log; gives the rows as they are then, and what
    /// went wrong. `first` is for those who want the rows also without a database.
    pub(super) fn open(&mut self, files: &[Segment], first: bool) -> (Rows, Vec<String>) {
        let (contents, mut problems) = self.connection.climb();
        let is_open = self.connection.database().is_some();
        if !is_open && !first {
            return (Rows::new(), problems);
        }
        let Contents { rows, position, .. } = contents;
        let mut caught = if self.joined && position >= self.counted {
            // The same as before, or a checkpoint later: one that seemed to have failed.
            Caught::default()
        } else {
            replay::catch_up(rows, position.as_ref(), self.counted.as_ref(), files)
        };
        if position.is_none() && is_open {
            let told = self.reports.recall(&mut caught.fold);
            caught.problems.extend(told);
            self.reports.ledger_known = caught.ledger_from.unwrap_or_default();
        }
        if let Some(last) = caught.problems.last() {
            self.shared.log_damaged(last.clone());
        }
        problems.extend(caught.problems.iter().cloned());
        if is_open {
            self.unsaved.adopt(&caught);
            self.counted = position;
            self.joined = true;
        } else {
            self.unsaved.from_logs = caught.fold.ledger;
        }
        (caught.fold.rows, problems)
    }
}
