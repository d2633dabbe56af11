//! The thread that keeps rows in the database.
//!
//! Every half second in which something changed, and at once when a circuit did, it makes all
//! changed rows durable in one batch. Each minute it merges and deletes what has grown old.
//!
//! The daemon lives without it. A database that does not open is put aside when damaged and left
//! alone otherwise (a full disk, missing permissions, another process); one that fails is dropped
//! and opened again, less and less often. Rows wait in memory meanwhile, the newest per key.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::database::{Contents, Database, StoreError, put_aside};
use super::mailbox::Mailbox;
use super::restore::{Restored, restore};
use super::retention::{Ages, plan};
use super::rows::{ModelKey, RowKey, RowValue, Rows};
use super::status::Shared;
use crate::clock::Clock;
use crate::domain::time::{Mono, Wall};

/// Time between two looks at what has grown old.
const SWEEP: Duration = Duration::from_secs(60);
/// Most steps of one such look, so that it never takes long.
const MOST_STEPS: usize = 64;
/// Shortest and longest wait before a failed database is opened again.
pub(super) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(30));
/// Most rows that wait in memory for a database that fails.
const MOST_WAITING: usize = 16_384;

/// The store thread's belongings.
pub(super) struct Store {
    pub(super) dir: PathBuf,
    pub(super) ages: Ages,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    pub(super) mailbox: Arc<Mailbox>,
    /// Models that are configured, or were seen since the start.
    pub(super) known: HashSet<ModelKey>,
    pub(super) waiting: Rows,
    pub(super) database: Option<Database>,
    pub(super) backoff: Duration,
    pub(super) next_try: Mono,
    pub(super) next_sweep: Mono,
}

impl Store {
    /// Opens the database, answers what was in it, and works until the mailbox is closed.
    pub(super) fn run(mut self, wanted: &[ModelKey], restored: &SyncSender<Restored>) {
        let (contents, problems) = self.open();
        let found = restore(contents, wanted, self.clock.now().wall.minus(self.ages.all), problems);
        // Nobody waits for it any more if opening took too long.
        let _ = restored.try_send(found);
        self.next_sweep = self.clock.mono().plus(SWEEP);
        loop {
            let inbox = self.mailbox.take(self.idle());
            self.known.extend(inbox.rows.keys().map(|key| key.model().clone()));
            self.waiting.extend(inbox.rows);
            let now = self.clock.mono();
            if self.database.is_none() && (now >= self.next_try || inbox.closed) {
                self.open();
            }
            self.checkpoint();
            if inbox.closed {
                break;
            }
            if now >= self.next_sweep {
                self.next_sweep = now.plus(SWEEP);
                self.sweep();
            }
        }
    }

    fn idle(&self) -> Duration {
        let now = self.clock.mono();
        let sweep = self.next_sweep.since(now);
        if self.database.is_some() { sweep } else { sweep.min(self.next_try.since(now)) }
    }

    /// Climbs the ladder: open it; put it aside and start empty; go on without.
    fn open(&mut self) -> (Contents, Vec<String>) {
        let mut problems = Vec::new();
        let mut opened = Database::open(&self.dir);
        let mut aside = None;
        if let Err(StoreError::Damaged(why)) = &opened {
            let why = why.clone();
            match put_aside(&self.dir) {
                Ok(place) => {
                    let text = format!("{} ({why})", place.display());
                    problems.push(format!("the database was damaged; it is now in {text}"));
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
            problems.push(format!("the database {dir} was there but empty; windows start empty"));
        }
    }

    fn checkpoint(&mut self) {
        let Some(database) = self.database.as_ref().filter(|_| !self.waiting.is_empty()) else {
            self.shed();
            return;
        };
        match database.write(&self.waiting) {
            Ok(()) => {
                self.waiting.clear();
                // Only now: one that opens and then fails to write has not recovered.
                self.backoff = BACKOFF.0;
                self.shared.checkpoint(self.clock.now().wall);
            }
            Err(error) => drop(self.failed("write", &error)),
        }
    }

    /// Gives up the oldest buckets when too many rows wait.
    fn shed(&mut self) {
        if self.waiting.len() <= MOST_WAITING {
            return;
        }
        let mut starts: Vec<Wall> = self.waiting.keys().filter_map(RowKey::start).collect();
        starts.sort_unstable();
        let Some(&middle) = starts.get(starts.len() / 2) else { return };
        let before = self.waiting.len();
        self.waiting.retain(|key, _| key.start().is_none_or(|start| start > middle));
        self.shared.rows_lost((before - self.waiting.len()) as u64);
    }

    fn sweep(&mut self) {
        let Some(database) = &self.database else { return };
        let now = self.clock.now().wall;
        let outcome = sweep_buckets(database, now, self.ages)
            .and_then(|()| sweep_breakers(database, now.minus(self.ages.all), &self.known));
        if let Err(error) = outcome {
            self.failed("tidy", &error);
        }
    }

    /// Lets go of the database until it is time to try again, and says so.
    fn failed(&mut self, doing: &str, error: &StoreError) -> String {
        self.database = None;
        self.next_try = self.clock.mono().plus(self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        let text = format!("cannot {doing} the database {}: {error}", self.dir.display());
        self.shared.store_failed(text.clone());
        text
    }
}

fn sweep_buckets(database: &Database, now: Wall, ages: Ages) -> Result<(), StoreError> {
    for _ in 0..MOST_STEPS {
        let plan = plan(database.slots()?, now, ages);
        if plan.is_empty() {
            break;
        }
        database.carry_out(&plan)?;
    }
    Ok(())
}

/// Forgets circuits of models that nobody has configured for as long as the retention.
fn sweep_breakers(
    database: &Database,
    before: Wall,
    known: &HashSet<ModelKey>,
) -> Result<(), StoreError> {
    let old: Vec<RowKey> = database
        .breakers()?
        .into_iter()
        .filter(|(key, _)| !known.contains(key.model()))
        .filter(|(_, value)| matches!(value, RowValue::Breaker(saved) if saved.at < before))
        .map(|(key, _)| key)
        .collect();
    if old.is_empty() { Ok(()) } else { database.remove(&old) }
}

#[cfg(test)]
mod tests;
