//! Simulated providers: real HTTP on loopback in the wire formats of OpenAI, Anthropic and Google.
//!
//! They serve the demo, the tests and the benchmarks. Answers are decided by the request alone
//! (`[model] last message`), faults by a script ([`Behaviour`]), and every call is written down
//! ([`Seen`]), so that a test can say what must happen and then look whether it did. Requests are
//! read as strictly as the real services read them: a mapping mistake shows here.
//!
//! Start with [`Simulator::start`] inside a tokio runtime, or with [`Background::start`] for a
//! thread of its own. Nothing here ever leaves 127.0.0.1.

mod ask;
mod background;
mod behaviour;
mod body;
mod flow;
mod formats;
mod journal;
mod schema;
mod serve;
mod server;
mod stream;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use background::Background;
pub use behaviour::{Behaviour, Meaning, Odd, ProviderError};
pub use flow::{Fate, Flow};
pub use journal::{Counts, Seen};

use crate::config::Kind;
use behaviour::Script;
use journal::CallJournal;
use server::Door;
use wire::AccessRules;

/// One provider on one port. Clones are handles to the same one, from any thread; when the last
/// handle is gone the provider is, too.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<SharedState>,
    _life: Arc<Life>,
}

/// What the handles and the connections share.
struct SharedState {
    kind: Kind,
    started: Instant,
    door: Mutex<Door>,
    rules: Mutex<AccessRules>,
    script: Mutex<Script>,
    journal: CallJournal,
    outage: watch::Sender<()>,
    released: watch::Sender<()>,
}

/// Ends the accepting task and all connections.
struct Life {
    accepting: AbortHandle,
    outage: watch::Sender<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.accepting.abort();
        self.outage.send_replace(());
    }
}

impl Simulator {
    /// Starts a provider on a free port of loopback. Needs a running tokio runtime.
    pub fn start(kind: Kind) -> io::Result<Self> {
        Self::start_at(kind, 0)
    }

    /// Starts a provider on this port of loopback; 0 is a free one.
    pub fn start_at(kind: Kind, port: u16) -> io::Result<Self> {
        let door = Door::open(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let outage = watch::Sender::new(());
        let shared = Arc::new(SharedState {
            kind,
            started: Instant::now(),
            door: Mutex::new(door),
            rules: Mutex::default(),
            script: Mutex::default(),
            journal: CallJournal::new(),
            outage: outage.clone(),
            released: watch::Sender::new(()),
        });
        let accepting = tokio::spawn(server::accept(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, _life: Arc::new(Life { accepting, outage }) })
    }

    /// Which format it speaks.
    pub fn kind(&self) -> Kind {
        self.shared.kind
    }

    /// Where it listens, on loopback.
    pub fn address(&self) -> SocketAddr {
        lock(&self.shared.door).address()
    }

    /// What `base_url` has to be in the configuration.
    pub fn base_url(&self) -> String {
        let path = formats::of(self.shared.kind).base_path();
        format!("http://{}{path}", self.address())
    }

    /// From now on only this key is right; before, any key is.
    pub fn require_key(&self, key: &str) {
        self.shared.rules().key = Some(key.to_owned());
    }

    /// From now on calls without a key are fine, as with a server on one's own machine.
    pub fn need_no_key(&self) {
        self.shared.rules().keyless = true;
    }

    /// From now on only these models exist; before, all do.
    pub fn models(&self, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.shared.rules().models = Some(names);
    }

    /// What calls get from now on.
    pub fn set(&self, behaviour: Behaviour) {
        self.shared.script().set(None, behaviour);
    }

    /// What calls of this model get from now on.
    pub fn set_for(&self, model: &str, behaviour: Behaviour) {
        self.shared.script().set(Some(model), behaviour);
    }

    /// What one of the next calls gets, in the order of pushing.
    pub fn push(&self, behaviour: Behaviour) {
        self.shared.script().push(None, behaviour);
    }

    /// What one of the next calls of this model gets.
    pub fn push_for(&self, model: &str, behaviour: Behaviour) {
        self.shared.script().push(Some(model), behaviour);
    }

    /// Forgets all that was set and pushed: every call gets `Ok`.
    pub fn well(&self) {
        *self.shared.script() = Script::default();
    }

    /// Lets go the calls that are [`Behaviour::Held`] at this moment.
    pub fn release(&self) {
        self.shared.released.send_replace(());
    }

    /// Goes down at once: open connections are reset, new ones refused.
    pub fn down(&self) -> io::Result<()> {
        let shut = lock(&self.shared.door).shut();
        self.shared.outage.send_replace(());
        shut
    }

    /// Comes back on the same port.
    pub fn up(&self) -> io::Result<()> {
        lock(&self.shared.door).reopen()
    }

    /// The calls that arrived, oldest first; the newest 10,000, unless [`Self::keep`] said another number.
    pub fn calls(&self) -> Vec<Seen> {
        self.shared.journal.calls(|_| true)
    }

    /// The calls of one model.
    pub fn calls_for(&self, model: &str) -> Vec<Seen> {
        self.shared.journal.calls(|seen| seen.model == model)
    }

    /// How many calls arrived, how many were cancelled, and how many connections there were.
    pub fn counts(&self) -> Counts {
        self.shared.journal.counts()
    }

    /// How many calls are kept; none for a benchmark.
    pub fn keep(&self, most: usize) {
        self.shared.journal.keep(most);
    }

    /// Forgets the calls seen so far; the counts go on.
    pub fn forget_calls(&self) {
        self.shared.journal.clear();
    }

    /// Waits until this many calls have arrived since the start.
    pub async fn wait_calls(&self, n: u64) {
        self.shared.journal.wait(|counts| counts.calls >= n).await;
    }

    /// Waits until the clients of this many calls have left before their answer.
    pub async fn wait_cancelled(&self, n: u64) {
        self.shared.journal.wait(|counts| counts.cancelled >= n).await;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("kind", &self.kind())
            .field("address", &self.address())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl SharedState {
    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    fn rules(&self) -> MutexGuard<'_, AccessRules> {
        lock(&self.rules)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
