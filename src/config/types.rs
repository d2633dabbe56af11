//! A configuration that cannot be wrong: what the rest of the program sees.
//!
//! These values exist only after every check has passed. How they are read from TOML, and how
//! mistakes are explained, is the business of the other files of this folder.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{HttpRules, Key, Kind, Proxy, Roots, Signing};
use crate::domain::accept::Accept;
use crate::domain::breaker;
use crate::domain::ceiling::Ceilings;
use crate::domain::need::Abilities;
use crate::domain::price::Price;
use crate::domain::shadow;

/// Everything the daemon is told.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) daemon: Daemon,
    pub(crate) limits: LimitsConfig,
    pub(crate) http: HttpRules,
    /// Defaults for requests that do not say.
    pub(crate) request: RequestDefaults,
    /// How long health data is kept, for all models.
    pub(crate) retention: Duration,
    pub(crate) shadow: shadow::ShadowRules,
    pub(crate) costs: CostsConfig,
    pub(crate) log: Log,
    pub(crate) store: StoreConfig,
    /// All models, by priority and then by name.
    pub models: Vec<Arc<Model>>,
    /// Chains by task, `default` included when configured.
    pub chains: BTreeMap<String, Arc<ChainConfig>>,
    /// The day of the built-in price list, such as `2026-11-20`.
    pub(crate) prices_as_of: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    pub(crate) socket: PathBuf,
    /// Permission bits of the socket, such as 0o660.
    pub(crate) socket_mode: u32,
    /// Name of the group that owns the socket.
    pub(crate) socket_group: Option<String>,
    /// Where the database and reports live.
    pub(crate) state_dir: PathBuf,
    pub(crate) health_log: PathBuf,
    /// How long running requests may go on after a stop was asked for.
    pub(crate) drain_timeout: Duration,
    /// Users, beside root and the daemon's own, who may use control operations.
    pub(crate) admin_uids: Vec<u32>,
    /// Groups whose members may use control operations.
    pub(crate) admin_gids: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitsConfig {
    /// Longest request line, in bytes without the newline.
    pub(crate) line_bytes: usize,
    /// Most connections at once.
    pub(crate) connections: usize,
    /// Most unanswered requests of one connection; beyond it the connection is not read.
    pub(crate) requests_per_connection: usize,
    /// Most unanswered requests in all; beyond it requests are refused.
    pub(crate) in_flight: usize,
    /// Most bytes of unanswered request lines in all.
    pub(crate) request_bytes_total: usize,
    /// Largest answer body taken from a provider.
    pub(crate) response_bytes: usize,
    /// Most unanswered requests of one user; `None` for no such limit.
    pub(crate) requests_per_uid: Option<usize>,
    /// A started line must be complete within this time, while the server reads.
    pub(crate) line_timeout: Duration,
    /// A client that takes no bytes for this long is dropped.
    pub(crate) reader_timeout: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct RequestDefaults {
    /// Most tokens of an answer; `None` for as many as its model gives.
    pub(crate) max_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2; `None` for the model's own.
    pub(crate) temperature: Option<f64>,
    pub(crate) timeout: Duration,
    /// The longest that a request may ask for.
    pub(crate) timeout_max: Duration,
    pub(crate) unknown_task: UnknownTask,
}

/// What happens to a task without a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownTask {
    Default,
    Reject,
}

#[derive(Clone, Debug)]
pub(crate) struct CostsConfig {
    /// How long the ledger is kept.
    pub(crate) retention: Duration,
    /// Whose weeks are reported; `None` for the machine's own time zone.
    pub(crate) timezone: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Size at which the health log is rotated, in bytes.
    pub(crate) max_size: u64,
    /// How many rotated files are kept.
    pub(crate) keep: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct StoreConfig {
    /// Size above which the database is rewritten, in bytes.
    pub(crate) max_size: u64,
}

/// One `[providers.NAME]`, its key fetched.
#[derive(Clone)]
pub(crate) struct ProviderConfig {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    /// Everything before `/chat/completions`, `/v1/messages` or `/models/…`; no slash at the end.
    pub(crate) base_url: String,
    pub(crate) auth: Auth,
    /// The keys, used in turn; none when none is needed or all are missing.
    pub(crate) keys: Vec<Key>,
    /// How its calls are signed, where no key is sent.
    pub(crate) signing: Option<Signing>,
    /// Why calls cannot work, when they cannot: shown to people, names no secret.
    pub(crate) misconfigured: Option<String>,
    /// Extra request headers. Values may be secret.
    pub(crate) headers: Vec<(String, SecretString)>,
    /// Extra query parameters. Values may be secret.
    pub(crate) query: Vec<(String, SecretString)>,
    /// Name of the token limit in OpenAI-style bodies.
    pub(crate) max_tokens_field: MaxTokensField,
    /// Whether it is told to cache tools and instructions of callers who say nothing of it.
    pub(crate) caches_prompts: bool,
    /// Whether answers are streamed from it, whatever the caller wants.
    pub(crate) streams: bool,
    /// The HTTP proxy that calls go through.
    pub(crate) proxy: Option<Proxy>,
    /// Who is trusted beside those whom the system trusts.
    pub(crate) roots: Option<Arc<Roots>>,
    /// Whether the proper end of a stream finishes an answer that has no finish value.
    pub(crate) done_ends_stream: bool,
    /// Whether its word is taken for what a call cost.
    pub(crate) trusts_cost: bool,
}

/// How a key is sent: the header that it stands in, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Bearer,
    XApiKey,
    ApiKey,
    XGoogApiKey,
    /// Not a key but a signature, which Amazon calls version 4.
    Signed,
    None,
}

