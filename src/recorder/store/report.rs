//! The report of each finished week: when it is written, and how weeks come back from them.
//!
//! It is written here because here the ledger is owned; nothing waits for it. What cannot be written
//! is said once and tried again with the next look.

use std::collections::HashMap;

use super::super::costs::Query;
use super::super::fold::Fold;
use super::super::journal::{Entry, Message};
use super::super::outages;
use super::super::reports::{self, Recalled};
use super::Store;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::protocol::calendar::Week;
use crate::protocol::costs::Costs;
use crate::protocol::log::{Event, ReportEvent};
use crate::protocol::span::Span;

impl Store {
    /// Writes the reports that are due.
    pub(super) fn report(&mut self) {
        let now = self.clock.now().wall;
        if now < self.next_report {
            return;
        }
        let Some(Ok(first)) =
            self.database.as_ref().map(|database| database.ledger(&(Wall(0)..Wall(u64::MAX)), 1))
        else {
            return;
        };
        let outcome = match first.first() {
            Some((key, _)) => self.report_from(key.start, now),
            None => Ok(()),
        };
        match outcome {
            Ok(()) => {
                self.next_report = reports::finished(Week::of(now, &self.zone), &self.zone);
                self.report_failed = false;
            }
            Err(why) if !self.report_failed => {
                self.report_failed = true;
                tracing::warn!("{why}; it is tried again every minute");
            }
            Err(_) => {}
        }
    }

    fn report_from(&mut self, first: Wall, now: Wall) -> Result<(), String> {
        let dir = self.reports.clone();
        let written = reports::written(&dir)
            .map_err(|error| format!("cannot look into {}: {error}", dir.display()))?;
        let kept = now.minus(self.ledger_age);
        for week in reports::due(now, &self.zone, first, kept, &written) {
            let query = Query { span: Span::of_week(week), zone: self.zone.clone() };
            let mut costs = self.costs(&query, true);
            if let Some(why) = costs.incomplete {
                return Err(format!("no report of {week}: {why}"));
            }
            if week.walls(&self.zone).0 < self.ledger_known {
                let why = "the database was lost in this week; this is what the logs still told";
                costs.incomplete = Some(why.to_owned());
            }
            let event = event(week, &costs);
            let page = reports::write(&dir, week, costs, &self.zone).map_err(|error| {
                format!("cannot write the report of {week} in {}: {error}", dir.display())
            })?;
            tracing::info!(
                %week,
                paid_usd = event.paid_usd.dollars(),
                difference_usd = event.difference_usd,
                "report written: {}",
                page.display()
            );
            let entry =
                Entry { at: now, event: Event::Report(event), rows: Vec::new(), ticket: None };
            // A full queue means that the journal is stuck, and says so itself.
            let _ = self.queue.push(Message::Entry(Box::new(entry)), false);
        }
        Ok(())
    }

    /// Has finished weeks from their reports, over what the logs tell of them: the logs may no
    /// longer reach back to all of it.
    pub(super) fn recall(&mut self, fold: &mut Fold) -> Vec<String> {
        let (weeks, problems) = reports::recall(&self.reports);
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
