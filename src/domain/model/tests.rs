//! Claims about one model's state as a whole.

use super::*;
use crate::domain::breaker::Prober;
use crate::domain::fault::Fault;
use crate::domain::price::Nano;
use crate::domain::time::Mono;

mod long;

const SECOND: Duration = Duration::from_secs(1);
const ASK: Ask = Ask { lease: Duration::from_secs(60), by: Asker::Caller };

fn settings() -> Settings {
    Settings {
        name: "m".into(),
        misconfigured: None,
        abilities: Abilities::default(),
        context_window: None,
        max_tokens: None,
        price: None,
        max_in_flight: None,
        per_minute: PerMinute::default(),
        breaker: Rules {
            failures: 3,
            open_for: 300 * SECOND,
            open_for_max: 1800 * SECOND,
            blocked_for: 900 * SECOND,
            failure_rate: 0.5,
            rate_min_calls: 10,
            probe: Prober::Caller,
            probe_every: 15 * SECOND,
        },
        probe_nearest: true,
        window: 600 * SECOND,
        degraded_below: 0.8,
        min_calls: 5,
        retention: 86_400 * SECOND,
    }
}

fn start() -> Now {
    Now { mono: Mono(Duration::ZERO), wall: Wall(1_800_000_000_000) }
}

fn ended(fault: Option<Fault>) -> Ended {
    let fault = fault.map(Ending::new);
    Ended { fault, ..Ended::default() }
}

fn call(model: &mut ModelState, fault: Option<Fault>, now: Now) -> Settlement {
    let (admission, _) = model.admit(&Needs::default(), ASK, now);
    model.settle(admission.unwrap(), &ended(fault), 100, now)
}

fn skip_reason(model: &mut ModelState, needs: &Needs, now: Now) -> Option<SkipReason> {
    model.availability(needs, now).0.skip.map(|skip| skip.reason)
}

#[test]
fn a_cold_model_is_not_judged_before_five_calls() {
    let mut model = ModelState::new(Settings { min_calls: 5, ..settings() }, start());
    for fault in [None, Some(Fault::Timeout), None, Some(Fault::Timeout)] {
        assert_eq!(call(&mut model, fault, start()).changes.degraded, None);
    }
    let told = call(&mut model, None, start()).changes.degraded;
    assert_eq!(told, Some((true, Judged { success: 3, failure: 2 })));
    assert!(model.availability(&Needs::default(), start()).0.degraded);
}

#[test]
fn old_failures_leave_the_window_and_the_model_is_healthy_again() {
    let mut model = ModelState::new(settings(), start());
    for fault in [None, Some(Fault::Timeout), None, Some(Fault::Timeout), None] {
        call(&mut model, fault, start());
    }
    let later = start().plus(611 * SECOND);
    let (availability, changes) = model.availability(&Needs::default(), later);
    assert!(!availability.degraded);
    assert_eq!(changes.degraded, Some((false, Judged::default())));
}

#[test]
fn closing_starts_a_new_judging_period_at_once() {
    let mut model = ModelState::new(settings(), start());
    for fault in [None, None, Some(Fault::Reset), Some(Fault::Reset), Some(Fault::Reset)] {
        call(&mut model, fault, start());
    }
    assert_eq!(skip_reason(&mut model, &Needs::default(), start()), Some(SkipReason::CircuitOpen));
    let later = start().plus(300 * SECOND);
    call(&mut model, None, later);
    let (availability, _) = model.availability(&Needs::default(), later);
    assert_eq!((availability.skip, availability.degraded), (None, false));
    let total = model.total(600 * SECOND, later);
    assert_eq!((total.success, total.failure), (3, 3), "health still shows every call");
}

#[test]
fn a_rate_limit_holds_the_model_for_everybody_and_never_opens_the_circuit() {
    let mut model = ModelState::new(settings(), start());
    let mut now = start();
    for _ in 0..10 {
        let (admission, _) = model.admit(&Needs::default(), ASK, now);
        let retry_after = Some(3 * SECOND);
        let limited = Ended { retry_after, ..ended(Some(Fault::RateLimited)) };
        let settled = model.settle(admission.unwrap(), &limited, 100, now);
        assert_eq!(settled.verdict, Verdict::Held);
        let skip = model.availability(&Needs::default(), now).0.skip.unwrap();
        assert_eq!(skip, Skip { reason: SkipReason::RateLimited, retry_in: retry_after });
        now = now.plus(3 * SECOND);
    }
}

