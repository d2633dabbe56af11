//! Calls over the network: the only file that opens connections to providers.
//!
//! What a provider says is judged by the table, not by a library. Which connections are shared is
//! said in `clients.rs`, whose key is used in `keys/mod.rs`, how an attempt goes in `attempt.rs`.
//! Answers are streamed from providers that can, whatever the caller asked for, so that a silent
//! model is noticed early; a server that refuses to stream is asked again without. Reading is in
//! `receive.rs`; dropping a call closes its connection.
//!
//! A reset on a pooled connection before any byte of the answer is repeated once on a new
//! connection and counts for nothing: the server may have closed it while it lay idle.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::Response;
use reqwest::header::DATE;

use super::body::Asking;
use super::clients::{Clients, Connecting};
use super::errors::classify::{self, ErrorResponse, classify};
use super::errors::{proxy, transport};
use super::history;
use super::keys::{Keyring, Pass};
use super::learned::{Learned, Lessons};
use super::patience::{Pace, Until};
use super::prepare::Prepared;
use super::receive::Reading;
use super::reuse;
use super::{Call, Failure, Provider, Steps, whole};
use crate::config::{self, Kind, MaxTokensField, Model};
use crate::domain::fault::Fault;
use crate::domain::network::Network;
use crate::domain::time::{Now, Wall, millis};
use attempt::Calling;

/// Where the time comes from.
pub type TimeSource = Rc<dyn Fn() -> Now>;

/// Calls providers over HTTP.
pub struct Http {
    clock: TimeSource,
    network: RefCell<Network>,
    setup: RefCell<Setup>,
}