/// Name of the token limit in OpenAI-style bodies, already decided for this provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxTokensField {
    MaxTokens,
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The field as a body names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    /// The other of the two.
    pub(crate) fn other(self) -> MaxTokensField {
        match self {
            MaxTokensField::MaxTokens => MaxTokensField::MaxCompletionTokens,
            MaxTokensField::MaxCompletionTokens => MaxTokensField::MaxTokens,
        }
    }
}

/// One `[models.NAME]` with the sections it overrides already applied.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) name: Arc<str>,
    pub(crate) provider: Arc<ProviderConfig>,
    /// Its name at the provider.
    pub(crate) model_id: String,
    /// Place in the order when no chain is configured; smaller comes first.
    pub(crate) priority: i64,
    /// Most tokens of an answer that this model gives.
    pub(crate) max_tokens: Option<u32>,
    /// What it costs, where known.
    pub(crate) price: Option<Price>,
    /// Whether that is the built-in list's word.
    pub(crate) price_is_listed: bool,
    /// Longest prompt and answer together, in tokens, where known.
    pub(crate) context_window: Option<u64>,
    pub(crate) supports: Abilities,
    /// Most calls at once.
    pub(crate) max_in_flight: Option<u32>,
    /// Most calls begun in any minute.
    pub(crate) requests_per_minute: Option<u32>,
    /// Most tokens, prompt and answer, in any minute.
    pub(crate) tokens_per_minute: Option<u64>,
    /// Put before all system messages.
    pub(crate) system_prefix: Option<String>,
    /// Put behind all system messages.
    pub(crate) system_suffix: Option<String>,
    /// Merged into the body of every call.
    pub(crate) extra: Map<String, Value>,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: Retry,
    pub(crate) breaker: breaker::Rules,
    pub(crate) health: HealthConfig,
    /// Whether a request may try it early when every circuit is open.
    pub(crate) probe_nearest: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    /// Until the first content of a streamed answer.
    pub(crate) first_token: Duration,
    /// Between two pieces of content of a streamed answer.
    pub(crate) idle: Duration,
    pub(crate) attempt: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Retry {
    /// Repeats on the same model for one request.
    pub(crate) max: u32,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    /// Longest wait hint of a provider that is waited for.
    pub(crate) wait_for_retry_after: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct HealthConfig {
    /// How far back calls are looked at.
    pub(crate) window: Duration,
    /// Success rate below which a model is degraded, 0 to 1.
    pub(crate) degraded_below: f64,
    /// Decided calls below which nothing is said.
    pub(crate) min_calls: u32,
}

/// The models that serve a task, and what holds for its requests.
#[derive(Clone, Debug, Default)]
pub struct ChainConfig {
    pub(crate) models: Vec<Arc<str>>,
    /// Deadline for requests of this task that do not bring their own.
    pub(crate) timeout: Option<Duration>,
    /// The first system message of its requests.
    pub(crate) system: Option<Arc<str>>,
    /// What its answers must be.
    pub(crate) accept: Option<Arc<Accept>>,
    pub(crate) ceilings: Ceilings,
    /// How long a call may take to its first content before another model is called beside it;
    /// `None` for never.
    pub(crate) hedge_after: Option<Duration>,
}

impl ProviderConfig {
    /// Whether its calls prove in the same way who they come from as another one's.
    pub(crate) fn has_keys_of(&self, other: &ProviderConfig) -> bool {
        self.keys == other.keys && self.signing == other.signing
    }
}

impl Config {
    /// What is to be known of copies to backups; `None` where there are none.
    pub(crate) fn copies_notice(&self) -> Option<String> {
        self.shadow.notice().filter(|_| self.models.len() > 1)
    }
}

/// Shows no key, no header value and no query value.
impl fmt::Debug for ProviderConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Provider")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
