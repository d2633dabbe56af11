//! A configuration that cannot be wrong: what the rest of the program sees.
//!
//! These values exist only after every check has passed. How they are read from TOML, and how
//! mistakes are explained, is the business of the other files of this folder.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::Kind;
use crate::domain::accept::Accept;
use crate::domain::breaker;
use crate::domain::ceiling::Ceilings;
use crate::domain::need::Abilities;
use crate::domain::price::Price;
use crate::domain::shadow;

/// Everything the daemon is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Files, socket and who may steer.
    pub daemon: Daemon,
    /// Limits of the socket and of memory.
    pub limits: Limits,
    /// Defaults for requests that do not say.
    pub request: RequestDefaults,
    /// How long health data is kept, for all models.
    pub retention: Duration,
    /// Copies of requests.
    pub shadow: shadow::ShadowRules,
    /// The ledger.
    pub costs: Costs,
    /// The health log.
    pub log: Log,
    /// The database.
    pub store: Store,
    /// All models, by priority and then by name.
    pub models: Vec<Arc<Model>>,
    /// Chains by task, `default` included when configured.
    pub chains: BTreeMap<String, Arc<Chain>>,
    /// The day of the built-in price list, such as `2026-11-20`.
    pub prices_as_of: String,
}

/// `[daemon]`
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Path of the Unix socket.
    pub socket: PathBuf,
    /// Permission bits of the socket, such as 0o660.
    pub socket_mode: u32,
    /// Name of the group that owns the socket.
    pub socket_group: Option<String>,
    /// Where the database and reports live.
    pub state_dir: PathBuf,
    /// The health log.
    pub health_log: PathBuf,
    /// How long running requests may go on after a stop was asked for.
    pub drain_timeout: Duration,
    /// Users, beside root and the daemon's own, who may use control operations.
    pub admin_uids: Vec<u32>,
    /// Groups whose members may use control operations.
    pub admin_gids: Vec<u32>,
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request line, in bytes without the newline.
    pub line_bytes: usize,
    /// Most connections at once.
    pub connections: usize,
    /// Most unanswered requests of one connection; beyond it the connection is not read.
    pub requests_per_connection: usize,
    /// Most unanswered requests in all; beyond it requests are refused.
    pub in_flight: usize,
    /// Most bytes of unanswered request lines in all.
    pub request_bytes_total: usize,
    /// Largest answer body taken from a provider.
    pub response_bytes: usize,
    /// Most unanswered requests of one user; `None` for no such limit.
    pub requests_per_uid: Option<usize>,
    /// A started line must be complete within this time, while the server reads.
    pub line_timeout: Duration,
    /// A client that takes no bytes for this long is dropped.
    pub reader_timeout: Duration,
}

/// `[request]`
#[derive(Clone, Debug)]
pub struct RequestDefaults {
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Sampling temperature, 0 to 2.
    pub temperature: f64,
    /// Deadline of a request.
    pub timeout: Duration,
    /// What happens to a task without a chain.
    pub unknown_task: UnknownTask,
}

/// What happens to a task without a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownTask {
    /// It uses the `default` chain.
    Default,
    /// It is an error.
    Reject,
}

/// `[costs]`
#[derive(Clone, Debug)]
pub struct Costs {
    /// How long the ledger is kept.
    pub retention: Duration,
    /// Whose weeks are reported; `None` for the machine's own time zone.
    pub timezone: Option<String>,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// Size at which the health log is rotated, in bytes.
    pub max_size: u64,
    /// How many rotated files are kept.
    pub keep: u32,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    /// Size above which the database is rewritten, in bytes.
    pub max_size: u64,
}

