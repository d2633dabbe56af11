//! `[chains]`: for each task, the models to try and their order.
//!
//! A chain is a list of names, or a table when it has more to say. Without a `default` chain the
//! map simply has none: what an unknown task gets is decided where requests are routed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::accept;
use super::field::Field;
use super::name;
use super::section::Section;
use crate::config::key::shown;
use crate::config::{Chain, suggest};
use crate::domain::ceiling::Ceilings;
use crate::domain::price::Nano;

pub(super) fn read(
    root: &mut Section<'_>,
    models: &BTreeSet<&str>,
) -> BTreeMap<String, Arc<Chain>> {
    let entries = root.entries("chains");
    let chain = |field: &Field<'_>| Some((field.key.to_owned(), Arc::new(chain(field, models)?)));
    entries.iter().filter_map(chain).collect()
}

fn chain(field: &Field<'_>, known: &BTreeSet<&str>) -> Option<Chain> {
    name::check(field, "task");
    let value = field.value.get_ref();
    if value.is_array() {
        let models = models(field, known)?;
        return Some(Chain { models, ..Chain::default() });
    }
    if !value.is_table() {
        return field.wrong("a list of models or a table", "[\"gpt-4o\"]");
    }
    let mut section = field.section()?;
    let models = section.required("models", "[\"gpt-4o\"]", |f| models(f, known));
    let timeout = section.value("timeout", Field::duration);
    let system = section.value("system", Field::text).map(Arc::from);
    let accept = section.value("accept", accept::read).map(Arc::new);
    let nano = |f: &Field<'_>| f.dollars().and_then(Nano::from_dollars);
    let ceilings = Ceilings {
        max_factor: section.value("max_cost_factor", |f| f.number(1.0..=f64::INFINITY)),
        max_cost: section.value("max_cost_usd", nano),
        daily_budget: section.value("daily_budget_usd", nano),
    };
    let hedge_after = section.value("hedge_after", Field::duration);
    section.done();
    Some(Chain { models: models?, timeout, system, accept, ceilings, hedge_after })
}

fn models(field: &Field<'_>, known: &BTreeSet<&str>) -> Option<Vec<Arc<str>>> {
    let items = field.items()?;
    if items.is_empty() {
        field.mistake("a chain needs at least one model", field.example("[\"gpt-4o\"]"));
    }
    let mut seen: Vec<Arc<str>> = Vec::new();
    for item in items {
        let Some(name) = item.text() else { continue };
        if seen.iter().any(|earlier| **earlier == *name) {
            let problem = format!("{} stands in this chain twice", shown(name));
            item.mistake(&problem, "remove one; a repeat on the same model is [retry] max");
        } else if !known.contains(name) {
            let names: Vec<_> = known.iter().copied().collect();
            let problem = format!("{} is not a configured model", shown(name));
            item.mistake(&problem, suggest::hint(name, &names, "configured models"));
        }
        seen.push(name.into());
    }
    Some(seen)
}
