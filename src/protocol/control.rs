//! What operations other than a chat answer, beside `id` and `ok`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::chains::Chains;
use super::costs::Costs;
use super::health::{BreakerOrdered, Health};
use super::reload::Reloaded;
use super::why::Why;

/// What a [`super::request::ControlOp`] is answered.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is the answer of its name")]
pub enum Found {
    Ping(Ping),
    Health(Health),
    Chains(Chains),
    Why(Box<Why>),
    Costs(Box<Costs>),
    Breaker(BreakerOrdered),
    Reload(Reloaded),
}

/// The answer to `ping`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ping {
    /// Version of the daemon.
    pub version: String,
    /// Version of the protocol, [`super::PROTOCOL`].
    pub protocol: u32,
    /// How long the daemon has run.
    pub uptime_ms: u64,
    /// Process id of the daemon.
    pub pid: u32,
    /// Where programs that take a URL are served over HTTP; absent without such an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub http: Option<SocketAddr>,
}

/// The answer to `cancel`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Cancel")]
pub struct Cancelled {
    /// Whether a request of that id was outstanding.
    pub cancelled: bool,
}

/// The answer to `events`: from now on the connection also gets log lines.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Events")]
pub struct Watching {}
