//! The keys of a provider, and the credentials that sign in their place, shared by all of its models.
//!
//! Whose turn it is and who is left alone is decided in [`crate::domain::turns`]; this file carries
//! it out: it gives each attempt a [`Pass`], and after a refusal another one, as long as there is
//! a key that was not tried. A key of a file or a command is first looked for anew, since the one
//! that was refused may merely be old. Only when every key is refused does the attempt fail.

mod command;
mod file;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::aws::Credentials;
use super::errors::redact::Generations;
use super::patience::Until;
use super::sign::{Signer, signer};
use super::{Call, Failure};
use crate::config::key::is_same;
use crate::config::{Auth, Key, ProviderConfig};
use crate::domain::fault::Fault;
use crate::domain::time::Mono;
use crate::domain::turns::{Refusal, Turns, is_about_key};
use command::CommandKey;
use file::FileKey;

/// How long a key is left alone whose command or file gave none.
const NO_KEY: Duration = Duration::from_secs(10);

/// The keys of one provider.
pub(super) struct Keyring {
    provider: Arc<str>,
    auth: Auth,
    /// What it was made from.
    keys: Vec<Key>,
    slots: Vec<KeySlot>,
    turns: RefCell<Turns>,
    /// What signs in place of a key, where calls are signed.
    credentials: Option<Rc<Credentials>>,
    generations: Rc<Generations>,
    started: Instant,
    /// Who is waited for, in the words of a passed limit.
    whom: String,
}

/// One key, whatever its text is at the moment.
struct KeySlot {
    source: Origin,
    current: RefCell<Option<Current>>,
}

/// Where a newer key comes from.
enum Origin {
    Fixed,
    File(FileKey),
    Command(CommandKey),
}

/// The text of a key, ready to be sent.
#[derive(Clone)]
struct Current {
    key: Option<SecretString>,
    generation: u64,
    signer: Rc<dyn Signer>,
}

/// The right to send one request with a certain key.
pub(super) struct Pass {
    slot: usize,
    generation: u64,
    pub(super) signer: Rc<dyn Signer>,
}

/// One attempt's way along the keys.
pub(super) struct KeyTurn {
    ring: Rc<Keyring>,
    blocked_for: Duration,
    tried: Vec<usize>,
    /// Keys that were looked for anew.
    renewed: Vec<usize>,
    /// Whether the request may be the reason of whatever is refused.
    is_odd: bool,
    /// Keys that were refused, though perhaps for the request and not for themselves.
    doubted: Vec<usize>,
}

impl Keyring {
    /// The keys of a provider. What its keys were before stays known as secret: see `before`.
    pub(super) fn new(provider: &ProviderConfig, before: Option<&Keyring>) -> Keyring {
        let generations = before.map(|ring| Rc::clone(&ring.generations)).unwrap_or_default();
        let credentials = provider.signing.as_ref().map(|signing| {
            let held = before.and_then(|ring| ring.credentials.clone());
            held.filter(|held| held.serve(provider)).unwrap_or_else(|| {
                Rc::new(Credentials::new(signing, provider, Rc::clone(&generations)))
            })
        });
        let mut ring = Keyring {
            provider: Arc::clone(&provider.name),
            auth: provider.auth,
            keys: provider.keys.clone(),
            slots: Vec::new(),
            turns: RefCell::new(Turns::of(provider.keys.len().max(1))),
            credentials,
            generations,
            started: Instant::now(),
            whom: format!("the key of provider {}", provider.name),
        };
        if provider.keys.is_empty() {
            let signer = signer(Auth::None, None).map(Rc::from);
            let unsigned = signer.map(|signer| Current { key: None, generation: 0, signer });
            let current = RefCell::new(unsigned);
            ring.slots.push(KeySlot { source: Origin::Fixed, current });
        }
        for key in &provider.keys {
            let source = match key {
                Key::Fixed(_) => Origin::Fixed,
                Key::File { path, .. } => Origin::File(FileKey::new(path)),
                Key::Command { argv, refresh } => {
                    let printed = CommandKey::new(argv, *refresh);
                    printed.prefetch();
                    Origin::Command(printed)
                }
            };
            let slot = KeySlot { source, current: RefCell::default() };
            if let Some(key) = key.known() {
                ring.put(&slot, key);
            }
            ring.slots.push(slot);
        }
        ring
    }

