//! HTTP clients, each shared by all models that are reached in the same way.
//!
//! A client follows no redirect, repeats nothing and unpacks nothing. It uses a proxy only where
//! one is configured, whatever the environment says.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder};

use super::resolve::Resolver;
use super::reuse::MarkNew;
use crate::config::{Model, ProviderConfig, Proxy, Roots};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// All that connections depend on beside their address.
#[derive(Clone, PartialEq)]
pub(super) struct Connecting {
    connect: Duration,
    proxy: Option<Proxy>,
    roots: Option<Arc<Roots>>,
}

/// The clients of one way to reach providers.
pub(super) struct Clients {
    pub(super) reach: Connecting,
    pub(super) pooled: Client,
    /// Never uses a connection twice; made when it is first needed.
    fresh: OnceCell<Client>,
}

impl Connecting {
    /// How a model is reached.
    pub(super) fn of(model: &Model) -> Connecting {
        Connecting::within(&model.provider, model.timeouts.connect)
    }

    /// How a provider is reached, with this limit for a connection.
    pub(super) fn within(provider: &ProviderConfig, connect: Duration) -> Connecting {
        Connecting { connect, proxy: provider.proxy.clone(), roots: provider.roots.clone() }
    }

    /// A client that connects in this way.
    pub(super) fn builder(&self) -> reqwest::Result<ClientBuilder> {
        let mut builder = Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .dns_resolver(Resolver)
            .connector_layer(MarkNew);
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.url())?);
        }
        if let Some(roots) = &self.roots {
            let certificates: Result<Vec<_>, _> =
                roots.certificates.iter().map(|der| Certificate::from_der(der)).collect();
            builder = builder.tls_certs_merge(certificates?);
        }
        Ok(builder)
    }
}

impl Clients {
    pub(super) fn new(reach: Connecting) -> reqwest::Result<Rc<Clients>> {
        let pooled = reach.builder()?.build()?;
        Ok(Rc::new(Clients { reach, pooled, fresh: OnceCell::new() }))
    }

    pub(super) fn fresh(&self) -> &Client {
        self.fresh.get_or_init(|| {
            let unpooled =
                self.reach.builder().and_then(|new| new.pool_max_idle_per_host(0).build());
            // The same settings built before, so this does not fail; if it does, the pool serves.
            unpooled.unwrap_or_else(|_| self.pooled.clone())
        })
    }
}
