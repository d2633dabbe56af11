//! Counting lines again gives what was in memory, from whatever checkpoint on.

use std::time::Duration;

use proptest::prelude::*;

use super::super::line::Stamper;
use super::super::rows::Row;
use super::*;
use crate::domain::breaker::{Ask, Asker, Change, Override, OverrideState, Prober, Rules};
use crate::domain::fault::Fault;
use crate::domain::ledger::CallKind;
use crate::domain::minute::PerMinute;
use crate::domain::model::{Ended, Ending, ModelState, Settings, Settlement};
use crate::domain::need::{Abilities, Needs};
use crate::domain::price::Nano;
use crate::domain::time::{Mono, Now};
use crate::protocol::log::{BreakerEvent, CallEvent, Event, StopEvent};

/// What happens to one of two models, some milliseconds after what happened before.
#[derive(Clone, Debug)]
enum Step {
    Call { model: usize, fault: Option<Fault>, cost: Option<u64>, task: bool },
    Order { model: usize, set: Option<OverrideState> },
    Nothing,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let fault = prop_oneof![
        3 => Just(None),
        3 => Just(Some(Fault::Overloaded)),
        1 => Just(Some(Fault::RateLimited)),
        1 => Just(Some(Fault::Auth)),
        1 => Just(Some(Fault::Cancelled)),
    ];
    let cost = proptest::option::of(0u64..2_000_000_000);
    let call = (0usize..2, fault, cost, any::<bool>())
        .prop_map(|(model, fault, cost, task)| Step::Call { model, fault, cost, task });
    let set =
        prop_oneof![Just(None), Just(Some(OverrideState::Open)), Just(Some(OverrideState::Closed))];
    let order = (0usize..2, set).prop_map(|(model, set)| Step::Order { model, set });
    let step = prop_oneof![20 => call, 1 => order, 1 => Just(Step::Nothing)];
    // Now and then long enough for an opening to end or a quarter of an hour to pass.
    let pause = prop_oneof![9 => 0u64..4_000, 1 => 0u64..1_000_000];
    proptest::collection::vec((step, pause), 1..120)
}

/// A daemon of two models: what it has in memory, and the log that it has written.
struct Daemon {
    now: Now,
    models: Vec<(ModelState, ModelKey)>,
    stamper: Stamper,
    log: Vec<u8>,
    rows: Rows,
    ledger: Ledger,
}

impl Daemon {
    fn new() -> Daemon {
        let now = Now { mono: Mono::default(), wall: Wall(1_795_168_800_000) };
        let model = |name: &str| {
            let state = ModelState::new(settings(name), now);
            (state, ModelKey::new(name, "https://api.example/v1", name))
        };
        Daemon {
            now,
            models: vec![model("first"), model("second")],
            stamper: Stamper::new(now.wall),
            log: Vec::new(),
            rows: Rows::new(),
            ledger: Ledger::new(),
        }
    }

    fn step(&mut self, step: &Step, pause: u64) {
        self.now = self.now.plus(Duration::from_millis(pause));
        match step {
            Step::Call { model, fault, cost, task } => self.call(*model, *fault, *cost, *task),
            Step::Order { model, set } => {
                let order = set.map(|set| Override { set, until: None });
                let change = self.models[*model].0.set_override(order, self.now);
                self.changed(*model, change);
            }
            Step::Nothing => {
                let stop = Event::Stop(StopEvent { reason: "SIGTERM".to_owned(), unanswered: 0 });
                self.log(&stop, []);
            }
        }
    }

    fn call(&mut self, model: usize, fault: Option<Fault>, cost: Option<u64>, task: bool) {
        let ask = Ask { lease: Duration::from_secs(5), by: Asker::Caller };
        let (admitted, changes) = self.models[model].0.admit(&Needs::default(), ask, self.now);
        changes.circuit.into_iter().for_each(|change| self.changed(model, change));
        let Ok(admission) = admitted else { return };
        let ending = |fault| Ending { excused: fault == Fault::Cancelled, ..Ending::new(fault) };
        let ended = Ended { fault: fault.map(ending), chance: 0.5, ..Ended::default() };
        let latency_ms = cost.unwrap_or_default() % 5_000;
        let settlement = self.models[model].0.settle(admission, &ended, latency_ms, self.now);
        let changes = settlement.changes.clone();
        self.settled(model, &ended, settlement, (cost, task));
        changes.circuit.into_iter().for_each(|change| self.changed(model, change));
    }

    fn settled(
        &mut self,
        model: usize,
        ended: &Ended,
        settlement: Settlement,
        (cost, task): (Option<u64>, bool),
    ) {
        let (state, key) = &self.models[model];
        let (start, bucket) = settlement.bucket;
        let stored = settlement.run_changed.then(|| state.stored(self.now));
        let event = CallEvent {
            model_name: key.name.clone(),
            success: ended.fault.is_none(),
            latency_ms: cost.unwrap_or_default() % 5_000,
            first_token_ms: None,
            error_type: ended.fault.as_ref().map(|ending| ending.fault),
            status: None,
            code: None,
            message: None,
            verdict: settlement.verdict,
            counted: settlement.counted,
            request_id: "01J".into(),
            task: if task { "a".into() } else { "b".into() },
            primary: "first".into(),
            kind: CallKind::Live,
            input_tokens: Some(21),
            output_tokens: cost,
            cached_tokens: None,
            cost_usd: cost.map(Nano),
            primary_cost_usd: Some(Nano(963_001)),
            cost_estimated: false,
            replay: CallReplay { identity: key.identity, bucket: start, stored: stored.clone() },
        };
        let model = key.clone();
        let circuit = stored.map(|stored| Row::Breaker { model: model.clone(), stored });
        let bucket = Row::Bucket { model, start, bucket };
        let ledger_key = event.ledger_key();
        let sums = ledger_key.sums(&event.paid());
        ledger::add(&mut self.ledger, ledger_key, sums);
        self.log(&Event::Call(event), [bucket].into_iter().chain(circuit));
    }

