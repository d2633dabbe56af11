//! Lines of the health log for tests: whole events, of which a test names what it is about.

use serde_json::{Value, json};

use crate::protocol::log::LogLine;

/// The line with these fields; what its kind of event has besides is filled in.
pub(super) fn event(fields: Value) -> LogLine {
    let replay = json!({"identity": "0000000000000000", "bucket": 0});
    let mut line = match fields["event"].as_str().unwrap() {
        "call" => json!({"model_name": "a", "success": true, "latency_ms": 0,
            "verdict": "success", "counted": true, "request_id": "r", "task": "t",
            "primary": "a", "kind": "live", "replay": replay}),
        "request" => json!({"request_id": "r", "task": "t", "success": true, "fallback_count": 0,
            "latency_ms": 0, "calls": 1}),
        "breaker" => {
            let circuit = json!({"open": false, "reason": "", "blocked": false, "since": 0,
                "until": 0, "openings": 0, "run": 0, "forced": null});
            let judged_from = json!({"bucket": 0, "before": {"success": 0, "failure": 0}});
            let stored = json!({"breaker": circuit, "judged_from": judged_from});
            json!({"model_name": "a",
                "replay": {"identity": "0000000000000000", "stored": stored}})
        }
        "config" => json!({"success": true, "mistakes": 0, "kept": 0, "added": [],
            "removed": []}),
        "order" => json!({"order": [], "left_out": []}),
        "degraded" => json!({"success_rate": 0.5, "calls": 10}),
        "stop" => json!({"reason": "asked", "unanswered": 0}),
        _ => json!({}),
    };
    line["timestamp"] = "-".into();
    line.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
    serde_json::from_value(line).unwrap()
}
