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
use std::time::Duration;

use super::super::database::{Database, StoreError, replace, settle, size};
use super::super::rows::{RowKey, Slot, Width};
use super::Store;
use crate::domain::ledger::QUARTER_MS;
use crate::domain::time::Wall;
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

impl Store {
    /// Rewrites the database if it is too large.
    pub(super) fn shrink(&mut self) {
        let Some(database) = &self.database else { return };
        let now = self.clock.now();
        if now.mono < self.next_shrink || size(&self.dir) <= self.budget {
            return;
        }
        let (buckets, ledger) = (now.wall.minus(self.ages.all), now.wall.minus(self.ledger_age));
        let current = |key: &RowKey| match key {
            RowKey::Bucket(slot) => slot.end() > buckets,
            RowKey::Ledger(key) => key.start >= ledger,
            RowKey::Outage(key) => key.at >= ledger,
            RowKey::Breaker(_) => true,
        };
        let outcome = copy(database, &self.dir, self.budget, current).and_then(|copied| {
            // From here on a failure may have any reason; opening it again tells.
            self.database = None;
            replace(&self.dir).map(|()| copied)
        });
        match &outcome {
            Ok((size, given_up)) => {
                let above = *size > threshold(self.budget);
                if above {
                    self.next_shrink = now.mono.plus(PAUSE);
                }
                self.shared.rows_lost(given_up.map_or(0, |(_, rows)| rows));
                let told = given_up.map(|(rank, _)| self.tell(rank));
                self.shared.store_rewritten(told);
            }
            Err(error) => {
                self.next_shrink = now.mono.plus(PAUSE);
                let dir = self.dir.display();
                let text =
                    format!("the database {dir} is too large and cannot be rewritten: {error}");
                self.shared.store_too_large(text);
            }
        }
        if self.database.is_none() {
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        let opened = settle(&self.dir).map_err(StoreError::from);
        match opened.and_then(|()| Database::open(&self.dir)) {
            Ok((database, _)) => self.database = Some(database),
            Err(error) => drop(self.failed("open", &error)),
        }
    }

    fn tell(&self, last: Rank) -> String {
        let which = if last.fine { "all windows" } else { "five-minute windows and costs" };
        format!(
            "the database {} was larger than max_size in [store] allows: {which} up to {} were \
             given up; raise it, or lower retention",
            self.dir.display(),
            rfc3339(Wall(last.quarter.0.saturating_add(QUARTER_MS))),
        )
    }
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
