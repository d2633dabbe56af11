//! Where connections may go: every address but those of this link and of cloud metadata.
//!
//! Addresses of providers come from the configuration, yet a name may resolve to anything. The
//! metadata services of clouds hand out credentials to whoever asks, and live on link-local
//! addresses; nothing there is a model, so connections to them are refused for all names.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A metadata service outside of the link-local ranges.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The system's resolver, without the refused addresses.
pub(super) struct Resolver;

/// Why a name gave no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the name cannot be resolved")]
    Lookup(#[source] io::Error),
    /// All addresses are refused.
    #[error("the name leads to a link-local or metadata address")]
    Refused,
}

impl ResolveError {
    /// Whether no resolver could be asked, so that nothing is known about the name.
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            // There is no other sign of it in std than the text of the C library.
            ResolveError::Lookup(error) => {
                let text = error.to_string();
                text.contains("Temporary failure") || text.contains("Try again")
            }
            ResolveError::Refused => false,
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found =
                tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveError::Lookup)?;
            let allowed: Vec<SocketAddr> = found.filter(|a| !is_refused(a.ip())).collect();
            if allowed.is_empty() {
                return Err(ResolveError::Refused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether connections to this address are refused.
pub(super) fn is_refused(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_notation() {
        for text in
            ["169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"]
        {
            assert!(is_refused(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "1.1.1.1"] {
            assert!(!is_refused(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn loopback_names_resolve() {
        let mut found = Resolver.resolve("localhost".parse().unwrap()).await.ok().unwrap();
        assert!(found.next().unwrap().ip().is_loopback());
    }
}
