//! Opening the database, and bringing it up to where the log is.
//!
//! A ladder: open it; put it aside and begin a new one; go on without. Whichever step holds, the
//! log tells what the rows do not count yet, or everything. What was put aside or found missing is
//! said, to the caller and in the status; none of it ends the store.

use super::super::database::{Contents, Database, StoreError, put_aside, settle};
use super::super::replay::{self, Caught, Segment};
use super::super::rows::{RowKey, Rows};
use super::Store;
use crate::domain::ledger;

impl Store {
    /// Opens the database and catches up with the log; gives the rows as they are then, and what
    /// went wrong. `first` is for those who want the rows also without a database.
    pub(super) fn open(&mut self, files: &[Segment], first: bool) -> (Rows, Vec<String>) {
        let (contents, mut problems) = self.climb();
        if self.database.is_none() && !first {
            return (Rows::new(), problems);
        }
        let Contents { rows, position, .. } = contents;
        let mut caught = if self.joined && position >= self.counted {
            // The same as before, or a checkpoint later: one that seemed to have failed.
            Caught::default()
        } else {
            replay::catch_up(rows, position.as_ref(), self.counted.as_ref(), files)
        };
        if position.is_none() && self.database.is_some() {
            let told = self.recall(&mut caught.fold);
            caught.problems.extend(told);
            self.ledger_known = caught.ledger_from.unwrap_or_default();
        }
        if let Some(last) = caught.problems.last() {
            self.shared.log_damaged(last.clone());
        }
        problems.extend(caught.problems.iter().cloned());
        if self.database.is_some() {
            self.adopt(&caught);
            self.from_logs.clear();
            self.counted = position;
            self.joined = true;
        } else {
            self.from_logs = caught.fold.ledger;
        }
        (caught.fold.rows, problems)
    }

    /// Takes over what the log told, where nothing newer waits already.
    fn adopt(&mut self, caught: &Caught) {
        for key in &caught.fold.touched {
            if let Some(value) = caught.fold.rows.get(key) {
                self.waiting.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        for (key, sums) in &caught.fold.ledger {
            if !self.waiting.contains_key(&RowKey::Ledger(key.clone())) {
                ledger::add(&mut self.ledger, key.clone(), *sums);
            }
        }
    }

    fn climb(&mut self) -> (Contents, Vec<String>) {
        let mut problems = Vec::new();
        let mut opened =
            settle(&self.dir).map_err(StoreError::from).and_then(|()| Database::open(&self.dir));
        let mut aside = None;
        if let Err(StoreError::Damaged(why)) = &opened {
            let why = why.clone();
            match put_aside(&self.dir) {
                Ok(place) => {
                    let text = format!("{} ({why})", place.display());
                    problems.push(format!(
                        "the database was damaged; it is now in {text}, and a new one is filled \
                         from the health log"
                    ));
                    aside = Some(text);
                    opened = Database::open(&self.dir);
                }
                Err(error) => opened = Err(error.into()),
            }
        }
        match opened {
            Ok((database, contents)) => {
                self.database = Some(database);
                self.shared.store_works(aside);
                self.tell_losses(&contents, problems.is_empty(), &mut problems);
                (contents, problems)
            }
            Err(error) => {
                problems.push(self.failed("open", &error));
                (Contents::default(), problems)
            }
        }
    }

    fn tell_losses(&self, contents: &Contents, untold: bool, problems: &mut Vec<String>) {
        let dir = self.dir.display();
        self.shared.rows_lost(contents.unreadable);
        if contents.unreadable > 0 {
            problems
                .push(format!("{} unreadable rows in {dir} were left out", contents.unreadable));
        }
        if contents.lost && untold {
            let what = "was there but empty; it is filled from the health log";
            problems.push(format!("the database {dir} {what}"));
        }
    }
}
