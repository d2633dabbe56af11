//! A report as one file that a browser opens: no script, nothing fetched, light and dark.
//!
//! The answer comes first (what did instability cost, which model caused it), then when, then the
//! tables. It is a pure function of the costs, so the daemon's weekly report and
//! `fallbackctl costs --html` look the same. Every name goes through `plot::text`.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::money::{HEADING, amounts, cells, dollars, grouped, nano, places, short, signed};
use super::plot::{self, PlotWidth, text};
use super::story::{Cause, Story, blamed, edge};
use crate::domain::ledger::Sums;
use crate::domain::time::Wall;
use crate::protocol::calendar::{moment, zoned};
use crate::protocol::costs::Costs;

const STYLE: &str = include_str!("page.css");

/// The whole page; times are those of `zone`.
pub fn page(costs: &Costs, zone: &TimeZone) -> String {
    let story = Story::of(costs);
    let title = title(costs, zone);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>fallbackd costs: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        text(&title)
    );
    let _ = writeln!(page, "<p class=\"when\">What fallbacks cost · {}</p>", text(&title));
    let _ = writeln!(page, "<h1>{}</h1>", text(&story.headline()));
    for detail in story.details() {
        let _ = writeln!(page, "<p class=\"lead\">{}</p>", text(&detail));
    }
    if let Some(why) = &costs.incomplete {
        let _ = writeln!(page, "<section class=\"stop\">Incomplete: {}</section>", text(why));
    }
    tiles(&mut page, &story);
    causes(&mut page, &story);
    when(&mut page, costs, zone);
    shares(&mut page, costs);
    rows(&mut page, costs);
    by_day(&mut page, costs);
    footer(&mut page, costs, &story, zone);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Which stretch of time, in words.
pub fn title(costs: &Costs, zone: &TimeZone) -> String {
    let from = edge(&costs.from).map(|at| day(at, zone));
    // What ends at midnight ends with the day before.
    let last = edge(&costs.to).map(|at| day(Wall(at.0.saturating_sub(1)), zone));
    let span = match (from, last) {
        (Some(from), Some(last)) => format!("{from} to {last}"),
        (Some(from), None) => format!("from {from} on"),
        (None, Some(last)) => format!("until {last}"),
        (None, None) => "all that is kept".to_owned(),
    };
    let week = costs.week.as_ref().map(|week| format!("{week}, ")).unwrap_or_default();
    let task = costs.task.as_ref().map(|task| format!(", task {task}")).unwrap_or_default();
    format!("{week}{span}{task}")
}

fn day(at: Wall, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%a %-d %b %Y").to_string()
}

fn tiles(page: &mut String, story: &Story) {
    let totals = &story.totals;
    let guess = if totals.estimated > 0 { "~" } else { "" };
    let share = match totals.calls {
        0 => "none".to_owned(),
        calls => format!("{} of {}", grouped(totals.fallback_calls), grouped(calls)),
    };
    let tone = match totals.difference {
        1.. => "bad",
        0 => "",
        ..0 => "good",
    };
    let spent = [totals.excused, totals.hedge, totals.shadow, totals.probe];
    let [excused, hedge, shadow, probe] = spent.map(|amount| short(nano(amount)));
    let (_, failed) = blamed(totals);
    let mut all = vec![
        ("paid for answers", format!("{guess}{}", short(nano(totals.paid))), ""),
        ("the primaries would have cost", short(nano(totals.primary_would)), ""),
        ("more than the primaries", plus(totals.difference), tone),
        ("answers by fallbacks", share, ""),
        ("billed for failed calls", short(failed), if failed > 0 { "bad" } else { "" }),
    ];
    let more = [
        (totals.excused_calls, "for calls that count against no model", excused),
        (totals.shadow_calls, "for copies to backups", shadow),
        (totals.probe_calls, "for probes", probe),
        (totals.hedge_calls, "for second calls in vain", hedge),
    ];
    all.extend(
        more.into_iter().filter(|(calls, ..)| *calls > 0).map(|(_, say, sum)| (say, sum, "")),
    );
    page.push_str("<div class=\"tiles\">\n");
    for (say, value, class) in all {
        let _ = writeln!(
            page,
            "<div class=\"tile\"><b class=\"{class}\">{}</b><span>{say}</span></div>",
            text(&value)
        );
    }
    page.push_str("</div>\n");
}