#[test]
fn what_cannot_serve_the_request_is_left_out_and_the_unknown_never_is() {
    let needs = Needs { tools: true, images: true, bytes: 60_000_000, ..Needs::default() };
    let mut unknown = ModelState::new(settings(), start());
    assert_eq!(skip_reason(&mut unknown, &needs, start()), None);
    let abilities = Abilities { images: false, ..Abilities::default() };
    let mut blind = ModelState::new(Settings { abilities, ..settings() }, start());
    assert_eq!(skip_reason(&mut blind, &needs, start()), Some(SkipReason::Incapable));
    let small = Settings { context_window: Some(9_999_999), ..settings() };
    let mut small = ModelState::new(small, start());
    assert_eq!(skip_reason(&mut small, &needs, start()), Some(SkipReason::Incapable));
    let prefill = Needs { prefill: true, ..Needs::default() };
    assert_eq!(skip_reason(&mut unknown, &prefill, start()), Some(SkipReason::Incapable));
}

#[test]
fn a_price_ceiling_leaves_dear_models_out() {
    let free = Nano(0);
    let price = Price { input: free, output: Nano(15_000_000), cached: free, cache_write: free };
    let mut dear = ModelState::new(Settings { price: Some(price), ..settings() }, start());
    let needs = |cents: f64| Needs {
        max_tokens: Some(1000),
        max_cost: Nano::from_dollars(cents / 100.0),
        ..Needs::default()
    };
    assert_eq!(skip_reason(&mut dear, &needs(1.4), start()), Some(SkipReason::TooDear));
    assert_eq!(skip_reason(&mut dear, &needs(1.5), start()), None);
}

#[test]
fn calls_in_flight_are_limited_and_given_back() {
    let mut model = ModelState::new(Settings { max_in_flight: Some(1), ..settings() }, start());
    let (first, _) = model.admit(&Needs::default(), ASK, start());
    assert_eq!(
        model.admit(&Needs::default(), ASK, start()).0.unwrap_err().reason,
        SkipReason::Busy
    );
    model.settle(first.unwrap(), &ended(Some(Fault::Cancelled)), 100, start());
    assert_eq!(model.in_flight(), 0);
    assert!(model.admit(&Needs::default(), ASK, start()).0.is_ok());
}

#[test]
fn what_the_caller_caused_is_held_against_nobody() {
    let mut model = ModelState::new(settings(), start());
    for _ in 0..10 {
        let (admission, _) = model.admit(&Needs::default(), ASK, start());
        let mut ended = ended(Some(Fault::Timeout));
        ended.fault.as_mut().unwrap().excused = true;
        assert_eq!(
            model.settle(admission.unwrap(), &ended, 100, start()).verdict,
            Verdict::Neutral
        );
    }
    assert_eq!(skip_reason(&mut model, &Needs::default(), start()), None);
}

#[test]
fn a_restart_keeps_open_circuits_open_and_degraded_models_last() {
    let mut model = ModelState::new(settings(), start());
    let mut last = None;
    for fault in [None, Some(Fault::Timeout), None, Some(Fault::Timeout), None] {
        last = Some(call(&mut model, fault, start()).bucket);
    }
    let stored = model.stored(start());
    let text = serde_json::to_string(&stored).unwrap();
    let stored: StoredModel = serde_json::from_str(&text).unwrap();
    let mut restored = ModelState::new(settings(), start());
    restored.restore(Some(&stored), last.into_iter().collect(), start());
    assert!(restored.availability(&Needs::default(), start()).0.degraded);
}

#[test]
fn a_rebuilt_model_has_what_was_stored_and_the_calls_under_way() {
    let mut model = ModelState::new(settings(), start());
    let mut kept = Kept::of(&model, start());
    let mut now = start();
    for count in 0..600 {
        let fault = (count % 5 == 0).then_some(Fault::Timeout);
        let (start, bucket) = call(&mut model, fault, now).bucket;
        kept.keep_call(start, &bucket, &model, now);
        // Back and forth between buckets, and long enough for old ones to be merged.
        let step = if count % 7 == 0 { 0 } else { 37 };
        now = now.plus(step * SECOND);
        now.wall = if count % 11 == 0 { now.wall.minus(30 * SECOND) } else { now.wall };
    }
    let rebuilt = kept.rebuilt(2, now);
    assert_eq!(rebuilt.stored(now), model.stored(now));
    assert_eq!(rebuilt.degraded(), model.degraded());
    assert!(rebuilt.window.buckets().eq(model.window.buckets()));
    assert_eq!(rebuilt.in_flight(), 2);
}

#[test]
fn a_call_that_outlived_its_state_is_counted_and_changes_no_circuit() {
    let mut model = ModelState::new(settings(), start());
    for fault in [Fault::Reset, Fault::Reset] {
        call(&mut model, Some(fault), start());
    }
    let mut rebuilt = Kept::of(&model, start()).rebuilt(1, start());
    let failed = ended(Some(Fault::Reset));
    let settled = rebuilt.settle(Admission::stale(CallKind::Live), &failed, 100, start());
    assert!(!settled.counted);
    assert_eq!(settled.changes.circuit, []);
    assert_eq!((rebuilt.in_flight(), settled.bucket.1.failure), (0, 3));
    let opened = call(&mut rebuilt, Some(Fault::Reset), start());
    assert_eq!(opened.changes.circuit.len(), 1, "the run of failures is as it was stored");
}
