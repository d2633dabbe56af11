//! Calls over the network: the only file that opens connections.
//!
//! One client with one pool serves all models that share a connect timeout. It follows no
//! redirect, uses no proxy, repeats nothing and unpacks nothing: what a provider says is judged
//! by the table, not by a library. A call reads the whole answer, within one limit over
//! everything; dropping it closes its connection.
//!
//! A reset on a pooled connection before any byte of the answer is repeated once on a new
//! connection and counts for nothing: the server may have closed it while it lay idle.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::DATE;
use reqwest::{Client, ClientBuilder, Response};

use super::classify::{Reply, classify};
use super::prepare::Prepared;
use super::resolve::Resolver;
use super::reuse::{self, MarkNew};
use super::{Call, CallFuture, Failure, Outcome, Provider, anthropic, google, openai, transport};
use crate::config::{Kind, Model};
use crate::domain::fault::Fault;
use crate::domain::network::Network;
use crate::domain::time::{Now, Wall, millis};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Most of an error body that is read.
const ERROR_BYTES: usize = 64 * 1024;

/// How long an error body is waited for.
const ERROR_TIME: Duration = Duration::from_secs(2);

/// Where the time comes from.
pub type Clock = Rc<dyn Fn() -> Now>;

/// Calls providers over HTTP.
pub struct Http {
    clock: Clock,
    network: RefCell<Network>,
    setup: RefCell<Setup>,
}

/// The HTTP client cannot be set up, usually for want of root certificates.
#[derive(Debug, thiserror::Error)]
#[error("the HTTPS client cannot be set up; are root certificates (ca-certificates) installed?")]
pub struct SetupError(#[source] reqwest::Error);

/// All that a reload may change.
struct Setup {
    models: HashMap<Arc<str>, Rc<Entry>>,
    clients: Vec<Rc<Clients>>,
    response_bytes: usize,
}

struct Entry {
    kind: Kind,
    prepared: Result<Prepared, Failure>,
    clients: Rc<Clients>,
}

/// The clients of one connect timeout.
struct Clients {
    connect: Duration,
    pooled: Client,
    /// Never uses a connection twice; made when it is first needed.
    fresh: OnceCell<Client>,
}

impl Http {
    /// Prepares calls to these models; answers above `response_bytes` are refused.
    pub fn new(
        models: &[Arc<Model>],
        response_bytes: usize,
        clock: Clock,
    ) -> Result<Http, SetupError> {
        install_crypto();
        let setup = Setup::new(models, response_bytes, &[])?;
        Ok(Http { clock, network: RefCell::default(), setup: RefCell::new(setup) })
    }

    /// Takes new settings. Calls under way keep the old ones; pooled connections are kept.
    pub fn update(&self, models: &[Arc<Model>], response_bytes: usize) -> Result<(), SetupError> {
        let setup = Setup::new(models, response_bytes, &self.setup.borrow().clients)?;
        self.setup.replace(setup);
        Ok(())
    }

    async fn run(&self, call: Call<'_>) -> Outcome {
        let (entry, response_bytes) = self.entry(call.model)?;
        let prepared = entry.prepared.as_ref().map_err(Clone::clone)?;
        let kind = entry.kind;
        let body = Bytes::from(match kind {
            Kind::OpenAi => openai::body(&call),
            Kind::Anthropic => anthropic::body(&call),
            Kind::Google => google::body(&call),
        }?);
        let exchange = async {
            let response = self.send(&entry.clients, prepared, body).await?;
            self.read(prepared, kind, response, response_bytes).await
        };
        let limit = call.limits.complete.min(call.limits.whole);
        tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(limit);
            let what = format!("no complete answer from {} within {limit}", prepared.host);
            Err(Failure::new(Fault::Timeout, what))
        })
    }

    /// What was prepared for the model. A reload may have removed it, or given its name to a model
    /// of another kind, while this request was on its way to it: then the next one is asked, and
    /// nothing is held against anybody.
    fn entry(&self, model: &Model) -> Result<(Rc<Entry>, usize), Failure> {
        let setup = self.setup.borrow();
        let entry = setup.models.get(&model.name).filter(|e| e.kind == model.provider.kind);
        let gone = || Failure::new(Fault::UnsupportedParam, "this model is no longer configured");
        entry.map(|entry| (Rc::clone(entry), setup.response_bytes)).ok_or_else(gone)
    }

    /// Sends the request and waits for the head of the answer.
    async fn send(
        &self,
        clients: &Clients,
        prepared: &Prepared,
        body: Bytes,
    ) -> Result<Response, Failure> {
        let first = clients.pooled.execute(prepared.request(body.clone()));
        let (mut result, is_new) = reuse::watch(first).await;
        if let Err(error) = &result
            && !is_new
            && transport::before_answer(error, &prepared.host).fault == Fault::Reset
        {
            result = clients.fresh().execute(prepared.request(body)).await;
        }
        match result {
            Ok(response) => {
                self.network.borrow_mut().answered();
                Ok(response)
            }
            Err(error) => Err(self.no_answer(prepared, &error)),
        }
    }

    fn no_answer(&self, prepared: &Prepared, error: &reqwest::Error) -> Failure {
        let mut failure = transport::before_answer(error, &prepared.host);
        let now = (self.clock)().mono;
        if failure.fault == Fault::Connect
            && self.network.borrow_mut().failed(&prepared.provider, now)
        {
            failure.fault = Fault::NoNetwork;
            failure.message += "; other providers cannot be reached either";
        }
        failure.message = prepared.secrets.clean(&failure.message);
        failure
    }

    async fn read(
        &self,
        prepared: &Prepared,
        kind: Kind,
        response: Response,
        response_bytes: usize,
    ) -> Outcome {
        let status = response.status();
        if status.is_success() {
            let body = whole(response, response_bytes).await?;
            return match kind {
                Kind::OpenAi => openai::answer(&body, &prepared.secrets),
                Kind::Anthropic => anthropic::answer(&body, &prepared.secrets),
                Kind::Google => google::answer(&body, &prepared.secrets),
            };
        }
        let headers = response.headers().clone();
        let body = head(response).await;
        let reply = Reply { status: status.as_u16(), headers: &headers, body: &body };
        Err(classify(&reply, &prepared.secrets, (self.clock)().wall))
    }
}