fn plus(amount: i64) -> String {
    format!("{}{}", if amount > 0 { "+" } else { "" }, short(amount))
}

fn causes(page: &mut String, story: &Story) {
    if story.causes.is_empty() {
        return;
    }
    let all = story.causes.iter().flat_map(|cause| [cause.difference, cause.failed, cause.total()]);
    let places = places(all);
    let heading = [
        "Model",
        "Outages",
        "Out for",
        "Failed calls",
        "Answers by others",
        "Difference",
        "Failed calls cost",
        "Together",
    ];
    begin_table(page, "Which model caused it", &heading);
    for cause in &story.causes {
        let cells = [
            cause.outages.to_string(),
            lasted(cause),
            grouped(cause.failed_calls),
            grouped(cause.replaced),
            signed(cause.difference, places),
            dollars(cause.failed, places),
            signed(cause.total(), places),
        ];
        table_row(page, "", &[(&cause.model, None)], &cells);
    }
    end_table(page);
}

/// `3h 10m`, to the minute where there are any.
pub fn lasted(cause: &Cause) -> String {
    let seconds = cause.open_ms / 1000;
    let whole = if seconds >= 60 { seconds - seconds % 60 } else { seconds };
    match cause.outages {
        0 => "-".to_owned(),
        _ => humantime::format_duration(std::time::Duration::from_secs(whole)).to_string(),
    }
}

fn when(page: &mut String, costs: &Costs, zone: &TimeZone) {
    if costs.days.is_empty() {
        return;
    }
    page.push_str(
        "<section>\n<h2>When</h2>\n<div class=\"legend\"><span><i class=\"p\"></i>paid</span>\
         <span><i class=\"w\"></i>the primaries would have cost</span>\
         <span><i class=\"o\"></i>circuit open</span></div>\n",
    );
    for paper in [PlotWidth::Desk, PlotWidth::Phone] {
        let _ = writeln!(page, "{}", plot::days(costs, zone, paper));
    }
    page.push_str("</section>\n");
}

fn shares(page: &mut String, costs: &Costs) {
    let mut models: BTreeMap<&str, Sums> = BTreeMap::new();
    for row in &costs.rows {
        *models.entry(&row.model).or_default() += row.sums.exact();
    }
    let mut models: Vec<(String, Sums)> = models
        .into_iter()
        .filter(|(_, sums)| sums.calls > 0)
        .map(|(model, sums)| (model.to_owned(), sums))
        .collect();
    models.sort_by_key(|(_, sums)| std::cmp::Reverse((sums.paid, sums.calls)));
    if models.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>Who answered, and was paid</h2>\n");
    for paper in [PlotWidth::Desk, PlotWidth::Phone] {
        let _ = writeln!(page, "{}", plot::shares(&models, paper));
    }
    page.push_str("</section>\n");
}

fn rows(page: &mut String, costs: &Costs) {
    let heading = [&["Task", "Model"][..], &HEADING].concat();
    let sums = costs.rows.iter().map(|row| &row.sums).chain([&costs.totals]);
    let places = places(sums.flat_map(amounts));
    begin_table(page, "By task and model", &heading);
    for row in &costs.rows {
        let instead = Some(&*row.primary).filter(|primary| *primary != &*row.model);
        let names = [(&*row.task, None), (&*row.model, instead)];
        table_row(page, "", &names, &cells(&row.sums, places));
    }
    table_row(page, "all", &[("all", None), ("", None)], &cells(&costs.totals, places));
    end_table(page);
}