/// One `[providers.NAME]`.
#[derive(Clone)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its wire format.
    pub kind: Kind,
    /// Everything before `/chat/completions`, `/v1/messages` or `/models/…`; no slash at the end.
    pub base_url: String,
    /// How the key is sent.
    pub auth: Auth,
    /// The key; `None` when none is needed or it is missing.
    pub key: Option<SecretString>,
    /// Why calls cannot work, when they cannot: shown to people, names no secret.
    pub misconfigured: Option<String>,
    /// Extra request headers. Values may be secret.
    pub headers: Vec<(String, SecretString)>,
    /// Extra query parameters. Values may be secret.
    pub query: Vec<(String, SecretString)>,
    /// Name of the token limit in OpenAI-style bodies.
    pub max_tokens_field: MaxTokensField,
    /// Whether answers are streamed from it, whatever the caller wants.
    pub streams: bool,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`
    XApiKey,
    /// `api-key: KEY`
    ApiKey,
    /// `x-goog-api-key: KEY`
    XGoogApiKey,
    /// Not at all.
    None,
}

/// Name of the token limit in OpenAI-style bodies, already decided for this provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_tokens`
    MaxTokens,
    /// `max_completion_tokens`
    MaxCompletionTokens,
}

/// One `[models.NAME]` with the sections it overrides already applied.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// Its name at the provider.
    pub model_id: String,
    /// Place in the order when no chain is configured; smaller comes first.
    pub priority: i64,
    /// Most tokens of an answer that this model gives.
    pub max_tokens: Option<u32>,
    /// What it costs, where known.
    pub price: Option<Price>,
    /// Whether that is the built-in list's word.
    pub price_is_listed: bool,
    /// Longest prompt and answer together, in tokens, where known.
    pub context_window: Option<u64>,
    /// What it can do.
    pub supports: Abilities,
    /// Most calls at once.
    pub max_in_flight: Option<u32>,
    /// Most calls begun in any minute.
    pub requests_per_minute: Option<u32>,
    /// Most tokens, prompt and answer, in any minute.
    pub tokens_per_minute: Option<u64>,
    /// Put before all system messages.
    pub system_prefix: Option<String>,
    /// Put behind all system messages.
    pub system_suffix: Option<String>,
    /// Merged into the body of every call.
    pub extra: Map<String, Value>,
    /// Limits on waiting.
    pub timeouts: Timeouts,
    /// Repeats and waits.
    pub retry: Retry,
    /// When its circuit opens and closes.
    pub breaker: breaker::Rules,
    /// When it counts as degraded.
    pub health: Health,
    /// Whether a request may try it early when every circuit is open.
    pub probe_nearest: bool,
}

/// `[timeouts]`
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// To establish a connection.
    pub connect: Duration,
    /// Until the first content of a streamed answer.
    pub first_token: Duration,
    /// Between two pieces of content of a streamed answer.
    pub idle: Duration,
    /// For a whole call.
    pub attempt: Duration,
}

/// `[retry]`
#[derive(Clone, Debug)]
pub struct Retry {
    /// Repeats on the same model for one request.
    pub max: u32,
    /// First wait.
    pub base: Duration,
    /// Longest wait.
    pub cap: Duration,
    /// Longest wait hint of a provider that is waited for.
    pub wait_for_retry_after: Duration,
}

/// `[health]`
#[derive(Clone, Debug)]
pub struct Health {
    /// How far back calls are looked at.
    pub window: Duration,
    /// Success rate below which a model is degraded, 0 to 1.
    pub degraded_below: f64,
    /// Decided calls below which nothing is said.
    pub min_calls: u32,
}

/// One chain.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Names of its models, in order.
    pub models: Vec<Arc<str>>,
    /// Deadline for requests of this task that do not bring their own.
    pub timeout: Option<Duration>,
    /// The first system message of its requests.
    pub system: Option<Arc<str>>,
    /// What its answers must be.
    pub accept: Option<Arc<Accept>>,
    /// What calls may cost.
    pub ceilings: Ceilings,
    /// How long a call may take to its first content before another model is called beside it;
    /// `None` for never.
    pub hedge_after: Option<Duration>,
}

impl Provider {
    /// The key, for the one who sends it and for comparison; never to be shown.
    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(ExposeSecret::expose_secret)
    }
}

/// Shows no key, no header value and no query value.
impl fmt::Debug for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Provider")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
