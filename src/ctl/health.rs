//! `fallbackctl health`: how every model is doing, one line each.
//!
//! With `--watch` it stays and asks again. Below the table stands, for each model that is kept out, the reason in words; the table
//! itself holds only what can be compared between models.

use std::time::Duration;

use serde_json::json;

use super::circuit::Obstacles;
use super::connect::{SOON, exchange};
use super::failure::CommandError;
use super::grid::{Cell, Column, Grid};
use super::screen::{Paper, Screen, Tone};
use super::{Session, attempts, text, watch};
use crate::clock::wall;
use crate::domain::ledger::CallKind;
use crate::domain::time::{Wall, millis};
use crate::protocol::health::{EvidenceView, Health, LastErrorView, ModelHealth};
use crate::protocol::status::{RecorderStatus, StoreState};

const EXAMPLES: &str = "\
Examples:
  fallbackctl health                 over the configured window
  fallbackctl health --window 1h     over the last hour
  fallbackctl health --watch         look again every two seconds, until Ctrl-C
  fallbackctl health --watch 10s --window 1h
  fallbackctl health --json          for programs; with --watch one object per line";

/// Over which time, and how often.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HealthArgs {
    /// How far back to look [default: the configured window]
    #[arg(long, value_name = "DURATION", value_parser = text::duration)]
    window: Option<Duration>,
    /// Stay, and look again in this interval
    #[arg(long, short, value_name = "DURATION", num_args = 0..=1, default_missing_value = "2s",
          value_parser = text::duration)]
    watch: Option<Duration>,
}

/// Asks for the health of all models and shows it.
pub(super) fn run(
    args: &HealthArgs,
    session: &Session,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    let mut request = json!({"op": "health"});
    if let Some(window) = args.window {
        request["window"] = humantime::format_duration(window).to_string().into();
    }
    match args.watch {
        Some(interval) => watch::again_and_again(interval, session.json, screen, |screen| {
            show(session, &request, screen)
        }),
        None => show(session, &request, screen),
    }
}

fn show(
    session: &Session,
    request: &serde_json::Value,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    if let Some(health) = exchange(session, request, SOON, screen)? {
        write!(screen.out, "{}", render(&health, wall(), screen.paper))?;
    }
    Ok(())
}

fn render(health: &Health, now: Wall, paper: Paper) -> String {
    let mut grid = Grid::new(&[
        Column::Left("MODEL"),
        Column::Left("STATE"),
        Column::Right("SUCCESS"),
        Column::Right("CALLS"),
        Column::Right("P50"),
        Column::Right("P95"),
        Column::Right("IN FLIGHT"),
        Column::Left("DEGRADED"),
        Column::Left("EVIDENCE"),
        Column::Wide("LAST ERROR"),
        Column::Left("RETRY IN"),
    ]);
    let mut below = String::new();
    for (name, model) in &health.models {
        if let Some(why) = Obstacles::from(model).explain(now) {
            below.push_str(&format!("{name}: {why}\n"));
        }
        if !model.learned.is_empty() {
            let note = format!("{name}: {}; it is left out", model.learned.join(", "));
            below.push_str(&format!("{}\n", paper.paint(&note, Tone::Dim)));
        }
        grid.row(row(name, model, now));
    }
    if let Some(window) = health.window_ms {
        let note = format!("over the last {}", text::span(window));
        below.push_str(&format!("{}\n", paper.paint(&note, Tone::Dim)));
    }
    below.push_str(&trouble(&health.recorder, paper));
    format!("{}{below}", grid.render(paper))
}

fn row(name: &str, model: &ModelHealth, now: Wall) -> Vec<Cell> {
    let share = Some(model.success_rate).filter(|_| model.total_calls != 0);
    let degraded =
        if model.degraded { Cell::toned("yes", Tone::Warn) } else { Cell::toned("no", Tone::Dim) };
    let obstacles = Obstacles::from(model);
    vec![
        name.into(),
        obstacles.state(now),
        Cell::or_dash(share.map(text::percent)),
        model.total_calls.to_string().into(),
        Cell::or_dash(model.p50_ms.map(text::span)),
        Cell::or_dash(model.p95_ms.map(text::span)),
        model.in_flight.to_string().into(),
        degraded,
        evidence(model),
        Cell::or_dash(model.last_error.as_ref().map(|error| last_error(error, now))),
        obstacles.retry_in(now).into(),
    ]
}

/// Whether the model may be called, and how fresh what is known of it is.
fn evidence(model: &ModelHealth) -> Cell {
    let EvidenceView { proven_ago_ms, proven_by, .. } = model.evidence;
    let by = proven_by.filter(|by| *by != CallKind::Live).map(|by| format!(" by a {}", by.name()));
    let words = match proven_ago_ms {
        Some(ago) => format!("proven {} ago{}", text::span(ago), by.unwrap_or_default()),
        None => "not proven".to_owned(),
    };
    match model.ready {
        true => format!("ready, {words}").into(),
        false => Cell::toned(words, Tone::Dim),
    }
}