fn by_day(page: &mut String, costs: &Costs) {
    if costs.days.is_empty() {
        return;
    }
    let heading = [&["Day"][..], &HEADING].concat();
    let places = places(costs.days.iter().flat_map(|day| amounts(&day.sums)));
    begin_table(page, "By day", &heading);
    for day in &costs.days {
        let date = day.date.parse::<Date>();
        let name = date.map_or(day.date.clone(), |date| date.strftime("%a %-d %b %Y").to_string());
        table_row(page, "", &[(&name, None)], &cells(&day.sums, places));
    }
    end_table(page);
}

fn footer(page: &mut String, costs: &Costs, story: &Story, zone: &TimeZone) {
    page.push_str("<footer>\n");
    for caveat in story.caveats() {
        let _ = writeln!(page, "<p>{}</p>", text(&caveat));
    }
    let at = moment(&costs.as_of).map(|at| zoned(at, zone).strftime("%-d %b %Y %H:%M").to_string());
    let _ = writeln!(
        page,
        "<p>As of {}, time zone {}. The difference is what was paid less what the first model of \
         each chain would have cost for the same tokens.</p>\n</footer>",
        text(&at.unwrap_or_default()),
        text(&costs.timezone),
    );
}

fn begin_table(page: &mut String, title: &str, heading: &[&str]) {
    let _ = write!(page, "<section>\n<h2>{title}</h2>\n<div class=\"scroll\"><table>\n<thead><tr>");
    for word in heading {
        let class = if *word == "Model" { " class=\"l\"" } else { "" };
        let _ = write!(page, "<th{class}>{word}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
}

/// A line of a table; each name with the one it stands in for.
fn table_row(page: &mut String, class: &str, names: &[(&str, Option<&str>)], cells: &[String]) {
    let _ = write!(page, "<tr class=\"{class}\">");
    for (name, instead) in names {
        let _ = write!(page, "<td class=\"l\">{}", text(name));
        if let Some(primary) = instead {
            let _ = write!(page, "<small>for {}</small>", text(primary));
        }
        page.push_str("</td>");
    }
    for cell in cells {
        let _ = write!(page, "<td>{}</td>", text(cell));
    }
    page.push_str("</tr>\n");
}

fn end_table(page: &mut String) {
    page.push_str("</tbody></table></div>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::costs::CostRowView;

    #[test]
    fn what_counts_against_no_model_has_a_tile_of_its_own_and_is_no_alarm() {
        let sums = Sums {
            failed_calls: 2,
            excused_calls: 2,
            failed: 500_000_000,
            excused: 500_000_000,
            ..Sums::default()
        };
        let page = page(&Costs { totals: (&sums).into(), ..Costs::default() }, &TimeZone::UTC);
        assert!(page.contains("$0.50</b><span>for calls that count against no model"), "{page}");
        assert!(page.contains("<b class=\"\">$0"), "{page}");
        assert!(!page.contains("class=\"bad\"") && !page.contains("Which model caused it"));
    }

    #[test]
    fn a_page_fetches_nothing_runs_nothing_and_escapes_every_name() {
        let bad = "<script src=http://x>";
        let row = CostRowView {
            task: bad.into(),
            primary: bad.into(),
            model: bad.into(),
            sums: (&Sums { calls: 1, failed_calls: 1, ..Sums::default() }).into(),
        };
        let outage = crate::protocol::costs::OutageView {
            model: bad.into(),
            from: "2026-11-16T10:00:00Z".to_owned(),
            to: Some("2026-11-16T11:00:00Z".to_owned()),
            reason: bad.to_owned(),
        };
        let day = crate::protocol::costs::DayView {
            date: "2026-11-16".to_owned(),
            from: "2026-11-16T00:00:00Z".to_owned(),
            ..Default::default()
        };
        let costs = Costs {
            timezone: bad.to_owned(),
            task: Some(bad.to_owned()),
            incomplete: Some(bad.to_owned()),
            rows: vec![row],
            days: vec![day],
            outages: vec![outage],
            as_of: "2026-11-17T00:00:00Z".to_owned(),
            ..Costs::default()
        };
        let page = page(&costs, &TimeZone::UTC);
        assert!(page.contains("&lt;script src=http://x&gt;"));
        for foreign in ["<script", "<link", "<img", "url(", "@import", "src=\"", "href="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
