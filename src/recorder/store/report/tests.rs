//! Weeks end, daemons come and go, and every finished week has its report.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::tests::store_of;
use super::*;
use crate::clock::Clock;
use crate::domain::breaker::State;
use crate::domain::ledger::CallKind;
use crate::domain::price::Nano;
use crate::protocol::calendar::moment;
use crate::protocol::log::{BreakerEvent, BreakerReplay, CallEvent};
use crate::recorder::replay::tests::call_at;
use crate::recorder::rows::Row;
use crate::recorder::tests::{LONG, breaker, event as event_of, model, settings, start, until};
use crate::recorder::{Recorder, RecorderSettings};

/// A wall clock that is set by hand.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn at(text: &str) -> Hand {
        Hand(Arc::new(AtomicU64::new(moment(text).unwrap().0)))
    }

    fn set(&self, text: &str) {
        self.0.store(moment(text).unwrap().0, Ordering::Relaxed);
    }

    fn settings(&self, dir: &Path) -> RecorderSettings {
        let hand = self.0.clone();
        let clock = Clock::with_wall(move || Wall(hand.load(Ordering::Relaxed)));
        RecorderSettings { clock, ..settings(dir) }
    }

    fn now(&self) -> Wall {
        Wall(self.0.load(Ordering::Relaxed))
    }
}

/// A call of a fallback that cost `cost` nano-dollars where the primary would have cost 10 of them.
fn pay(recorder: &Recorder, at: Wall, cost: u64) {
    let call = CallEvent {
        primary: "first".into(),
        cost_usd: Some(Nano(cost)),
        primary_cost_usd: Some(Nano(10)),
        kind: CallKind::Live,
        ..call_at(Wall(at.0 - at.0 % 10_000))
    };
    recorder.record(at, Event::Call(call), []);
}

fn turn(recorder: &Recorder, at: Wall, from: State, to: State) {
    let Row::Breaker { stored, .. } = breaker(Wall(0)) else { unreachable!() };
    let event = BreakerEvent {
        model_name: "gpt".into(),
        from,
        to,
        reason: "3 failures in a row".to_owned(),
        retry_at: None,
        overridden: None,
        peer_uid: None,
        replay: BreakerReplay { identity: model().identity, stored },
    };
    recorder.record(at, Event::Breaker(event), []);
}

fn costs(recorder: &Recorder, week: &str) -> Costs {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let span = Span::of_week(week.parse().unwrap());
    runtime.block_on(recorder.costs(Query { span, zone: TimeZone::UTC })).unwrap()
}

fn report(dir: &Path, week: &str) -> Option<Value> {
    let text = fs::read(dir.join(format!("state/reports/{week}.json"))).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn told(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("log/health.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let reports = lines.filter(|line| line["event"] == "report");
    reports.map(|line| line["week"].as_str().unwrap().to_owned()).collect()
}

/// Two weeks with calls, the first with an outage that ends in the second; then the daemon ends.
fn two_weeks(dir: &Path) -> Hand {
    let hand = Hand::at("2026-11-18T10:00:00Z");
    let (recorder, _) = start(hand.settings(dir));
    pay(&recorder, hand.now(), 25);
    hand.set("2026-11-22T23:00:00Z");
    pay(&recorder, hand.now(), 30);
    turn(&recorder, hand.now(), State::Closed, State::Open);
    hand.set("2026-11-23T01:00:00Z");
    turn(&recorder, hand.now(), State::HalfOpen, State::Closed);
    pay(&recorder, hand.now(), 7);
    assert!(recorder.close(LONG));
    hand
}

#[test]
fn a_start_writes_the_report_of_each_finished_week_once() {
    let dir = tempfile::tempdir().unwrap();
    let hand = two_weeks(dir.path());
    assert_eq!(report(dir.path(), "2026-W47"), None, "no look was due yet");
    hand.set("2026-11-24T12:00:00Z");
    let (recorder, _) = start(hand.settings(dir.path()));
    until("the report is told", || !told(dir.path()).is_empty());
    assert!(recorder.close(LONG));
    let report = report(dir.path(), "2026-W47").unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["totals"]["paid_usd"], 55e-9);
    assert_eq!(report["totals"]["difference_usd"], 35e-9);
    assert_eq!(report["days"].as_array().unwrap().len(), 7);
    assert_eq!(report["outages"][0]["to"], "2026-11-23T01:00:00.000Z");
    let page = fs::read_to_string(dir.path().join("state/reports/2026-W47.html")).unwrap();
    assert!(page.contains("2026-W47, Mon 16 Nov 2026 to Sun 22 Nov 2026"), "{page}");
    let (recorder, _) = start(hand.settings(dir.path()));
    assert!(recorder.close(LONG));
    assert_eq!(told(dir.path()), ["2026-W47"], "the running week has none, the other only one");
}

#[test]
fn a_week_that_ends_while_the_daemon_runs_is_reported_with_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    let hand = Hand::at("2026-12-31T10:00:00Z");
    let mut store = store_of(&hand.settings(dir.path()));
    store.open(&[], true);
    let key = LedgerKey::new(hand.now(), &"t".into(), &"a".into(), &"b".into());
    store.unsaved.ledger.insert(key, Sums { calls: 1, paid: 9, ..Sums::default() });
    store.checkpoint();
    let there = |week: &str| report(dir.path(), week).is_some();
    for (now, last, first) in [
        ("2027-01-03T23:59:59Z", false, false),
        ("2027-01-04T00:00:30Z", true, false),
        ("2027-01-05T00:00:30Z", true, false),
        ("2027-01-11T00:00:31Z", true, true),
    ] {
        hand.set(now);
        store.report();
        assert_eq!((there("2026-W53"), there("2027-W01")), (last, first), "{now}");
    }
}

