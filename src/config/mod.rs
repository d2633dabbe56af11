//! The configuration file, each mistake explained.
//!
//! [`load`] is the one way in: text becomes a spanned TOML tree, the readers in `read` turn it
//! into the types of this module, and whatever is wrong is collected, never thrown, so that one
//! run reports all of it with file, line, column and a hint. Nothing here opens a socket or talks
//! to a provider, and no value that may be secret is ever part of a message.

mod aws;
mod env;
mod file;
mod finding;
mod http;
pub(crate) mod key;
mod kind;
pub mod locate;
mod reach;
mod read;
mod suggest;
mod types;
pub(crate) mod vertex;

pub(crate) use aws::{AwsKeys, AwsProfile, AwsSource, Container, InProfile, Signing, WebIdentity};
pub use env::Env;
pub use finding::{Finding, Mistakes, Place};
pub(crate) use http::{Alias, HttpRules};
pub(crate) use key::Key;
pub use kind::Kind;
pub(crate) use reach::{Proxy, Roots};
pub use types::*;

use std::fmt::Write;
use std::path::Path;

use finding::Report;

/// A valid configuration and what is worth knowing about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the program sees.
    pub config: Config,
    /// What works, but probably not as wished: a missing key, a setting without effect.
    pub warnings: Vec<Finding>,
}

/// Reads the file at `path`, and those it names. Whoever must not stand still meanwhile calls it
/// on a thread of its own: a path may lead to a pipe, or to a disk far away.
pub fn load(path: &Path, env: &Env) -> Result<Loaded, Mistakes> {
    let name = path.display().to_string();
    let bytes = file::read(path).map_err(|error| Mistakes::unreadable(&name, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        Mistakes::not_utf8(&name, &String::from_utf8_lossy(&error.as_bytes()[..good]))
    })?;
    parse(&text, &name, env)
}

/// Reads a configuration that is already in memory. `file_name` stands in messages, and paths of
/// key files are taken relative to its folder.
pub fn parse(text: &str, file_name: &str, env: &Env) -> Result<Loaded, Mistakes> {
    let report = Report::new(file_name, text);
    let config = read::document(text, &report, env);
    let (mistakes, warnings) = report.into_findings();
    match config {
        Some(config) if mistakes.is_empty() => Ok(Loaded { config, warnings }),
        _ => Err(Mistakes { list: mistakes }),
    }
}

/// What `fallbackd --check` prints about the file at `path`, and whether it is valid.
pub fn check_report(path: &Path, env: &Env) -> (String, bool) {
    let loaded = match load(path, env) {
        Ok(loaded) => loaded,
        Err(mistakes) => return (mistakes.to_string(), false),
    };
    let mut text = String::new();
    for warning in &loaded.warnings {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}", warning.as_warning());
    }
    let _ = writeln!(text, "{}", summary(&loaded));
    text.push_str(&about_prices(&loaded.config));
    if let Some(notice) = loaded.config.copies_notice() {
        let _ = writeln!(text, "{notice}");
    }
    (text, true)
}

fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let usable = config.models.iter().filter(|model| model.provider.misconfigured.is_none());
    let mut parts = vec![
        finding::counted(config.models.len(), "model"),
        finding::counted(config.chains.len(), "chain"),
    ];
    let unusable = config.models.len() - usable.count();
    if unusable > 0 {
        parts.push(format!("{unusable} of the models cannot be called"));
    }
    if !loaded.warnings.is_empty() {
        parts.push(finding::counted(loaded.warnings.len(), "warning"));
    }
    format!("ok: {}", parts.join(", "))
}

/// Which prices are not the configuration's own.
fn about_prices(config: &Config) -> String {
    let listed = names(config, |model| model.price_is_listed);
    let unknown = names(config, |model| model.price.is_none());
    let mut text = String::new();
    if !listed.is_empty() {
        let date = &config.prices_as_of;
        text = format!("prices from the built-in list of {date}: {listed}\n");
    }
    if !unknown.is_empty() {
        text.push_str(&format!("without prices, so that their costs are not counted: {unknown}\n"));
    }
    text
}

fn names(config: &Config, wanted: fn(&Model) -> bool) -> String {
    let models = config.models.iter().filter(|model| wanted(model));
    models.map(|model| &*model.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
