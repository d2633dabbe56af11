//! The small sections that concern no model: limits, defaults of requests, copies of them, what is
//! kept.
//!
//! Keys whose features are not there yet are checked all the same, so that a configuration written
//! for a later version is right the day it comes.

use std::time::Duration;

use super::field::{Field, show_size};
use super::section::Section;
use crate::config::{Costs, Limits, Log, RequestDefaults, Store, UnknownTask};
use crate::domain::price::Nano;
use crate::domain::shadow;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MIB: u64 = 1 << 20;

pub(super) fn limits(mut section: Section<'_>) -> Limits {
    let limits = Limits {
        line_bytes: section.value("line_bytes", |f| f.size(1024)).unwrap_or(8 << 20),
        connections: section.value("connections", count).unwrap_or(1024),
        requests_per_connection: section.value("requests_per_connection", count).unwrap_or(64),
        in_flight: section.value("in_flight", count).unwrap_or(1024),
        request_bytes_total: section
            .value("request_bytes_total", |f| f.size(1024))
            .unwrap_or(256 << 20),
        response_bytes: section.value("response_bytes", |f| f.size(1024)).unwrap_or(16 << 20),
        requests_per_uid: section.value("requests_per_uid", count),
        line_timeout: section
            .value("line_timeout", Field::duration)
            .unwrap_or(Duration::from_secs(10)),
        reader_timeout: section
            .value("reader_timeout", Field::duration)
            .unwrap_or(Duration::from_secs(30)),
    };
    if limits.line_bytes > limits.request_bytes_total {
        let line = show_size(limits.line_bytes as u64);
        let total = show_size(limits.request_bytes_total as u64);
        section.disordered(("line_bytes", &line), ("request_bytes_total", &total));
    }
    section.done();
    limits
}

fn count(field: &Field<'_>) -> Option<usize> {
    field.whole(1)
}

pub(super) fn request(mut section: Section<'_>) -> RequestDefaults {
    let unknown_task = [("default", UnknownTask::Default), ("reject", UnknownTask::Reject)];
    let request = RequestDefaults {
        max_tokens: section.value("max_tokens", |f| f.whole(1)).unwrap_or(1000),
        temperature: section.value("temperature", |f| f.number(0.0..=2.0)).unwrap_or(0.3),
        timeout: section.value("timeout", Field::duration).unwrap_or(Duration::from_secs(300)),
        unknown_task: section
            .value("unknown_task", |f| f.choice(&unknown_task))
            .unwrap_or(UnknownTask::Default),
    };
    section.done();
    request
}

pub(super) fn log(mut section: Section<'_>) -> Log {
    let log = Log {
        max_size: section.value("max_size", |f| f.size(1024)).unwrap_or(64 * MIB),
        keep: section.value("keep", |f| f.whole(1)).unwrap_or(8),
    };
    section.inert("content", Some(false), Field::flag);
    section.done();
    log
}

pub(super) fn store(mut section: Section<'_>) -> Store {
    // Less than this an empty database could exceed.
    let least = 8 * MIB;
    let store =
        Store { max_size: section.value("max_size", |f| f.size(least)).unwrap_or(256 * MIB) };
    section.done();
    store
}

pub(super) fn costs(mut section: Section<'_>) -> Costs {
    let costs = Costs {
        retention: section.value("retention", Field::duration).unwrap_or(400 * DAY),
        timezone: section
            .value("timezone", timezone)
            .filter(|zone| *zone != "local")
            .map(Into::into),
    };
    section.done();
    costs
}

pub(super) fn shadow(mut section: Section<'_>) -> shadow::ShadowRules {
    let usual = shadow::ShadowRules::default();
    let rules = shadow::ShadowRules {
        rate: section.value("rate", Field::rate).unwrap_or(usual.rate),
        max_in_flight: section
            .value("max_in_flight", |f| f.whole(1))
            .unwrap_or(usual.max_in_flight),
        daily_budget: section
            .value("daily_budget_usd", Field::dollars)
            .and_then(Nano::from_dollars)
            .unwrap_or(usual.daily_budget),
        tools: section.value("tools", Field::flag).unwrap_or(usual.tools),
        compare: section.value("compare", Field::flag).unwrap_or(usual.compare),
    };
    section.done();
    rules
}

/// Only the form of the name is checked: which zones exist is a matter of the machine.
fn timezone<'a>(field: &Field<'a>) -> Option<&'a str> {
    let name = field.text()?;
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
    if !fits {
        field
            .mistake("not the name of a time zone", "\"local\" or a name such as \"Europe/Paris\"");
    }
    fits.then_some(name)
}
