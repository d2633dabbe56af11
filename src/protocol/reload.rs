//! What reading the configuration again has changed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a new table changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Renewal {
    /// How many models stayed themselves.
    pub kept: usize,
    /// Models that are new, or new under an old name.
    pub added: Vec<Arc<str>>,
    /// Models that are gone, or gone under a name that stays.
    pub removed: Vec<Arc<str>>,
}
