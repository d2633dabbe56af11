//! What the ledger says: the database, and what it does not hold yet.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::super::costs::{Adding, Query, Question};
use super::super::outages::{self, Edge, OutageKey};
use super::super::rows::{RowKey, RowValue};
use super::super::start::Restored;
use super::Store;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::time::Wall;
use crate::protocol::costs::Costs;

impl Store {
    /// Answers a question, for who asked it.
    pub(super) fn answer(&mut self, question: Question) {
        let costs = self.costs(&question.query, false);
        // Who asked may have given up.
        let _ = question.answer.send(costs);
    }

    /// What was paid; days say what they consist of if that is `whole`.
    pub(super) fn costs(&mut self, query: &Query, whole: bool) -> Costs {
        let range = query.range();
        let (rows, failed) = self.ledger_between(&range);
        let mut adding = Adding::new(query);
        rows.iter().for_each(|(key, sums)| adding.add(key, *sums));
        let (edges, failed) = match failed {
            None => self.outage_edges(),
            Some(failed) => (BTreeMap::new(), Some(failed)),
        };
        let incomplete = failed.or_else(|| {
            self.database.is_none().then(|| {
                "the database is not open; only what the logs and the memory hold is counted".into()
            })
        });
        let now = self.clock.now().wall;
        adding.finish(outages::between(&range, now, &edges), incomplete, whole, now)
    }

    /// All additions to the ledger in a stretch of time, several per key; and what went wrong.
    pub(super) fn ledger_between(
        &mut self,
        range: &Range<Wall>,
    ) -> (Vec<(LedgerKey, Sums)>, Option<String>) {
        let mut newer: HashMap<&LedgerKey, Sums> = HashMap::new();
        for (key, value) in &self.waiting {
            if let (RowKey::Ledger(key), RowValue::Ledger(sums)) = (key, value) {
                newer.insert(key, *sums);
            }
        }
        let stored = self.database.as_ref().map(|database| database.ledger(range, usize::MAX));
        let (mut rows, failed) = match stored {
            Some(Ok(rows)) => (rows, None),
            Some(Err(error)) => (Vec::new(), Some(error)),
            None => (Vec::new(), None),
        };
        rows.retain(|(key, _)| !newer.contains_key(key));
        let more = self.ledger.iter().chain(&self.from_logs).map(|(key, sums)| (key, *sums));
        let newer = newer.into_iter().chain(more);
        let newer = newer.filter(|(key, _)| range.contains(&key.start));
        rows.extend(newer.map(|(key, sums)| (key.clone(), sums)));
        (rows, failed.map(|error| self.failed("read", &error)))
    }

    /// Ends the outages of models that are no longer configured, or no longer the same, and so have
    /// no open circuit that could close.
    pub(super) fn end_outages(&mut self, restored: &Restored) {
        let (edges, _) = self.outage_edges();
        let mut last: HashMap<Arc<str>, Edge> =
            edges.into_iter().map(|(key, edge)| (key.model, edge)).collect();
        for (key, model) in &restored.models {
            if model.breaker.as_ref().is_some_and(|stored| stored.breaker.open) {
                last.remove(&key.name);
            }
        }
        let at = self.clock.now().wall;
        let ends = last.into_iter().filter(|(_, edge)| edge.open);
        self.waiting.extend(ends.map(|(model, _)| OutageKey { at, model }.row(Edge::END)));
    }

    /// All ends of outages: one that ends behind a stretch of time may have begun in it.
    fn outage_edges(&mut self) -> (BTreeMap<OutageKey, Edge>, Option<String>) {
        let stored =
            self.database.as_ref().map(|database| database.outages(Wall(u64::MAX))).transpose();
        let (mut edges, failed) = match stored {
            Ok(edges) => (edges.unwrap_or_default(), None),
            Err(error) => (BTreeMap::new(), Some(self.failed("read", &error))),
        };
        for (key, value) in &self.waiting {
            if let (RowKey::Outage(key), RowValue::Outage(edge)) = (key, value) {
                edges.insert(key.clone(), edge.clone());
            }
        }
        (edges, failed)
    }
}
