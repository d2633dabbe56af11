//! Which events a person wants to see.
//!
//! The daemon is asked for kinds of events only; model, task and outcome are looked at here, so
//! that a filter means the same for what comes over the socket and for what stands in the log.

use serde_json::Value;

use super::super::{names, reply};
use crate::protocol::op::EventType;

/// What to show; without any wish, everything but the heads of files.
#[derive(Default, clap::Args)]
pub(super) struct Filter {
    /// Only what concerns this model; several may be named
    #[arg(long = "model", short, value_name = "NAME", add = names::models())]
    models: Vec<String>,
    /// Only calls, requests and orders of this task; several may be named
    #[arg(long = "task", short, value_name = "TASK", add = names::tasks())]
    tasks: Vec<String>,
    /// Only this kind of event; several may be named
    #[arg(long = "event", short, value_name = "TYPE", value_delimiter = ',', value_parser = kind, add = names::events())]
    events: Vec<String>,
    /// Only what went wrong: calls, requests and reloads that failed, circuits that opened, models that became degraded
    #[arg(long, short)]
    failed: bool,
    /// The same as --event
    #[arg(value_name = "TYPE", value_parser = kind, add = names::events())]
    types: Vec<String>,
}

impl Filter {
    /// The kinds of events to ask for; all when empty.
    pub(super) fn kinds(&self) -> Vec<&str> {
        self.events.iter().chain(&self.types).map(String::as_str).collect()
    }

    /// Whether to show an event.
    pub(super) fn wants(&self, event: &Value) -> bool {
        let kind = event.get("event").and_then(Value::as_str).unwrap_or_default();
        let kinds = self.kinds();
        kind != "checkpoint"
            && (kinds.is_empty() || kinds.contains(&kind))
            && (self.tasks.is_empty() || is_one_of(event, "task", &self.tasks))
            && (self.models.is_empty() || concerns(event, &self.models))
            && (!self.failed || failed(kind, event))
    }
}

/// A kind of event as typed. The log would take any name, and show nothing for a wrong one.
fn kind(typed: &str) -> Result<String, String> {
    let names: Vec<_> = EventType::ALL.iter().map(|kind| kind.name()).collect();
    if names.contains(&typed) {
        return Ok(typed.to_owned());
    }
    Err(format!("there is no such kind of event; name one of {}", names.join(", ")))
}

fn is_one_of(event: &Value, key: &str, names: &[String]) -> bool {
    let name = event.get(key).and_then(Value::as_str);
    name.is_some_and(|name| names.iter().any(|wanted| wanted == name))
}

/// Whether an event is about one of these models, or names it.
fn concerns(event: &Value, models: &[String]) -> bool {
    const LISTS: [&str; 4] = ["order", "left_out", "added", "removed"];
    let listed = |place: &Value| {
        let name = place.as_str().or_else(|| place.get("model")?.as_str());
        name.is_some_and(|name| models.iter().any(|wanted| wanted == name))
    };
    is_one_of(event, "model_name", models)
        || is_one_of(event, "model_used", models)
        || LISTS.iter().any(|key| reply::list(event, key).iter().any(listed))
}

fn failed(kind: &str, event: &Value) -> bool {
    match kind {
        "breaker" => reply::word(event, "to").as_deref() == Some("open"),
        "degraded" => reply::flag(event, "degraded"),
        _ => event.get("success").and_then(Value::as_bool) == Some(false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events() -> Vec<Value> {
        vec![
            json!({"event":"checkpoint","file":"x"}),
            json!({"event":"call","model_name":"a","task":"code","success":true}),
            json!({"event":"call","model_name":"b","task":"code","success":false}),
            json!({"event":"request","task":"code","success":true,"model_used":"a",
                "order":[{"model":"b"},{"model":"a"}]}),
            json!({"event":"request","task":"chat","success":false,"order":[{"model":"c"}]}),
            json!({"event":"breaker","model_name":"b","to":"open"}),
            json!({"event":"breaker","model_name":"b","to":"closed"}),
            json!({"event":"degraded","model_name":"a","degraded":true}),
            json!({"event":"order","task":"code","order":["a"],
                "left_out":[{"model":"b","reason":"circuit_open"}]}),
            json!({"event":"config","success":false,"added":[],"removed":[]}),
            json!({"event":"stop"}),
        ]
    }

    fn shown(filter: &Filter) -> Vec<usize> {
        let all = events();
        (0..all.len()).filter(|&at| filter.wants(&all[at])).collect()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_wish_all_events_but_heads_of_files_are_shown() {
        assert_eq!(shown(&Filter::default()), (1..11).collect::<Vec<_>>());
    }

    #[test]
    fn each_filter_keeps_what_it_names_and_together_they_keep_what_all_name() {
        let models = |names: &[&str]| Filter { models: words(names), ..Filter::default() };
        assert_eq!(shown(&models(&["b"])), [2, 3, 5, 6, 8]);
        assert_eq!(shown(&models(&["c", "nobody"])), [4]);
        let task = Filter { tasks: words(&["code"]), ..Filter::default() };
        assert_eq!(shown(&task), [1, 2, 3, 8]);
        let failed = Filter { failed: true, ..Filter::default() };
        assert_eq!(shown(&failed), [2, 4, 5, 7, 9]);
        let kinds =
            Filter { events: words(&["call"]), types: words(&["stop"]), ..Filter::default() };
        assert_eq!(shown(&kinds), [1, 2, 10]);
        let both = Filter { failed: true, ..models(&["b"]) };
        assert_eq!(shown(&both), [2, 5]);
    }
}
