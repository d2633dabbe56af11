//! What the ledger says: the database, and what it does not hold yet.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::costs::{Adding, Query};
use super::super::outages::{self, OutageEdge, OutageKey};
use super::connection::DatabaseConnection;
use super::unsaved::Unsaved;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::time::Wall;
use crate::protocol::costs::Costs;

/// All that is known of costs, saved or not.
pub(super) struct Books<'s> {
    pub(super) connection: &'s mut DatabaseConnection,
    pub(super) unsaved: &'s Unsaved,
    pub(super) now: Wall,
}

impl Books<'_> {
    /// What was paid; days say what they consist of if that is `whole`.
    pub(super) fn costs(&mut self, query: &Query, whole: bool) -> Costs {
        let range = query.range();
        let (rows, failed) = self.between(&range);
        let mut adding = Adding::new(query);
        rows.iter().for_each(|(key, sums)| adding.add(key, *sums));
        let (edges, failed) = match failed {
            None => self.outage_edges(),
            Some(failed) => (BTreeMap::new(), Some(failed)),
        };
        let incomplete = failed.or_else(|| {
            self.connection.database().is_none().then(|| {
                "the database is not open; only what the logs and the memory hold is counted".into()
            })
        });
        adding.finish(outages::between(&range, self.now, &edges), incomplete, whole, self.now)
    }

    /// All additions to the ledger in a stretch of time, several per key; and what went wrong.
    pub(super) fn between(
        &mut self,
        range: &Range<Wall>,
    ) -> (Vec<(LedgerKey, Sums)>, Option<String>) {
        let stored = self.connection.database().map(|stored| stored.ledger(range, usize::MAX));
        let (rows, failed) = match stored.transpose() {
            Ok(rows) => (rows.unwrap_or_default(), None),
            Err(error) => (Vec::new(), Some(self.connection.failed("read", &error))),
        };
        (self.unsaved.ledger_over(rows, range), failed)
    }

    /// All ends of outages: one that ends behind a stretch of time may have begun in it.
    pub(super) fn outage_edges(&mut self) -> (BTreeMap<OutageKey, OutageEdge>, Option<String>) {
        let stored = self.connection.database().map(|stored| stored.outages(Wall(u64::MAX)));
        let (edges, failed) = match stored.transpose() {
            Ok(edges) => (edges.unwrap_or_default(), None),
            Err(error) => (BTreeMap::new(), Some(self.connection.failed("read", &error))),
        };
        (self.unsaved.outages_over(edges), failed)
    }
}
