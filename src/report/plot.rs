//! The plots of a report, as SVG: what was paid day by day with the outages below, and whom.
//!
//! Each is drawn twice, for a desk and for a phone, because text in a picture that is scaled down
//! cannot be read; the page shows the one that fits. Colours are classes of the page's style, so a
//! plot is light or dark as its page is. Names arrive here escaped by [`text`], and only so.

use std::fmt::Write;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::money::{dollars, nano};
use super::story::stretch;
use crate::domain::ledger::Sums;
use crate::domain::time::Wall;
use crate::protocol::calendar::{moment, zoned};
use crate::protocol::costs::{Costs, DayView, OutageView};

/// Most days that get a bar of their own; more are drawn a week at a time.
const MOST_DAYS: usize = 35;
/// Most models whose outages are drawn, those that were out longest.
const MOST_LANES: usize = 8;
const HEIGHT: f64 = 190.0;
const TOP: f64 = 14.0;
const LANE: f64 = 30.0;

/// How wide a plot is, in its own units, which are pixels where it fits.
#[derive(Clone, Copy)]
pub(super) enum PlotWidth {
    Desk,
    Phone,
}

/// A bar pair: what was paid in a stretch of time, and what it would have been.
struct Bar {
    label: String,
    title: String,
    from: Wall,
    paid: u64,
    would: u64,
}

/// Where moments are, from left to right.
struct Axis {
    from: Wall,
    to: Wall,
    left: f64,
    width: f64,
}

impl PlotWidth {
    fn width(self) -> f64 {
        match self {
            PlotWidth::Desk => 880.0,
            PlotWidth::Phone => 360.0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            PlotWidth::Desk => "desk",
            PlotWidth::Phone => "phone",
        }
    }
}

impl Axis {
    fn x(&self, at: Wall) -> f64 {
        let at = at.clamp(self.from, self.to);
        let whole = (self.to.0 - self.from.0).max(1) as f64;
        self.left + (at.0 - self.from.0) as f64 / whole * self.width
    }
}

/// Text as it may stand in HTML, inside and outside of attributes.
pub(super) fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for char in raw.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ if char.is_control() => {}
            _ => safe.push(char),
        }
    }
    safe
}

/// Paid against would-have-paid per day, and below it when circuits were open.
pub(super) fn days(costs: &Costs, zone: &TimeZone, paper: PlotWidth) -> String {
    let bars = bars(&costs.days);
    let (Some(first), Some(end)) = (bars.first(), end(costs)) else { return String::new() };
    let most = bars.iter().map(|bar| bar.paid.max(bar.would)).max().unwrap_or(0);
    let ticks = ticks(most);
    let places = super::money::places(ticks.iter().map(|&tick| nano(tick)));
    let left = 10.0 + 7.2 * dollars(nano(ticks.last().copied().unwrap_or(0)), places).len() as f64;
    let width = paper.width() - left - 6.0;
    let axis = Axis { from: first.from, to: end.max(Wall(first.from.0 + 1)), left, width };
    let lanes = lanes(costs);
    let height = TOP + HEIGHT + 26.0 + LANE * lanes.len() as f64;
    let mut svg = open(paper, height, "Paid and would-have-paid per day, and outages");
    let top = ticks.last().copied().unwrap_or(1).max(1) as f64;
    for &tick in &ticks {
        let y = TOP + HEIGHT * (1.0 - tick as f64 / top);
        let right = axis.left + axis.width;
        let label = dollars(nano(tick), places);
        line(&mut svg, "grid", Point { x: axis.left, y }, Point { x: right, y });
        label_at(&mut svg, "tick end", Point { x: axis.left - 7.0, y: y + 4.0 }, &label);
    }
    for (at, bar) in bars.iter().enumerate() {
        let right = bars.get(at + 1).map_or(axis.to, |next| next.from);
        draw_bar(&mut svg, bar, axis.x(bar.from), axis.x(right), top);
    }
    label_days(&mut svg, &bars, &axis);
    for (at, lane) in lanes.iter().enumerate() {
        let y = TOP + HEIGHT + 32.0 + LANE * at as f64;
        draw_lane(&mut svg, lane, y, &axis, costs, zone);
    }
    svg + "</svg>"
}

