//! The small sections that concern no model: limits, defaults of requests, copies of them, what is
//! kept.
//!
//! Keys whose features are not there yet are checked all the same, so that a configuration written
//! for a later version is right the day it comes.

use std::time::Duration;

use toml::de::DeValue;

use super::field::{Field, show_size};
use super::section::Section;
use crate::config::{CostsConfig, LimitsConfig, Log, RequestDefaults, StoreConfig, UnknownTask};
use crate::domain::shadow;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MIB: u64 = 1 << 20;

pub(super) fn limits(mut section: Section<'_>) -> LimitsConfig {
    let limits = LimitsConfig {
        line_bytes: section.or("line_bytes", |f| f.size(1024), 8 << 20),
        connections: section.or("connections", count, 1024),
        requests_per_connection: section.or("requests_per_connection", count, 64),
        in_flight: section.or("in_flight", count, 1024),
        request_bytes_total: section.or("request_bytes_total", |f| f.size(1024), 256 << 20),
        response_bytes: section.or("response_bytes", |f| f.size(1024), 16 << 20),
        requests_per_uid: section.value("requests_per_uid", count),
        line_timeout: section.or("line_timeout", Field::duration, Duration::from_secs(10)),
        reader_timeout: section.or("reader_timeout", Field::duration, Duration::from_secs(30)),
    };
    if limits.line_bytes > limits.request_bytes_total {
        let line = show_size(limits.line_bytes as u64);
        let total = show_size(limits.request_bytes_total as u64);
        section.disordered(("line_bytes", &line), ("request_bytes_total", &total));
    }
    limits
}

fn count(field: &Field<'_>) -> Option<usize> {
    field.whole(1)
}

pub(super) fn request(mut section: Section<'_>) -> RequestDefaults {
    let unknown_task = [("default", UnknownTask::Default), ("reject", UnknownTask::Reject)];
    let defaults = RequestDefaults {
        max_tokens: section.or("max_tokens", |f| or_models(f, |f| f.whole(1)), Some(1000)),
        temperature: section.or(
            "temperature",
            |f| or_models(f, |f| f.number(0.0..=2.0)),
            Some(0.3),
        ),
        timeout: section.or("timeout", Field::duration, Duration::from_secs(300)),
        timeout_max: section.or("timeout_max", Field::duration, Duration::from_secs(3600)),
        unknown_task: section.or("unknown_task", |f| f.choice(&unknown_task), UnknownTask::Default),
    };
    section.ordered(("timeout", defaults.timeout), ("timeout_max", defaults.timeout_max));
    defaults
}

/// A value, or the word for what the model itself has.
fn or_models<'a, T: Copy>(
    field: &Field<'a>,
    read: impl FnOnce(&Field<'a>) -> Option<T>,
) -> Option<Option<T>> {
    match field.value.get_ref() {
        DeValue::String(word) if word == "model" => Some(None),
        DeValue::String(_) => field.wrong("a number or \"model\"", "\"model\""),
        _ => read(field).map(Some),
    }
}

pub(super) fn log(mut section: Section<'_>) -> Log {
    let log = Log {
        max_size: section.or("max_size", |f| f.size(1024), 64 * MIB),
        keep: section.or("keep", |f| f.whole(1), 8),
    };
    section.inert("content", Some(false), Field::flag);
    log
}

pub(super) fn store(mut section: Section<'_>) -> StoreConfig {
    // Less than this an empty database could exceed.
    let least = 8 * MIB;
    StoreConfig { max_size: section.or("max_size", |f| f.size(least), 256 * MIB) }
}

pub(super) fn costs(mut section: Section<'_>) -> CostsConfig {
    CostsConfig {
        retention: section.or("retention", Field::duration, 400 * DAY),
        timezone: section
            .value("timezone", timezone)
            .filter(|zone| *zone != "local")
            .map(str::to_owned),
    }
}

pub(super) fn shadow(mut section: Section<'_>) -> shadow::ShadowRules {
    let usual = shadow::ShadowRules::default();
    shadow::ShadowRules {
        rate: section.or("rate", Field::rate, usual.rate),
        max_in_flight: section.or("max_in_flight", |f| f.whole(1), usual.max_in_flight),
        daily_budget: section.or("daily_budget_usd", Field::dollars, usual.daily_budget),
        tools: section.or("tools", copied_tools, usual.tools),
        compare: section.or("compare", Field::flag, usual.compare),
    }
}

/// `"functions"` are all the tools that a request can have today: a copy calls none of them.
fn copied_tools(field: &Field<'_>) -> Option<bool> {
    match field.value.get_ref().is_str() {
        true => field.choice(&[("functions", true)]),
        false => field.flag(),
    }
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
