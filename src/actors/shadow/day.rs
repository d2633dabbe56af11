//! Which day is it, and what was spent on it: a budget per day must outlive a restart, so it is
//! asked of the ledger, which is exact after any end.

use std::pin::Pin;
use std::rc::Rc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::recorder::Recorder;

/// Tells what copies and probes have cost between two moments; `None` if that cannot be said now.
pub type Spent = Rc<dyn Fn(Wall, Wall) -> Pin<Box<dyn Future<Output = Option<Nano>>>>>;

/// The ledger's word for it.
pub fn from_ledger(recorder: &Recorder) -> Spent {
    let recorder = recorder.clone();
    Rc::new(move |from, to| {
        let recorder = recorder.clone();
        Box::pin(async move {
            let totals = recorder.costs(from, to).await?.totals();
            Some(Nano(totals.shadow.saturating_add(totals.probe)))
        })
    })
}

/// The day that a moment belongs to: its first moment, and the first of the next one.
pub(super) fn of(now: Wall, zone: &TimeZone) -> (Wall, Wall) {
    let millis = i64::try_from(now.0).unwrap_or(i64::MAX);
    let moment = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    let today = moment.to_zoned(zone.clone()).date();
    let tomorrow = today.checked_add(1.day()).unwrap_or(today);
    let first = |day: jiff::civil::Date| day.to_zoned(zone.clone()).map_or(now, |at| wall(&at));
    // At the end of the calendar a day has no end.
    (first(today), first(tomorrow).max(Wall(now.0.saturating_add(1))))
}

fn wall(at: &Zoned) -> Wall {
    Wall(u64::try_from(at.timestamp().as_millisecond()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_day_begins_and_ends_at_midnight_on_the_clocks_of_its_zone() {
        let noon = Wall(1_795_176_000_000);
        let (from, to) = of(noon, &TimeZone::UTC);
        assert_eq!((noon.0 - from.0, to.0 - noon.0), (12 * HOUR, 12 * HOUR));
        let paris = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(noon.0 - of(noon, &paris).0.0, 13 * HOUR);
    }

    #[test]
    fn a_day_on_which_clocks_are_changed_is_longer() {
        let paris = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2026-10-25T12:00:00Z
        let (from, to) = of(Wall(1_792_929_600_000), &paris);
        assert_eq!(to.0 - from.0, 25 * HOUR);
    }
}
