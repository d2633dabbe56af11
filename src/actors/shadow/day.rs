//! What was spent on a day: a budget per day must outlive a restart, so it is asked of the ledger,
//! which is exact after any end.

use std::pin::Pin;
use std::rc::Rc;

use jiff::tz::TimeZone;

use crate::domain::price::Nano;
use crate::protocol::calendar::Day;
use crate::protocol::span::Span;
use crate::recorder::{Query, Recorder};

/// Tells what copies and probes have cost on a day; `None` if that cannot be said now.
pub(crate) type SpentOnDay =
    Rc<dyn Fn(Day, TimeZone) -> Pin<Box<dyn Future<Output = Option<Nano>>>>>;

/// The ledger's word for it.
pub(crate) fn from_ledger(recorder: &Recorder) -> SpentOnDay {
    let recorder = recorder.clone();
    Rc::new(move |day, zone| {
        let recorder = recorder.clone();
        Box::pin(async move {
            let totals = recorder.costs(Query { span: Span::of_day(day.date), zone }).await?.totals;
            let sums = totals.exact();
            Some(Nano(sums.shadow.saturating_add(sums.probe)))
        })
    })
}
