//! The way to the database: it is opened, put aside when damaged, let go when it fails, and opened
//! again, less and less often.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::database::{Contents, Database, StoreError, put_aside, settle};
use super::super::status::Shared;
use crate::clock::Clock;
use crate::domain::time::Mono;

/// Shortest and longest wait before a failed database is opened again.
pub(super) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(30));

/// The database, as long as it works.
pub(super) struct DatabaseConnection {
    pub(super) dir: PathBuf,
    database: Option<Database>,
    pub(super) backoff: Duration,
    next_try: Mono,
    clock: Clock,
    shared: Arc<Shared>,
}

impl DatabaseConnection {
    /// A way to the database in `dir`, which is not opened yet.
    pub(super) fn new(dir: PathBuf, clock: Clock, shared: Arc<Shared>) -> DatabaseConnection {
        let (backoff, next_try) = (BACKOFF.0, Mono::default());
        DatabaseConnection { dir, database: None, backoff, next_try, clock, shared }
    }

    /// The database; `None` while there is none.
    pub(super) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// How long until it should be opened again; `None` while it is open.
    pub(super) fn opens_in(&self, now: Mono) -> Option<Duration> {
        self.database.is_none().then(|| self.next_try.since(now))
    }

    /// Takes note that it was written to: one that opens and then fails to write has not recovered.
    pub(super) fn works(&mut self) {
        self.backoff = BACKOFF.0;
        self.shared.checkpoint(self.clock.now().wall);
    }

    /// Lets go of the database, which is opened again at once by [`DatabaseConnection::reopen`].
    pub(super) fn close(&mut self) {
        self.database = None;
    }

    /// Lets go of the database until it is time to try again, and says so.
    pub(super) fn failed(&mut self, doing: &str, error: &StoreError) -> String {
        self.database = None;
        self.next_try = self.clock.mono().plus(self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        let text = format!("cannot {doing} the database {}: {error}", self.dir.display());
        self.shared.store_failed(text.clone());
        text
    }

    /// Opens what was closed, without looking at what is in it.
    pub(super) fn reopen(&mut self) {
        let opened = settle(&self.dir).map_err(StoreError::from);
        match opened.and_then(|()| Database::open(&self.dir)) {
            Ok((database, _)) => self.database = Some(database),
            Err(error) => drop(self.failed("open", &error)),
        }
    }

    /// Opens it, or a new one in its place; what is in it, and what went wrong.
    pub(super) fn climb(&mut self) -> (Contents, Vec<String>) {
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
                self.tell_losses(&contents, &mut problems);
                (contents, problems)
            }
            Err(error) => {
                problems.push(self.failed("open", &error));
                (Contents::default(), problems)
            }
        }
    }

    fn tell_losses(&self, contents: &Contents, problems: &mut Vec<String>) {
        let (dir, untold) = (self.dir.display(), problems.is_empty());
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