/// How much of what was paid for answers went to which model.
pub(super) fn shares(models: &[(String, Sums)], paper: PlotWidth) -> String {
    let all: u64 = models.iter().map(|(_, sums)| sums.paid).sum();
    let calls: u64 = models.iter().map(|(_, sums)| sums.calls).sum();
    // On a phone a long name leaves no room beside it.
    let (row, beside) = match paper {
        PlotWidth::Desk => (46.0, true),
        PlotWidth::Phone => (62.0, false),
    };
    let mut svg = open(paper, row * models.len() as f64, "Share of each model");
    let width = paper.width() - 4.0;
    let most = models.iter().map(|(_, sums)| sums.paid).max().unwrap_or(0).max(1) as f64;
    for (at, (model, sums)) in models.iter().enumerate() {
        let y = 16.0 + row * at as f64;
        let share = percent(sums.paid, all);
        let say = format!("{share} of the money, {} of the answers", percent(sums.calls, calls));
        label_at(&mut svg, "name", Point { x: 2.0, y }, &text(model));
        match beside {
            true => label_at(&mut svg, "tick end", Point { x: 2.0 + width, y }, &say),
            false => label_at(&mut svg, "tick", Point { x: 2.0, y: y + 35.0 }, &say),
        }
        let full = width * sums.paid as f64 / most;
        rect(&mut svg, "track", Area { x: 2.0, y: y + 7.0, width, height: 12.0 });
        rect(&mut svg, "paid", Area { x: 2.0, y: y + 7.0, width: full.max(1.5), height: 12.0 });
    }
    svg + "</svg>"
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if share > 0.0 && share < 10.0 { format!("{share:.1} %") } else { format!("{share:.0} %") }
}

/// The first moment behind what is drawn.
fn end(costs: &Costs) -> Option<Wall> {
    let last = costs.days.last().and_then(|day| moment(&day.from))?;
    let whole = costs.to.as_deref().and_then(moment);
    // A day is at most 25 hours long; without an end in sight the last one has its usual length.
    Some(whole.filter(|to| to.0 <= last.0 + 25 * 3_600_000).unwrap_or(Wall(last.0 + 86_400_000)))
}

fn bars(days: &[DayView]) -> Vec<Bar> {
    let size = if days.len() > MOST_DAYS { 7 } else { 1 };
    days.chunks(size).filter_map(|chunk| bar(chunk, size == 1)).collect()
}

/// The bar of a day, or of a week.
fn bar(chunk: &[DayView], is_day: bool) -> Option<Bar> {
    let mut sums = Sums::default();
    chunk.iter().for_each(|day| sums += day.sums.exact());
    let first = chunk.first()?;
    let date: Date = first.date.parse().ok()?;
    let named = date.strftime(if is_day { "%a %-d %b" } else { "week from %-d %b" });
    let title = format!(
        "{named}: paid {}, the primaries would have cost {}, {} of {} answers by fallbacks",
        super::money::exact(nano(sums.paid)),
        super::money::exact(nano(sums.primary_would)),
        sums.fallback_calls,
        sums.calls,
    );
    Some(Bar {
        label: date.strftime(if is_day { "%a %-d" } else { "%-d %b" }).to_string(),
        title,
        from: moment(&first.from)?,
        paid: sums.paid,
        would: sums.primary_would,
    })
}

/// Round amounts from nothing to at least `most`, few enough to be read.
fn ticks(most: u64) -> Vec<u64> {
    let rough = (most / 3).max(1);
    let mut unit = 1_u64;
    while unit.saturating_mul(10) <= rough {
        unit *= 10;
    }
    let mut steps = [1, 2, 5].map(|times| unit.saturating_mul(times)).into_iter();
    let step = steps.find(|step| step.saturating_mul(4) >= most);
    let step = step.unwrap_or(unit.saturating_mul(10));
    let count = most.div_ceil(step).max(1);
    (0..=count).map(|at| at.saturating_mul(step)).collect()
}

/// A place on the drawing, in its own units, from the upper left corner.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

/// A part of the drawing, from its upper left corner.
#[derive(Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

fn draw_bar(svg: &mut String, bar: &Bar, left: f64, right: f64, top: f64) {
    let room = right - left;
    let gap = (room * 0.16).min(14.0);
    let width = ((room - 2.0 * gap) / 2.0).max(0.5);
    let _ = write!(svg, "<g><title>{}</title>", text(&bar.title));
    for (at, (class, amount)) in [("paid", bar.paid), ("would", bar.would)].into_iter().enumerate()
    {
        let height = HEIGHT * amount as f64 / top;
        let x = left + gap + width * at as f64;
        rect(svg, class, Area { x, y: TOP + HEIGHT - height, width: width * 0.92, height });
    }
    // The whole day can be pointed at, also where its bars are low.
    rect(svg, "touch", Area { x: left, y: TOP, width: room, height: HEIGHT });
    svg.push_str("</g>");
}

