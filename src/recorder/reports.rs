//! Weekly reports: one page and one JSON file per finished week.
//!
//! A report is there whole or not at all: both files are written beside their place, synced and
//! renamed, the page first, so that a week whose JSON is there is done. The JSON also says what
//! each day consists of. That is how finished weeks come back when the database is gone, to the
//! day; which time of a day it was is lost then.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::logfile::make_dir;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::time::Wall;
use crate::protocol::calendar::{Week, moment};
use crate::protocol::costs::Costs;
use crate::report::html;

/// Version of the JSON files.
const VERSION: u32 = 1;
/// What was answered in the last seconds of a week is in the ledger so long after them.
const GRACE: Duration = Duration::from_secs(30);
const FILE_MODE: u32 = 0o640;

#[derive(Serialize, Deserialize)]
struct WeeklyReport {
    version: u32,
    #[serde(flatten)]
    costs: Costs,
}

/// A week as a report tells it.
pub(super) struct Recalled {
    pub(super) range: Range<Wall>,
    /// Its ledger, a day at a time.
    pub(super) ledger: Vec<(LedgerKey, Sums)>,
    /// What else it tells.
    pub(super) costs: Costs,
}

/// The weeks that are finished but have no report: of those whose ledger begins at `first` or
/// later, and of which nothing is too old to be kept.
pub(super) fn due(
    now: Wall,
    zone: &TimeZone,
    first: Wall,
    kept: Wall,
    written: &BTreeSet<Week>,
) -> Vec<Week> {
    let mut weeks = Vec::new();
    let mut week = Week::of(first.max(kept), zone);
    // The end of the calendar is the one week that does not end.
    while finished(week, zone) <= now && week != week.next() {
        if week.walls(zone).0 >= kept && !written.contains(&week) {
            weeks.push(week);
        }
        week = week.next();
    }
    weeks
}

/// When a week's report can be written.
pub(super) fn finished(week: Week, zone: &TimeZone) -> Wall {
    week.walls(zone).1.plus(GRACE)
}

/// The weeks that have a report.
pub(super) fn written(dir: &Path) -> io::Result<BTreeSet<Week>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut weeks = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        weeks.extend(
            name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<Week>().ok()),
        );
    }
    Ok(weeks)
}

/// Writes both files of a week; tells where the page is.
pub(super) fn write(dir: &Path, week: Week, costs: Costs, zone: &TimeZone) -> io::Result<PathBuf> {
    make_dir(dir)?;
    let page = dir.join(format!("{week}.html"));
    put(&page, html::page(&costs, zone).as_bytes())?;
    let json = serde_json::to_vec(&WeeklyReport { version: VERSION, costs })?;
    put(&dir.join(format!("{week}.json")), &json)?;
    Ok(page)
}

/// Everything that the reports tell; and which of them cannot be read.
pub(super) fn recall(dir: &Path) -> (Vec<Recalled>, Vec<String>) {
    let mut problems = Vec::new();
    let weeks = written(dir).unwrap_or_else(|error| {
        problems.push(unreadable(dir, &error));
        BTreeSet::new()
    });
    let mut recalled = Vec::new();
    for week in weeks {
        let path = dir.join(format!("{week}.json"));
        let report = fs::read(&path)
            .and_then(|bytes| Ok(serde_json::from_slice::<WeeklyReport>(&bytes)?))
            .and_then(|report| {
                let known = (report.version == VERSION).then(|| week_of(report.costs)).flatten();
                known.ok_or_else(|| io::Error::other("it is of another version"))
            });
        match report {
            Ok(week) => recalled.push(week),
            Err(error) => problems.push(unreadable(&path, &error)),
        }
    }
    (recalled, problems)
}

fn unreadable(what: &Path, why: &io::Error) -> String {
    format!("the report {} cannot be read: {why}; its week is missing in costs", what.display())
}

fn week_of(costs: Costs) -> Option<Recalled> {
    let range = moment(costs.from.as_deref()?)?..moment(costs.to.as_deref()?)?;
    let mut ledger = Vec::new();
    for day in &costs.days {
        let start = moment(&day.from)?;
        ledger.extend(day.rows.iter().map(|row| {
            let key = LedgerKey::new(start, &row.task, &row.primary, &row.model);
            (key, row.sums.exact())
        }));
    }
    Some(Recalled { range, ledger, costs })
}

/// Puts a file into its place, whole.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(text: &str) -> Wall {
        moment(text).unwrap()
    }

    fn names(weeks: &[Week]) -> Vec<String> {
        weeks.iter().map(Week::to_string).collect()
    }

    #[test]
    fn a_week_is_due_once_it_is_over_where_its_reader_lives() {
        let paris = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let first = at("2026-12-30T12:00:00Z");
        let due = |now: &str, zone: &TimeZone| {
            names(&super::due(at(now), zone, first, Wall(0), &BTreeSet::new()))
        };
        // The last week of 2026 is its 53rd and ends on Sunday, 3 January.
        assert!(due("2027-01-03T23:00:20Z", &paris).is_empty(), "a moment of grace");
        assert_eq!(due("2027-01-03T23:00:30Z", &paris), ["2026-W53"]);
        assert!(due("2027-01-03T23:00:30Z", &TimeZone::UTC).is_empty());
        assert_eq!(due("2027-01-18T12:00:00Z", &paris), ["2026-W53", "2027-W01", "2027-W02"]);
    }

    #[test]
    fn the_weeks_of_a_changed_clock_end_when_their_sunday_does() {
        let paris = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (week, end) in
            [("2026-W13", "2026-03-29T22:00:00Z"), ("2026-W43", "2026-10-25T23:00:00Z")]
        {
            let week: Week = week.parse().unwrap();
            assert_eq!(finished(week, &paris), at(end).plus(GRACE), "{week}");
        }
    }

    #[test]
    fn neither_a_week_with_a_report_nor_one_partly_forgotten_is_due() {
        let first = at("2026-11-03T00:00:00Z");
        let now = at("2026-11-24T00:00:00Z");
        let written = BTreeSet::from(["2026-W46".parse().unwrap()]);
        let all = |kept| names(&due(now, &TimeZone::UTC, first, kept, &written));
        assert_eq!(all(Wall(0)), ["2026-W45", "2026-W47"]);
        assert_eq!(all(Wall(at("2026-11-02T00:00:00Z").0 + HOUR)), ["2026-W47"]);
    }

    #[test]
    fn only_whole_reports_count() {
        let dir = tempfile::tempdir().unwrap();
        let reports = dir.path().join("reports");
        assert!(written(&reports).unwrap().is_empty());
        let week: Week = "2026-W47".parse().unwrap();
        let (from, to) = ("2026-11-16T00:00:00Z".to_owned(), "2026-11-23T00:00:00Z".to_owned());
        let costs = Costs { from: Some(from), to: Some(to), ..Costs::default() };
        write(&reports, week, costs, &TimeZone::UTC).unwrap();
        fs::write(reports.join("2026-W48.html"), "half").unwrap();
        fs::write(reports.join("2026-W49.tmp"), "half").unwrap();
        fs::write(reports.join("2026-W50.json"), "{\"version\":1,").unwrap();
        assert_eq!(
            names(&written(&reports).unwrap().into_iter().collect::<Vec<_>>()),
            ["2026-W47", "2026-W50"]
        );
        let (recalled, problems) = recall(&reports);
        assert_eq!((recalled.len(), problems.len()), (1, 1), "{problems:?}");
    }
}