#[test]
fn finished_weeks_come_back_from_their_reports_when_database_and_logs_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let hand = two_weeks(dir.path());
    hand.set("2026-11-24T12:00:00Z");
    let (recorder, _) = start(hand.settings(dir.path()));
    until("the report is there", || report(dir.path(), "2026-W47").is_some());
    let before = costs(&recorder, "2026-W47");
    assert!(recorder.close(LONG));
    fs::remove_dir_all(dir.path().join("state/db")).unwrap();
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    let (recorder, _) = start(hand.settings(dir.path()));
    assert_eq!(costs(&recorder, "2026-W47"), before);
    assert_eq!(costs(&recorder, "2026-W48").totals.calls, 0, "what no report tells is lost");
    assert!(recorder.close(LONG));
    // With its log, and so the lines that the report was made of, nothing counts twice either.
    let (recorder, _) = start(hand.settings(dir.path()));
    assert_eq!(costs(&recorder, "2026-W47").totals, before.totals);
}

#[test]
fn a_database_that_is_lost_alone_comes_back_from_reports_and_log_without_counting_twice() {
    let dir = tempfile::tempdir().unwrap();
    let hand = two_weeks(dir.path());
    hand.set("2026-11-24T12:00:00Z");
    let (recorder, _) = start(hand.settings(dir.path()));
    until("the report is there", || report(dir.path(), "2026-W47").is_some());
    let before = ["2026-W47", "2026-W48"].map(|week| costs(&recorder, week));
    assert!(recorder.close(LONG));
    fs::remove_dir_all(dir.path().join("state/db")).unwrap();
    let (recorder, _) = start(hand.settings(dir.path()));
    assert_eq!(["2026-W47", "2026-W48"].map(|week| costs(&recorder, week)), before);
}

#[test]
fn the_outage_of_a_model_that_is_gone_ends_with_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let hand = Hand::at("2026-11-18T10:00:00Z");
    let (recorder, _) = start(hand.settings(dir.path()));
    let until = |recorder: &Recorder| costs(recorder, "2026-W47").outages[0].to.clone();
    recorder.record(hand.now(), event_of(0), [breaker(Wall(u64::MAX))]);
    turn(&recorder, hand.now(), State::Closed, State::Open);
    assert!(recorder.close(LONG));
    hand.set("2026-11-18T11:00:00Z");
    let (recorder, _) = start(hand.settings(dir.path()));
    assert_eq!(until(&recorder), None, "it is still there, and open");
    assert!(recorder.close(LONG));
    let settings = hand.settings(dir.path());
    let (recorder, _) = Recorder::start(settings.clone(), &[], settings.clock.now()).unwrap();
    assert_eq!(until(&recorder).as_deref(), Some("2026-11-18T11:00:00.000Z"));
}

#[test]
fn what_was_spent_today_is_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let hand = Hand::at("2026-11-18T23:59:00Z");
    let (recorder, _) = start(hand.settings(dir.path()));
    pay(&recorder, hand.now(), 25);
    hand.set("2026-11-19T00:00:10Z");
    [30, 7].into_iter().for_each(|cost| pay(&recorder, hand.now(), cost));
    assert!(recorder.close(LONG));
    let (_, restored) = start(hand.settings(dir.path()));
    assert_eq!(restored.today.iter().map(|(_, sums)| sums.paid).sum::<u64>(), 37);
}

#[test]
fn a_report_that_cannot_be_written_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let hand = Hand::at("2026-11-18T10:00:00Z");
    let mut store = store_of(&hand.settings(dir.path()));
    store.open(&[], true);
    let key = LedgerKey::new(hand.now(), &"t".into(), &"a".into(), &"b".into());
    store.unsaved.ledger.insert(key, Sums { calls: 1, ..Sums::default() });
    store.checkpoint();
    hand.set("2026-11-24T12:00:00Z");
    let place = dir.path().join("state/reports");
    fs::write(&place, "no folder").unwrap();
    store.report();
    assert!(store.reports.failed);
    fs::remove_file(&place).unwrap();
    store.report();
    assert!(!store.reports.failed && report(dir.path(), "2026-W47").is_some());
}
