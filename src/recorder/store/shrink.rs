//! Keeping the database within its size.
//!
//! What is deleted leaves no room behind in it, so above its budget it is rewritten. Should the
//! rows alone be too many, the oldest are given up: five-minute buckets and the ledger first, then
//! buckets of ten seconds, circuits never. Then the new one has only half of the budget, or it
//! would have to be rewritten all the time.
//!
//! A failure (there must be room on the disk for both) leaves the old one in use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::database::{Database, StoreError, replace, size};
use super::super::rows::{RowKey, Slot, Width};
use super::super::status::Shared;
use super::connection::DatabaseConnection;
use crate::domain::ledger::QUARTER_MS;
use crate::domain::time::{Mono, Wall};
use crate::protocol::calendar::rfc3339;

/// How long a rewrite that failed, or gained little, is not repeated.
const PAUSE: Duration = Duration::from_secs(3600);
/// How often the rows are copied at most, each time fewer of them.
const TRIES: u32 = 4;

/// Which rows go first: those of a lesser rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    fine: bool,
    /// Start of the quarter of an hour.
    quarter: Wall,
}

/// How many rows there are, and how many bytes in them.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    rows: u64,
    bytes: u64,
}

/// What the rows weigh.
#[derive(Debug, Default)]
struct Weights {
    total: u64,
    by_rank: BTreeMap<Rank, Weight>,
}

/// How large the database may be, and when it is looked at again.
pub(super) struct Shrink {
    /// Size of the database above which it is rewritten.
    pub(super) budget: u64,
    pub(super) next: Mono,
    shared: Arc<Shared>,
}

impl Shrink {
    pub(super) fn new(budget: u64, shared: Arc<Shared>) -> Shrink {
        Shrink { budget, next: Mono::default(), shared }
    }

    /// Allows another size. Who changes it wants to see what comes of it.
    pub(super) fn set_budget(&mut self, budget: u64) {
        if self.budget != budget {
            self.budget = budget;
            self.next = Mono::default();
        }
    }

    /// Rewrites the database if it is too large. Buckets and costs older than those that are `kept`
    /// are left out.
    pub(super) fn look(&mut self, connection: &mut DatabaseConnection, kept: &Oldest, now: Mono) {
        let Some(database) = connection.database() else { return };
        let dir = connection.dir.clone();
        if now < self.next || size(&dir) <= self.budget {
            return;
        }
        let outcome = copy(database, &dir, self.budget, |key| kept.keeps(key)).and_then(|copied| {
            // From here on a failure may have any reason; opening it again tells.
            connection.close();
            replace(&dir).map(|()| copied)
        });
        match &outcome {
            Ok((size, given_up)) => {
                let above = *size > threshold(self.budget);
                if above {
                    self.next = now.plus(PAUSE);
                }
                self.shared.rows_lost(given_up.map_or(0, |(_, rows)| rows));
                self.shared.store_rewritten(given_up.map(|(rank, _)| tell(&dir, rank)));
            }
            Err(error) => {
                self.next = now.plus(PAUSE);
                let dir = dir.display();
                let text =
                    format!("the database {dir} is too large and cannot be rewritten: {error}");
                self.shared.store_too_large(text);
            }
        }
        if connection.database().is_none() {
            connection.reopen();
        }
    }
}

/// The oldest moments that are kept.
pub(super) struct Oldest {
    pub(super) bucket: Wall,
    pub(super) ledger: Wall,
}

impl Oldest {
    fn keeps(&self, key: &RowKey) -> bool {
        match key {
            RowKey::Bucket(slot) => slot.end() > self.bucket,
            RowKey::Ledger(key) => key.start >= self.ledger,
            RowKey::Outage(key) => key.at >= self.ledger,
            RowKey::Breaker(_) => true,
        }
    }
}

fn tell(dir: &Path, last: Rank) -> String {
    let which = if last.fine { "all windows" } else { "five-minute windows and costs" };
    format!(
        "the database {} was larger than max_size in [store] allows: {which} up to {} were given \
         up; raise it, or lower retention",
        dir.display(),
        rfc3339(Wall(last.quarter.0.saturating_add(QUARTER_MS))),
    )
}

/// Copies what is `current` into a new database, all of it if there is room; tells the size of the
/// new one, and the last rank and the number of rows that were given up.
fn copy(
    database: &Database,
    dir: &Path,
    budget: u64,
    current: impl Fn(&RowKey) -> bool,
) -> Result<(u64, Option<(Rank, u64)>), StoreError> {
    let mut weights = Weights::default();
    database.weigh(|key, bytes| {
        if current(&key) {
            weights.put(&key, bytes);
        }
    })?;
    let (mut last, mut rows, mut tries) = (None, 0, 1);
    loop {
        let stays = |key: &RowKey| rank(key).is_none_or(|rank| Some(rank) > last);
        let size = database.copy(dir, |key| current(key) && stays(key))?;
        if size <= threshold(budget) || weights.by_rank.is_empty() || tries == TRIES {
            return Ok((size, last.map(|rank| (rank, rows))));
        }
        tries += 1;
        // What is in a new database takes space about as its rows are long.
        let room = u128::from(weights.total) * u128::from(budget / 2) / u128::from(size.max(1));
        let (further, more) = weights.give_up(u64::try_from(room).unwrap_or(u64::MAX));
        last = further.or(last);
        rows += more;
    }
}

/// The size up to which a new database is small enough to be worth its making.
fn threshold(budget: u64) -> u64 {
    budget / 4 * 3
}

fn rank(key: &RowKey) -> Option<Rank> {
    let (fine, start) = match key {
        RowKey::Bucket(Slot { start, width, .. }) => (*width == Width::Fine, start),
        RowKey::Ledger(key) => (false, &key.start),
        RowKey::Outage(key) => (false, &key.at),
        RowKey::Breaker(_) => return None,
    };
    Some(Rank { fine, quarter: Wall(start.0 - start.0 % QUARTER_MS) })
}

impl Weights {
    fn put(&mut self, key: &RowKey, bytes: u64) {
        self.total += bytes;
        if let Some(rank) = rank(key) {
            let weight = self.by_rank.entry(rank).or_default();
            weight.rows += 1;
            weight.bytes += bytes;
        }
    }

    /// Gives up the first ranks until no more than `room` is left; tells the last of them, and how
    /// many rows these were.
    fn give_up(&mut self, room: u64) -> (Option<Rank>, u64) {
        let (mut last, mut rows) = (None, 0);
        while self.total > room
            && let Some((rank, weight)) = self.by_rank.pop_first()
        {
            self.total -= weight.bytes;
            rows += weight.rows;
            last = Some(rank);
        }
        (last, rows)
    }
}

#[cfg(test)]
mod tests;
