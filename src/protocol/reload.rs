//! What reading the configuration again has changed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The answer to `reload`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Reload")]
pub struct Reloaded {
    /// What became of the models.
    pub models: Renewal,
    /// Keys whose new value waits for a restart, such as `daemon.socket`.
    pub needs_restart: Vec<String>,
    /// What is not wrong and still deserves a look.
    pub warnings: Vec<String>,
}

/// What a new table of models changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Renewal {
    /// How many models stayed themselves.
    pub kept: usize,
    /// Models that are new, or new under an old name.
    pub added: Vec<Arc<str>>,
    /// Models that are gone, or gone under a name that stays.
    pub removed: Vec<Arc<str>>,
}