    /// Whether it would be the same if it were made for this provider, so that it can stay.
    pub(super) fn serves(&self, provider: &ProviderConfig) -> bool {
        let signs = match &self.credentials {
            Some(credentials) => credentials.serve(provider),
            None => provider.signing.is_none(),
        };
        self.is_of(provider) && self.auth == provider.auth && self.keys == provider.keys && signs
    }

    /// Whether it is, or was, this provider's.
    pub(super) fn is_of(&self, provider: &ProviderConfig) -> bool {
        self.provider == provider.name
    }

    /// What signs in place of a key.
    pub(super) fn credentials(&self) -> Option<Rc<Credentials>> {
        self.credentials.clone()
    }

    /// All texts that its keys ever had.
    pub(super) fn generations(&self) -> Rc<Generations> {
        Rc::clone(&self.generations)
    }

    /// Begins an attempt. A refused key is left alone for as long as the model would be blocked.
    pub(super) fn turn(self: &Rc<Keyring>, call: &Call<'_>) -> KeyTurn {
        let model = call.model;
        KeyTurn {
            ring: Rc::clone(self),
            blocked_for: model.breaker.blocked_for,
            tried: Vec::new(),
            renewed: Vec::new(),
            is_odd: call.request.adds_to(model.provider.kind.name(), &model.name),
            doubted: Vec::new(),
        }
    }

    /// Puts a key where it is used from, if it is another one.
    fn put(&self, slot: &KeySlot, key: &SecretString) {
        let old = slot.current.borrow().clone();
        if old.as_ref().and_then(|old| old.key.as_ref()).is_some_and(|old| is_same(old, key)) {
            return;
        }
        let Some(signer) = signer(self.auth, Some(key)) else { return };
        self.generations.note(key);
        let generation = old.map_or(0, |old| old.generation + 1);
        let current = Current { key: Some(key.clone()), generation, signer: Rc::from(signer) };
        slot.current.replace(Some(current));
    }

    /// The key of a slot as it is now, or why there is none.
    async fn pass(&self, at: usize) -> Result<Pass, Failure> {
        let slot = &self.slots[at];
        let mut why = "it cannot be sent as a header".to_owned();
        match &slot.source {
            Origin::Fixed => {}
            Origin::File(filed) => {
                if let Some(key) = filed.look(false).await {
                    self.put(slot, &key);
                }
            }
            Origin::Command(printed) => match printed.key().await {
                Ok(key) => self.put(slot, &key),
                Err(failed) => why = failed,
            },
        }
        let current = slot.current.borrow().clone();
        let Some(current) = current else {
            let what = format!(
                "provider {} has no API key: {why}; mend it, or name another place of its api_key",
                self.provider
            );
            // A command that fails may work in a moment.
            return Err(Failure { certain: false, ..Failure::new(Fault::Auth, what) });
        };
        Ok(Pass { slot: at, generation: current.generation, signer: current.signer })
    }

    /// Looks for a newer key than a refused one; whether there is one.
    async fn renew(&self, refused: &Pass) -> bool {
        let slot = &self.slots[refused.slot];
        match &slot.source {
            Origin::Fixed => return false,
            Origin::File(filed) => {
                if let Some(key) = filed.look(true).await {
                    self.put(slot, &key);
                }
            }
            Origin::Command(printed) => {
                // Another call may have had it printed already.
                if self.generation(refused.slot) == Some(refused.generation) {
                    printed.renew().await;
                }
                if let Ok(key) = printed.key().await {
                    self.put(slot, &key);
                }
            }
        }
        self.generation(refused.slot) > Some(refused.generation)
    }

