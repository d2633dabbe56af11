//! What the ledger says about a stretch of time.
//!
//! The question travels behind all that was recorded before it, through the queue and the buffer,
//! so that its answer counts every call that was answered until then. It is answered by the store
//! thread from the database and from what still waits in memory; nothing is rounded on the way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::time::Wall;
use crate::protocol::calendar::{Day, rfc3339};
use crate::protocol::costs::{CostRowView, Costs, DayView, OutageView};
use crate::protocol::span::Span;

/// Stretches up to so many days show each of them, also those without a call.
const MOST_EMPTY_DAYS: u64 = 35;
const DAY_MS: u64 = 86_400_000;

/// What is asked: about which time and task, and whose days are meant.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub span: Span,
    pub zone: TimeZone,
}

/// Somebody wants to know.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) query: Query,
    pub(super) answer: oneshot::Sender<Costs>,
}

/// Task, primary and model.
type Names = [Arc<str>; 3];

/// The sums that a query asks for, while rows are added.
pub(super) struct Adding<'a> {
    query: &'a Query,
    range: Range<Wall>,
    all: BTreeMap<Names, Sums>,
    /// Keyed by the first moment of each day.
    days: BTreeMap<Wall, (Day, BTreeMap<Names, Sums>)>,
    /// The day of the last row: rows come mostly in the order of time.
    last: Option<Day>,
}

impl Query {
    /// The stretch of time that is asked about; its end is not part of it.
    pub(super) fn range(&self) -> Range<Wall> {
        let (from, to) = self.span.walls(&self.zone);
        from..to
    }
}

impl<'a> Adding<'a> {
    pub(super) fn new(query: &'a Query) -> Adding<'a> {
        let (all, days) = (BTreeMap::new(), BTreeMap::new());
        Adding { query, range: query.range(), all, days, last: None }
    }

    /// Adds a row, if it is asked for: a quarter of an hour belongs where it begins.
    pub(super) fn add(&mut self, key: &LedgerKey, sums: Sums) {
        let wanted = self.query.span.task.as_deref().is_none_or(|task| *key.task == *task);
        if !wanted || !self.range.contains(&key.start) {
            return;
        }
        let names = [&key.task, &key.primary, &key.model].map(Arc::clone);
        let day = self.day(key.start);
        let (_, rows) = self.days.entry(day.start).or_insert_with(|| (day, BTreeMap::new()));
        *rows.entry(names.clone()).or_default() += sums;
        *self.all.entry(names).or_default() += sums;
    }

    fn day(&mut self, at: Wall) -> Day {
        let known = self.last.filter(|day| (day.start..day.end).contains(&at));
        let day = known.unwrap_or_else(|| Day::of(at, &self.query.zone));
        self.last = Some(day);
        day
    }

    /// The answer of this moment. Days say what they consist of if that is `whole`.
    pub(super) fn finish(
        mut self,
        mut outages: Vec<OutageView>,
        incomplete: Option<String>,
        whole: bool,
        now: Wall,
    ) -> Costs {
        self.fill_in();
        let Span { week, task, .. } = &self.query.span;
        if task.is_some() {
            outages.retain(|outage| self.concerns(&outage.model));
        }
        let Range { start, end } = self.range;
        let days = self.days.into_values().map(|(day, rows)| DayView {
            date: day.date.to_string(),
            from: rfc3339(day.start),
            sums: (&together(&rows)).into(),
            rows: if whole { views(rows) } else { Vec::new() },
        });
        Costs {
            week: week.map(|week| week.to_string()),
            timezone: self.query.zone.iana_name().unwrap_or("local").to_owned(),
            from: (start > Wall(0)).then(|| rfc3339(start)),
            to: (end < Wall(u64::MAX)).then(|| rfc3339(end)),
            as_of: rfc3339(now),
            task: task.clone(),
            totals: (&together(&self.all)).into(),
            days: days.collect(),
            rows: views(self.all),
            outages,
            incomplete,
            comparisons: None,
        }
    }

    /// Whether what was asked for has to do with a model: it was called, or others in its place.
    fn concerns(&self, model: &str) -> bool {
        self.all.keys().any(|[_, primary, called]| **primary == *model || **called == *model)
    }

    /// Days between others, or of a short stretch, are there also when nothing was called.
    fn fill_in(&mut self) {
        let Range { start, end } = self.range;
        let bounded = end.0.saturating_sub(start.0) <= MOST_EMPTY_DAYS * DAY_MS;
        let first = self.days.first_key_value().map(|(start, _)| *start);
        let last = self.days.last_key_value().map(|(_, (day, _))| day.end);
        let (from, to) = match (bounded, first.zip(last)) {
            (true, _) => (start, end),
            (false, Some(known)) => known,
            (false, None) => return,
        };
        let mut day = Day::of(from, &self.query.zone);
        while day.start < to && day.start < day.end {
            self.days.entry(day.start).or_insert_with(|| (day, BTreeMap::new()));
            day = day.next(&self.query.zone);
        }
    }
}

fn together(rows: &BTreeMap<Names, Sums>) -> Sums {
    let mut all = Sums::default();
    rows.values().for_each(|sums| all += *sums);
    all
}

fn views(rows: BTreeMap<Names, Sums>) -> Vec<CostRowView> {
    let views = rows.into_iter().map(|([task, primary, model], sums)| {
        let sums = (&sums).into();
        CostRowView { task, primary, model, sums }
    });
    views.collect()
}