    fn changed(&mut self, model: usize, change: Change) {
        let (state, key) = &self.models[model];
        let stored = state.stored(self.now);
        let event = BreakerEvent {
            model_name: key.name.clone(),
            from: change.from,
            to: change.to,
            reason: change.reason,
            retry_at: change.retry_at,
            overridden: None,
            peer_uid: None,
            replay: BreakerReplay { identity: key.identity, stored: stored.clone() },
        };
        let row = Row::Breaker { model: key.clone(), stored };
        self.log(&Event::Breaker(event), [row]);
    }

    fn log(&mut self, event: &Event, rows: impl IntoIterator<Item = Row>) {
        let stamp = self.stamper.stamp(self.now.wall);
        assert!(self.stamper.line(stamp, event, &mut self.log));
        self.rows.extend(rows.into_iter().map(|row| row.split(stamp)));
        if let Event::Breaker(change) = event
            && let Some(edge) = outages::edge(change.from, change.to, change.reason.clone())
        {
            let key = OutageKey { at: stamp, model: change.model_name.clone() };
            self.rows.insert(RowKey::Outage(key), RowValue::Outage(edge));
        }
    }
}

fn settings(name: &str) -> Settings {
    let seconds = Duration::from_secs;
    Settings {
        name: name.into(),
        misconfigured: None,
        abilities: Abilities::default(),
        context_window: None,
        max_tokens: None,
        price: None,
        max_in_flight: None,
        per_minute: PerMinute::default(),
        breaker: Rules {
            failures: 3,
            open_for: seconds(60),
            open_for_max: seconds(600),
            blocked_for: seconds(300),
            failure_rate: 0.5,
            rate_min_calls: 10,
            probe: Prober::Caller,
            probe_every: seconds(15),
        },
        probe_nearest: true,
        window: seconds(600),
        degraded_below: 0.8,
        min_calls: 5,
        retention: seconds(48 * 3600),
    }
}

fn fold(rows: Rows, ledger: Ledger, log: &[u8]) -> Fold {
    let mut fold = Fold { ledger, ..Fold::new(rows) };
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        // A line that a kill cut off is not whole.
        let Some(line) = line.strip_suffix(b"\n") else { continue };
        assert!(fold.line(line, None), "{}", String::from_utf8_lossy(line));
    }
    fold
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_checkpoint_and_the_lines_after_it_are_what_was_in_memory(
        steps in steps(),
        share in 0.0f64..1.0,
        torn in 0usize..40,
    ) {
        let mut daemon = Daemon::new();
        let checkpoint = (steps.len() as f64 * share) as usize;
        let mut saved = (Rows::new(), Ledger::new(), 0);
        for (at, (step, pause)) in steps.iter().enumerate() {
            if at == checkpoint {
                saved = (daemon.rows.clone(), daemon.ledger.clone(), daemon.log.len());
            }
            daemon.step(step, *pause);
        }
        let mut log = daemon.log.clone();
        // The line that was being written when the daemon was killed.
        log.extend(daemon.log.iter().take(torn).filter(|&&byte| byte != b'\n'));
        let (rows, ledger, offset) = saved;
        let recovered = fold(rows, ledger, &log[offset..]);
        prop_assert_eq!(&recovered.rows, &daemon.rows);
        prop_assert_eq!(&recovered.ledger, &daemon.ledger);
        let from_nothing = fold(Rows::new(), Ledger::new(), &log);
        prop_assert_eq!(from_nothing.rows, daemon.rows);
        prop_assert_eq!(from_nothing.ledger, daemon.ledger);
    }
}

#[test]
fn lines_of_others_change_nothing() {
    let mut fold = Fold::default();
    for line in [
        "",
        "{}",
        "not json",
        r#"{"timestamp":"2026-11-20T10:00:00.123Z","event":"call"}"#,
        r#"{"timestamp":"2026-11-20T10:00:00.123Z","event":"breaker","model_name":7}"#,
        r#"{"timestamp":"2026-11-20T10:00:00.123Z","event":"call","model_n"#,
        "{\"timestamp\":\"\u{fffd}\"}",
    ] {
        assert!(!fold.line(line.as_bytes(), None), "{line}");
    }
    let stop = r#"{"timestamp":"2026-11-20T10:00:00.123Z","event":"stop","reason":"x"}"#;
    assert!(fold.line(stop.as_bytes(), None), "nothing to count, but readable");
    assert!(fold.rows.is_empty() && fold.ledger.is_empty());
}
