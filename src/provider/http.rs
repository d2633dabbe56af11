//! Calls over the network: the only file that opens connections to providers.
//!
//! One client with one pool serves all models that share a connect timeout. It follows no
//! redirect, uses no proxy, repeats nothing and unpacks nothing: what a provider says is judged
//! by the table, not by a library. Answers are streamed from providers that can, whatever the caller
//! asked for, so that a silent model is noticed early; a server that refuses to stream is asked
//! again without. Reading is in `receive.rs`; dropping a call closes its connection.
//!
//! A reset on a pooled connection before any byte of the answer is repeated once on a new
//! connection and counts for nothing: the server may have closed it while it lay idle.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::DATE;
use reqwest::{Client, ClientBuilder, Response};

use super::body::Asking;
use super::errors::classify::{Reply, classify};
use super::errors::{shape, transport};
use super::learned::{Learned, Lessons};
use super::patience::{Pace, Until};
use super::prepare::Prepared;
use super::receive::{self, Reading};
use super::resolve::Resolver;
use super::reuse::{self, MarkNew};
use super::{Call, Failure, Provider, Step, Steps};
use crate::config::{Kind, MaxTokensField, Model};
use crate::domain::fault::Fault;
use crate::domain::network::Network;
use crate::domain::time::{Now, Wall, millis};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

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
    /// What its token limit is called.
    limit: MaxTokensField,
    prepared: Result<Rc<Prepared>, Failure>,
    clients: Rc<Clients>,
    learned: Learned,
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

    /// Asks, in another way if a server refuses the first, until an answer begins.
    async fn ask(&self, call: &Call<'_>) -> Result<Reading, Failure> {
        let (entry, limit) = self.entry(call.model)?;
        let prepared = entry.prepared()?;
        let pace = Pace::start(call.limits);
        let asking = if call.model.provider.streams { Asking::STREAM } else { Asking::WHOLE };
        let mut lessons = Lessons::begin(&entry.learned, asking, (self.clock)().mono);
        let mut renewed = false;
        loop {
            let asking = lessons.asking;
            let until = if asking.streams() { pace.first() } else { pace.complete() };
            let response = self.send(&entry, call, asking, until).await?;
            if response.status().is_success() {
                lessons.keep(call, (self.clock)().mono);
                let prepared = Rc::clone(prepared);
                return Reading::begin(prepared, response, pace, limit, asking.streams()).await;
            }
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let body = receive::head(response).await;
            let reply = Reply { status, headers: &headers, body: &body };
            let now = (self.clock)().wall;
            let failure = classify(&reply, &prepared.secrets(), now);
            // Keys that have ended are no failure of the model's.
            if failure.fault == Fault::Auth && !renewed && prepared.refused(now) {
                renewed = true;
                continue;
            }
            if !lessons.learn(call, &failure, &shape::read(&body)) {
                return Err(failure);
            }
        }
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
        entry: &Entry,
        call: &Call<'_>,
        asking: Asking,
        until: Until,
    ) -> Result<Response, Failure> {
        let prepared = entry.prepared()?;
        let body = Bytes::from(prepared.format.body(&asking.call(call), asking)?);
        until.wait(&prepared.host, prepared.ready((self.clock)().wall)).await??;
        let result =
            until.wait(&prepared.host, self.execute(entry, prepared, body, asking)).await?;
        match result {
            Ok(response) => {
                self.network.borrow_mut().answered();
                Ok(response)
            }
            Err(error) => Err(self.no_answer(prepared, &error)),
        }
    }

    async fn execute(
        &self,
        entry: &Entry,
        prepared: &Prepared,
        body: Bytes,
        asking: Asking,
    ) -> reqwest::Result<Response> {
        let request = || prepared.request(body.clone(), asking.streams(), (self.clock)().wall);
        let (result, is_new) = reuse::watch(entry.clients.pooled.execute(request())).await;
        match result {
            Err(error) if !is_new && transport::is_reset(&error, &prepared.host) => {
                entry.clients.fresh().execute(request()).await
            }
            result => result,
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
        failure.message = prepared.secrets().clean(&failure.message);
        failure
    }
}

/// What an address says to a request that costs nothing.
pub struct Look {
    /// The host that was asked.
    pub host: String,
    /// HTTP status of the answer.
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
    fn call<'a>(&'a self, call: Call<'a>) -> Steps<'a> {
        Box::pin(futures_util::stream::unfold(Calling::Asking(self, call), Calling::step))
    }

    fn learned(&self, model: &str) -> Vec<String> {
        let setup = self.setup.borrow();
        let entry = setup.models.get(model);
        let words = |entry: &Rc<Entry>| entry.learned.words(entry.limit, (self.clock)().mono);
        entry.map(words).unwrap_or_default()
    }
}

/// A call between two of its steps.
#[expect(
    clippy::large_enum_variant,
    reason = "every call reads; a box would cost each an allocation"
)]
enum Calling<'a> {
    /// Nothing was sent yet.
    Asking(&'a Http, Call<'a>),
    /// Its answer has begun.
    Reading(Reading),
    /// Its end was told.
    Over,
}

impl Calling<'_> {
    async fn step(self) -> Option<(Step, Self)> {
        let reading = match self {
            Calling::Asking(http, call) => match http.ask(&call).await {
                Ok(reading) => reading,
                Err(failure) => return Some((Step::End(Err(failure)), Calling::Over)),
            },
            Calling::Reading(reading) => reading,
            Calling::Over => return None,
        };
        let (step, more) = reading.step().await;
        Some((step, more.map_or(Calling::Over, Calling::Reading)))
    }
}

impl Entry {
    fn prepared(&self) -> Result<&Rc<Prepared>, Failure> {
        self.prepared.as_ref().map_err(Clone::clone)
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
            let entry = Entry {
                kind: model.provider.kind,
                limit: model.provider.max_tokens_field,
                prepared: Prepared::new(model).map(Rc::new),
                clients,
                learned: Learned::default(),
            };
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
pub(super) fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests;