    fn generation(&self, at: usize) -> Option<u64> {
        self.slots[at].current.borrow().as_ref().map(|current| current.generation)
    }

    fn leave(&self, at: usize, failure: &Failure, blocked_for: Duration) {
        let &Failure { fault, retry_after: hint, certain, .. } = failure;
        let refusal = Refusal { fault, hint, blocked_for, certain };
        self.turns.borrow_mut().leave(at, refusal, self.now());
    }

    fn now(&self) -> Mono {
        Mono(self.started.elapsed())
    }
}

impl KeyTurn {
    /// The first key of the attempt, which may be waited for until then.
    ///
    /// # Errors
    /// When no key is to be had.
    pub(super) async fn first(&mut self, until: Until) -> Result<Pass, Failure> {
        let ring = Rc::clone(&self.ring);
        until.wait(&ring.whom, self.another(None)).await?
    }

    /// After a failure: the next key to try.
    ///
    /// # Errors
    /// With the failure of the attempt, when it is none of the key or no key is left.
    pub(super) async fn next(
        &mut self,
        pass: &Pass,
        failure: Failure,
        until: Until,
    ) -> Result<Pass, Failure> {
        if !is_about_key(failure.fault) {
            return Err(failure);
        }
        let ring = Rc::clone(&self.ring);
        until.wait(&ring.whom, self.instead_of(pass, failure)).await?
    }

    /// The key was accepted.
    pub(super) fn worked(&self, pass: &Pass) {
        self.ring.turns.borrow_mut().welcome(pass.slot);
    }

    async fn instead_of(&mut self, pass: &Pass, failure: Failure) -> Result<Pass, Failure> {
        let first_time = !self.renewed.contains(&pass.slot);
        if failure.fault == Fault::Auth && first_time {
            self.renewed.push(pass.slot);
            if self.ring.renew(pass).await {
                return self.ring.pass(pass.slot).await;
            }
        }
        // A limit that was reached is one, whoever asks.
        let is_limit = failure.fault == Fault::RateLimited;
        let certain = is_limit || (failure.certain && !self.is_odd);
        if !certain {
            self.doubted.push(pass.slot);
        }
        let about_key = Failure { certain, ..failure.clone() };
        self.ring.leave(pass.slot, &about_key, self.blocked_for);
        self.another(Some(failure)).await
    }

    /// A key that was not tried yet; without one the attempt has failed like this, if it has so far.
    async fn another(&mut self, mut failure: Option<Failure>) -> Result<Pass, Failure> {
        loop {
            let chosen = self.ring.turns.borrow_mut().choose(&self.tried, self.ring.now());
            let Some(slot) = chosen else {
                let none = || format!("provider {} has no key", self.ring.provider);
                let failure = failure.unwrap_or_else(|| Failure::new(Fault::Auth, none()));
                return Err(self.all_refused(failure));
            };
            self.tried.push(slot);
            match self.ring.pass(slot).await {
                Ok(pass) => return Ok(pass),
                Err(none) => {
                    self.ring.leave(slot, &none, NO_KEY);
                    // What a provider said tells more than that a key is not there.
                    failure = failure.filter(|failure| failure.status.is_some()).or(Some(none));
                }
            }
        }
    }

    /// What all keys together mean for the model: with one that will be free by itself it is no
    /// matter of a person. What was in doubt with each of them is no matter of a key.
    fn all_refused(&self, mut failure: Failure) -> Failure {
        let ring = &self.ring;
        if ring.slots.len() < 2 {
            return failure;
        }
        ring.turns.borrow_mut().forgive(&self.doubted);
        let cured_in = ring.turns.borrow().cured_in(ring.now());
        if let Some(wait) = cured_in {
            if failure.fault != Fault::RateLimited {
                let what = "one key is rate limited, and another is refused";
                failure.message = format!("{what}: {}", failure.message);
            }
            failure.fault = Fault::RateLimited;
            failure.retry_after = Some(wait);
        }
        failure
    }
}
