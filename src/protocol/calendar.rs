//! Days and weeks as people count them: where they begin in a time zone.
//!
//! A week is the ISO week, Monday to Sunday, and has the number that a calendar on the wall shows;
//! the first and the last of a year may reach into its neighbours. A day that a change of the clock
//! left without a midnight begins when it does, so days have 23 to 25 hours.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, ISOWeekDate, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::domain::time::Wall;

/// A day with the moments at which it begins and ends in a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    pub(crate) date: Date,
    pub(crate) start: Wall,
    /// The first moment of the next one.
    pub end: Wall,
}

/// An ISO week: Monday to Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week {
    monday: Date,
}

impl Day {
    /// The day that a moment is in.
    pub fn of(at: Wall, zone: &TimeZone) -> Day {
        Day::on(zoned(at, zone).date(), zone)
    }

    pub(crate) fn next(&self, zone: &TimeZone) -> Day {
        Day::on(tomorrow(self.date, 1), zone)
    }

    fn on(date: Date, zone: &TimeZone) -> Day {
        Day { date, start: midnight(date, zone), end: midnight(tomorrow(date, 1), zone) }
    }
}

impl Week {
    /// The week that a moment is in.
    pub fn of(at: Wall, zone: &TimeZone) -> Week {
        let date = zoned(at, zone).date();
        let week = date.iso_week_date();
        let monday = ISOWeekDate::new(week.year(), week.week(), Weekday::Monday);
        Week { monday: monday.map_or(date, ISOWeekDate::date) }
    }

    pub(crate) fn next(self) -> Week {
        Week { monday: tomorrow(self.monday, 7) }
    }

    pub(crate) fn monday(self) -> Date {
        self.monday
    }

    /// Its first moment, and that of the next week.
    pub fn walls(self, zone: &TimeZone) -> (Wall, Wall) {
        (midnight(self.monday, zone), midnight(self.next().monday, zone))
    }
}

/// Prints it as in `2026-W47`.
impl fmt::Display for Week {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let week = self.monday.iso_week_date();
        write!(out, "{:04}-W{:02}", week.year(), week.week())
    }
}

impl FromStr for Week {
    type Err = ();

    fn from_str(text: &str) -> Result<Week, ()> {
        let (year, week) = text.split_once("-W").ok_or(())?;
        let digits = year.bytes().chain(week.bytes()).all(|byte| byte.is_ascii_digit());
        let fits = year.len() == 4 && week.len() == 2 && digits;
        let (year, week) = (year.parse().map_err(drop)?, week.parse().map_err(drop)?);
        let monday = ISOWeekDate::new(year, week, Weekday::Monday).map_err(drop)?;
        fits.then_some(Week { monday: monday.date() }).ok_or(())
    }
}

/// The first moment of a day.
pub fn midnight(date: Date, zone: &TimeZone) -> Wall {
    // Beyond the calendar's last year there is nothing to tell apart.
    let moment = date.to_zoned(zone.clone()).map_or(Timestamp::MAX, |zoned| zoned.timestamp());
    Wall(u64::try_from(moment.as_millisecond()).unwrap_or_default())
}

/// RFC 3339 in UTC with milliseconds, as every line and log of this program has it.
pub fn rfc3339(at: Wall) -> String {
    format!("{:.3}", timestamp(at))
}

/// For serde: a moment as RFC 3339 text, or `null`.
pub mod rfc3339_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Wall, moment, rfc3339};

    /// Writes what [`rfc3339`] says.
    pub fn serialize<S: Serializer>(at: &Option<Wall>, out: S) -> Result<S::Ok, S::Error> {
        at.map(rfc3339).serialize(out)
    }

    /// Reads it; what is no moment reads as none.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Wall>, D::Error> {
        let text = Option::<String>::deserialize(input)?;
        Ok(text.and_then(|text| moment(&text)))
    }
}

/// Reads what [`rfc3339`] writes, and every other RFC 3339 from 1970 on.
pub fn moment(text: &str) -> Option<Wall> {
    let stamp: Timestamp = text.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok().map(Wall)
}

/// A moment on the clocks of a time zone.
pub fn zoned(at: Wall, zone: &TimeZone) -> Zoned {
    timestamp(at).to_zoned(zone.clone())
}

fn timestamp(at: Wall) -> Timestamp {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

fn tomorrow(date: Date, days: i32) -> Date {
    date.checked_add(days.days()).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn paris() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Wall {
        let stamp: Timestamp = text.parse().unwrap();
        Wall(stamp.as_millisecond().try_into().unwrap())
    }

    #[test]
    fn weeks_of_a_change_of_the_clock_are_an_hour_shorter_or_longer() {
        for (week, hours) in [("2026-W12", 168), ("2026-W13", 167), ("2026-W43", 169)] {
            let (from, to) = week.parse::<Week>().unwrap().walls(&paris());
            assert_eq!(to.0 - from.0, hours * HOUR, "{week}");
        }
        let spring = Day::of(at("2026-03-29T12:00:00Z"), &paris());
        assert_eq!(
            (spring.date.to_string(), spring.end.0 - spring.start.0),
            ("2026-03-29".into(), 23 * HOUR)
        );
        assert_eq!(spring.next(&paris()).start, spring.end);
    }

    #[test]
    fn the_turn_of_a_year_belongs_to_one_of_the_two() {
        for (moment, week) in [
            ("2026-12-31T12:00:00Z", "2026-W53"),
            ("2027-01-03T22:59:59Z", "2026-W53"),
            ("2027-01-03T23:00:00Z", "2027-W01"),
            ("2024-12-30T12:00:00Z", "2025-W01"),
            ("2026-11-16T00:00:00Z", "2026-W47"),
        ] {
            assert_eq!(Week::of(at(moment), &paris()).to_string(), week, "{moment}");
        }
        assert_eq!("2026-W53".parse::<Week>().unwrap().next().to_string(), "2027-W01");
        let (from, to) = "2026-W53".parse::<Week>().unwrap().walls(&paris());
        assert_eq!((from, to), (at("2026-12-27T23:00:00Z"), at("2027-01-03T23:00:00Z")));
    }

    #[test]
    fn what_is_no_week_is_none() {
        for text in ["2025-W53", "2026-W54", "2026-W00", "2026-47", "W47", "26-W47", "2026-W4 "] {
            assert!(text.parse::<Week>().is_err(), "{text}");
        }
    }
}
