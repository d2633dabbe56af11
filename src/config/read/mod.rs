//! From TOML text to a [`Config`], one file per group of sections.
//!
//! Begin with [`section`] and [`field`], which do the checking; the other files list keys. They
//! read every section even after a mistake, so that one run reports everything. Only a text that
//! is no TOML at all ends early, since nothing behind a syntax error can be trusted.

mod address;
mod amazon;
mod chains;
mod daemon;
mod field;
mod general;
mod hosts;
mod http;
mod keys;
mod models;
mod prices;
mod providers;
mod reach;
mod rules;
mod section;

use toml::de::{DeTable, Error};

use super::finding::Report;
use super::{Config, Env};
use section::Section;

/// Reads the whole text. `None`, or anything after a mistake was reported, is not to be used.
pub(super) fn document(text: &str, report: &Report<'_>, env: &Env) -> Option<Config> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        syntax(&errors, report);
        return None;
    }
    let mut root = Section::root(report, tree.get_ref());
    let daemon = daemon::read(root.section("daemon"), env);
    let limits = general::limits(root.section("limits"));
    let request = general::request(root.section("request"));
    let costs = general::costs(root.section("costs"));
    let log = general::log(root.section("log"));
    let store = general::store(root.section("store"));
    let rules = rules::global(&mut root);
    let shadow = general::shadow(root.section("shadow"));
    let providers = providers::read(&mut root, env);
    let prices = prices::built_in();
    let models = models::read(&mut root, &providers, &prices, &rules);
    let chains = chains::read(&mut root, &models.names);
    let http = http::read(root.section("http"), &chains, env);
    Some(Config {
        daemon,
        limits,
        http,
        request,
        retention: rules.retention,
        shadow,
        costs,
        log,
        store,
        chains,
        models: models.list,
        prices_as_of: prices.as_of,
    })
}

/// The parser goes on behind an error, so later ones on the same line are mostly echoes.
fn syntax(errors: &[Error], report: &Report<'_>) {
    let mut last_line = None;
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let line = report.line(at);
        if last_line.replace(line) == Some(line) {
            continue;
        }
        report.mistake(at, error.message(), syntax_hint(error.message()));
    }
}

fn syntax_hint(message: &str) -> &'static str {
    if message.contains("duplicate") {
        return "make one of the two, or give one another name";
    }
    if message.contains("quoted") {
        return "words, durations and sizes stand in quotes, such as \"5m\"";
    }
    "this line is not TOML; the other checks follow once it is"
}