fn last_error(error: &LastErrorView, now: Wall) -> String {
    let what = attempts::failure(Some(error.error_type), error.status, error.code.as_deref());
    match text::moment(&error.at) {
        Some(at) => format!("{what}, {} ago", text::span(millis(now.since(at)))),
        None => what,
    }
}

/// What the recorder could not do.
pub(super) fn worries(recorder: &RecorderStatus) -> Vec<String> {
    let store = Some(recorder.store).filter(|store| *store != StoreState::Ok);
    [
        count("dropped", recorder.dropped),
        count("late", recorder.late),
        words("log error", &recorder.log_error),
        words("log damage", &recorder.log_damage),
        store.map(|store| format!("store {}", store.name())),
        words("store error", &recorder.store_error),
        words("store put aside", &recorder.store_put_aside),
        words("store size", &recorder.store_size),
        count("rows lost", recorder.rows_lost),
        count("errors", recorder.errors),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn count(name: &str, count: u64) -> Option<String> {
    (count > 0).then(|| format!("{name} {count}"))
}

fn words(name: &str, words: &Option<String>) -> Option<String> {
    words.as_ref().filter(|words| !words.is_empty()).map(|words| format!("{name} {words}"))
}

/// The same in one line; silence is good news.
fn trouble(recorder: &RecorderStatus, paper: Paper) -> String {
    let found = worries(recorder);
    if found.is_empty() {
        return String::new();
    }
    format!("{}\n", paper.paint(&format!("recorder: {}", found.join(", ")), Tone::Warn))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn now() -> Wall {
        text::moment("2026-11-20T10:02:00.000Z").unwrap()
    }

    fn health(fields: &Value) -> Health {
        serde_json::from_value(fields.clone()).unwrap()
    }

    /// A closed circuit of which nothing more is known, but for these fields.
    fn model(fields: Value) -> Value {
        let circuit = json!({"state": "closed", "since": "", "consecutive_failures": 0});
        let mut model = json!({"success_rate": 1.0, "total_calls": 0, "degraded": false,
            "in_flight": 0, "breaker": circuit, "ready": false,
            "evidence": {"live": 0, "shadow": 0, "probe": 0}});
        model.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
        model
    }

    #[test]
    fn every_model_has_a_line_and_open_circuits_are_explained_below() {
        let first = model(json!({"success_rate":0.97,"avg_latency_ms":812.5,"p50_ms":700,
            "p95_ms":2000,"total_calls":33,"degraded":true,"in_flight":1,
            "last_error":{"error_type":"overloaded","status":503,"code":null,
                "at":"2026-11-20T10:00:00.000Z"},
            "breaker":{"state":"open","reason":"3 consecutive failures",
                "since":"2026-11-20T10:00:00.000Z","retry_at":"2026-11-20T10:05:00.000Z",
                "consecutive_failures":3,"override":null},
            "evidence":{"proven_ago_ms":130_000,"proven_by":"live","live":33,"shadow":0,
                "probe":0}}));
        let spare = model(json!({"total_calls":1,"ready":true,
            "evidence":{"proven_ago_ms":40_000,"proven_by":"shadow","live":0,"shadow":1,
                "probe":0},"learned":["refuses temperature"]}));
        let reply = json!({"window_ms":600_000,"recorder":{"late":0,"lines":12,"store":"ok"},
            "models":{"gpt-4o":first,"quiet":model(json!({})),"spare":spare}});
        let wanted = "\
MODEL   STATE   SUCCESS  CALLS     P50    P95  IN FLIGHT  DEGRADED  EVIDENCE                            LAST ERROR              RETRY IN
gpt-4o  open       97 %     33  700 ms  2.0 s          1  yes       proven 2m 10s ago                   overloaded 503, 2m ago  3m
quiet   closed        -      0       -      -          0  no        not proven                          -
spare   closed    100 %      1       -      -          0  no        ready, proven 40 s ago by a shadow  -
gpt-4o: open for 2m: 3 consecutive failures
spare: refuses temperature; it is left out
over the last 10m
";
        assert_eq!(render(&health(&reply), now(), Paper::default()), wanted);
    }

    #[test]
    fn a_daemon_without_models_has_an_empty_table() {
        let reply = json!({"models": {}, "recorder": {"store": "ok"}});
        assert_eq!(render(&health(&reply), now(), Paper::default()).lines().count(), 1);
    }

    #[test]
    fn what_the_recorder_could_not_do_is_said() {
        let told =
            |status: Value| trouble(&serde_json::from_value(status).unwrap(), Paper::default());
        let quiet = json!({"lines":9,"dropped":0,"log_error":null,"store":"ok",
            "store_error":null,"store_put_aside":null,"store_size":null,"rows_lost":0,
            "errors":0});
        assert_eq!(told(quiet), "");
        let loud = json!({"lines":9,"late":3,"log_error":"disk full","store":"degraded",
            "rows_lost":2});
        assert_eq!(
            told(loud),
            "recorder: late 3, log error disk full, store degraded, rows lost 2\n"
        );
    }
}