/// The HTTP client cannot be set up, usually for want of root certificates.
#[derive(Debug, thiserror::Error)]
#[error("the HTTPS client cannot be set up; are root certificates (ca-certificates) installed?")]
pub struct SetupError(#[source] reqwest::Error);

/// All that a reload may change.
struct Setup {
    models: HashMap<Arc<str>, Rc<CallableModel>>,
    clients: Vec<Rc<Clients>>,
    rings: Vec<Rc<Keyring>>,
    response_bytes: usize,
}

struct CallableModel {
    kind: Kind,
    /// What its token limit is called.
    limit: MaxTokensField,
    prepared: Result<Rc<Prepared>, Failure>,
    clients: Rc<Clients>,
    learned: Learned,
    ring: Rc<Keyring>,
}

impl Http {
    /// Prepares calls to these models; answers above `response_bytes` are refused.
    pub fn new(
        models: &[Arc<Model>],
        response_bytes: usize,
        clock: TimeSource,
    ) -> Result<Http, SetupError> {
        install_crypto();
        let setup = Setup::new(models, response_bytes, None)?;
        Ok(Http { clock, network: RefCell::default(), setup: RefCell::new(setup) })
    }

    /// Takes new settings. Calls under way keep the old ones; pooled connections are kept.
    pub fn update(&self, models: &[Arc<Model>], response_bytes: usize) -> Result<(), SetupError> {
        let setup = Setup::new(models, response_bytes, Some(&self.setup.borrow()))?;
        self.setup.replace(setup);
        Ok(())
    }

    /// Asks, in another way if a server refuses the first, until an answer begins.
    async fn ask_with(
        &self,
        pass: &Pass,
        entry: &CallableModel,
        call: &Call<'_>,
        pace: Pace,
        limit: usize,
        lessons: &mut Lessons,
    ) -> Result<Reading, Failure> {
        let prepared = entry.prepared()?;
        let mut renewed = false;
        loop {
            let asking = lessons.asking;
            let until = if asking.streams() { pace.first() } else { pace.complete() };
            let ready = prepared.ready((self.clock)().wall);
            let generation = until.wait(&prepared.host, ready).await??;
            let response = self.send(pass, entry, call, asking, until).await?;
            if response.status().is_success() {
                let prepared = Rc::clone(prepared);
                let streams = asking.streams();
                match Reading::begin(prepared, response, pace, limit, streams).await {
                    Err(failure) if lessons.learn(call, &failure) => continue,
                    begun => return begun.map_err(|failure| self.timed(failure)),
                }
            }
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let body = whole::error(response).await;
            let reply = ErrorResponse { status, headers: &headers, body: &body };
            let now = (self.clock)().wall;
            let failure = classify(&reply, &prepared.secrets(), now);
            // Keys that have ended are no failure of the model's.
            if failure.fault == Fault::Auth && !renewed && prepared.refused(generation, now) {
                renewed = true;
                continue;
            }
            if !lessons.learn(call, &failure) {
                return Err(failure);
            }
        }
    }

    /// A failure that was told within an answer, where nobody knew what time it is.
    fn timed(&self, failure: Failure) -> Failure {
        classify::timed(failure, (self.clock)().wall)
    }

    /// How a call begins to ask a model.
    fn lessons(&self, call: &Call<'_>, entry: &CallableModel) -> Lessons {
        let asking = if call.model.provider.streams { Asking::STREAM } else { Asking::WHOLE };
        Lessons::begin(&entry.learned, asking, (self.clock)().mono)
    }

    /// What was prepared for the model. A reload may have removed it, or given its name to a model
    /// of another kind, while this request was on its way to it: then the next one is asked, and
    /// nothing is held against anybody.
    fn entry(&self, model: &Model) -> Result<(Rc<CallableModel>, usize), Failure> {
        let setup = self.setup.borrow();
        let entry = setup.models.get(&model.name).filter(|e| e.kind == model.provider.kind);
        let gone = || Failure::new(Fault::UnsupportedParam, "this model is no longer configured");
        entry.map(|entry| (Rc::clone(entry), setup.response_bytes)).ok_or_else(gone)
    }

    /// Sends the request and waits for the head of the answer.
    async fn send(
        &self,
        pass: &Pass,
        entry: &CallableModel,
        call: &Call<'_>,
        asking: Asking,
        until: Until,
    ) -> Result<Response, Failure> {
        let prepared = entry.prepared()?;
        let body = Bytes::from(prepared.format.body(&asking.call(call), asking)?);
        let (streams, clock) = (asking.streams(), &self.clock);
        let request = || prepared.request(body.clone(), streams, &*pass.signer, clock().wall);
        let result = until.wait(&prepared.host, entry.execute(prepared, request)).await?;
        match (result, &prepared.proxy) {
            (Ok(response), Some(proxy)) if response.status() == 407 => {
                Err(proxy::unauthorized(&prepared.host, proxy))
            }
            (Ok(response), _) => {
                self.network.borrow_mut().answered();
                Ok(response)
            }
            (Err(error), _) => Err(self.no_answer(prepared, &error)),
        }
    }

    fn no_answer(&self, prepared: &Prepared, error: &reqwest::Error) -> Failure {
        let mut failure = match &prepared.proxy {
            Some(proxy) => proxy::before_answer_through(error, &prepared.host, proxy),
            None => transport::before_answer(error, &prepared.host),
        };
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
pub struct HostAnswer {
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
pub(crate) async fn look_at(
    provider: &config::ProviderConfig,
    patience: Duration,
) -> Result<HostAnswer, Failure> {
    install_crypto();
    let broken = |_| Failure::new(Fault::Connect, "the HTTPS client cannot be set up");
    let builder = Connecting::within(provider, patience).builder().map_err(broken)?;
    let client = builder.timeout(patience).build().map_err(broken)?;
    let request = client.get(&provider.base_url).build().map_err(broken)?;
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let began = tokio::time::Instant::now();
    let proxy = provider.proxy.as_ref().map(config::Proxy::shown);
    let response = match (client.execute(request).await, proxy) {
        (Ok(response), Some(proxy)) if response.status() == 407 => {
            return Err(proxy::unauthorized(&host, proxy));
        }
        (Ok(response), _) => response,
        (Err(error), Some(proxy)) => {
            return Err(proxy::before_answer_through(&error, &host, proxy));
        }
        (Err(error), None) => return Err(transport::before_answer(&error, &host)),
    };
    let date = response
        .headers()
        .get(DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let date = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
    let date = date.map(|since| Wall(millis(since)));
    Ok(HostAnswer { host, status: response.status().as_u16(), date, took: began.elapsed() })
}

impl Provider for Http {
    fn call<'a>(&'a self, call: Call<'a>) -> Steps<'a> {
        let request = call.request;
        let steps = futures_util::stream::unfold(Calling::Begun(self, call), Calling::step);
        Box::pin(steps.map(|step| history::as_offered(step, request)))
    }

    fn learned(&self, model: &str) -> Vec<String> {
        let setup = self.setup.borrow();
        let entry = setup.models.get(model);
        let words =
            |entry: &Rc<CallableModel>| entry.learned.words(entry.limit, (self.clock)().mono);
        entry.map(words).unwrap_or_default()
    }
}

impl CallableModel {
    async fn execute(
        &self,
        prepared: &Prepared,
        request: impl Fn() -> reqwest::Request,
    ) -> reqwest::Result<Response> {
        let (result, is_new) = reuse::watch(self.clients.pooled.execute(request())).await;
        match result {
            Err(error) if !is_new && transport::is_reset(&error, &prepared.host) => {
                self.clients.fresh().execute(request()).await
            }
            result => result,
        }
    }

    fn prepared(&self) -> Result<&Rc<Prepared>, Failure> {
        self.prepared.as_ref().map_err(Clone::clone)
    }
}

impl Setup {
    fn new(
        models: &[Arc<Model>],
        response_bytes: usize,
        old: Option<&Setup>,
    ) -> Result<Setup, SetupError> {
        let (clients, rings) = (Vec::new(), Vec::new());
        let mut setup = Setup { models: HashMap::new(), clients, rings, response_bytes };
        for model in models {
            let clients = setup.clients(model, old)?;
            let ring = setup.ring(&model.provider, old);
            let entry = CallableModel {
                kind: model.provider.kind,
                limit: model.provider.max_tokens_field,
                prepared: Prepared::new(model, &ring).map(Rc::new),
                clients,
                ring,
                learned: Learned::default(),
            };
            setup.models.insert(Arc::clone(&model.name), Rc::new(entry));
        }
        Ok(setup)
    }

    /// The clients that reach a model, shared with all that are reached in the same way.
    fn clients(&mut self, model: &Model, old: Option<&Setup>) -> Result<Rc<Clients>, SetupError> {
        let reach = Connecting::of(model);
        let known = |all: &[Rc<Clients>]| all.iter().find(|one| one.reach == reach).cloned();
        if let Some(clients) = known(&self.clients) {
            return Ok(clients);
        }
        let clients = match old.and_then(|old| known(&old.clients)) {
            Some(clients) => clients,
            None => Clients::new(reach).map_err(SetupError)?,
        };
        self.clients.push(Rc::clone(&clients));
        Ok(clients)
    }

    /// The keys of a provider, shared by its models; what is known of them outlives a reload.
    fn ring(&mut self, provider: &config::ProviderConfig, old: Option<&Setup>) -> Rc<Keyring> {
        if let Some(ring) = self.rings.iter().find(|ring| ring.is_of(provider)) {
            return Rc::clone(ring);
        }
        let before = old.and_then(|old| old.rings.iter().find(|ring| ring.is_of(provider)));
        let ring = match before.filter(|ring| ring.serves(provider)) {
            Some(ring) => Rc::clone(ring),
            None => Rc::new(Keyring::new(provider, before.map(Rc::as_ref))),
        };
        self.rings.push(Rc::clone(&ring));
        ring
    }
}

/// Chooses the cryptography for this process. Another part of it may have chosen already.
pub(super) fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

mod attempt;

#[cfg(test)]
mod tests;
