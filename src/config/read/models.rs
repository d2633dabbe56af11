//! `[models.NAME]`: who serves it, what it costs, what it can do, how it is judged.
//!
//! A model that is written with mistakes still counts as known, so that chains which name it are
//! not blamed as well.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::field::Field;
use super::prices::PriceList;
use super::providers::Providers;
use super::rules::{self, RuleSections};
use super::section::Section;
use crate::config::key::shown;
use crate::config::{Kind, Model, ProviderConfig, suggest};
use crate::domain::need::Abilities;
use crate::domain::price::{Nano, Price};

/// The models of a configuration.
pub(super) struct Models<'a> {
    /// All names, also of models with mistakes.
    pub(super) names: BTreeSet<&'a str>,
    /// Those without mistakes, by priority and then by name.
    pub(super) list: Vec<Arc<Model>>,
}

pub(super) fn read<'a>(
    root: &mut Section<'a>,
    providers: &Providers<'_>,
    prices: &PriceList,
    rules: &RuleSections,
) -> Models<'a> {
    let entries = root.entries("models");
    if entries.is_empty() {
        let hint = "add a [models.NAME] section; until then every request fails";
        root.report().warning(None, "no model is configured", hint);
    }
    let names = entries.iter().map(|field| field.key).collect();
    let models = entries.iter().filter_map(|field| model(field, providers, prices, rules));
    let mut list: Vec<_> = models.map(Arc::new).collect();
    list.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    Models { names, list }
}

fn model(
    field: &Field<'_>,
    providers: &Providers<'_>,
    prices: &PriceList,
    rules: &RuleSections,
) -> Option<Model> {
    field.check_name("model");
    let mut section = field.section()?;
    let provider = section.required("provider", "\"openai\"", |f| provider(f, providers));
    let model_id = section.required("model_id", "\"gpt-4o\"", Field::text);
    let priority = section.or("priority", Field::signed, i64::MAX);
    let max_tokens = section.value("max_tokens", |f| f.whole(1));
    let says_write = section.peek("cost_per_1k_cache_write").is_some();
    let own_price = price(&mut section);
    let listed = model_id.filter(|_| own_price.is_none());
    let listed = listed.and_then(|model_id| prices.by_model_id.get(model_id).copied());
    // A remark for people; the program has no use for it.
    section.value("notes", Field::any_text);
    let context_window = section.value("context_window", |f| f.whole(1));
    let supports = abilities(section.section("supports"));
    let max_in_flight = section.value("max_in_flight", |f| f.whole(1));
    let requests_per_minute = section.value("requests_per_minute", |f| f.whole(1));
    let tokens_per_minute = section.value("tokens_per_minute", |f| f.whole(1));
    let system_prefix = section.value("system_prefix", Field::text).map(str::to_owned);
    let system_suffix = section.value("system_suffix", Field::text).map(str::to_owned);
    let extra = section.or("extra", own_extra, Map::new());
    let rules = rules::of_model(&mut section, rules);
    let provider = provider??;
    let own_price = match own_price {
        Some(price) if !says_write => Some(with_usual_write(price, provider.kind)),
        own_price => own_price,
    };
    Some(Model {
        name: field.key.into(),
        provider,
        model_id: model_id?.to_owned(),
        priority,
        max_tokens,
        price: own_price.or(listed),
        price_is_listed: listed.is_some(),
        context_window,
        supports,
        max_in_flight,
        requests_per_minute,
        tokens_per_minute,
        system_prefix,
        system_suffix,
        extra,
        timeouts: rules.timeouts,
        retry: rules.retry,
        breaker: rules.breaker,
        health: rules.health,
        probe_nearest: rules.probe_nearest,
    })
}

/// The provider of that name; the inner `None` is one whose mistakes are reported elsewhere.
fn provider(field: &Field<'_>, providers: &Providers<'_>) -> Option<Option<Arc<ProviderConfig>>> {
    let name = field.text()?;
    let provider = providers.get(name).cloned();
    if provider.is_none() {
        let names: Vec<_> = providers.keys().copied().collect();
        let problem = format!("{} is not a configured provider", shown(name));
        field.mistake(&problem, suggest::hint(name, &names, "configured providers"));
    }
    provider
}

/// What its keys say about prices; both directions or neither.
pub(super) fn price(section: &mut Section<'_>) -> Option<Price> {
    let input = section.field("cost_per_1k_input");
    let output = section.field("cost_per_1k_output");
    let cached = section.field("cost_per_1k_cached");
    let written = section.field("cost_per_1k_cache_write");
    let [input_price, output_price, cached_price, written_price] =
        [&input, &output, &cached, &written].map(|field| field.as_ref()?.dollars());
    let lonely = match (&input, &output, cached.as_ref().or(written.as_ref())) {
        (Some(field), None, _) => Some((field, "cost_per_1k_output")),
        (None, Some(field), _) | (None, None, Some(field)) => Some((field, "cost_per_1k_input")),
        _ => None,
    };
    if let Some((field, other)) = lonely {
        let hint = format!("add {other}, or 0 if it is free");
        field.key_mistake(&format!("a price without {other}"), hint);
    }
    let (input, output) = (input_price?, output_price?);
    let cached = cached_price.unwrap_or(input);
    Some(Price { input, output, cached, cache_write: written_price.unwrap_or(input) })
}

/// The price of a model whose keys leave out what is written into the cache: Anthropic asks a
/// quarter more for that than for other tokens of the prompt.
fn with_usual_write(price: Price, kind: Kind) -> Price {
    match kind {
        Kind::Anthropic => Price { cache_write: Nano(price.input.0 * 5 / 4), ..price },
        _ => price,
    }
}

fn abilities(mut section: Section<'_>) -> Abilities {
    let usual = Abilities::default();
    Abilities {
        tools: section.or("tools", Field::flag, usual.tools),
        images: section.or("images", Field::flag, usual.images),
        json_schema: section.or("json_schema", Field::flag, usual.json_schema),
        temperature: section.or("temperature", Field::flag, usual.temperature),
        prefill: section.or("prefill", Field::flag, usual.prefill),
        reasoning: section.or("reasoning", Field::flag, usual.reasoning),
    }
}

/// Additions of the owner, who may add what a caller may not, but cannot change how answers are read.
fn own_extra(field: &Field<'_>) -> Option<Map<String, Value>> {
    for entry in field.entries()?.iter().filter(|f| matches!(f.key, "stream" | "stream_options")) {
        let hint = "remove it; upstream_stream = \"never\" of the provider turns streams off";
        entry.key_mistake("is decided by fallbackd itself", hint);
    }
    json_object(field)
}

fn json_object(field: &Field<'_>) -> Option<Map<String, Value>> {
    // All of them first: collecting into an option would stop at the first mistake.
    let entries = field.entries()?;
    let values: Vec<_> = entries.iter().map(json).collect();
    let named = entries.iter().zip(values);
    named.map(|(entry, value)| Some((entry.key.to_owned(), value?))).collect()
}

fn json(field: &Field<'_>) -> Option<Value> {
    match field.value.get_ref() {
        DeValue::String(text) => Some(Value::from(&**text)),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(_) => field.signed().map(Value::from),
        DeValue::Float(text) => {
            let number = text.as_str().parse().ok().and_then(Number::from_f64).map(Value::Number);
            number.or_else(|| field.wrong("a number that JSON knows", "1.5"))
        }
        DeValue::Datetime(time) => Some(Value::from(time.to_string())),
        DeValue::Array(_) => field.list(json).map(Value::Array),
        DeValue::Table(_) => json_object(field).map(Value::Object),
    }
}
