//! Which events a person wants to see.
//!
//! The daemon is asked for kinds of events only; model, task and outcome are looked at here, so
//! that a filter means the same for what comes over the socket and for what stands in the log.

use std::sync::Arc;

use super::super::names;
use super::TailedEvent;
use crate::domain::breaker::State;
use crate::protocol::log::{Event, LeftOut};
use crate::protocol::request::EventType;

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
    events: Vec<EventType>,
    /// Only what went wrong: calls, requests and reloads that failed, circuits that opened, models that became degraded
    #[arg(long, short)]
    failed: bool,
    /// The same as --event
    #[arg(value_name = "TYPE", value_parser = kind, add = names::events())]
    types: Vec<EventType>,
}

impl Filter {
    /// The kinds of events to ask for; all when empty.
    pub(super) fn kinds(&self) -> Vec<EventType> {
        self.events.iter().chain(&self.types).copied().collect()
    }

    /// Whether to show it. Losses are always shown, and events of later versions to those who wish
    /// for nothing in particular.
    pub(super) fn wants(&self, told: &TailedEvent) -> bool {
        let kinds = self.kinds();
        match told {
            TailedEvent::Event(line) => {
                let kind = line.event.kind();
                (kinds.is_empty() || kind.is_some_and(|kind| kinds.contains(&kind)))
                    && (self.tasks.is_empty() || is_one_of(task(&line.event), &self.tasks))
                    && (self.models.is_empty() || concerns(&line.event, &self.models))
                    && (!self.failed || failed(&line.event))
            }
            TailedEvent::Foreign(_) => {
                kinds.is_empty() && self.tasks.is_empty() && self.models.is_empty() && !self.failed
            }
            TailedEvent::Lost(_) => true,
            TailedEvent::Nothing => false,
        }
    }
}

/// A kind of event as typed. The log would take any name, and show nothing for a wrong one.
fn kind(typed: &str) -> Result<EventType, String> {
    let kinds = EventType::ALL.iter().copied();
    kinds.clone().find(|kind| kind.name() == typed).ok_or_else(|| {
        let names: Vec<_> = kinds.map(EventType::name).collect();
        format!("there is no such kind of event; name one of {}", names.join(", "))
    })
}

fn is_one_of(name: Option<&str>, names: &[String]) -> bool {
    name.is_some_and(|name| names.iter().any(|wanted| wanted == name))
}

fn task(event: &Event) -> Option<&str> {
    match event {
        Event::Call(call) => Some(&call.task),
        Event::Request(request) => Some(&request.task),
        Event::Order(order) => Some(&order.task),
        Event::Comparison(comparison) => Some(&comparison.task),
        _ => None,
    }
}

/// Whether an event is about one of these models, or names it.
fn concerns(event: &Event, models: &[String]) -> bool {
    let named = |name: &Arc<str>| models.iter().any(|wanted| **wanted == **name);
    let is_left_out = |out: &LeftOut| named(&out.model);
    match event {
        Event::Call(call) => named(&call.model_name),
        Event::Breaker(breaker) => named(&breaker.model_name),
        Event::Degraded(degraded) => named(&degraded.model_name),
        Event::Request(request) => {
            request.model_used.as_ref().is_some_and(named)
                || request.order.iter().any(|place| named(&place.model))
                || request.left_out.iter().any(is_left_out)
        }
        Event::Order(order) => {
            order.order.iter().any(named) || order.left_out.iter().any(is_left_out)
        }
        Event::Comparison(comparison) => named(&comparison.model_used),
        Event::Config(config) => config.added.iter().chain(&config.removed).any(named),
        _ => false,
    }
}

fn failed(event: &Event) -> bool {
    match event {
        Event::Breaker(breaker) => breaker.to == State::Open,
        Event::Degraded(degraded) => degraded.degraded,
        Event::Call(call) => !call.success,
        Event::Request(request) => !request.success,
        Event::Config(config) => !config.success,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::samples::event;
    use super::*;

    fn events() -> Vec<TailedEvent> {
        let lines = [
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
        ];
        let told = lines.map(|line| TailedEvent::Event(Box::new(event(line))));
        [TailedEvent::Nothing].into_iter().chain(told).collect()
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
        let kinds = Filter {
            events: vec![EventType::Call],
            types: vec![EventType::Stop],
            ..Filter::default()
        };
        assert_eq!(shown(&kinds), [1, 2, 10]);
        let both = Filter { failed: true, ..models(&["b"]) };
        assert_eq!(shown(&both), [2, 5]);
    }
}
