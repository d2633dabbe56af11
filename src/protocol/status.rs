//! How the recorder is doing, as `health` shows it: the log, the database, what went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::calendar::rfc3339_or_null;
use crate::domain::time::Wall;

/// How the recorder is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Status")]
pub struct RecorderStatus {
    /// Where the health log is.
    pub log: String,
    /// Lines written to the health log since the start.
    pub lines: u64,
    /// Lines that could not be written.
    pub dropped: u64,
    /// Replies that were sent before their line was written, because that took too long.
    pub late: u64,
    /// Why the health log cannot be written just now.
    pub log_error: Option<String>,
    /// What somebody did to the health log, and which lines are missing or unreadable.
    pub log_damage: Option<String>,
    /// How the database is doing.
    pub store: StoreState,
    /// Why the database cannot be used just now.
    pub store_error: Option<String>,
    /// Where a damaged database was put at or since the start.
    pub store_put_aside: Option<String>,
    /// Why the database is larger than it should be, or what was given up since the start so that
    /// it is not.
    pub store_size: Option<String>,
    /// When changed rows last became durable.
    #[serde(with = "rfc3339_or_null")]
    #[schemars(with = "Option<String>")]
    pub last_checkpoint: Option<Wall>,
    /// Rows that were unreadable or had to be given up.
    pub rows_lost: u64,
    /// Failures of the log and the database since the start.
    pub errors: u64,
}

/// State of the database.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, JsonSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// It takes what it is given.
    Ok,
    /// It failed after it had worked; rows wait in memory until it is open again.
    Degraded,
    /// It could not be opened yet; rows wait in memory.
    #[default]
    Absent,
}

impl StoreState {
    /// Its name in replies.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
