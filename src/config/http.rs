//! What `[http]` says: how programs of other protocols are served.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;

/// How programs that speak HTTP are served.
#[derive(Clone, Debug)]
pub(crate) struct HttpRules {
    /// The loopback address to listen on beside the socket; `None` for the socket alone.
    pub(crate) listen: Option<SocketAddr>,
    /// What programs on TCP show; `None` where the daemon makes one itself.
    pub(crate) token: Option<SecretString>,
    /// Largest body of a request, in bytes.
    pub(crate) body_bytes: usize,
    pub(crate) aliases: Vec<Alias>,
    /// Whether a name that nothing goes by stands for the default chain.
    pub(crate) unknown_is_default: bool,
    /// Longest wait that programs are asked to sit out; above it they are told to stop.
    pub(crate) retry_after_max: Duration,
    /// Whether a tool that a provider would run itself makes a request a bad one.
    pub(crate) refuses_hosted_tools: bool,
}

/// A name that stands for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    /// The name, or what names begin with.
    pub(crate) name: String,
    pub(crate) is_prefix: bool,
    pub(crate) task: String,
}

impl HttpRules {
    /// The task that a name stands for: the name itself first, then the longest beginning.
    pub(crate) fn task_of(&self, name: &str) -> Option<&str> {
        let exact = self.aliases.iter().find(|alias| !alias.is_prefix && alias.name == name);
        let begins = self.aliases.iter().filter(|alias| alias.is_prefix);
        let begins = begins.filter(|alias| name.starts_with(&alias.name));
        let found = exact.or_else(|| begins.max_by_key(|alias| alias.name.len()));
        found.map(|alias| alias.task.as_str())
    }
}
