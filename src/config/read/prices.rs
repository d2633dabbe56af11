//! The price list that is built into the program.
//!
//! `config/prices.toml` is read like a configuration, with the same checks; that it has no mistake
//! is a test's business, so here a mistake merely leaves a price out. Prices match by exactly the
//! `model_id`: a dated or renamed model may well have another price than its namesake.

use std::collections::HashMap;

use toml::de::DeTable;

use super::field::Field;
use super::models;
use super::section::Section;
use crate::config::finding::Report;
use crate::domain::price::Price;

const FILE: &str = "config/prices.toml";
const TEXT: &str = include_str!("../../../config/prices.toml");

pub(super) struct PriceList {
    /// The day they were looked up.
    pub(super) as_of: String,
    pub(super) by_model_id: HashMap<String, Price>,
}

/// The list that this program was built with.
pub(super) fn built_in() -> PriceList {
    read(&Report::new(FILE, TEXT))
}

fn read(report: &Report<'_>) -> PriceList {
    let (tree, errors) = DeTable::parse_recoverable(TEXT);
    for error in &errors {
        report.mistake(error.span().map_or(0, |span| span.start), error.message(), "");
    }
    let mut root = Section::root(report, tree.get_ref());
    let as_of = root.required("as_of", "\"2026-11-20\"", Field::text).unwrap_or_default();
    let entries = root.entries("models");
    let prices = entries
        .iter()
        .filter_map(|field| Some((field.key.to_owned(), models::price(&mut field.section()?)?)));
    PriceList { as_of: as_of.to_owned(), by_model_id: prices.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_has_no_mistake_and_a_date() {
        let report = Report::new(FILE, TEXT);
        let list = read(&report);
        assert_eq!(report.into_findings(), (Vec::new(), Vec::new()));
        assert!(list.as_of.parse::<jiff::civil::Date>().is_ok(), "{}", list.as_of);
        assert!(list.by_model_id.len() >= 30, "{}", list.by_model_id.len());
    }

    #[test]
    fn no_answer_is_cheaper_than_its_prompt_and_no_cache_dearer_than_none() {
        for (model_id, price) in built_in().by_model_id {
            assert!(price.output >= price.input, "{model_id}");
            assert!(price.cached <= price.input, "{model_id}");
            let written = if model_id.starts_with("claude") { 5 } else { 4 };
            assert_eq!(price.cache_write.0, price.input.0 / 4 * written, "{model_id}");
        }
    }
}
