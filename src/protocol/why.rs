//! What `why` answers: the lines of the health log about one request.

use serde::{Deserialize, Serialize};

use super::log::LogLine;

/// The answer to `why`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Why {
    /// The line about the request itself.
    pub request: LogLine,
    /// One line per call that was made for it, in the order of the log.
    pub calls: Vec<LogLine>,
}
