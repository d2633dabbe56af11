//! Which stretch of time a question is about: a week, or from one moment to another.
//!
//! A week is the ISO week of a calendar, so it begins when Monday does where its reader lives;
//! dates without a time are meant that way, too. A moment of RFC 3339 says where by itself. What
//! `to` names is not part of the stretch, so that stretches can be put end to end.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::calendar::{Week, midnight};
use super::id::Id;
use crate::domain::time::Wall;

/// A stretch of time, where on earth it is still open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// The week that it is, if it is one.
    pub week: Option<Week>,
    /// The only task that is meant.
    pub task: Option<String>,
    /// Whether comparisons of copies are asked for as well.
    pub shadow: bool,
    from: Option<Edge>,
    to: Option<Edge>,
}

/// One end of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Edge {
    /// The beginning of a day.
    Day(Date),
    Moment(Timestamp),
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::week_alone)]
pub(super) struct CostsLine {
    #[serde(default, rename = "id")]
    _id: Id,
    #[serde(rename = "op")]
    _op: String,
    #[serde(default)]
    week: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    task: Option<String>,
    #[serde(default)]
    shadow: bool,
}

impl Span {
    pub(crate) fn of_week(week: Week) -> Span {
        let (from, to) = (Edge::Day(week.monday()), Edge::Day(week.next().monday()));
        Span { week: Some(week), from: Some(from), to: Some(to), ..Span::default() }
    }

    pub(crate) fn of_day(date: Date) -> Span {
        let next = date.tomorrow().unwrap_or(Date::MAX);
        Span { from: Some(Edge::Day(date)), to: Some(Edge::Day(next)), ..Span::default() }
    }

    /// That it ends after it begins, where days begin as in `zone`; otherwise what is wrong with it.
    pub fn checked(self, zone: &TimeZone) -> Result<Span, String> {
        let (from, to) = self.walls(zone);
        if from < to {
            return Ok(self);
        }
        Err("`to`: expected a day or a moment after `from`; `to` itself is not part of the stretch"
            .to_owned())
    }

    /// From and to, the latter not included, where days begin as in `zone`.
    pub fn walls(&self, zone: &TimeZone) -> (Wall, Wall) {
        let from = self.from.map_or(Wall(0), |edge| edge.wall(zone));
        (from, self.to.map_or(Wall(u64::MAX), |edge| edge.wall(zone)))
    }
}

impl Edge {
    fn wall(self, zone: &TimeZone) -> Wall {
        let moment = match self {
            Edge::Moment(moment) => moment,
            Edge::Day(day) => return midnight(day, zone),
        };
        Wall(u64::try_from(moment.as_millisecond()).unwrap_or_default())
    }
}

/// What a line asks about.
pub(super) fn span(line: CostsLine) -> Result<Span, String> {
    if let Some(week) = &line.week {
        if line.from.is_some() || line.to.is_some() {
            return Err("`week`: expected either `week`, or `from` and `to`".to_owned());
        }
        let week: Week = week.parse().map_err(|()| {
            "`week`: expected a week such as \"2026-W47\"; a year has 52 or 53".to_owned()
        })?;
        return Ok(Span { task: line.task, shadow: line.shadow, ..Span::of_week(week) });
    }
    let from = line.from.map(|text| edge("from", &text)).transpose()?;
    let to = line.to.map(|text| edge("to", &text)).transpose()?;
    Ok(Span { week: None, task: line.task, shadow: line.shadow, from, to })
}

fn edge(name: &str, text: &str) -> Result<Edge, String> {
    let moment = text.parse().map(Edge::Moment);
    moment.or_else(|_| text.parse().map(Edge::Day)).map_err(|_: jiff::Error| {
        format!(
            "`{name}`: expected a day such as \"2026-11-20\" or a moment such as \
             \"2026-11-20T10:00:00Z\""
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Span, String> {
        span(serde_json::from_str(json).unwrap())
    }

    fn walls(json: &str, zone: &TimeZone) -> (u64, u64) {
        let (from, to) = read(json).unwrap().walls(zone);
        (from.0, to.0)
    }

    #[test]
    fn a_week_begins_when_monday_does_where_its_reader_lives() {
        let week = r#"{"op":"costs","week":"2026-W47"}"#;
        // Monday, 16 November 2026.
        let (from, to) = walls(week, &TimeZone::UTC);
        assert_eq!((from, to - from), (1_794_787_200_000, 7 * 86_400_000));
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(walls(week, &east).0, from - 2 * 3_600_000);
    }

    #[test]
    fn days_and_moments_may_be_mixed_and_left_out() {
        let line = r#"{"op":"costs","from":"2026-11-16","to":"2026-11-16T01:00:00+01:00"}"#;
        assert_eq!(walls(line, &TimeZone::UTC), (1_794_787_200_000, 1_794_787_200_000));
        assert_eq!(walls(r#"{"op":"costs"}"#, &TimeZone::UTC), (0, u64::MAX));
    }

    #[test]
    fn a_stretch_ends_after_it_begins() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let checked = |from: &str, to: &str| {
            let line = format!(r#"{{"op":"costs","from":"{from}","to":"{to}"}}"#);
            read(&line).unwrap().checked(&zone)
        };
        for to in ["2026-11-19", "2026-11-20", "2026-11-19T21:59:59Z", "2026-11-19T22:00:00Z"] {
            let why = checked("2026-11-20", to).unwrap_err();
            assert!(why.starts_with("`to`: expected") && why.contains("after `from`"), "{why}");
        }
        for to in ["2026-11-21", "2026-11-19T22:00:01Z"] {
            assert!(checked("2026-11-20", to).is_ok(), "{to}");
        }
        assert!(Span::default().checked(&zone).is_ok());
    }

    #[test]
    fn what_is_no_stretch_of_time_is_explained() {
        for (line, field) in [
            (r#"{"op":"costs","week":"2026-W54"}"#, "`week`"),
            (r#"{"op":"costs","week":"W47"}"#, "`week`"),
            (r#"{"op":"costs","week":"2026-W47","from":"2026-11-16"}"#, "`week`"),
            (r#"{"op":"costs","from":"yesterday"}"#, "`from`"),
            (r#"{"op":"costs","to":"2026-13-01"}"#, "`to`"),
        ] {
            assert!(read(line).unwrap_err().starts_with(field), "{line}");
        }
    }
}
