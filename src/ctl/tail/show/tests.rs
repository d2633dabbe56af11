//! Every kind of event as a line.

use serde_json::json;

use super::super::super::samples::event;
use super::*;

fn line(fields: Value) -> String {
    shown(&TailedEvent::Event(Box::new(event(fields))))
}

fn shown(told: &TailedEvent) -> String {
    let now = text::moment("2026-11-20T10:00:00Z").unwrap();
    render(told, now, &TimeZone::UTC, Paper::default()).unwrap()
}

#[test]
fn calls_tell_who_how_long_and_why_not() {
    assert_eq!(
        line(json!({"timestamp":"2026-11-20T10:00:00.123Z","event":"call","model_name":"gpt-4o",
            "success":true,"latency_ms":812,"error_type":null,"verdict":"success","counted":true,
            "task":"default","input_tokens":21,"output_tokens":60,"cost_usd":0.000963})),
        "2026-11-20T10:00:00.123Z call     gpt-4o answered in 812 ms for default, 21+60 tokens, \
         $0.000963"
    );
    assert_eq!(
        line(json!({"timestamp":"T","event":"call","model_name":"gpt-4o","success":false,
            "latency_ms":204,"error_type":"rate_limited","status":429,"verdict":"held",
            "counted":false,"task":"default"})),
        "T call     gpt-4o failed in 204 ms for default: rate_limited 429, held, not counted"
    );
}

#[test]
fn calls_that_nobody_waits_for_say_what_they_are_for() {
    let shadow = json!({"event":"call","model_name":"a","success":true,"latency_ms":7,
        "task":"default","kind":"shadow"});
    assert_eq!(line(shadow), "- call     a answered in 7 ms for default (shadow)");
}

#[test]
fn requests_tell_who_answered_or_which_error_it_was() {
    let answered = json!({"event":"request","task":"code","success":true,"primary":"a",
        "model_used":"b","fallback_count":1,"latency_ms":900});
    assert_eq!(line(answered), "- request  code: b instead of a in 900 ms");
    let failed = json!({"event":"request","task":"code","success":false,
        "error":"all_models_failed","latency_ms":900});
    assert_eq!(line(failed), "- request  code: all_models_failed after 900 ms");
}

#[test]
fn circuit_changes_tell_from_to_why_and_until_when() {
    let opened = json!({"event":"breaker","model_name":"a","from":"half_open","to":"open",
        "reason":"the probe failed","retry_at":"2026-11-20T10:05:00.000Z"});
    assert_eq!(
        line(opened),
        "- breaker  a half-open -> open: the probe failed, next try at 10:05:00"
    );
    let overridden = json!({"event":"breaker","model_name":"a","from":"open","to":"open",
        "reason":"override","retry_at":null,"override":"open","peer_uid":1000});
    assert_eq!(line(overridden), "- breaker  a open -> open: override, override open by uid 1000");
}

#[test]
fn the_other_events_have_their_line_too() {
    let rows = [
        (
            json!({"event":"degraded","model_name":"a","degraded":true,"success_rate":0.6,
                "calls":10}),
            "- degraded a is degraded: 60 % of 10 calls worked",
        ),
        (
            json!({"event":"order","task":"t","order":["b","a"],
                "left_out":[{"model":"c","reason":"circuit_open"}]}),
            "- order    t: b > a; left out: c (circuit_open)",
        ),
        (
            json!({"event":"config","success":true,"mistakes":0,"kept":3,"added":["x","y"],
                "removed":[]}),
            "- config   taken: 3 models kept; added x, y",
        ),
        (
            json!({"event":"config","success":false,"mistakes":2}),
            "- config   not taken: 2 mistakes, nothing changed",
        ),
        (
            json!({"event":"start","version":"0.1.0","pid":1,"models":4,"restored":2}),
            "- start    fallbackd 0.1.0 serves 4 models, 2 with their history",
        ),
        (
            json!({"event":"stop","reason":"terminated","unanswered":0}),
            "- stop     terminated, 0 requests unanswered",
        ),
    ];
    for (event, wanted) in rows {
        assert_eq!(line(event), wanted);
    }
    let foreign = TailedEvent::of_event(json!({"event":"brand_new","x":1}));
    assert_eq!(shown(&foreign), "- brand_new {\"x\":1}");
}

#[test]
fn lost_events_are_counted_out_loud_and_other_messages_ignored() {
    let lost = TailedEvent::of_message(json!({"log_lost": 3}));
    assert!(shown(&lost).contains("3 events lost"));
    for other in [json!({"ok": true}), json!({"log": {"event": "checkpoint", "file": "x"}})] {
        let told = TailedEvent::of_message(other);
        assert_eq!(render(&told, Wall(0), &TimeZone::UTC, Paper::default()), None);
    }
}

#[test]
fn on_a_terminal_the_time_of_day_is_enough() {
    let paper = Paper { terminal: true, ..Paper::default() };
    let now = text::moment("2026-11-20T10:00:00Z").unwrap();
    let stop = event(json!({"event":"stop","timestamp":"2026-11-20T09:59:58.000Z"}));
    let line = render(&TailedEvent::Event(Box::new(stop)), now, &TimeZone::UTC, paper).unwrap();
    assert!(line.starts_with("09:59:58 stop"), "{line}");
}