/// What an address says to a request that costs nothing.
pub struct Look {
    /// The host that was asked.
    pub host: String,
    /// HTTP status.
    pub status: u16,
    /// Its clock, where it tells.
    pub date: Option<Wall>,
    /// From the first packet to the head of the answer.
    pub took: Duration,
}

/// Asks for an address without a key and without a body, which nobody can be billed for. Any answer
/// is one: what matters is that somebody is there.
///
/// # Errors
/// When no answer comes within `patience`, with the reason in the words of a failed call.
pub async fn look_at(base_url: &str, patience: Duration) -> Result<Look, Failure> {
    install_crypto();
    let broken = |_| Failure::new(Fault::Connect, "the HTTPS client cannot be set up");
    let client = builder(patience).timeout(patience).build().map_err(broken)?;
    let request = client.get(base_url).build().map_err(broken)?;
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let began = tokio::time::Instant::now();
    let response = match client.execute(request).await {
        Ok(response) => response,
        Err(error) => return Err(transport::before_answer(&error, &host)),
    };
    let date = response
        .headers()
        .get(DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let date = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
    let date = date.map(|since| Wall(millis(since)));
    Ok(Look { host, status: response.status().as_u16(), date, took: began.elapsed() })
}

impl Provider for Http {
    fn call<'a>(&'a self, call: Call<'a>) -> CallFuture<'a> {
        Box::pin(self.run(call))
    }
}

impl Setup {
    fn new(
        models: &[Arc<Model>],
        response_bytes: usize,
        old: &[Rc<Clients>],
    ) -> Result<Setup, SetupError> {
        let mut setup = Setup { models: HashMap::new(), clients: Vec::new(), response_bytes };
        for model in models {
            let clients = setup.clients(model.timeouts.connect, old)?;
            let entry =
                Entry { kind: model.provider.kind, prepared: Prepared::new(model), clients };
            setup.models.insert(Arc::clone(&model.name), Rc::new(entry));
        }
        Ok(setup)
    }

    fn clients(
        &mut self,
        connect: Duration,
        old: &[Rc<Clients>],
    ) -> Result<Rc<Clients>, SetupError> {
        let same = |clients: &&Rc<Clients>| clients.connect == connect;
        if let Some(clients) = self.clients.iter().find(same) {
            return Ok(Rc::clone(clients));
        }
        if let Some(clients) = old.iter().find(same) {
            self.clients.push(Rc::clone(clients));
            return Ok(Rc::clone(clients));
        }
        let pooled = builder(connect).build().map_err(SetupError)?;
        let clients = Rc::new(Clients { connect, pooled, fresh: OnceCell::new() });
        self.clients.push(Rc::clone(&clients));
        Ok(clients)
    }
}

impl Clients {
    fn fresh(&self) -> &Client {
        self.fresh.get_or_init(|| {
            let unpooled = builder(self.connect).pool_max_idle_per_host(0).build();
            // The same settings built before, so this does not fail; if it does, the pool serves.
            unpooled.unwrap_or_else(|_| self.pooled.clone())
        })
    }
}

fn builder(connect: Duration) -> ClientBuilder {
    Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .dns_resolver(Resolver)
        .connector_layer(MarkNew)
}

/// Chooses the cryptography for this process. Another part of it may have chosen already.
fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The whole body of an answer, if it is not too large.
async fn whole(mut response: Response, limit: usize) -> Result<Bytes, Failure> {
    let status = response.status().as_u16();
    let too_large = || {
        let what = format!("the answer is larger than limits.response_bytes ({limit} bytes)");
        Failure::new(Fault::BadBody, what).with_status(status)
    };
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut next =
        async || response.chunk().await.map_err(|error| transport::within_answer(&error, status));
    // Nearly every answer is one piece and needs no copy.
    let Some(first) = next().await? else { return Ok(Bytes::new()) };
    let Some(second) = next().await? else {
        return if first.len() > limit { Err(too_large()) } else { Ok(first) };
    };
    let mut body = BytesMut::from(first);
    body.extend_from_slice(&second);
    while body.len() <= limit {
        match next().await? {
            Some(more) => body.extend_from_slice(&more),
            None => return Ok(body.freeze()),
        }
    }
    Err(too_large())
}

/// The beginning of an error body. One that breaks or dawdles is used as far as it came: the
/// status is known already, and it is the status that counts.
async fn head(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(more)) = response.chunk().await {
            let room = ERROR_BYTES - body.len();
            body.extend_from_slice(&more[..more.len().min(room)]);
            if body.len() == ERROR_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ERROR_TIME, reading).await;
    body
}

#[cfg(test)]
mod tests;
