//! The report of each finished week: when it is written, and how weeks come back from them.
//!
//! It is written here because here the ledger is owned; nothing waits for it. What cannot be written
//! is said once and tried again with the next look.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::costs::Query;
use super::super::fold::Fold;
use super::super::journal::{JournalMessage, LogEntry};
use super::super::outages;
use super::super::queue::Queue;
use super::super::reports::{self, Recalled};
use super::answer::Books;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::protocol::calendar::{Day, Week};
use crate::protocol::costs::Costs;
use crate::protocol::log::{Event, ReportEvent};
use crate::protocol::span::Span;

/// Every moment that a ledger can have.
const ALWAYS: Range<Wall> = Wall(0)..Wall(u64::MAX);

/// The reports of finished weeks, and when the next one is due.
pub(super) struct Reports {
    dir: PathBuf,
    /// Whose weeks are reported.
    zone: TimeZone,
    /// When the next week is over.
    next: Wall,
    /// Whether it was said that a report cannot be written.
    failed: bool,
    /// From when on the ledger is known to be whole; later than 1970 if the database was lost.
    pub(super) ledger_known: Wall,
    queue: Arc<Queue<JournalMessage>>,
}

impl Reports {
    /// Reports in `dir`; the first look says which are due.
    pub(super) fn new(dir: PathBuf, zone: TimeZone, queue: Arc<Queue<JournalMessage>>) -> Reports {
        let (next, ledger_known) = (Wall::default(), Wall::default());
        Reports { dir, zone, next, failed: false, ledger_known, queue }
    }

    /// Reports the weeks of this time zone from now on.
    pub(super) fn set_zone(&mut self, zone: &TimeZone) {
        if self.zone != *zone {
            self.zone = zone.clone();
            self.next = Wall::default();
        }
    }

    /// The day that a moment belongs to.
    pub(super) fn day(&self, at: Wall) -> Day {
        Day::of(at, &self.zone)
    }

    /// Writes the reports that are due, of what is younger than `ledger_age`.
    pub(super) fn write_due(&mut self, books: &mut Books<'_>, ledger_age: Duration) {
        if books.now < self.next {
            return;
        }
        let database = books.connection.database();
        let Some(Ok(first)) = database.map(|database| database.ledger(&ALWAYS, 1)) else { return };
        let outcome = match first.first() {
            Some((key, _)) => self.write_from(key.start, books, ledger_age),
            None => Ok(()),
        };
        match outcome {
            Ok(()) => {
                self.next = reports::finished(Week::of(books.now, &self.zone), &self.zone);
                self.failed = false;
            }
            Err(why) if !self.failed => {
                self.failed = true;
                tracing::warn!("{why}; it is tried again every minute");
            }
            Err(_) => {}
        }
    }

    fn write_from(
        &self,
        first: Wall,
        books: &mut Books<'_>,
        ledger_age: Duration,
    ) -> Result<(), String> {
        let written = reports::written(&self.dir)
            .map_err(|error| format!("cannot look into {}: {error}", self.dir.display()))?;
        let kept = books.now.minus(ledger_age);
        for week in reports::due(books.now, &self.zone, first, kept, &written) {
            let query = Query { span: Span::of_week(week), zone: self.zone.clone() };
            let mut costs = books.costs(&query, true);
            if let Some(why) = costs.incomplete {
                return Err(format!("no report of {week}: {why}"));
            }
            if week.walls(&self.zone).0 < self.ledger_known {
                let why = "the database was lost in this week; this is what the logs still told";
                costs.incomplete = Some(why.to_owned());
            }
            self.write(week, costs, books.now)?;
        }
        Ok(())
    }

    fn write(&self, week: Week, costs: Costs, now: Wall) -> Result<(), String> {
        let event = event(week, &costs);
        let page = reports::write(&self.dir, week, costs, &self.zone).map_err(|error| {
            format!("cannot write the report of {week} in {}: {error}", self.dir.display())
        })?;
        tracing::info!(
            %week,
            paid_usd = event.paid_usd.dollars(),
            difference_usd = event.difference_usd,
            "report written: {}",
            page.display()
        );
        let entry =
            LogEntry { at: now, event: Event::Report(event), rows: Vec::new(), ticket: None };
        // A full queue means that the journal is stuck, and says so itself.
        let _ = self.queue.push(JournalMessage::Entry(Box::new(entry)), false);
        Ok(())
    }

    /// Has finished weeks from their reports, over what the logs tell of them: the logs may no
    /// longer reach back to all of it.
    pub(super) fn recall(&self, fold: &mut Fold) -> Vec<String> {
        let (weeks, problems) = reports::recall(&self.dir);
        let mut ledger: HashMap<LedgerKey, Sums> = HashMap::new();
        for Recalled { range, ledger: told, costs } in weeks {
            fold.ledger.retain(|key, _| !range.contains(&key.start));
            ledger.extend(told);
            for (key, edge) in costs.outages.iter().flat_map(outages::edges) {
                let (key, row) = key.row(edge);
                fold.touched.insert(key.clone());
                fold.rows.entry(key).or_insert(row);
            }
        }
        fold.ledger.extend(ledger);
        problems
    }
}

fn event(week: Week, costs: &Costs) -> ReportEvent {
    let totals = costs.totals.exact();
    ReportEvent {
        week: week.to_string(),
        calls: totals.calls,
        fallback_calls: totals.fallback_calls,
        failed_calls: totals.failed_calls,
        excused_calls: totals.excused_calls,
        paid_usd: Nano(totals.paid),
        primary_would_usd: Nano(totals.primary_would),
        difference_usd: costs.totals.difference_usd,
        estimated_usd: Nano(totals.estimated),
        outages: costs.outages.len(),
    }
}

#[cfg(test)]
mod tests;