fn label_days(svg: &mut String, bars: &[Bar], axis: &Axis) {
    // Seven units per letter and some air; where that is too much, every second is left out.
    let room = axis.width / bars.len().max(1) as f64;
    let longest = bars.iter().map(|bar| bar.label.len()).max().unwrap_or(1) as f64 * 7.0 + 4.0;
    let every = (longest / room).ceil().max(1.0) as usize;
    for (at, bar) in bars.iter().enumerate().step_by(every) {
        let right = bars.get(at + 1).map_or(axis.to, |next| next.from);
        let x = f64::midpoint(axis.x(bar.from), axis.x(right));
        label_at(svg, "tick middle", Point { x, y: TOP + HEIGHT + 17.0 }, &text(&bar.label));
    }
}

/// The models that had outages, each with them, those that were out longest first.
fn lanes(costs: &Costs) -> Vec<Vec<&OutageView>> {
    let mut lanes: Vec<Vec<&OutageView>> = Vec::new();
    for outage in &costs.outages {
        match lanes.iter_mut().find(|lane| lane[0].model == outage.model) {
            Some(lane) => lane.push(outage),
            None => lanes.push(vec![outage]),
        }
    }
    lanes.sort_by_key(|lane| {
        let times = lane.iter().filter_map(|outage| stretch(outage, costs));
        std::cmp::Reverse(times.map(|(from, to)| to.0 - from.0).sum::<u64>())
    });
    lanes.truncate(MOST_LANES);
    lanes
}

fn draw_lane(
    svg: &mut String,
    lane: &[&OutageView],
    y: f64,
    axis: &Axis,
    costs: &Costs,
    zone: &TimeZone,
) {
    let Some(first) = lane.first() else { return };
    let now = lane.iter().any(|outage| outage.to.is_none());
    let say = format!("{} {}", first.model, if now { "is still out" } else { "was out" });
    label_at(svg, "tick", Point { x: axis.left, y: y + 8.0 }, &text(&say));
    rect(svg, "track", Area { x: axis.left, y: y + 13.0, width: axis.width, height: 8.0 });
    for outage in lane {
        let Some((from, to)) = stretch(outage, costs) else { continue };
        let (left, right) = (axis.x(from), axis.x(to));
        let at = |at: Wall| zoned(at, zone).strftime("%a %-d %b %H:%M").to_string();
        let until = outage.to.as_deref().and_then(moment);
        let until = until.map_or("still out".to_owned(), |to| format!("until {}", at(to)));
        let begin = moment(&outage.from).map(at).unwrap_or_default();
        let title = format!("{}: {begin}, {until} ({})", outage.model, outage.reason);
        let _ = write!(svg, "<g><title>{}</title>", text(&title));
        rect(
            svg,
            "out",
            Area { x: left, y: y + 13.0, width: (right - left).max(2.0), height: 8.0 },
        );
        // In the bars above a band shows which days it was.
        rect(svg, "band", Area { x: left, y: TOP, width: (right - left).max(2.0), height: HEIGHT });
        svg.push_str("</g>");
    }
}

fn open(paper: PlotWidth, height: f64, label: &str) -> String {
    let (class, width) = (paper.class(), paper.width());
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         aria-label=\"{label}\">"
    )
}

fn rect(svg: &mut String, class: &str, area: Area) {
    let Area { x, y, width, height } = area;
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{height:.1}\"/>"
    );
}

fn line(svg: &mut String, class: &str, from: Point, to: Point) {
    let (Point { x: x1, y: y1 }, Point { x: x2, y: y2 }) = (from, to);
    let _ = write!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn label_at(svg: &mut String, class: &str, at: Point, safe: &str) {
    let Point { x, y } = at;
    let _ = write!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{safe}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_few_and_reach_the_top() {
        for most in [0, 1, 7, 963_000, 4_100_000_000, 999_999_999_999, u64::MAX / 2] {
            let ticks = ticks(most);
            assert!((2..=5).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(*ticks.last().unwrap() >= most, "{most}: {ticks:?}");
        }
        assert_eq!(ticks(100), [0, 50, 100]);
    }

    #[test]
    fn nothing_of_a_name_is_markup() {
        assert_eq!(text("a<b>&\"'\u{1b}"), "a&lt;b&gt;&amp;&quot;&#39;");
    }

    #[test]
    fn many_days_are_drawn_a_week_at_a_time() {
        let day = |at: i64| {
            let date = Date::constant(2026, 1, 1).checked_add(jiff::Span::new().days(at)).unwrap();
            DayView {
                date: date.to_string(),
                from: format!("{date}T00:00:00Z"),
                ..DayView::default()
            }
        };
        let days: Vec<DayView> = (0..70).map(day).collect();
        assert_eq!((bars(&days[..35]).len(), bars(&days).len()), (35, 10));
    }
}
